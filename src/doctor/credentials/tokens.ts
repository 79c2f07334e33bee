import type { Instant } from '../../domain/ids.ts';
import { type Finding, findingsOf } from '../finding.ts';

/** Something of Countersign's own that lets somebody in. */
export interface OwnToken {
  readonly kind: 'task' | 'agent' | 'person token' | 'session' | 'passkey' | 'key';
  readonly id: string;
  /** For whom it speaks. */
  readonly of: string;
  readonly what: string;
  readonly since: Instant | null;
  /** `null` where nobody notes it. */
  readonly used: Instant | null;
  /** `null`: never. */
  readonly ends: Instant | null;
}

const DAY_MS = 24 * 3_600_000;
/** A task is a piece of work; what lasts longer is an account. */
const LONG_TASK_MS = 7 * DAY_MS;
const LONG_TOKEN_MS = 90 * DAY_MS;

/** Tokens that last for longer than what they are for. */
export function checkTokens(tokens: readonly OwnToken[], nowMs: number): Finding[] {
  const { ok, bad } = findingsOf('tokens');
  const lasts = ({ ends }: OwnToken) => (ends === null ? Number.POSITIVE_INFINITY : Date.parse(ends) - nowMs);
  const days = (ms: number) => `${Math.floor(ms / DAY_MS)} days`;
  const found = tokens.flatMap((token): Finding[] => {
    if (token.kind === 'task' && lasts(token) > LONG_TASK_MS)
      return [
        bad('warn', 'credentials.task', {
          found: `the token of ${token.id} (${token.of}: ${token.what}) is good for ${days(lasts(token))} more`,
          why: 'A task is a piece of work. Whoever finds its token works with it until then.',
          fix: `countersign task close ${token.id}      # and open another when there is work`,
        }),
      ];
    if (token.kind === 'person token' && lasts(token) > LONG_TOKEN_MS)
      return [
        bad('warn', 'credentials.person_token', {
          found: `${token.id} (${token.what}) speaks for ${token.of} for ${days(lasts(token))} more`,
          why: 'Whoever finds it is that person to the HTTP API, in what it may do.',
          fix: `countersign token revoke ${token.id} --as ${token.of}      # and make one with --expires 30d`,
        }),
      ];
    return [];
  });
  return found.length > 0 ? found : [ok('credentials.tokens', 'no token of a task or a person lasts for long')];
}
