import { howToVouch } from '../analysis/how-to-vouch.ts';
import { describeSigner } from '../domain/approval.ts';
import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { Obligation } from '../domain/decision.ts';
import { describeObligation } from '../domain/describe-change-time.ts';
import { digestOf } from '../domain/digest.ts';
import { rowsChanged } from '../domain/effect.ts';
import type { Digest } from '../domain/ids.ts';
import type { Channel } from '../domain/intent.ts';
import { isLive, type Plan, type PlanRecord, shortId } from '../domain/plan.ts';
import type { Refusal } from '../domain/refusal.ts';
import { noticeSaying, type StatementAnswer } from '../domain/statement-answer.ts';
import type { Task } from '../domain/task.ts';
import type { WrittenStatement } from '../execution/transaction.ts';
import { describeEffect } from '../planning/describe-effect.ts';
import { livePlan } from '../store/plans.ts';
import type { Store } from '../store/store.ts';
import type { ApplyPlan } from './apply-plan.ts';
import type { ApplyReply, PlanView } from './gateway.ts';
import type { GovernedTarget } from './governed-target.ts';
import type { Outcome } from './outcome.ts';
import { plannedWrites } from './planned-writes.ts';

/** What a task asks: the same wish made again is the same plan. */
export interface Wish {
  readonly task: Task;
  readonly channel: Channel;
  readonly writes: readonly WrittenStatement[];
  readonly settings: readonly { readonly name: string; readonly value: string }[];
  /** The actor holds a transaction open, whose locks an apply would wait for: an approved plan is not applied now. */
  readonly insideTransaction?: boolean;
}

/** Plans that an earlier sending of the same wish has become, and that may still come to something. */
export interface WaitingPlans {
  /** As it would be planned. */
  find(wish: Wish): Promise<PlanRecord | undefined>;
  /** The one that is approved or being applied, also when its time is over. */
  approved(wish: Wish): Promise<PlanRecord | undefined>;
  /** What makes it the same wish; `undefined` for what can't become a plan. */
  wish(asked: Pick<Wish, 'writes' | 'settings'>): Digest | undefined;
  /** What the actor is answered: an approved plan is applied, a waiting one is named again. */
  answer(record: PlanRecord, wish: Wish): Promise<Outcome>;
}

export function createWaitingPlans(deps: {
  readonly target: GovernedTarget;
  readonly store: Store;
  readonly applyPlan: ApplyPlan;
  readonly now: () => number;
}): WaitingPlans {
  const { target, store } = deps;

  return {
    async find(wish) {
      const known = await livePlan(store, wish.task.id, wishOf(wish));
      return known !== undefined && isLive(known, deps.now()) ? known : undefined;
    },
    async approved(asked) {
      const wish = wishMade(asked);
      return wish === undefined ? undefined : livePlan(store, asked.task.id, wish, ['approved', 'applying']);
    },
    wish: wishMade,
    answer,
  };

  function wishMade({ writes, settings }: Pick<Wish, 'writes' | 'settings'>): Digest | undefined {
    const planned = plannedWrites(writes);
    if ('refused' in planned) return undefined;
    return wishOf({ writes: planned, settings: withSearchPath(settings, target) });
  }

  async function answer(record: PlanRecord, request: Wish): Promise<Outcome> {
    if (record.state === 'held') {
      const now = target.decideApply(request.task, record.plan, []);
      const missing = now.decision === 'hold' ? now.missing : [];
      return { outcome: 'refused', refusal: heldRefusal(record, missing, deps.now(), request.writes) };
    }
    if (request.insideTransaction) return { outcome: 'refused', refusal: endTransactionFirst(record) };
    const reply = await deps.applyPlan(record.id, { task: request.task });
    if (reply.reply === 'refused') return { outcome: 'refused', refusal: reply.refusal };
    return { outcome: 'applied', answers: heard(reply, request), notices: signedBy(reply.plan) };
  }
}

