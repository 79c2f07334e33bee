import { z } from 'zod';
import { describeObligation } from '../../domain/describe-change-time.ts';
import { describeDuration } from '../../domain/describe-duration.ts';
import { rowsChanged } from '../../domain/effect.ts';
import { PLAN_STATES, type UndoPath } from '../../domain/plan.ts';
import { visible } from '../../domain/visible.ts';
import type { PlanView } from '../../pipeline/gateway.ts';

/** A plan as an agent sees it: what was proposed, what it was measured to do, where it stands. No row's content. */
export const PLAN = z.object({
  id: z.string().describe('The plan’s id: the digest of its content. Pass it to get_plan and apply_plan.'),
  state: z.enum(PLAN_STATES),
  note: z.string().nullable().describe('Why it stands there, where that needs saying.'),
  target: z.string(),
  environment: z.string(),
  tier: z.string(),
  purpose: z.string(),
  statements: z.array(z.string()),
  measured: z.boolean().describe('False when it could not be tried without risk; whyNotMeasured says why.'),
  whyNotMeasured: z.string().optional(),
  rows: z.number().optional().describe('All rows that it was measured to change, cascades and triggers included.'),
  tables: z.array(
    z.object({
      table: z.string(),
      via: z.string(),
      inserted: z.number(),
      updated: z.number(),
      deleted: z.number(),
      truncated: z.number(),
    }),
  ),
  objects: z.array(z.object({ change: z.string(), object: z.string(), rows: z.number().optional() })),
  undo: z.string().describe('How one gets back.'),
  heldBecause: z.array(z.object({ policy: z.string(), reason: z.string() })),
  missing: z.array(z.string()).describe('What must still come before it can be applied.'),
  approvals: z.array(z.object({ person: z.string(), agentOf: z.string().optional(), at: z.string() })),
  approvalsMissing: z.number(),
  canDecide: z
    .array(z.string())
    .describe('The people who can countersign it. Tell whoever you work for to ask one of them.'),
  decideWith: z.string().describe('The command with which a person looks at it and decides. It is not for an agent.'),
  expiresAt: z.string(),
  truncated: z
    .boolean()
    .describe('Its statements, tables or objects are too long to be shown whole here; `decideWith` shows all.'),
});

const LONGEST_STATEMENT_CHARS = 4000;
const LONGEST_LIST = 100;

export type PlanAnswer = z.input<typeof PLAN>;

export function planAnswer(view: PlanView): PlanAnswer {
  const { plan } = view;
  const { measurement } = plan;
  const effect = measurement.measured ? measurement.effect : undefined;
  const statements = plan.statements.map((statement) => statement.text);
  const lists = [statements, effect?.tables ?? [], effect?.objects ?? []];
  return {
    id: view.id,
    state: view.state,
    note: view.note,
    target: plan.target,
    environment: plan.environment,
    tier: plan.tier,
    purpose: plan.purpose,
    statements: statements.slice(0, LONGEST_LIST).map((text) => text.slice(0, LONGEST_STATEMENT_CHARS)),
    measured: measurement.measured,
    ...(measurement.measured ? { rows: rowsChanged(measurement.effect.tables) } : { whyNotMeasured: measurement.why }),
    tables: (effect?.tables ?? [])
      .slice(0, LONGEST_LIST)
      .map(({ table, via, inserted, updated, deleted, truncated }) => ({
        table,
        via,
        inserted,
        updated,
        deleted,
        truncated,
      })),
    objects: (effect?.objects ?? []).slice(0, LONGEST_LIST).map(({ change, object, rows }) => ({
      change,
      object,
      ...(rows === undefined ? {} : { rows }),
    })),
    undo: describeUndo(plan.undo),
    heldBecause: plan.held.policies.map(({ policy, reason }) => ({ policy, reason })),
    missing: missingOf(view),
    approvals: view.approvals.map(({ person, agentOf, at }) => ({
      person,
      ...(agentOf === undefined ? {} : { agentOf }),
      at,
    })),
    approvalsMissing: view.approvalsMissing,
    canDecide: [...view.canDecide],
    decideWith: view.decideWith,
    expiresAt: plan.expiresAt,
    truncated:
      lists.some((list) => list.length > LONGEST_LIST) ||
      statements.some((text) => text.length > LONGEST_STATEMENT_CHARS),
  };
}

/** What is still missing, in words: empty when the plan waits for nothing any more. */
export function missingOf(view: PlanView): string[] {
  const others = view.waitsFor.map((obligation) => describeObligation(obligation, Date.parse(view.seenAt)));
  if (view.state !== 'held' || view.approvalsMissing === 0) return others;
  const people = view.approvalsMissing === 1 ? 'one person' : `${view.approvalsMissing} different people`;
  const who = view.canDecide.length === 0 ? 'nobody here is' : view.canDecide.join(', ');
  return [`the countersignature of ${people} entitled to approve in ${view.plan.environment} (${who})`, ...others];
}

/** How one gets back, in a sentence. */
export function describeUndo(undo: UndoPath): string {
  switch (undo.undo) {
    case 'row images':
      return `${undo.rows} rows are kept as they were, and can be put back`;
    case 'statements':
      return `definitions are made as they were by: ${undo.statements.join('; ').slice(0, 1000)}`;
    case 'quarantine':
      return `what it drops is kept out of reach for ${describeDuration(undo.keepMs)}, and can be brought back`;
    case 'irreversible':
      return `there is no way back: ${undo.why}`;
    default:
      return undo satisfies never;
  }
}

/** The plan for a reader, a fact a line. */
export function planText(plan: PlanAnswer): string {
  return [
    `Plan ${plan.id}: ${plan.state}${plan.note === null ? '' : ` (${plan.note})`}`,
    `  on ${plan.target}, environment ${plan.environment} (${plan.tier}), until ${plan.expiresAt}`,
    ...plan.statements.map((statement) => `  statement: ${JSON.stringify(statement)}`),
    plan.measured
      ? `  measured: ${plan.rows} rows in ${plan.tables.length} tables`
      : `  not measured: ${plan.whyNotMeasured}`,
    ...plan.tables.map((table) => `    ${table.table} (${table.via}): ${counts(table)}`),
    ...plan.objects.map((object) => `    ${object.change}: ${object.object}${rowsOf(object.rows)}`),
    `  the way back: ${plan.undo}`,
    ...plan.heldBecause.map(({ policy, reason }) => `  held by ${policy}: ${reason}`),
    ...(plan.truncated ? [`  (cut; all of it is shown by ${plan.decideWith})`] : []),
    ...plan.missing.map((missing) => `  missing: ${missing}`),
    ...plan.approvals.map(
      ({ person, agentOf, at }) =>
        `  countersigned by ${person}${agentOf === undefined ? '' : ` (an approval agent; ${agentOf} answers for it)`} at ${at}`,
    ),
  ]
    .map(visible)
    .join('\n');
}

function counts(table: PlanAnswer['tables'][number]): string {
  const { inserted, updated, deleted, truncated } = table;
  return Object.entries({ inserted, updated, deleted, truncated })
    .flatMap(([what, rows]) => (rows === 0 ? [] : [`${rows} ${what}`]))
    .join(', ');
}

function rowsOf(rows: number | undefined): string {
  return rows === undefined ? '' : ` with ${rows} rows`;
}
