import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mcpClient, type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, newest } from '../fixtures/postgres.ts';

const MIGRATES = WORK.replace('write: [', 'write: [public.*, "ledger.*", "gone.*", ');

const SCHEMA = `
  CREATE SCHEMA ledger; CREATE SCHEMA hidden; CREATE SCHEMA gone; CREATE TABLE gone.nothing (id int);
  CREATE TABLE ledger.migrations (id int PRIMARY KEY, "hash Of" text, v json);
  CREATE UNIQUE INDEX migrations_hash ON ledger.migrations (lower("hash Of"), id DESC) WHERE id > 0;
  CREATE INDEX migrations_id ON ledger.migrations (id);
  CREATE TABLE hidden.secrets (id int);
  CREATE TABLE public.parts (id int) PARTITION BY RANGE (id); CREATE TABLE public.part1 PARTITION OF parts DEFAULT;
`;

/** Nothing can come of these, and the server says so. */
const ALREADY_SO = [
  'CREATE SCHEMA IF NOT EXISTS ledger',
  'CREATE SCHEMA IF NOT EXISTS "public"',
  'CREATE TABLE IF NOT EXISTS ledger.migrations (id serial PRIMARY KEY, hash text NOT NULL)',
  'CREATE TABLE IF NOT EXISTS customers ()',
  'CREATE UNLOGGED TABLE IF NOT EXISTS reservations (LIKE nothing)',
  'CREATE SEQUENCE IF NOT EXISTS customers',
  'CREATE INDEX IF NOT EXISTS migrations_id ON ledger.migrations (id)',
  'CREATE INDEX IF NOT EXISTS migrations_id ON ledger.migrations USING btree ("id")',
  'CREATE EXTENSION IF NOT EXISTS plpgsql WITH SCHEMA public',
  'DROP TABLE IF EXISTS ledger.other, nothing CASCADE',
  'DROP TABLE IF EXISTS gone.other',
  'DROP VIEW IF EXISTS "no view"',
  'DROP MATERIALIZED VIEW IF EXISTS nothing',
  'DROP SEQUENCE IF EXISTS nothing',
  'DROP FOREIGN TABLE IF EXISTS nothing',
  'DROP INDEX IF EXISTS ledger.nothing',
  'DROP SCHEMA IF EXISTS gone CASCADE',
  'DROP EXTENSION IF EXISTS nothing',
  'DROP TYPE IF EXISTS ledger.nothing',
  'DROP DOMAIN IF EXISTS gone.nothing',
  'ALTER TABLE IF EXISTS ledger.other ADD COLUMN x int',
  'ALTER TABLE IF EXISTS gone.other RENAME COLUMN a TO b',
  'ALTER INDEX IF EXISTS nothing RENAME TO something',
  'ALTER TABLE ledger.migrations ADD COLUMN IF NOT EXISTS "hash Of" text NOT NULL, DROP COLUMN IF EXISTS nothing',
  'ALTER TABLE public.parts ADD COLUMN IF NOT EXISTS id serial',
] as const;

/** Close to those, and something else would come of them, or an error. */
const NOT_SO = [
  'CREATE SCHEMA IF NOT EXISTS other',
  'CREATE SCHEMA ledger',
  'CREATE TABLE IF NOT EXISTS ledger.other (id int)',
  'CREATE TABLE ledger.migrations (id int)',
  'CREATE TEMP TABLE IF NOT EXISTS customers (id int)',
  'CREATE INDEX IF NOT EXISTS migrations_id ON ledger.migrations (v)',
  'CREATE INDEX IF NOT EXISTS migrations_id ON ledger.migrations (id, nothing)',
  'CREATE INDEX IF NOT EXISTS other ON ledger.migrations (id)',
  'DROP TABLE IF EXISTS ledger.migrations, nothing',
  'DROP VIEW IF EXISTS customers',
  'DROP SCHEMA IF EXISTS ledger',
  'DROP TYPE IF EXISTS int4',
  'DROP TYPE IF EXISTS ledger.migrations',
  'ALTER TABLE IF EXISTS ledger.migrations ADD COLUMN x int',
  'ALTER TABLE ledger.migrations ADD COLUMN IF NOT EXISTS v json, ADD COLUMN IF NOT EXISTS w json',
  'ALTER TABLE ledger.migrations ADD COLUMN v json',
  'ALTER TABLE ledger.migrations ADD COLUMN IF NOT EXISTS ctid int',
  'ALTER TABLE public.part1 ADD COLUMN IF NOT EXISTS id int',
] as const;

