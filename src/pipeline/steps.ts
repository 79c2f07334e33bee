import { createSplitCache } from '../analysis/analysis-cache.ts';
import type { Allowed, Held } from '../domain/decision.ts';
import type { ServedView } from '../domain/effect.ts';
import type { Refusal } from '../domain/refusal.ts';
import { noticeSaying } from '../domain/statement-answer.ts';
import type { Task } from '../domain/task.ts';
import type { WrittenStatement } from '../execution/transaction.ts';
import { LedgerUnavailable } from '../ledger/ledger.ts';
import type { Store } from '../store/store.ts';
import type { ActorSession } from './actor-session.ts';
import type { ApplyPlan } from './apply-plan.ts';
import type { JudgedStatement, Steps } from './carry-query.ts';
import { commitment } from './commitment.ts';
import { dryRun } from './dry-run.ts';
import type { TaskStatus } from './gateway.ts';
import { MAX_GATHERED, notTried, SEEN_AT_COMMIT, TOO_MANY_GATHERED } from './gathered.ts';
import type { GovernedTarget } from './governed-target.ts';
import type { Hold } from './hold.ts';
import { becomesPlan } from './judge.ts';
import { keepSalts, withoutSalts } from './openings.ts';
import type { Outcome } from './outcome.ts';
import { ownRelation } from './own-views.ts';
import { planNamed } from './plan-view.ts';
import { plannedWrites } from './planned-writes.ts';
import type { Proof } from './proof.ts';
import { IN_FAILED_TRANSACTION, SETTINGS_MIXED } from './session-refusals.ts';
import { splice } from './splice.ts';
import { withSearchPath } from './waiting-plans.ts';

/** One for all sessions: how a text is cut depends on nothing else. */
const split = createSplitCache();

