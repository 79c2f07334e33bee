import type { StandingPower } from '../../engines/postgres/powers.ts';
import { type Finding, findingsOf, type Verdict } from '../finding.ts';

/** What each kind comes to: how bad it is, and how bad where it is worse. */
const KINDS: Readonly<
  Record<
    StandingPower['kind'],
    {
      readonly verdict: Verdict;
      readonly worse: Verdict;
      readonly said: (power: StandingPower) => string;
      readonly why: string;
      readonly or: string;
    }
  >
> = {
  slot: {
    verdict: 'warn',
    worse: 'warn',
    said: ({ name, of }) => `the replication slot ${name} gives away ${of}`,
    why: 'What goes out by it is neither masked nor recorded; one that nobody reads fills the server’s disk.',
    or: 'if nothing replicates from it',
  },
  'foreign login': {
    verdict: 'warn',
    worse: 'fail',
    said: ({ name, of }) => `a login to the foreign server ${name} is kept for ${of}`,
    why: 'A query here acts on another server, with rights that nobody declared.',
    or: 'if nothing needs it',
  },
  dblink: {
    verdict: 'warn',
    worse: 'warn',
    said: ({ name }) => `everybody may execute ${name} of dblink`,
    why: 'Any login connects from the database to other servers, and commits there what is rolled back here.',
    or: 'grant it to those who need it',
  },
  'event trigger': {
    verdict: 'ok',
    worse: 'fail',
    said: ({ name, of }) => `the event trigger ${name} runs a function of ${of}`,
    why: 'Its owner can put other code in it, and a superuser’s next definition runs that.',
    or: 'to the owner of the trigger',
  },
  definer: {
    verdict: 'warn',
    worse: 'fail',
    said: ({ name, of, worse }) =>
      `everybody may execute ${name} with the rights of ${of}${worse ? ', and it has no search_path of its own' : ''}`,
    why: 'What it does is done with its owner’s rights, by whoever asks; without a fixed search_path they choose what it calls.',
    or: 'then GRANT EXECUTE to those who need it, and ALTER ROUTINE … SET search_path = pg_catalog, pg_temp',
  },
};

/** Powers in the database that need no login of their own: one finding each. */
export function checkStandingPowers(target: string, powers: readonly StandingPower[]): Finding[] {
  const { ok, bad } = findingsOf(`target ${target}`);
  const found = powers.flatMap((power): Finding[] => {
    const kind = KINDS[power.kind];
    const verdict = power.worse ? kind.worse : kind.verdict;
    if (verdict === 'ok') return [];
    return [
      bad(verdict, `credentials.${power.kind.replaceAll(' ', '_')}`, {
        found: kind.said(power),
        why: kind.why,
        fix: `${power.sql}  -- ${kind.or}`,
      }),
    ];
  });
  return found.length > 0
    ? found
    : [ok('credentials.standing', 'no slot, foreign login, or function with another’s rights is open to everybody')];
}