describe.each(newest)('definitions that ask for what is already so, before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;
  let client: pg.Client;
  let direct: pg.Client;

  beforeAll(async () => {
    site = await startSite(binaries, { schema: SCHEMA });
    // The role reaches it, as it was there when Countersign was put before the database.
    await asSuperuser(site.databaseUrl, 'DROP SCHEMA gone CASCADE');
    await site.serve();
    task = await site.openTask(MIGRATES);
    [client, direct] = await Promise.all([connect(task.postgres), connect(site.databaseUrl)]);
  }, 60_000);
  afterAll(async () => {
    await Promise.all([client?.end(), direct?.end()]);
    await site?.remove();
  });

  async function connect(url: string): Promise<pg.Client> {
    const connected = new pg.Client({ connectionString: url });
    await connected.connect();
    return connected;
  }

  /** The tag and the notices, or the error. */
  async function answer(of: pg.Client, query: string | pg.QueryConfig) {
    const notices: unknown[] = [];
    const note = ({ severity, code, message }: { severity?: unknown; code?: unknown; message?: unknown }) =>
      notices.push({ severity, code, message });
    of.on('notice', note);
    try {
      const { command, rowCount, rows, fields } = await of.query(query);
      return { command, rowCount, rows, fields, notices };
    } catch (error) {
      return { code: (error as pg.DatabaseError).code };
    } finally {
      of.off('notice', note);
    }
  }

  it('are answered as the server answers them, in both protocols', async () => {
    for (const sql of ALREADY_SO) {
      const said = await answer(direct, sql);
      expect(said, sql).toHaveProperty('notices.0.severity', 'NOTICE');
      expect({ sql, ...(await answer(client, sql)) }).toEqual({ sql, ...said });
      expect({ sql, ...(await answer(client, { text: sql, values: [] })) }).toEqual({ sql, ...said });
    }
  });

  it('are governed as before where something would come of them', async () => {
    const mcp = await mcpClient(task.mcp);
    for (const sql of NOT_SO) {
      const said = JSON.stringify(await mcp.call('explain_sql', { target: 'rental-production', sql }));
      expect(said, sql).toMatch(/"(hold|deny)"|CS00[28]/);
    }
    await mcp.close();
    expect(await answer(client, NOT_SO[2])).toEqual({ code: 'CS001' });
  });

  it('are answered inside transactions and among other statements, prepared, and without notices where none are wanted', async () => {
    const several = `SELECT 1; ${ALREADY_SO[0]}; UPDATE customers SET loyalty_points = 3 WHERE id = 1; ${ALREADY_SO[9]}`;
    const [governed, there] = [
      await client.query(several),
      await direct.query(several),
    ] as unknown as pg.QueryResult[][];
    expect(governed?.map(({ command }) => command)).toEqual(there?.map(({ command }) => command));
    const named = { name: 'again', text: ALREADY_SO[2] };
    for (const _ of [1, 2]) expect(await answer(client, named)).toMatchObject({ command: 'CREATE', notices: [{}] });
    await client.query('BEGIN');
    expect(await answer(client, ALREADY_SO[2])).toMatchObject({ command: 'CREATE', notices: [{}] });
    expect(await answer(client, 'nonsense')).toEqual({ code: '42601' });
    expect(await answer(client, ALREADY_SO[2])).toEqual({ code: '25P02' });
    expect(await answer(client, { text: ALREADY_SO[2], values: [] })).toEqual({ code: '25P02' });
    await client.query('ROLLBACK');
    await client.query('SET client_min_messages = warning');
    expect(await answer(client, ALREADY_SO[2])).toMatchObject({ command: 'CREATE', notices: [] });
    await client.query('RESET client_min_messages');
  });

  it('are held with all of a text of which something is held, and what was bound before it changed', async () => {
    const drops = 'DROP TABLE ledger.migrations; CREATE TABLE IF NOT EXISTS ledger.migrations (id int)';
    expect(await answer(client, drops)).toEqual({ code: 'CS001' });
    const { rows } = await client.query("SELECT statement FROM countersign.plans WHERE statement LIKE 'DROP%;%'");
    expect(rows[0]?.statement).toContain('CREATE TABLE IF NOT EXISTS');
    await asSuperuser(site.databaseUrl, 'CREATE TABLE ledger.short (id int)');
    expect(await answer(client, 'CREATE TABLE IF NOT EXISTS ledger.migrations (id int)')).toHaveProperty('notices');
    const named = { name: 'short', text: 'CREATE TABLE IF NOT EXISTS ledger.short (id int)' };
    expect(await answer(client, named)).toMatchObject({ command: 'CREATE' });
    await asSuperuser(site.databaseUrl, 'DROP TABLE ledger.short');
    expect(await answer(client, named)).toEqual({ code: 'CS001' });
    expect(await answer(client, named.text)).toEqual({ code: 'CS001' });
  });

  it('tell nobody of what is not in the task', async () => {
    for (const sql of ['CREATE TABLE IF NOT EXISTS hidden.secrets (id int)', 'DROP TABLE IF EXISTS hidden.nothing'])
      expect(await answer(client, sql)).toEqual({ code: 'CS002' });
    const sql = 'CREATE TABLE IF NOT EXISTS countersign.applied (id int)';
    expect(await answer(client, sql)).toEqual({ code: 'CS002' });
    const reads = await site.openTask(WORK.replace(/write: .*/, ''));
    const reader = await connect(reads.postgres);
    expect(await answer(reader, 'CREATE TABLE IF NOT EXISTS customers ()')).toMatchObject({ command: 'CREATE' });
    expect(await answer(reader, 'CREATE TABLE IF NOT EXISTS ledger.migrations ()')).toEqual({ code: 'CS002' });
    await reader.end();
  });

  it('are answered over MCP, which says so beforehand', async () => {
    const mcp = await mcpClient(task.mcp);
    const sent = { target: 'rental-production', sql: ALREADY_SO[0] };
    expect(await mcp.call('execute_sql', sent)).toMatchObject({
      notices: ['schema "ledger" already exists, skipping'],
    });
    expect(JSON.stringify(await mcp.call('explain_sql', sent))).toContain('allow');
    await mcp.close();
  });
});
