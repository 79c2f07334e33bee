import { describeSigner } from '../domain/approval.ts';
import { describeObligation, describeWindow } from '../domain/describe-change-time.ts';
import type { OwnView } from '../domain/effect.ts';
import { quoteLiteral } from '../engines/postgres/quote.ts';
import { describeEffect } from '../planning/describe-effect.ts';
import type { TaskStatus } from './gateway.ts';

/**
 * `countersign.plans` and `countersign.status` are no relations of the database: the gateway knows what is in them. Where
 * a query names one, its rows are put there as a constant, and the database does the rest: any client can select, join and
 * sort them.
 */
export function ownRelation({ view, named }: OwnView, status: TaskStatus): string {
  return constantRelation(view, status) + (named ? '' : ` AS ${view}`);
}

type Cell = string | number | null;

const COLUMNS: Readonly<Record<OwnView['view'], Readonly<Record<string, string>>>> = {
  plans: {
    id: 'text',
    state: 'text',
    note: 'text',
    target: 'text',
    environment: 'text',
    statement: 'text',
    effect: 'text',
    undo: 'text',
    held_because: 'text',
    approved_by: 'text',
    approvals_missing: 'integer',
    waits_for: 'text',
    decide_with: 'text',
    apply_with: 'text',
    created_at: 'timestamptz',
    expires_at: 'timestamptz',
  },
  status: {
    task: 'text',
    state: 'text',
    agent: 'text',
    on_behalf_of: 'text',
    purpose: 'text',
    rows_used: 'bigint',
    rows_per_task: 'bigint',
    rows_per_statement: 'bigint',
    halted: 'text',
    frozen: 'text',
    change_window: 'text',
    reload_failed: 'text',
    expires_at: 'timestamptz',
  },
};

function constantRelation(view: OwnView['view'], status: TaskStatus): string {
  const rows = view === 'plans' ? planRows(status) : [statusRow(status)];
  const columns = Object.entries(COLUMNS[view]).map(([name, type]) => `${name} pg_catalog.${TYPES[type] ?? type}`);
  return `(SELECT * FROM pg_catalog.jsonb_to_recordset(${quoteLiteral(JSON.stringify(rows))}::pg_catalog.jsonb) AS own (${columns.join(', ')}))`;
}

/** As they are called in the catalogue, where no search path can give them another meaning. */
const TYPES: Readonly<Record<string, string>> = { integer: 'int4', bigint: 'int8' };

/** All of it fits into one statement; `plan show` shows more. */
const LONGEST_STATEMENT_CHARS = 4000;

function planRows({ plans }: TaskStatus): Record<string, Cell>[] {
  return plans.map((view) => ({
    id: view.id,
    state: view.state,
    note: view.note,
    target: view.plan.target,
    environment: view.plan.environment,
    statement: view.plan.statements.map((statement) => statement.text.slice(0, LONGEST_STATEMENT_CHARS)).join(';\n'),
    effect: describeEffect(view.plan),
    undo: view.plan.undo.undo,
    held_because: view.plan.held.policies.map((policy) => policy.reason).join('\n'),
    approved_by: view.approvals.map(describeSigner).join(', '),
    approvals_missing: view.approvalsMissing,
    waits_for: lines(view.waitsFor.map((obligation) => describeObligation(obligation, Date.parse(view.seenAt)))),
    decide_with: view.decideWith,
    apply_with: view.state === 'approved' ? `CALL countersign.apply('${view.id}')` : null,
    created_at: view.plan.createdAt,
    expires_at: view.plan.expiresAt,
  }));
}

function statusRow({ task, state, rowsUsed, halted, times, seenAt, reload }: TaskStatus): Record<string, Cell> {
  const seenMs = Date.parse(seenAt);
  return {
    task: task.id,
    state,
    agent: task.agent,
    on_behalf_of: task.onBehalfOf,
    purpose: task.purpose,
    rows_used: rowsUsed,
    rows_per_task: task.limits.rowsPerTask,
    rows_per_statement: task.limits.rowsPerStatement,
    halted: lines(halted.map(({ by, reason }) => `${by}: ${reason}`)),
    frozen: lines(
      times.flatMap(({ environment, time }) =>
        time.freezes.map(({ until, reason }) => `${environment} until ${until}: ${reason}`),
      ),
    ),
    change_window: lines(
      times.flatMap(({ environment, time }) =>
        time.window === 'always' ? [] : [`${environment}: ${describeWindow(time, seenMs)}`],
      ),
    ),
    reload_failed: reload === null ? null : `since ${reload.since}: ${reload.why}`,
    expires_at: task.expiresAt,
  };
}

/** What there is nothing of is NULL. */
function lines(texts: readonly string[]): string | null {
  return texts.length === 0 ? null : texts.join('\n');
}
