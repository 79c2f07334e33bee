import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { digestOf, type Json } from '../../../src/domain/digest.ts';
import type { MeasuredEffect, TableEffect } from '../../../src/domain/effect.ts';
import {
  type ActorId,
  asId,
  type Digest,
  type EnvironmentId,
  instantOf,
  type TargetId,
  type TaskId,
} from '../../../src/domain/ids.ts';
import type { Statement } from '../../../src/domain/intent.ts';
import type { Plan, PlanRecord, PlanState } from '../../../src/domain/plan.ts';
import type { Refusal } from '../../../src/domain/refusal.ts';
import type { Task } from '../../../src/domain/task.ts';
import type {
  Gateway,
  OpenTaskRequest,
  PlanView,
  Refused,
  ResultBounds,
  Session,
  StatementReply,
} from '../../../src/pipeline/gateway.ts';
import type { Watch } from '../../../src/pipeline/watch.ts';
import { loadSmallCatalogue } from './small-catalogue.ts';

export const TARGET = asId<TargetId>('rental-production');
export const AGENT = asId<ActorId>('migrator');
export const AGENT_TOKEN = 'csa_agent-of-the-tests';

/**
 * A gateway of a few rules on a real database, for what the channels do with its answers: deletes and their like are
 * held, grants denied, all else runs.
 */
export interface TestGateway extends Gateway {
  /** Opens a task as a person would. */
  task(overrides?: Partial<Pick<Task, 'radius' | 'limits'>>): { readonly task: Task; readonly token: string };
  decide(plan: string, state: PlanState): void;
  halt(reason: string | null): void;
  readonly openSessions: () => number;
  readonly sessionsEverOpened: () => number;
  readonly aborted: () => number;
  close(): Promise<void>;
}

/** Nothing here is copied. */
const NO_BRANCHES = {
  refused: { refused: 'denied', message: 'No branches are made here.', hint: 'Work on the target.' },
} as const;

