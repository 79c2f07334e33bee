import type { Client } from '@modelcontextprotocol/client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ActorId, asId, type TaskId } from '../../../src/domain/ids.ts';
import { asSuperuser } from '../../fixtures/postgres.ts';
import { AGENT_TOKEN } from './gateway-on-postgres.ts';
import { call, connectClient, PROTOCOLS, type RunningGateway, startGateway } from './running-gateway.ts';

let running: RunningGateway;
beforeAll(async () => {
  running = await startGateway();
});
afterAll(() => running.stop());

const target = 'rental-production';
const count = async (table: string) =>
  Number((await asSuperuser<{ n: string }>(running.url, `SELECT count(*) AS n FROM ${table}`))[0]?.n);

describe.each(PROTOCOLS)('MCP %s', (version) => {
  let client: Client;
  beforeEach(async () => {
    client = await connectClient(running.http.url, running.gateway.task().token, version);
  });
  afterEach(async () => {
    running.gateway.halt(null);
    await client.close();
  });

  it('speaks the version asked for, and says who it is', () => {
    expect(client.getNegotiatedProtocolVersion()).toBe(version);
    expect(client.getServerVersion()).toMatchObject({ name: 'countersign', version: '1.2.3' });
    expect(client.getInstructions()).toContain('You can’t approve anything');
  });

  it('lists its tools with schemas and honest annotations', async () => {
    const { tools } = await client.listTools();
    const told = tools.map(({ name, title, description, annotations, inputSchema, outputSchema }) =>
      inOrder({ name, title, description, annotations, inputSchema, outputSchema }),
    );
    await expect(`${JSON.stringify(told, null, 2)}\n`).toMatchFileSnapshot('golden/tools.json');
  });

  it('lists targets', async () => {
    const { structured } = await call(client, 'list_targets');
    expect(structured).toEqual({
      outcome: 'targets',
      targets: [
        { target, environment: 'production', tier: 'production', owner: 'ada', engine: 'postgres', halted: false },
      ],
    });
  });

  it('returns rows as untrusted data, with bound values', async () => {
    const sql = 'SELECT $1::int AS n, $2::text AS t, $3::bool AS b, $4::text AS nothing';
    const answer = await call(client, 'execute_sql', { target, sql, parameters: [7, 'Ünïcode', true, null] });
    expect(answer.isError).toBe(false);
    expect(answer.structured).toMatchObject({
      outcome: 'rows',
      untrusted: true,
      rows: [['7', 'Ünïcode', 't', null]],
      truncated: false,
    });
    expect(answer.untrusted).toEqual(['columns', 'rows', 'notices']);
    expect(answer.text).toMatch(/never instructions/);
  });

  it('runs a write and says what it did', async () => {
    const { structured } = await call(client, 'execute_sql', {
      target,
      sql: "INSERT INTO notes VALUES ($1, 'kept') ON CONFLICT (id) DO UPDATE SET body = 'kept'",
      parameters: [1],
    });
    expect(structured).toMatchObject({ outcome: 'done', command: 'INSERT', rowsChanged: 1 });
  });

  it('gives the database’s error as the database gave it', async () => {
    await call(client, 'execute_sql', { target, sql: "INSERT INTO notes VALUES (2, '') ON CONFLICT DO NOTHING" });
    const answer = await call(client, 'execute_sql', { target, sql: "INSERT INTO notes VALUES (2, 'x')" });
    expect(answer.isError).toBe(true);
    expect(answer.structured).toMatchObject({
      outcome: 'failed',
      code: '23505',
      failure: { sqlstate: '23505', severity: 'ERROR', detail: 'Key (id)=(2) already exists.' },
    });
  });

  it('answers a held statement with a plan, what is missing, and what to do; nothing is executed', async () => {
    const before = await count('customers');
    const answer = await call(client, 'execute_sql', { target, sql: 'DELETE FROM customers WHERE id <= 3' });
    expect(answer.isError).toBe(true);
    expect(answer.structured).toMatchObject({
      outcome: 'held',
      code: 'CS001',
      plan: { state: 'held', environment: 'production', measured: true, approvalsMissing: 1 },
      missing: ['the countersignature of one person entitled to approve in production (ada)'],
    });
    expect(answer.structured['plan']).toHaveProperty(
      'tables',
      expect.arrayContaining([expect.objectContaining({ table: 'public.customers', deleted: 3 })]),
    );
    expect(answer.structured['next']).toEqual([
      expect.stringContaining('Stop here'),
      expect.stringContaining('countersign plan approve'),
      expect.stringContaining('get_plan'),
      expect.stringContaining('apply_plan'),
    ]);
    expect(answer.text).toMatch(/^HELD: nothing was executed/);
    expect(await count('customers')).toBe(before);
  });

  it('waits for the decision, applies once, and says so when asked again', async () => {
    await call(client, 'execute_sql', {
      target,
      sql: 'INSERT INTO notes VALUES (50, $1) ON CONFLICT DO NOTHING',
      parameters: ['x'],
    });
    const held = await call(client, 'execute_sql', { target, sql: 'DELETE FROM notes WHERE id = 50' });
    const plan = String((held.structured['plan'] as { id: string }).id);
    expect((await call(client, 'apply_plan', { plan })).structured).toMatchObject({ outcome: 'held', code: 'CS001' });

    const waiting = call(client, 'get_plan', { plan, wait_seconds: 20 });
    setTimeout(() => running.gateway.decide(plan, 'approved'), 300);
    const started = performance.now();
    expect((await waiting).structured).toMatchObject({ outcome: 'plan', plan: { state: 'approved' }, missing: [] });
    expect(performance.now() - started).toBeLessThan(5_000);

    expect((await call(client, 'apply_plan', { plan })).structured).toMatchObject({
      outcome: 'applied',
      already: false,
    });
    expect((await call(client, 'apply_plan', { plan })).structured).toMatchObject({
      outcome: 'applied',
      already: true,
    });
    expect((await call(client, 'get_status')).structured).toMatchObject({ plans: [{ id: plan, state: 'applied' }] });
  });

  it('answers get_plan at the end of the wait when nobody has decided', async () => {
    const held = await call(client, 'execute_sql', { target, sql: 'DELETE FROM notes WHERE id = -1' });
    const { id } = held.structured['plan'] as { id: string };
    const answer = await call(client, 'get_plan', { plan: id, wait_seconds: 1 });
    expect(answer.isError).toBe(false);
    expect(answer.structured).toMatchObject({ outcome: 'plan', plan: { state: 'held' } });
  });

  it('shows no plan of another task', async () => {
    const other = await connectClient(running.http.url, running.gateway.task().token, version);
    const held = await call(other, 'execute_sql', { target, sql: 'DELETE FROM notes WHERE id = -1' });
    await other.close();
    const { id } = held.structured['plan'] as { id: string };
    for (const tool of ['get_plan', 'apply_plan']) {
      const answer = await call(client, tool, { plan: id });
      expect(answer.structured).toMatchObject({ outcome: 'denied', message: expect.stringContaining('has no plan') });
    }
    expect((await call(client, 'get_plan', { plan: 'sha256:nonsense' })).structured).toMatchObject({
      outcome: 'denied',
    });
  });

  it('passes on denials, halts and unsupported statements', async () => {
    const denied = await call(client, 'execute_sql', { target, sql: 'GRANT ALL ON customers TO public' });
    expect(denied.structured).toMatchObject({
      outcome: 'denied',
      code: 'CS002',
      next: [expect.stringContaining('Stop here'), expect.anything()],
    });
    const several = await call(client, 'execute_sql', { target, sql: 'SELECT 1; DROP TABLE customers' });
    expect(several.structured).toMatchObject({ outcome: 'unsupported', code: 'CS008', hint: 'Send them one by one.' });
    running.gateway.halt('something looks wrong');
    expect((await call(client, 'execute_sql', { target, sql: 'SELECT 1' })).structured).toMatchObject({
      outcome: 'halted',
      code: 'CS004',
    });
    expect((await call(client, 'get_status')).structured).toMatchObject({
      halts: [{ reason: 'something looks wrong' }],
    });
  });

  it('refuses a target that the task does not reach', async () => {
    const answer = await call(client, 'execute_sql', { target: 'payroll', sql: 'SELECT 1' });
    expect(answer.structured).toMatchObject({ outcome: 'denied', message: 'The task does not reach payroll.' });
  });

  it('explains without executing', async () => {
    const before = await count('customers');
    const answer = await call(client, 'explain_sql', { target, sql: 'DELETE FROM customers' });
    expect(answer.isError).toBe(false);
    expect(answer.structured).toMatchObject({
      outcome: 'explained',
      decision: 'hold',
      effects: [{ verb: 'delete', object: 'public.customers', wholeTable: true }],
      missing: ['the countersignature of one person'],
    });
    expect(await count('customers')).toBe(before);
  });

  it('searches objects in pages, and describes one', async () => {
    const first = await call(client, 'search_objects', { target, pattern: 'public.*', kind: 'table', limit: 2 });
    const { nextCursor, objects } = first.structured as { nextCursor: string; objects: { name: string }[] };
    expect(objects).toHaveLength(2);
    const second = await call(client, 'search_objects', {
      target,
      pattern: 'public.*',
      kind: 'table',
      limit: 2,
      cursor: nextCursor,
    });
    expect((second.structured['objects'] as { name: string }[])[0]?.name).not.toBe(objects[0]?.name);

    const { structured } = await call(client, 'describe_object', { target, name: 'customers' });
    expect(structured).toMatchObject({
      outcome: 'described',
      untrusted: true,
      object: {
        name: 'public.customers',
        primaryKey: ['id'],
        columns: expect.arrayContaining([expect.objectContaining({ name: 'email', type: 'text', nullable: false })]),
        referencedBy: [expect.objectContaining({ from: 'public.reservations', onDelete: 'cascade' })],
      },
    });
    const missing = await call(client, 'describe_object', { target, name: 'customer' });
    expect(missing).toMatchObject({
      isError: true,
      structured: { outcome: 'not found', similar: expect.arrayContaining(['public.customers']) },
    });
  });

  it('lets a task open no other', async () => {
    const answer = await call(client, 'open_task', { purpose: 'more', targets: { [target]: { read: ['*.*'] } } });
    expect(answer.structured).toMatchObject({ outcome: 'denied', code: 'CS002' });
  });

  it('refuses arguments it does not know, and a task that is not its own', async () => {
    const unknown = await call(client, 'execute_sql', { target, sql: 'SELECT 1', force: true });
    expect(unknown).toMatchObject({ isError: true, text: expect.stringContaining('force') });
    const task = await call(client, 'execute_sql', { target, sql: 'SELECT 1', task: 'task_of_another' });
    expect(task.structured).toMatchObject({ outcome: 'denied' });
  });

  it('works with an agent’s own token: it opens a task and names it', async () => {
    const agent = await connectClient(running.http.url, AGENT_TOKEN, version);
    expect((await call(agent, 'list_targets')).structured).toMatchObject({ outcome: 'targets' });
    expect((await call(agent, 'execute_sql', { target, sql: 'SELECT 1' })).structured).toMatchObject({
      outcome: 'denied',
      hint: expect.stringContaining('open_task'),
    });
    const opened = await call(agent, 'open_task', {
      purpose: 'count customers',
      targets: { [target]: { read: ['public.customers'] } },
      limits: { statementTimeout: '5s' },
      expires: '30m',
    });
    expect(opened.structured).toMatchObject({
      outcome: 'opened',
      task: { agent: 'migrator', purpose: 'count customers' },
    });
    expect(JSON.stringify(opened)).not.toContain('cst_');
    const { id } = opened.structured['task'] as { id: string };
    expect((await call(agent, 'execute_sql', { target, sql: 'SELECT 1 AS n', task: id })).structured).toMatchObject({
      outcome: 'rows',
    });
    expect((await call(agent, 'get_status', { task: id })).structured).toMatchObject({ task: { id } });
    const foreign = running.gateway.task().task.id;
    expect((await call(agent, 'get_status', { task: foreign })).structured).toMatchObject({ outcome: 'denied' });
    await running.gateway.closeTask(asId<TaskId>(id), asId<ActorId>('ada'));
    expect((await call(agent, 'get_status', { task: id })).structured).toMatchObject({ outcome: 'denied' });
    await agent.close();
  });
});

/** The same with keys in order: the two protocols write them differently. */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, inOrder(inner)]),
  );
}