/** What becomes of statements on one target that don't simply run. */
export function createSteps(deps: {
  readonly target: GovernedTarget;
  readonly store: Store;
  readonly proof: Proof;
  readonly hold: Hold;
  readonly applyPlan: ApplyPlan;
  readonly status: (task: Task) => Promise<TaskStatus>;
  /** After an apply: the task's tables may be others, and so its logins. */
  readonly reachWhatWasMade: (session: ActorSession) => Promise<void>;
}): Steps {
  const { target, proof } = deps;

  async function gather(
    session: ActorSession,
    writes: readonly WrittenStatement[],
    decision: Held | Allowed,
  ): Promise<Outcome> {
    const before = session.gathering.gathered;
    const all = plannedWrites([...(before?.writes ?? []), ...writes]);
    if ('refused' in all) return { outcome: 'refused', refusal: all };
    if (all.length > MAX_GATHERED) return { outcome: 'refused', refusal: TOO_MANY_GATHERED };
    const settings = withSearchPath(session.settings(), target);
    const tried = await dryRun(target, { task: session.task, writes: all, settings, watch: session.watch });
    if (tried.failure !== undefined) return { outcome: 'failed', failure: tried.failure };
    if (!tried.measurement.measured) return { outcome: 'refused', refusal: notTried(tried.measurement.why) };
    const answers = tried.answers.slice(-writes.length);
    if (answers.some(({ returnsRows }) => returnsRows)) return { outcome: 'refused', refusal: SEEN_AT_COMMIT };
    session.gathering.gather(writes, decision);
    const first = decision.decision === 'hold' && before?.decision.decision !== 'hold';
    return { outcome: 'gathered', answers, notices: first ? [KEPT_FOR_PEOPLE] : [] };
  }

  return {
    split,
    look: () => target.engine.refreshCatalogue(),

    async fill({ task }, text, { ownViews = [], schemaViews = [] }) {
      const status = ownViews.length === 0 ? undefined : await deps.status(task);
      const definitions = target.catalogue().schemaViews;
      return splice(text, [
        ...(status === undefined ? [] : ownViews.map((view) => ({ ...view, text: ownRelation(view, status) }))),
        ...schemaViews.map((view) => ({ ...view, text: schemaRelation(view, definitions) })),
      ]);
    },

    async hold(session, statements) {
      if (session.transaction === 'failed') return { outcome: 'failed', failure: IN_FAILED_TRANSACTION };
      const decision = strongest(statements);
      if (decision === undefined) throw new Error('G2: only what is held, or can run by a plan alone, becomes one');
      const writes = statements
        .filter(changes)
        .map(({ statement, judgement }) => ({ statement, analysis: judgement.analysis }));
      if (session.mixesSettings) return { outcome: 'refused', refusal: SETTINGS_MIXED };
      if (session.gathering.gathers(writes)) return gather(session, writes, decision);
      const request = {
        task: session.task,
        channel: session.channel,
        // What the open transaction has written goes with it: the statement may rest on it, and it will be rolled back.
        writes: [...session.pendingWrites, ...writes],
        settings: session.settings(),
        decision,
        insideTransaction: session.transaction !== 'idle' || session.pendingWrites.length > 0,
        watch: session.watch,
      };
      await session.takeBack();
      const outcome = await deps.hold(request);
      if (outcome.outcome === 'applied') await deps.reachWhatWasMade(session);
      return outcome;
    },

    async apply(session, named): Promise<Outcome> {
      const plan = await planNamed(deps.store, named);
      if (plan === 'none' || plan === 'several') return { outcome: 'refused', refusal: noSuchPlan(named) };
      if (session.transaction !== 'idle') return { outcome: 'refused', refusal: endTransactionFirst(plan) };
      const reply = await deps.applyPlan(plan, { task: session.task });
      if (reply.reply === 'refused') return { outcome: 'refused', refusal: reply.refusal };
      await deps.reachWhatWasMade(session);
      const message = reply.already ? `Plan ${plan} had been applied before: once only.` : `Plan ${plan} was applied.`;
      const called = { command: 'CALL', notices: [], returnsRows: false };
      return { outcome: 'applied', answers: [called], notices: [noticeSaying(message)] };
    },

    async deny(session, statement, judgement) {
      const refusal = judgement.verdict === 'deny' ? target.denial(judgement.decision) : judgement.refusal;
      const { shape, command } = judgement.analysis;
      const told = [{ shape, command, ...commitment(statement) }];
      try {
        await proof.record({
          kind: 'denied',
          subject: session.task.id,
          body: {
            task: session.task.id,
            actor: session.task.agent,
            target: target.id,
            channel: session.channel,
            statements: withoutSalts(told),
            decision: refusal.refused,
            verbs: [...new Set(judgement.analysis.effects.map(({ verb }) => verb))],
            policies: judgement.verdict === 'deny' ? judgement.decision.policies.map((reason) => reason.policy) : [],
            ...(judgement.verdict === 'deny' ? { policyDigest: judgement.decision.policyDigest } : {}),
          },
          writes: keepSalts(session.task.id, told),
        });
      } catch (error) {
        // It has no effect, so it is refused all the same; the log is what is left to tell of it.
        if (!(error instanceof LedgerUnavailable)) throw error;
        proof.log.error(
          { err: error, task: session.task.id },
          'a denied statement could not be brought into the ledger',
        );
      }
      return refusal;
    },
  };
}

/** What is kept for COMMIT is answered by a dry run: that nothing is done yet is no surprise inside a transaction. */
const KEPT_FOR_PEOPLE = noticeSaying(
  'Tried and taken back. At COMMIT this transaction becomes a plan: nothing is changed before people have countersigned it.',
);

function changes({ judgement }: JudgedStatement): boolean {
  if (becomesPlan(judgement)) return true;
  return judgement.verdict === 'run' && judgement.how === 'write';
}

/** What one of them is held for, all of them wait for. */
function strongest(statements: readonly JudgedStatement[]): Held | Allowed | undefined {
  const decisions = statements.flatMap(({ judgement }) => (becomesPlan(judgement) ? [judgement.decision] : []));
  return decisions.find(({ decision }) => decision === 'hold') ?? decisions[0];
}

function schemaRelation({ view, named }: ServedView, definitions: ReadonlyMap<string, string>): string {
  // Since it was judged the catalogue may be another; the server's own view is always there.
  const definition = definitions.get(view) ?? `information_schema.${view}`;
  return named ? definition : `${definition} AS ${view}`;
}

function noSuchPlan(named: string): Refusal {
  return {
    refused: 'denied',
    message: `This task has no plan ${named.slice(0, 80)}.`,
    hint: 'Name it by the id in the answer that held the statement; the first eight digits are enough.',
  };
}

function endTransactionFirst(plan: string): Refusal {
  return {
    refused: 'held',
    message: 'A plan is not applied inside an open transaction.',
    hint: 'End the transaction, then call it again.',
    plan,
  };
}
