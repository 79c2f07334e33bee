import type { StatementClass } from '../domain/effect.ts';
import type { OpenedSession } from '../pipeline/observer.ts';

/** What became of a statement. `stopped`: refused before it was looked at (halted, expired, closed). */
export const VERDICTS = ['allow', 'hold', 'deny', 'unsupported', 'apply', 'stopped'] as const;
export type Verdict = (typeof VERDICTS)[number];
export type Kind = StatementClass['kind'] | 'none';

/** Counts of one target and channel: adding one to a number that is already there is all that a statement costs. */
export type Tally = Readonly<Record<Verdict, Partial<Record<Kind, number>>>>;

/** Tallies by target and channel: as many as there are targets in the configuration and channels in the program. */
export interface StatementCounts {
  of(target: string, channel: string): Tally;
  all(): Iterable<{ readonly target: string; readonly channel: string; readonly tally: Tally }>;
}

export function createStatementCounts(): StatementCounts {
  const tallies = new Map<string, { readonly target: string; readonly channel: string; readonly tally: Tally }>();
  return {
    of(target, channel) {
      const key = `${target}\n${channel}`;
      const known = tallies.get(key) ?? { target, channel, tally: emptyTally() };
      tallies.set(key, known);
      return known.tally;
    },
    all: () => tallies.values(),
  };
}

export function count(tally: Tally, verdict: Verdict, kind: Kind): void {
  const row = tally[verdict];
  row[kind] = (row[kind] ?? 0) + 1;
}

/**
 * Counts what a session runs, and what doesn't simply run. Statements that are held are counted where they become plans,
 * because a write that was let through can be held when it has been measured.
 */
export function countStatements({ session, steps }: OpenedSession, tally: Tally): OpenedSession {
  const { standing, note, noteRead, adopt, transact } = session;
  return {
    session: Object.assign(session, {
      standing: () => {
        const refusal = standing();
        if (refusal !== undefined) count(tally, 'stopped', 'none');
        return refusal;
      },
      note: (write) => {
        count(tally, 'allow', write.analysis.class.kind);
        note(write);
      },
      noteRead: (analysis) => {
        count(tally, 'allow', analysis.class.kind);
        noteRead(analysis);
      },
      adopt: (act, connection, carry) => {
        count(tally, 'allow', 'session');
        return adopt(act, connection, carry);
      },
      transact: (act, carry, sink) => {
        count(tally, 'allow', 'transaction');
        return transact(act, carry, sink);
      },
    } satisfies Partial<OpenedSession['session']>),
    steps: {
      ...steps,
      apply: (actor, plan) => {
        count(tally, 'apply', 'apply');
        return steps.apply(actor, plan);
      },
      deny: (actor, statement, judgement) => {
        count(tally, judgement.verdict, judgement.analysis.class.kind);
        return steps.deny(actor, statement, judgement);
      },
    },
  };
}

function emptyTally(): Tally {
  return { allow: {}, hold: {}, deny: {}, unsupported: {}, apply: {}, stopped: {} };
}
