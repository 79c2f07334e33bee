import type { IntentId, PlanId, TargetId } from '../domain/ids.ts';
import type { AppliedState, TargetEngine } from '../engines/engine.ts';
import { GuardFailed } from '../ledger/ledger.ts';
import { closeIntent, openIntents } from '../store/intents.ts';
import { liveNodes } from '../store/nodes.ts';
import { plansInState, transition } from '../store/plans.ts';
import type { Store } from '../store/store.ts';
import { releaseRows } from '../store/tasks.ts';
import type { Proof } from './proof.ts';

/** What became of work that a gateway left unfinished. */
export interface Recovered {
  readonly subject: string;
  readonly outcome: 'applied' | 'not applied' | 'still unknown';
}

/**
 * Finds out how work ended that a gateway began and never finished telling (G6, G12). It reads the row that the change
 * leaves in the target, and writes what it finds into the ledger; it never executes an effect.
 */
export async function recover(deps: {
  readonly store: Store;
  readonly proof: Proof;
  readonly engine: (target: TargetId) => Promise<TargetEngine | undefined>;
  /** A branch that was dropped: whatever took effect there is gone with it. */
  readonly isGone: (target: TargetId) => boolean;
}): Promise<readonly Recovered[]> {
  const { store, proof } = deps;
  const alive = new Set((await liveNodes(store, await store.nowMs())).map((node) => node.id));
  const found: Recovered[] = [];

  for (const record of await plansInState(store, 'applying')) {
    const node = record.note?.replace(/^by /, '') ?? '';
    if (node === proof.node ? proof.underWay.has(record.id) : alive.has(node)) continue;
    const state = await ask(record.plan.target, (engine) => engine.appliedState(record.id));
    await tell(record.id, state, () => [
      transition(record.id, 'applying', state === 'applied' ? 'applied' : 'approved', {
        note: state === 'applied' ? null : 'an attempt ended before it took effect',
        at: proof.now(),
      }),
    ]);
  }
  for (const record of await plansInState(store, 'indeterminate')) {
    const state = await ask(record.plan.target, (engine) => engine.appliedState(record.id));
    await tell(record.id, state, (outcome) => [
      transition(record.id, 'indeterminate', outcome === 'applied' ? 'applied' : 'failed', {
        note: outcome === 'applied' ? null : 'the answer to COMMIT was lost, and it did not take effect',
        at: proof.now(),
      }),
    ]);
  }
  for (const intent of await openIntents(store)) {
    if (intent.node === proof.node ? proof.underWay.has(intent.id) : alive.has(intent.node)) continue;
    const state = await ask(intent.target, (engine) => engine.writtenState(intent.id));
    await tell(intent.id, state, (outcome) => [
      closeIntent(intent.id, outcome, proof.now()),
      ...(outcome === 'not applied' ? [releaseRows(intent.task, intent.rows)] : []),
    ]);
  }
  return found;

  async function ask(
    target: TargetId,
    question: (engine: TargetEngine) => Promise<AppliedState>,
  ): Promise<AppliedState | 'unreachable'> {
    if (deps.isGone(target)) return 'not applied';
    try {
      const engine = await deps.engine(target);
      return engine === undefined ? 'unreachable' : await question(engine);
    } catch (error) {
      proof.log.warn({ error, target }, 'unfinished work can’t be looked up: the target does not answer');
      return 'unreachable';
    }
  }

  async function tell(
    subject: PlanId | IntentId,
    state: AppliedState | 'unreachable',
    writes: (outcome: 'applied' | 'not applied') => ReturnType<typeof transition>[],
  ): Promise<void> {
    if (state !== 'applied' && state !== 'not applied') {
      found.push({ subject, outcome: 'still unknown' });
      return;
    }
    try {
      await proof.record({
        kind: 'outcome',
        subject,
        body: { subject, outcome: state, recovered: true },
        writes: writes(state),
      });
      found.push({ subject, outcome: state });
    } catch (error) {
      // Its own gateway, or another one that recovers, told it first.
      if (!(error instanceof GuardFailed)) throw error;
    }
  }
}
