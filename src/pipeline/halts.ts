import { randomBytes } from 'node:crypto';
import { type Halt, type HaltScope, haltCovers } from '../domain/halt.ts';
import { type ActorId, asId, type HaltId } from '../domain/ids.ts';
import type { Refusal } from '../domain/refusal.ts';
import { activeHalts, insertHalt, liftHalt } from '../store/halts.ts';
import type { Store } from '../store/store.ts';
import type { Proof } from './proof.ts';

/** Stop means stop (G11): what runs is cancelled, then ended; what comes is refused; a restart changes nothing. */
export interface Halts {
  halt(scope: HaltScope, reason: string, by: ActorId): Promise<Halt>;
  /** Lifts every halt of exactly this scope; returns those. */
  resume(scope: HaltScope, reason: string, by: ActorId): Promise<readonly Halt[]>;
  active(): readonly Halt[];
  /** Why this subject may do nothing now, or `undefined`. Looks at memory only: it is asked for every statement. */
  covering(subject: HaltSubject): Refusal | undefined;
  /** What is to be stopped and let go again as halts come and go: sessions, and applies under way. Ask {@link covering} after it. */
  watch(running: Stoppable, subject: HaltSubject): () => void;
  /** Reads the halts again: another process may have set one. */
  refresh(): Promise<void>;
  /** Refuses everything in this process for a cause of its own, whatever the halts are; `undefined` ends that cause. */
  standDown(cause: StandDownCause, reason: Refusal | undefined): Promise<void>;
  /** Why this process stands down. */
  standingDown(): readonly Refusal[];
}

export interface Stoppable {
  /** Stops what runs and refuses what comes, until `resume`. */
  stop(reason: Refusal): Promise<void>;
  /** Lets end what runs and refuses what comes, until `resume`. */
  refuse(reason: Refusal): void;
  resume(): void;
}

/**
 * A process that is cut off can't know of a halt: what it runs is stopped. What was decided by policies that were in force
 * then may end; a commit is a new act, and is refused.
 */
export type StandDownCause = 'cut off' | (typeof REFUSING)[number];
const REFUSING = ['outdated policies', 'unwitnessed'] as const;

export interface HaltSubject {
  readonly agent: string;
  readonly task: string;
  readonly target: string;
}

export async function createHalts(deps: { readonly store: Store; readonly proof: Proof }): Promise<Halts> {
  const { store, proof } = deps;
  const watched = new Map<Stoppable, HaltSubject>();
  let halts: readonly Halt[] = await activeHalts(store);

  const causes = new Map<StandDownCause, Refusal>();

  function stopping(subject: HaltSubject): Refusal | undefined {
    const cutOff = causes.get('cut off');
    if (cutOff !== undefined) return cutOff;
    const halt = halts.find((candidate) => haltCovers(candidate, subject));
    return halt === undefined ? undefined : haltRefusal(halt);
  }

  function refusing(): Refusal | undefined {
    return REFUSING.map((cause) => causes.get(cause)).find((reason) => reason !== undefined);
  }

  function covering(subject: HaltSubject): Refusal | undefined {
    return stopping(subject) ?? refusing();
  }

  let [asked, known] = [0, 0];
  async function refresh(): Promise<void> {
    const turn = ++asked;
    const read = await activeHalts(store);
    // Answers may overtake one another: an older one knows nothing of a halt that a newer one has told.
    if (turn < known) return;
    [known, halts] = [turn, read];
    await enforce();
  }

  async function enforce(): Promise<void> {
    const stops: Promise<void>[] = [];
    for (const [running, subject] of watched) {
      const [stop, refuse] = [stopping(subject), refusing()];
      if (stop !== undefined) stops.push(running.stop(stop));
      else if (refuse !== undefined) running.refuse(refuse);
      else running.resume();
    }
    await Promise.all(stops);
  }

  return {
    async halt(scope, reason, by) {
      const halt: Halt = {
        id: asId<HaltId>(`halt_${randomBytes(8).toString('hex')}`),
        scope,
        reason,
        by,
        at: proof.now(),
      };
      await proof.record({
        kind: 'halt',
        subject: halt.id,
        body: { halt: halt.id, ...scope, reason, by },
        writes: [insertHalt(halt)],
      });
      await refresh();
      return halt;
    },
    async resume(scope, reason, by) {
      const lifted = (await activeHalts(store)).filter((halt) => sameScope(halt.scope, scope));
      for (const halt of lifted) {
        await proof.record({
          kind: 'resume',
          subject: halt.id,
          body: { halt: halt.id, ...scope, reason, by },
          writes: [liftHalt(halt.id, by, proof.now())],
        });
      }
      await refresh();
      return lifted;
    },
    active: () => halts,
    covering,
    watch(running, subject) {
      watched.set(running, subject);
      return () => watched.delete(running);
    },
    refresh,
    async standDown(cause, reason) {
      const had = causes.delete(cause);
      if (reason !== undefined) causes.set(cause, reason);
      if (had || reason !== undefined) await enforce();
    },
    standingDown: () => [...causes.values()],
  };
}

export function haltRefusal(halt: Halt): Refusal {
  const { breaker, scope } = halt;
  if (breaker !== undefined && scope.scope !== 'global')
    return {
      refused: 'halted',
      message: `The breaker ${breaker} tripped at ${halt.at} and has stopped the ${scope.scope} ${scope.id}: ${halt.reason}`,
      hint: `Stop, and tell a person. Only one who may halt lets it go on: countersign resume --${scope.scope} ${scope.id}`,
    };
  return {
    refused: 'halted',
    message: `Halted by ${halt.by} at ${halt.at}: ${halt.reason}`,
    hint: 'Stop. Only a person can lift it: countersign resume.',
  };
}

function sameScope(a: HaltScope, b: HaltScope): boolean {
  return a.scope === b.scope && (a.scope === 'global' || (b.scope !== 'global' && a.id === b.id));
}
