import { type BaselineQuestion, verifyBaseline } from '../approval/baseline.ts';
import type { Json } from '../domain/digest.ts';
import type { BaselineEnvelope, Definitions, Deviation, DriftState } from '../domain/drift.ts';
import type { Digest, Instant, TargetId } from '../domain/ids.ts';
import type { Refusal } from '../domain/refusal.ts';
import {
  deviations,
  digestOfDefinitions,
  digestOfDeviations,
  followed,
  followedAsFound,
} from '../environments/compare-definitions.ts';
import { GuardFailed } from '../ledger/ledger.ts';
import { readEntries } from '../ledger/read-entries.ts';
import {
  baselineOf,
  driftStates,
  dropMoves,
  type KeptBaseline,
  movesOn,
  type PlanMoves,
  putBaseline,
  putDriftState,
  touchDriftState,
} from '../store/drift.ts';
import type { Store } from '../store/store.ts';
import type { Refused } from './gateway.ts';
import type { GovernedTarget } from './governed-target.ts';
import type { Proof } from './proof.ts';

/** What targets' schemas are against what they are meant to be. */
export interface Drifts {
  /** How the target stood when it was looked at last. Looks at memory only. */
  known(target: TargetId): DriftState | undefined;
  /** Looks, moves the baseline on by the plans that were applied, and records what is news. The first look makes the baseline. */
  check(target: TargetId, by: string): Promise<DriftCheck | Refused>;
  /** Looks only. @param toAccept also where the baseline is not to be trusted: it is to be replaced. */
  look(target: TargetId, toAccept?: 'to accept'): Promise<DriftLook | Refused>;
  /** What `target` has otherwise than another one, seen from that: `added` is here and not there. */
  against(target: TargetId, other: TargetId): Promise<readonly Deviation[] | Refused>;
  /** What is there is meant to be so: a person signs it. The signature is the authentication. */
  accept(target: TargetId, envelope: BaselineEnvelope): Promise<DriftCheck | Refused>;
  /** Reads again what other processes have found. */
  refresh(): Promise<void>;
}

/** One look at a target. */
export interface DriftLook {
  /** `null` where nobody has looked before: there is nothing yet to deviate from. */
  readonly baseline: { readonly digest: Digest; readonly at: Instant } | null;
  readonly found: Definitions;
  readonly digest: Digest;
  readonly deviations: readonly Deviation[];
}

export interface DriftCheck extends DriftLook {
  readonly state: DriftState;
  /** It is other than the last look's. */
  readonly news: boolean;
}

const LISTED = 200;
const LOOKS = 5;

