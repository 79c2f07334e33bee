import type { Report } from './people.ts';
import type { ConfigDocument } from './schema.ts';
import { type Secret, secretReference } from './secret.ts';

/** The app of a workspace that tells people of plans. */
export interface ConfiguredSlack {
  readonly token: Secret;
  readonly signingSecret: Secret;
  readonly team: string;
  /** Where plans of an environment go that has no channel of its own. */
  readonly channel: string;
  readonly channels: ReadonlyMap<string, string>;
  /** Ends with a slash. */
  readonly api: string;
}

export function slackOf({ notifications: { slack } }: ConfigDocument, directory: string): ConfiguredSlack | null {
  if (slack === undefined) return null;
  return {
    token: secretReference(slack.token, directory),
    signingSecret: secretReference(slack.signingSecret, directory),
    team: slack.team,
    channel: slack.channel,
    channels: new Map(Object.entries(slack.channels)),
    api: slack.api.replace(/\/*$/, '/'),
  };
}

/** What would let more be clicked than anybody meant. */
export function checkSlack(value: ConfigDocument, report: Report, needEnvironment: Report): void {
  for (const environment of Object.keys(value.notifications.slack?.channels ?? {}))
    needEnvironment(['notifications', 'slack', 'channels', environment], environment);
  for (const [id, { tier, clicks }] of Object.entries(value.environments)) {
    if (tier === 'production' && clicks === 'any')
      report(
        ['environments', id, 'clicks'],
        'in production what can’t be undone takes a signature: write reversible, or never',
      );
  }
}
