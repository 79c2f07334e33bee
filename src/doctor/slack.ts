import { type Finding, findingsOf } from './finding.ts';

/** What is known of the Slack of a configuration. */
export interface SlackFacts {
  /** Why secrets can't be read. */
  readonly secrets: readonly string[];
  /** As the configuration names it. */
  readonly team: string;
  /** `null` where it was not asked. */
  readonly answered:
    | { readonly team: string; readonly url: string }
    | { readonly code: string; readonly why: string }
    | null;
  /** How many people have a user there. */
  readonly known: number;
  /** Environments in which clicks decide. */
  readonly clickable: readonly string[];
  readonly clickableInProduction: readonly string[];
  readonly publicUrl: string | null;
}

/** @param slack `null` where the configuration names none: then there is nothing to be found. */
export function checkSlack(slack: SlackFacts | null): Finding[] {
  if (slack === null) return [];
  return [...ofSecrets(slack), ...ofAnswer(slack), ...ofClicks(slack)];
}

const { ok, bad } = findingsOf('slack');

function ofSecrets({ secrets }: SlackFacts): Finding[] {
  return secrets.map((why) =>
    bad('fail', 'slack.secrets', {
      found: why,
      why: 'Without the token nothing is told; without the signing secret no click is believed.',
      fix: 'set what notifications.slack.token and .signingSecret refer to: Bot User OAuth Token and Signing Secret of the app (docs/slack.md)',
    }),
  );
}

function ofAnswer({ answered, team }: SlackFacts): Finding[] {
  if (answered === null) return [];
  if ('code' in answered) {
    return [
      bad(answered.code === 'unreachable' ? 'unknown' : 'fail', 'slack.reachable', {
        found: `auth.test: ${answered.why}`,
        why: 'Nobody is told of plans there; what is to be told waits, and is dead after two days.',
        fix: 'see that the gateway may reach notifications.slack.api over HTTPS, and that the token is the app’s Bot User OAuth Token; then: countersign notification retry dead',
      }),
    ];
  }
  if (answered.team === team) return [ok('slack.team', `the app is in ${team}, ${answered.url}`)];
  return [
    bad('fail', 'slack.team', {
      found: `the token is of the workspace ${answered.team} (${answered.url}), and the configuration names ${team}`,
      why: 'Plans are told to another workspace than meant, and no click from it counts.',
      fix: `put the app’s token of ${team} where notifications.slack.token refers to, or mend notifications.slack.team`,
    }),
  ];
}

function ofClicks({ known, clickable, clickableInProduction, publicUrl }: SlackFacts): Finding[] {
  const found: Finding[] = [];
  if (clickable.length > 0 && known === 0)
    found.push(
      bad('warn', 'slack.people', {
        found: `clicks would decide in ${clickable.join(', ')}, and no person has a Slack user`,
        why: 'Buttons are shown that count for nobody.',
        fix: 'actors.people.NAME.slack: U…  # Slack: profile, ⋮, Copy member ID; or environments.NAME.clicks: never',
      }),
    );
  if (clickable.length > 0 && publicUrl === null)
    found.push(
      bad('warn', 'slack.public', {
        found: 'listen.public is not set',
        why: 'Slack must reach /slack/actions over HTTPS, and people must reach the console that its messages name.',
        fix: 'listen.public: { pg: …, http: https://… }  # and the same address, with /slack/actions, as Request URL of the app',
      }),
    );
  for (const environment of clickableInProduction)
    found.push(
      bad('warn', 'slack.production', {
        found: `clicks decide in ${environment}, whose tier is production`,
        why: 'Who has somebody’s Slack session, or administers the workspace, can approve there what can be undone.',
        fix: `environments.${environment}.clicks: never`,
      }),
    );
  return found;
}
