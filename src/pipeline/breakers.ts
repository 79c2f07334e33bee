import { HEEDED, signalsOf, type Whose } from '../breakers/signals.ts';
import { createWindows } from '../breakers/windows.ts';
import { isBranchId } from '../domain/branch.ts';
import {
  BREAKERS,
  type Breaker,
  type BreakerRule,
  type BreakerScope,
  type Trip,
  type Tripping,
} from '../domain/breaker.ts';
import { describeDuration } from '../domain/describe-duration.ts';
import { digestOf, type Json } from '../domain/digest.ts';
import type { Entry } from '../domain/entry.ts';
import type { Halt } from '../domain/halt.ts';
import { type ActorId, asId, type HaltId, type Instant, instantOf } from '../domain/ids.ts';
import type { Refusal } from '../domain/refusal.ts';
import { visible } from '../domain/visible.ts';
import { knownTrips } from '../ledger/known-trips.ts';
import { GuardFailed } from '../ledger/ledger.ts';
import { entriesIn } from '../ledger/newest-entry.ts';
import { readEntriesOf } from '../ledger/read-entries.ts';
import { insertHalt } from '../store/halts.ts';
import { getPlan } from '../store/plans.ts';
import type { Store } from '../store/store.ts';
import type { Halts } from './halts.ts';
import type { Proof } from './proof.ts';

/**
 * Automatic stops. They follow the ledger, whose order and times are the same for all gateways, so that each of them comes
 * to the same conclusion; the first to say so makes the halt. No statement waits for them, and reads don't reach them.
 */
export interface Breakers {
  /** Reads what came since, and stops whom it must. @returns how many it stopped. @throws StoreUnavailable. */
  follow(): Promise<number>;
  /** What answers where a target was is not that target. */
  misplaced(target: string, refusal: Refusal): Promise<void>;
  /** Reads what came since, and stops nobody. */
  status(): Promise<readonly BreakerStatus[]>;
}

export interface BreakerStatus {
  readonly breaker: Breaker;
  /** `null` where it is off. */
  readonly rule: { readonly max: number | null; readonly withinMs: number } | null;
  readonly tripped: readonly Halt[];
  /** Let go on, and until when less is enough. */
  readonly halfOpen: readonly { readonly scope: BreakerScope; readonly until: Instant }[];
}

/** How much of the ledger a gateway reads when it begins: what came before is over, or was counted by another. */
const LOOK_BACK = 5000;
const PAGE = 500;
const TIMELINE = 50;
const MAX_OPEN = 2000;