export function gatewayOnPostgres(url: string): TestGateway {
  const admin = new pg.Pool({ connectionString: url, max: 4 });
  // The server may end before the pool does.
  admin.on('error', () => undefined);
  const tasks = new Map<string, Task>();
  const plans = new Map<string, PlanRecord>();
  const open = new Set<pg.Client>();
  let opened = 0;
  let aborted = 0;
  let halted: string | null = null;

  function newTask(
    request: Pick<OpenTaskRequest, 'agent' | 'purpose' | 'radius'> & { lifetimeMs: number; limits?: Task['limits'] },
  ) {
    const now = Date.now();
    const task: Task = {
      id: asId<TaskId>(`task_${randomBytes(8).toString('hex')}`),
      purpose: request.purpose,
      agent: request.agent,
      onBehalfOf: asId<ActorId>('ada'),
      openedBy: request.agent,
      openedAt: instantOf(now),
      expiresAt: instantOf(now + request.lifetimeMs),
      radius: request.radius,
      limits: request.limits ?? { rowsPerStatement: 100, rowsPerTask: 1000, statementTimeoutMs: 10_000 },
    };
    const token = `cst_${randomBytes(32).toString('base64url')}`;
    tasks.set(token, task);
    return { task, token };
  }

  function view(record: PlanRecord): PlanView {
    return {
      ...record,
      approvals:
        record.state === 'held'
          ? []
          : [{ person: asId<ActorId>('ada'), at: instantOf(Date.now()), reason: 'looked at it' }],
      canDecide: [asId<ActorId>('ada')],
      approvalsMissing: record.state === 'held' ? 1 : 0,
      waitsFor: [],
      seenAt: instantOf(Date.now()),
      decideWith: `countersign plan approve ${record.id.slice(7, 19)} --as PERSON`,
    };
  }

  async function measure(statement: Statement): Promise<MeasuredEffect> {
    const client = await admin.connect();
    try {
      await client.query('BEGIN');
      const { rowCount } = await client.query(
        statement.text,
        statement.parameters.map(({ value }) => value),
      );
      const { rows } = await client.query<{ table: string; i: string; u: string; d: string }>(`
        SELECT schemaname || '.' || relname AS table, n_tup_ins AS i, n_tup_upd AS u, n_tup_del AS d
        FROM pg_catalog.pg_stat_xact_user_tables WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 ORDER BY 1`);
      const tables: TableEffect[] = rows.map((row) => ({
        table: row.table,
        inserted: Number(row.i),
        updated: Number(row.u),
        deleted: Number(row.d),
        truncated: 0,
        via: 'direct',
      }));
      const digest = digestOf({ rowCount, tables } as unknown as Json);
      return { tables, objects: [], locks: [], samples: [], durationMs: 1, walBytes: 0, volatileColumns: {}, digest };
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
  }

  async function hold(task: Task, statement: Statement): Promise<StatementReply> {
    const effect = await measure(statement);
    const now = Date.now();
    const plan: Plan = {
      version: 1,
      task: task.id,
      actor: task.agent,
      onBehalfOf: task.onBehalfOf,
      purpose: task.purpose,
      channel: 'mcp',
      target: TARGET,
      environment: asId<EnvironmentId>('production'),
      tier: 'production',
      identity: {
        engine: 'postgres',
        host: '127.0.0.1',
        port: 5432,
        database: 'rental',
        databaseOid: 1,
        systemIdentifier: '1',
      },
      statements: [statement],
      settings: [],
      effects: [],
      measurement: { measured: true, effect },
      baseState: asId<Digest>(`sha256:${'0'.repeat(64)}`),
      undo: { undo: 'row images', rows: effect.tables.reduce((sum, table) => sum + table.deleted, 0) },
      held: {
        policies: [{ policy: 'destructive', reason: 'Deletes in production are countersigned.' }],
        missing: [{ obligation: 'approvals', count: 1 }],
      },
      policyDigest: asId<Digest>(`sha256:${'1'.repeat(64)}`),
      createdAt: instantOf(now),
      expiresAt: instantOf(now + 3_600_000),
      nonce: randomBytes(8).toString('hex'),
    };
    const record: PlanRecord = { id: digestOf(plan as unknown as Json), plan, state: 'held', note: null };
    plans.set(record.id, record);
    return {
      reply: 'refused',
      refusal: {
        refused: 'held',
        message: 'DELETE in production needs one approval.',
        detail: `It would delete ${effect.tables.map((table) => `${table.deleted} rows of ${table.table}`).join(', ')}.`,
        hint: 'A person decides; see the plan.',
        plan: record.id,
      },
      plan: view(record),
    };
  }

  function refused(code: Refusal['refused'], message: string, hint = 'Ask a person.'): Refusal {
    return { refused: code, message, hint };
  }

  async function openSession(task: Task): Promise<Session> {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => open.delete(client));
    await client.connect();
    open.add(client);
    opened++;
    const notices: string[] = [];
    client.on('notice', (notice) => notices.push(String(notice.message)));

    async function run(statement: Statement, bounds: ResultBounds, watch?: Watch): Promise<StatementReply> {
      const sql = statement.text.trim();
      if (halted !== null)
        return { reply: 'refused', refusal: refused('halted', `ada has halted everything: ${halted}`) };
      if (/;\s*\S/.test(sql)) {
        return {
          reply: 'refused',
          refusal: refused('unsupported', 'These are 2 statements.', 'Send them one by one.'),
        };
      }
      if (/^(delete|truncate|drop)/i.test(sql)) return hold(task, statement);
      if (/^grant/i.test(sql)) return { reply: 'refused', refusal: refused('denied', 'Nobody grants through here.') };
      const {
        rows: [row],
      } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      const cancel = () => {
        aborted++;
        admin.query('SELECT pg_cancel_backend($1)', [row?.pid]).catch(console.error);
      };
      watch?.signal.addEventListener('abort', cancel, { once: true });
      try {
        const result = await client.query<(string | null)[]>({
          text: sql,
          values: statement.parameters.map(({ value }) => value),
          rowMode: 'array',
          types: { getTypeParser: () => (value: string) => value },
        });
        const told = notices.splice(0);
        if (result.fields.length === 0)
          return { reply: 'done', command: result.command, rows: result.rowCount, notices: told };
        return {
          reply: 'rows',
          command: result.command,
          columns: result.fields.map((field) => ({ name: field.name, type: String(field.dataTypeID) })),
          rows: result.rows.slice(0, bounds.maxRows),
          truncated: result.rows.length > bounds.maxRows,
          notices: told,
        };
      } catch (error) {
        if (!(error instanceof pg.DatabaseError)) throw error;
        const { code = 'XX000', severity = 'ERROR', message, detail, hint, position } = error;
        return {
          reply: 'failed',
          failure: {
            sqlstate: code,
            severity,
            message,
            ...(detail === undefined ? {} : { detail }),
            ...(hint === undefined ? {} : { hint }),
            ...(position === undefined ? {} : { position }),
          },
        };
      } finally {
        watch?.signal.removeEventListener('abort', cancel);
      }
    }

    return {
      task,
      run,
      adviseIndexes: async () => ({ unavailable: 'Nothing is tried here.', advice: 'Try.' }),
      async explain(statement) {
        const destructive = /^(delete|truncate|drop)/i.test(statement.text);
        const policyDigest = asId<Digest>(`sha256:${'1'.repeat(64)}`);
        return {
          analysis: {
            class: destructive ? { kind: 'write' } : { kind: 'read', pure: true },
            effects: [
              {
                verb: destructive ? 'delete' : 'read',
                object: { kind: 'table', schema: 'public', name: 'customers' },
                via: 'direct',
                wholeTable: destructive,
              },
            ],
            unknown: [],
            vouchable: [],
            shape: statement.text,
            command: destructive ? 'DELETE' : 'SELECT',
          },
          decision: destructive
            ? {
                decision: 'hold',
                policies: [{ policy: 'destructive', reason: 'Deletes in production are countersigned.' }],
                missing: [{ obligation: 'approvals', count: 1 }],
                policyDigest,
              }
            : { decision: 'allow', policies: [{ policy: 'reads', reason: 'Reads in scope are free.' }], policyDigest },
        };
      },
      async close() {
        if (open.delete(client)) await client.end();
      },
    };
  }

  return {
    async openTask(request) {
      if (request.radius.some((radius) => radius.target !== TARGET)) {
        return { refused: refused('denied', 'There is no such target.', 'list_targets shows them.') };
      }
      const { agent, purpose, radius, lifetimeMs } = request;
      return newTask({ agent, purpose, radius, lifetimeMs });
    },
    async closeTask(id) {
      for (const [token, task] of tasks) if (task.id === id) tasks.delete(token);
    },
    taskByToken: async (token) => tasks.get(token),
    agentByToken: async (token) => (token === AGENT_TOKEN ? AGENT : undefined),
    scramVerifier: async () => undefined,
    openSession: async (task, target): Promise<Session | Refused> =>
      target === TARGET ? openSession(task) : { refused: refused('denied', `The task does not reach ${target}.`) },
    targets: () => [
      {
        target: TARGET,
        environment: 'production',
        tier: 'production',
        owner: 'ada',
        engine: 'postgres',
        halted: halted !== null,
      },
    ],
    visibleCatalogue: async (_task, target) =>
      target === TARGET
        ? loadSmallCatalogue(admin)
        : { refused: refused('denied', `The task does not reach ${target}.`) },
    health: async () => [],
    costliestStatements: async () => ({ unavailable: 'Nothing is counted here.', advice: 'Count.' }),
    async plan(id) {
      const record = plans.get(id);
      return record === undefined ? undefined : view(record);
    },
    plans: async ({ task }) => [...plans.values()].filter((record) => record.plan.task === task).map(view),
    async applyPlan(id) {
      const record = plans.get(id);
      if (record === undefined) throw new Error(`no plan ${id}`);
      if (record.state === 'applied') return { reply: 'applied', plan: view(record), already: true, answers: [] };
      if (record.state !== 'approved') {
        return { reply: 'refused', refusal: refused('held', 'Nobody has approved it yet.'), plan: view(record) };
      }
      const [statement] = record.plan.statements;
      if (statement !== undefined)
        await admin.query(
          statement.text,
          statement.parameters.map(({ value }) => value),
        );
      const applied: PlanRecord = { ...record, state: 'applied' };
      plans.set(id, applied);
      return { reply: 'applied', plan: view(applied), already: false, answers: [] };
    },
    changes: async () => [],
    createBranch: async () => NO_BRANCHES,
    branchDifference: async () => NO_BRANCHES,
    submitBranch: async () => NO_BRANCHES,
    dropBranch: async () => NO_BRANCHES,
    undoChange: async ({ change }) => ({ refused: refused('denied', `There is no change ${change}.`) }),
    async status(task) {
      return {
        task,
        state: 'open',
        rowsUsed: 0,
        halted: halted === null ? [] : [{ scope: 'global', reason: halted, by: 'ada', at: instantOf(Date.now()) }],
        times: [],
        reload: null,
        seenAt: instantOf(Date.now()),
        plans: [...plans.values()].filter((record) => record.plan.task === task.id).map(view),
        morePlans: false,
      };
    },

    task: (overrides) => newTask({ ...TASK_DEFAULTS, ...overrides }),
    decide(id, state) {
      const record = plans.get(id);
      if (record === undefined) throw new Error(`no plan ${id}`);
      plans.set(id, { ...record, state });
    },
    halt(reason) {
      halted = reason;
    },
    openSessions: () => open.size,
    sessionsEverOpened: () => opened,
    aborted: () => aborted,
    async close() {
      await Promise.all([...open].map((client) => client.end()));
      await admin.end();
    },
  };
}

const TASK_DEFAULTS = {
  agent: AGENT,
  purpose: 'look after the rental database',
  radius: [{ target: TARGET, read: ['public.*'], write: ['public.notes'] }],
  lifetimeMs: 3_600_000,
};