export async function createDrifts(deps: {
  readonly store: Store;
  readonly proof: Proof;
  readonly target: (id: TargetId) => Promise<GovernedTarget | Refusal>;
  readonly question: (id: TargetId) => Omit<BaselineQuestion, 'was' | 'becomes'> | undefined;
}): Promise<Drifts> {
  const { store, proof } = deps;
  let known = await driftStates(store);

  async function refresh(): Promise<void> {
    known = await driftStates(store);
  }

  interface Seen extends DriftLook {
    readonly kept: KeptBaseline | undefined;
    readonly expected: Definitions;
    readonly moves: readonly PlanMoves[];
    /** Why the baseline can't be trusted. */
    readonly foul: Refusal | undefined;
  }

  async function see(id: TargetId): Promise<Seen | Refused> {
    const target = await deps.target(id);
    if ('refused' in target) return { refused: target };
    for (let looks = 0; ; looks++) {
      const before = await movesOn(store, id);
      const found = await target.engine.definitions();
      const [kept, moves] = await Promise.all([baselineOf(store, id), movesOn(store, id)]);
      // A plan took effect while it was looked at: nobody can tell which of the two came first.
      if (looks < LOOKS && JSON.stringify(before) !== JSON.stringify(moves)) continue;
      const digest = digestOfDefinitions(found);
      if (kept === undefined)
        return { baseline: null, found, digest, deviations: [], kept, expected: found, moves, foul: undefined };
      const foul = await notTheLedgers(id, kept);
      const expected = followed(
        kept.definitions,
        applied(moves).map((one) => one.moves),
      );
      const undecided = moves.filter(({ state }) => state === 'applying' || state === 'indeterminate');
      const deviating = deviations(
        followedAsFound(
          expected,
          undecided.map((one) => one.moves),
          found,
        ),
        found,
      );
      return { baseline: kept, found, digest, deviations: deviating, kept, expected, moves, foul };
    }
  }

  /** Whoever can write the state could else make drift disappear by another baseline. */
  async function notTheLedgers(id: TargetId, { definitions, digest }: KeptBaseline): Promise<Refusal | undefined> {
    const entries = await readEntries(store, { subject: subjectOf(id), kind: 'baseline', limit: 20 });
    const newest = entries.filter(({ entry }) => entry.subject === subjectOf(id)).at(-1);
    const said = (newest?.entry.body as { digest?: string } | undefined)?.digest;
    if (said === digest && digestOfDefinitions(definitions) === digest) return undefined;
    return {
      refused: 'unavailable',
      message: `The baseline of ${id} that the state has is not the one that the ledger says: whether it drifts can’t be told.`,
      hint: `Find out who wrote to the state (countersign ledger verify). Then a person accepts what is there: countersign drift accept ${id} --as PERSON --reason '…'`,
    };
  }

  async function followPlans(id: TargetId, { kept, expected, moves, found }: Seen, by: string): Promise<void> {
    const over = moves.filter(({ state }) => state !== 'applying' && state !== 'indeterminate' && state !== 'approved');
    if (kept !== undefined && over.length === 0) return;
    const at = proof.now();
    const definitions = kept === undefined ? found : expected;
    const digest = digestOfDefinitions(definitions);
    const plans = applied(moves).map(({ plan }) => plan);
    const drops = dropMoves(
      (kept === undefined ? moves.filter(({ state }) => state !== 'approved') : over).map(({ plan }) => plan),
    );
    await proof.record({
      kind: 'baseline',
      subject: subjectOf(id),
      body: {
        target: id,
        how: kept === undefined ? 'first look' : 'applied plans',
        was: kept?.digest ?? null,
        digest,
        objects: definitions.objects.size,
        plans,
        by,
      },
      writes: [putBaseline(id, { definitions, digest, at }, kept?.digest ?? null), ...drops],
    });
  }

  /** @returns whether it is other than before. */
  async function tell(state: DriftState, was: DriftState | undefined, baseline: Digest, by: string): Promise<boolean> {
    if (isSame(was, state) || (was === undefined && state.objects === 0)) {
      await store.commit([was === undefined ? putDriftState(state, null) : touchDriftState(state)]);
      return false;
    }
    try {
      await record(state, was, baseline, by);
    } catch (error) {
      // Another process has found it at the same time.
      if (!(error instanceof GuardFailed)) throw error;
      return false;
    }
    return true;
  }

  async function record(state: DriftState, was: DriftState | undefined, baseline: Digest, by: string): Promise<void> {
    await proof.record({
      kind: 'drift',
      subject: subjectOf(state.target),
      body: {
        target: state.target,
        objects: state.objects,
        since: state.since,
        digest: state.digest,
        baseline,
        changes: state.listed.map((one) => ({ ...one })) as unknown as Json,
        more: Math.max(0, state.objects - state.listed.length),
        by,
      },
      writes: [putDriftState(state, was?.digest ?? null)],
    });
  }

  async function check(id: TargetId, by: string): Promise<DriftCheck | Refused> {
    for (let tries = 0; ; tries++) {
      const seen = await see(id);
      if ('refused' in seen) return seen;
      if (seen.foul !== undefined) return { refused: seen.foul };
      try {
        await followPlans(id, seen, by);
      } catch (error) {
        // Another process looked at the same time, and was faster.
        if (!(error instanceof GuardFailed) || tries >= LOOKS) throw error;
        continue;
      }
      const was = (await driftStates(store)).get(id);
      const now = proof.now();
      const { length } = seen.deviations;
      const state: DriftState = {
        target: id,
        checkedAt: now,
        since: length === 0 ? null : (was?.since ?? now),
        objects: length,
        digest: digestOfDeviations(seen.deviations),
        listed: seen.deviations.slice(0, LISTED).map(({ object, change }) => ({ object, change })),
      };
      const news = await tell(state, was, seen.kept?.digest ?? seen.digest, by);
      await refresh();
      return { ...lookOf(seen), state, news };
    }
  }

  return {
    known: (target) => known.get(target),
    refresh,
    check,
    async look(id, toAccept) {
      const seen = await see(id);
      if ('refused' in seen) return seen;
      return seen.foul === undefined || toAccept !== undefined ? lookOf(seen) : { refused: seen.foul };
    },
    async against(id, other) {
      const targets = [await deps.target(other), await deps.target(id)] as const;
      for (const target of targets) if ('refused' in target) return { refused: target };
      const [expected, found] = await Promise.all(
        targets.map((target) => (target as GovernedTarget).engine.definitions()),
      );
      return expected === undefined || found === undefined ? [] : deviations(expected, found);
    },
    async accept(id, envelope) {
      const question = deps.question(id);
      const seen = await see(id);
      if ('refused' in seen) return seen;
      const { kept, found, digest, moves } = seen;
      if (question === undefined || kept === undefined) return no(`${id} has no baseline yet.`, id);
      const verified = verifyBaseline(envelope, { ...question, was: kept.digest, becomes: digest });
      if (!verified.valid) return no(`This does not count: ${verified.why}.`, id);
      const { statement } = verified;
      try {
        await proof.record({
          kind: 'baseline',
          subject: subjectOf(id),
          body: {
            target: id,
            how: 'accepted',
            was: kept.digest,
            digest,
            objects: found.objects.size,
            person: statement.person,
            reason: statement.reason,
            envelope: envelope as unknown as Json,
          },
          writes: [
            putBaseline(id, { definitions: found, digest, at: proof.now() }, kept.digest),
            ...dropMoves(applied(moves).map(({ plan }) => plan)),
          ],
        });
      } catch (error) {
        if (!(error instanceof GuardFailed)) throw error;
        return no('The baseline is another one by now: somebody accepted it, or a plan was applied.', id);
      }
      return check(id, statement.person);
    },
  };
}

/** Whoever writes the state must not make drift unseen by half of a row. */
function isSame(was: DriftState | undefined, now: DriftState): boolean {
  return (
    was?.digest === now.digest &&
    was.objects === now.objects &&
    was.since === now.since &&
    JSON.stringify(was.listed) === JSON.stringify(now.listed)
  );
}

function lookOf({ baseline, found, digest, deviations: list }: DriftLook): DriftLook {
  return { baseline, found, digest, deviations: list };
}

function applied(moves: readonly PlanMoves[]): readonly PlanMoves[] {
  return moves.filter(({ state }) => state === 'applied');
}

/** Under which subject the ledger has the schema of a target. */
function subjectOf(target: TargetId): string {
  return `schema of ${target}`;
}

function no(message: string, target: TargetId): Refused {
  return { refused: { refused: 'denied', message, hint: `Look again: countersign drift show ${target}` } };
}