/** Names mean what the session's search path says; the login that tries and applies the plan has another of its own. */
export function withSearchPath(settings: Wish['settings'], target: GovernedTarget): Wish['settings'] {
  if (settings.some(({ name }) => name.toLowerCase() === 'search_path')) return settings;
  const value = target
    .catalogue()
    .searchPath.map((schema) => `"${schema.replaceAll('"', '""')}"`)
    .join(', ');
  return [...settings, { name: 'search_path', value }];
}

/** What makes two requests of one task the same wish. */
export function wishOf(request: Pick<Wish, 'writes' | 'settings'>): Digest {
  return digestOf({
    statements: request.writes.map(({ statement }) => ({
      text: statement.text,
      parameters: statement.parameters.map((parameter) => ({ ...parameter })),
    })),
    settings: request.settings.map((setting) => ({ ...setting })),
  });
}

/**
 * The answer to an actor whose statement was held: stop, what it would have done, who can decide, what to do next.
 *
 * @param missing what the plan waits for now.
 * @param writes the statements, whose unknown parts are named.
 */
export function heldRefusal(
  record: PlanRecord,
  missing: readonly Obligation[],
  nowMs: number,
  writes: Wish['writes'],
): Refusal {
  const { plan } = record;
  const approvals = plan.held.missing.find((one) => one.obligation === 'approvals');
  const count = approvals?.obligation === 'approvals' ? approvals.count : 1;
  return {
    refused: 'held',
    message: `Held for ${count === 1 ? 'a person' : `${count} people`} to countersign: nothing was changed.`,
    detail: [
      `Plan ${record.id}`,
      describeEffect(plan),
      ...plan.held.policies.map((policy) => policy.reason),
      ...missing
        .filter(({ obligation }) => obligation !== 'approvals')
        .map((one) => `It also waits for ${describeObligation(one, nowMs)}`),
      ...new Set(
        writes.flatMap(({ analysis }) => [
          ...analysis.unknown.map((what) => `Not known is ${what}`),
          ...howToVouch(analysis, plan.target),
        ]),
      ),
    ].join('\n'),
    hint: `Stop and ask. A person decides with: countersign plan show ${shortId(record.id)}. After approval send the identical statement again in this task, or apply the plan.`,
    plan: record.id,
  };
}

function endTransactionFirst(record: PlanRecord): Refusal {
  return {
    refused: 'held',
    message: 'The plan is approved, but it is not applied inside an open transaction.',
    hint: 'End the transaction, then send the statement again.',
    plan: record.id,
  };
}

/** What the database answered to each statement; made up from what was measured where somebody else has applied the plan. */
function heard(
  { plan, answers }: Extract<ApplyReply, { reply: 'applied' }>,
  { writes }: Wish,
): readonly StatementAnswer[] {
  // An EXECUTE is planned with its PREPARE, which the actor did not send now.
  const own = answers.filter((_, index) => writes[index]?.analysis.command !== 'PREPARE');
  if (own.length > 0) return own;
  return [{ command: commandTag(plan.plan, writes.at(-1)?.analysis.command ?? ''), notices: [], returnsRows: false }];
}

/** Who asked learns whose signatures made it possible; of what nobody had to sign there is nothing to say. */
function signedBy({ id, approvals }: PlanView): readonly DatabaseFailure[] {
  if (approvals.length === 0) return [];
  const people = approvals.map(describeSigner).join(', ');
  return [noticeSaying(`Plan ${id} was applied, countersigned by ${people}.`)];
}

/** The tag that the database would have answered with. */
function commandTag(plan: Plan, command: string): string {
  if (!plan.measurement.measured) return command;
  const direct = plan.measurement.effect.tables.filter((table) => table.via === 'direct');
  const count = (key: 'inserted' | 'updated' | 'deleted') => direct.reduce((sum, table) => sum + table[key], 0);
  switch (command) {
    case 'INSERT':
      return `INSERT 0 ${count('inserted')}`;
    case 'UPDATE':
      return `UPDATE ${count('updated')}`;
    case 'DELETE':
      return `DELETE ${count('deleted')}`;
    case 'MERGE':
      return `MERGE ${rowsChanged(direct)}`;
    default:
      return command;
  }
}
