import type { ApprovalEnvelope, ApprovalStatement } from '../domain/approval.ts';
import { canonicalJson, type Json } from '../domain/digest.ts';
import type { ActorId, PlanId } from '../domain/ids.ts';
import { statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Write, write } from './write.ts';

/** Keeps the verdict of a person, or of an approval agent, on a plan: one each, and the first one stands. */
export function insertApproval(
  statement: Pick<ApprovalStatement, 'plan' | 'person' | 'verdict' | 'at'>,
  envelope: ApprovalEnvelope,
): Write {
  return write(
    statements
      .insertInto('approvals')
      .values({
        plan: statement.plan,
        person: statement.person,
        verdict: statement.verdict,
        envelope: canonicalJson(envelope as unknown as Json),
        at: statement.at,
      })
      .onConflict((conflict) => conflict.doNothing()),
    1,
  );
}

/** The signed verdicts on a plan, approvals and rejections, as they came. Whoever uses them verifies them again. */
export async function approvalsOf(store: Store, plan: PlanId): Promise<readonly ApprovalEnvelope[]> {
  const rows = await store.all(
    statements.selectFrom('approvals').select('envelope').where('plan', '=', plan).orderBy('at'),
  );
  return rows.map((row) => JSON.parse(row.envelope) as ApprovalEnvelope);
}

/** Who has approved which of these plans, as it was recorded: for lists. What is decided by is verified again. */
export async function approversOf(
  store: Store,
  plans: readonly PlanId[],
): Promise<ReadonlyMap<string, readonly ActorId[]>> {
  if (plans.length === 0) return new Map();
  const rows = await store.all(
    statements
      .selectFrom('approvals')
      .select(['plan', 'person'])
      .where('plan', 'in', plans)
      .where('verdict', '=', 'approve')
      .orderBy('at'),
  );
  const byPlan = Map.groupBy(rows, ({ plan }) => plan);
  return new Map([...byPlan].map(([plan, given]) => [plan, given.map(({ person }) => person as ActorId)]));
}