export function createBreakers(deps: {
  readonly store: Store;
  readonly proof: Proof;
  readonly halts: Halts;
  /** As configured now. */
  readonly configured: () => ReadonlyMap<Breaker, { readonly max: number | null; readonly withinMs: number }>;
  /** As many rows as the role of an agent lets one task change. */
  readonly rowsPerTask: (agent: string) => number | undefined;
  readonly owner: (of: { readonly agent?: string; readonly target?: string }) => string | null;
  readonly now: () => number;
}): Breakers {
  const { store, proof, halts } = deps;
  const windows = createWindows(ruleOf);
  /** Writes that have begun: their outcome names them only by id. */
  const begun = new Map<string, Whose>();
  let next: number | null = null;

  function ruleOf(breaker: Breaker, agent: string): BreakerRule | undefined {
    const configured = deps.configured().get(breaker);
    const max = configured?.max ?? (breaker === 'rows' ? deps.rowsPerTask(agent) : undefined);
    return configured === undefined || max === undefined ? undefined : { breaker, max, withinMs: configured.withinMs };
  }

  async function heed(entry: Entry, index: number): Promise<void> {
    const body = entry.body as Readonly<Record<string, Json>>;
    const scope = scopeIn(body);
    if (entry.kind === 'trip' && scope !== undefined) windows.tripped(body['breaker'] as Breaker, scope);
    if (entry.kind === 'resume' && scope !== undefined) windows.resumed(scope, Date.parse(entry.at));
    const whose = await whoseIs(entry, body);
    for (const signal of signalsOf(entry, index, () => whose)) windows.add(signal);
  }

  async function whoseIs({ kind, subject }: Entry, body: Readonly<Record<string, Json>>): Promise<Whose | undefined> {
    // What is done in a branch is done to nobody.
    if (isBranchId(String(body['target']))) return undefined;
    if (kind === 'intent' && body['plan'] === undefined) {
      if (begun.size >= MAX_OPEN) begun.delete([...begun.keys()][0] ?? '');
      begun.set(subject, { agent: String(body['actor']), task: String(body['task']), target: String(body['target']) });
    }
    if (kind !== 'outcome') return undefined;
    const write = begun.get(subject);
    begun.delete(subject);
    if (write !== undefined || body['plan'] === undefined) return write;
    const plan = (await getPlan(store, subject))?.plan;
    // What a person takes back or lets go of is theirs.
    if (plan === undefined || plan.undoes !== undefined || plan.purges !== undefined || isBranchId(plan.target))
      return undefined;
    return { agent: plan.actor, task: plan.task, target: plan.target };
  }

  /** One after the other: each entry counts once. */
  let reading: Promise<void> = Promise.resolve();
  function read(): Promise<void> {
    reading = reading.catch(() => undefined /* whoever asked was told */).then(readOn);
    return reading;
  }

  async function readOn(): Promise<void> {
    const size = await entriesIn(store);
    next ??= Math.max(0, size - LOOK_BACK);
    while (next < size) {
      const page = await readEntriesOf(store, { kinds: HEEDED, from: next, before: size, limit: PAGE });
      for (const { entry, index } of page) {
        await heed(entry, index);
        // Whatever comes in between, no entry counts twice.
        next = index + 1;
      }
      if (page.length < PAGE) next = size;
    }
  }

  async function trip({ rule, scope, signals, count, again }: Tripping): Promise<boolean> {
    const last = signals.at(-1);
    if (last === undefined) return false;
    const { agent, target, task } = last;
    const reason = reasonOf(rule, { count, again, what: last.what });
    const owner = deps.owner(scope.scope === 'target' ? { target } : { agent });
    const about = { rule, scope, reason, again, owner, whose: { actor: agent, task, target } };
    const timeline = signals
      .slice(-TIMELINE)
      .map((one) => ({ entry: one.entry, at: instantOf(one.atMs), what: visible(one.what) }));
    return stop(about, timeline, `${last.entry}`);
  }

  /** @param at what makes it this trip and no other: who finds the same makes the same. */
  async function stop(
    about: {
      readonly rule: BreakerRule;
      readonly scope: BreakerScope;
      readonly reason: string;
      readonly again: boolean;
      readonly owner: string | null;
      readonly whose:
        | { readonly actor: string; readonly task: string; readonly target: string }
        | { readonly target: string };
    },
    timeline: Trip['timeline'],
    at: string,
  ): Promise<boolean> {
    const { rule, scope, reason, again, owner, whose } = about;
    const { breaker } = rule;
    const id = digestOf({ breaker, ...scope, at }).slice('sha256:'.length, 'sha256:'.length + 16);
    const halt: Halt = {
      id: asId<HaltId>(`halt_${id}`),
      scope,
      reason,
      by: asId<ActorId>(`breaker ${breaker}`),
      at: proof.now(),
      breaker,
    };
    try {
      await proof.record({
        kind: 'trip',
        subject: halt.id,
        body: {
          halt: halt.id,
          incident: `incident_${id}`,
          breaker,
          ...scope,
          ...whose,
          reason,
          again,
          owner,
          max: rule.max,
          withinMs: rule.withinMs,
          timeline: timeline.map((one) => ({ ...one })),
        },
        writes: [insertHalt(halt)],
      });
    } catch (error) {
      // Another gateway came to the same conclusion, and was faster.
      if (!(error instanceof GuardFailed)) throw error;
      return false;
    }
    proof.log.error({ breaker, ...scope, incident: `incident_${id}` }, `a breaker has tripped: ${reason}`);
    await halts.refresh();
    return true;
  }

  function isStopped(scope: BreakerScope): boolean {
    return halts.active().some((halt) => halt.scope.scope === scope.scope && halt.scope.id === scope.id);
  }

  return {
    async follow() {
      await read();
      let stopped = 0;
      for (const tripping of windows.due()) {
        if (isStopped(tripping.scope)) windows.tripped(tripping.rule.breaker, tripping.scope);
        else if (await trip(tripping)) stopped++;
      }
      return stopped;
    },
    async misplaced(target, refusal) {
      const rule = ruleOf('identity', '');
      const scope: BreakerScope = { scope: 'target', id: target };
      if (rule === undefined) return;
      await Promise.all([halts.refresh(), read()]);
      if (isStopped(scope)) return;
      const reason = refusal.message.replace(/\.$/, '');
      const owner = deps.owner({ target });
      const now = proof.now();
      const again = windows.halfOpen(deps.now()).some((one) => one.breaker === 'identity' && one.scope.id === target);
      const seen = {
        entry: await entriesIn(store),
        at: now,
        what: visible(`${reason}. ${refusal.detail ?? ''}`.trim()),
      };
      // All gateways see it at once: the same trip is the same for each of them.
      const before = (await knownTrips(store)).filter((one) => one.breaker === 'identity' && one.scope.id === target);
      await stop({ rule, scope, reason, again, owner, whose: { target } }, [seen], `${before.length}`);
    },
    async status() {
      await read();
      const half = windows.halfOpen(deps.now());
      return BREAKERS.map((breaker) => ({
        breaker,
        rule: deps.configured().get(breaker) ?? null,
        tripped: halts.active().filter((halt) => halt.breaker === breaker),
        halfOpen: half
          .filter((one) => one.breaker === breaker)
          .map(({ scope, untilMs }) => ({ scope, until: instantOf(untilMs) })),
      }));
    },
  };
}

const SAYS: Readonly<Record<Breaker, (count: number, within: string) => string>> = {
  knocking: (count, within) => `${count} statements that would lose something were denied within ${within}`,
  insisting: (count, within) => `${count} plans that would destroy something were made within ${within}`,
  overLimit: (count, within) => `${count} writes went over a limit within ${within}`,
  effectDiffers: (count, within) => `${count} plans did something else than was approved, within ${within}`,
  failures: (count, within) => `${count} changes failed within ${within}`,
  rows: (count, within) =>
    `${count} rows were changed without anybody's countersignature within ${within}, over all its tasks`,
  taskAfterTask: (count, within) => `${count} of its tasks were stopped within ${within}`,
  identity: () => 'what answers is not the pinned target',
};

function reasonOf(
  { breaker, withinMs }: BreakerRule,
  { count, again, what }: { readonly count: number; readonly again: boolean; readonly what: string },
): string {
  const said = again
    ? `it was let go on, and again ${what}`
    : `${SAYS[breaker](count, describeDuration(withinMs))}; at last ${what}`;
  return visible(said);
}

function scopeIn(body: Readonly<Record<string, Json>>): BreakerScope | undefined {
  const { scope, id } = body;
  if (scope !== 'agent' && scope !== 'task' && scope !== 'target') return undefined;
  return { scope, id: String(id) };
}
