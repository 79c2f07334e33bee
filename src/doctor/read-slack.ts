import type { Config } from '../config/load.ts';
import { authTest } from '../notify/slack-api.ts';
import type { SlackFacts } from './slack.ts';

/** What Slack says of the app, and whether what Slack signs with can be read; `null` where none is configured. */
export async function readSlack({ slack, environments, actors, reachedAt }: Config): Promise<SlackFacts | null> {
  if (slack === null) return null;
  const secrets = [slack.token, slack.signingSecret].flatMap((secret) => {
    try {
      secret.reveal();
      return [];
    } catch (error) {
      return [error instanceof Error ? error.message : String(error)];
    }
  });
  const asked = secrets.length > 0 ? null : await authTest(slack);
  const all = [...environments.values()];
  return {
    secrets,
    team: slack.team,
    answered: asked === null || asked.ok ? (asked?.answer ?? null) : { code: asked.code, why: asked.why },
    known: [...actors.values()].filter((actor) => actor.kind === 'person' && actor.slack !== undefined).length,
    clickable: all.filter(({ clicks }) => clicks !== 'never').map(({ id }) => id),
    clickableInProduction: all
      .filter(({ clicks, tier }) => clicks !== 'never' && tier === 'production')
      .map(({ id }) => id),
    publicUrl: reachedAt?.http ?? null,
  };
}
