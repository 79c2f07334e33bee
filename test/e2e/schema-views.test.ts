import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mcpClient, type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { newest } from '../fixtures/postgres.ts';

const SCHEMA = `
  CREATE DOMAIN public.plate AS text CONSTRAINT plate_form CHECK (VALUE ~ '^[A-Z]') NOT NULL;
  CREATE TYPE public.colour AS ENUM ('red', 'blue');
  CREATE SCHEMA hidden; CREATE TABLE hidden.secrets (id int PRIMARY KEY, n int UNIQUE CONSTRAINT secret_n CHECK (n > 0));
  CREATE TABLE public.wide (id int PRIMARY KEY, a int NOT NULL, b int GENERATED ALWAYS AS (a * 2) STORED, p public.plate,
    c public.colour, secret int REFERENCES hidden.secrets ON DELETE CASCADE, UNIQUE (a, b), CONSTRAINT ordered CHECK (a < b OR id > 0));
  CREATE TABLE hidden.watchers (wide int REFERENCES public.wide);
  CREATE VIEW public.narrow AS SELECT id, a FROM public.wide WHERE a > 0 WITH CHECK OPTION;
  CREATE VIEW hidden.peeping AS SELECT a FROM public.wide;
  CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER touched BEFORE UPDATE OF a ON public.wide FOR EACH ROW WHEN (OLD.a < NEW.a) EXECUTE FUNCTION public.touch();
`;

/** Views whose rows are a matter of who owns what, and the column that says where a row belongs. */
const VIEWS: Readonly<Record<string, string>> = {
  table_constraints: 'table_schema',
  referential_constraints: 'constraint_schema',
  check_constraints: 'constraint_schema',
  key_column_usage: 'table_schema',
  constraint_column_usage: 'table_schema',
  constraint_table_usage: 'table_schema',
  triggers: 'event_object_schema',
  triggered_update_columns: 'event_object_schema',
  views: 'table_schema',
  view_column_usage: 'view_schema',
  view_table_usage: 'view_schema',
  column_column_usage: 'table_schema',
  column_domain_usage: 'table_schema',
  column_udt_usage: 'table_schema',
  columns: 'table_schema',
  tables: 'table_schema',
};

describe.each(newest)('information_schema before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;
  let client: pg.Client;
  let direct: pg.Client;

  beforeAll(async () => {
    site = await startSite(binaries, { schema: SCHEMA });
    await site.serve();
    task = await site.openTask(WORK.replace(/write: .*/, ''));
    client = new pg.Client({ connectionString: task.postgres });
    direct = new pg.Client({ connectionString: site.databaseUrl });
    await Promise.all([client.connect(), direct.connect()]);
  }, 60_000);
  afterAll(async () => {
    await Promise.all([client?.end(), direct?.end()]);
    await site?.remove();
  });

  async function rowsOf(of: pg.Client, sql: string) {
    const { rows, fields } = await of.query({ text: sql, rowMode: 'array' });
    return { rows: rows.map((row) => JSON.stringify(row)).sort(), fields: fields.map((f) => [f.name, f.dataTypeID]) };
  }

  it('shows of the task’s tables what it shows their owner', async () => {
    for (const [view, schema] of Object.entries(VIEWS)) {
      // Whether a row may be written is what the login may do.
      const sql = `SELECT * FROM information_schema.${view} WHERE ${schema} = 'public'`;
      const [governed, there] = [await rowsOf(client, sql), await rowsOf(direct, sql)];
      expect(there.rows.length, view).toBeGreaterThan(0);
      expect({ view, ...governed }).toEqual({ view, ...there });
    }
  });

  it('shows nothing of other tables', async () => {
    for (const [view, schema] of Object.entries(VIEWS)) {
      const sql = `SELECT * FROM information_schema.${view} WHERE ${schema} = 'hidden'`;
      expect({ view, rows: (await rowsOf(client, sql)).rows }).toEqual({ view, rows: [] });
    }
    const { rows } = await client.query(
      "SELECT * FROM information_schema.constraint_column_usage WHERE table_name ~ 'secret'",
    );
    expect(rows).toEqual([]);
  });

  it('can be named in every way, and joined', async () => {
    const ways = [
      `SELECT tc.constraint_name, k.column_name FROM "information_schema"."table_constraints" AS tc
         JOIN information_schema . key_column_usage k USING (constraint_schema, constraint_name)
         WHERE tc.table_name = 'wide' /* ü */ AND EXISTS (SELECT FROM INFORMATION_SCHEMA.Triggers)`,
      "SELECT table_constraints.constraint_name FROM information_schema.table_constraints WHERE table_constraints.table_name = 'wide'",
      "WITH t AS (SELECT * FROM information_schema.table_constraints), table_constraints AS (SELECT 1 AS one) SELECT constraint_name, one FROM t, table_constraints WHERE t.table_name = 'wide'",
      "SELECT (SELECT count(*) FROM information_schema.views v (x, y, z) WHERE v.y = 'public') AS views",
      'EXPLAIN (COSTS off) SELECT 1 WHERE EXISTS (SELECT FROM (SELECT count(*) FROM information_schema.check_constraints HAVING count(*) < 0) q)',
      'SELECT table_name FROM information_schema.referential_constraints, information_schema.tables LIMIT 0',
    ];
    for (const sql of ways) {
      const there = (await direct.query(sql)).rows.length;
      expect({ sql, rows: (await client.query(sql)).rows.length >= Math.min(there, 1) }).toEqual({ sql, rows: true });
    }
    const counted = 'SELECT count(*) FROM table_constraints WHERE table_schema = $1 -- here';
    for (const of of [client, direct]) await of.query('SET search_path = information_schema');
    const named = { name: 'twice', text: counted, values: ['public'] };
    for (const _ of [1, 2]) expect((await client.query(named)).rows).toEqual((await direct.query(named)).rows);
    for (const of of [client, direct]) await of.query('RESET search_path');
    await client.query('BEGIN');
    await client.query(
      'DECLARE c CURSOR FOR SELECT * FROM information_schema.table_constraints WHERE table_name = $$wide$$',
    );
    expect((await client.query('FETCH ALL FROM c')).rows.length).toBeGreaterThan(2);
    await client.query('COMMIT');
    const mcp = await mcpClient(task.mcp);
    const sql = "SELECT constraint_name FROM information_schema.table_constraints WHERE table_name = 'wide'";
    expect(JSON.stringify(await mcp.call('execute_sql', { target: 'rental-production', sql }))).toContain('ordered');
    await mcp.close();
  });

  it('is left as it is where another relation would not fit', async () => {
    for (const sql of [
      'TABLE information_schema.table_constraints',
      'SELECT information_schema.table_constraints.table_name FROM information_schema.table_constraints LIMIT 1',
      `SELECT 1 FROM "${'rental'}".information_schema.table_constraints LIMIT 1`,
      'SELECT 1 FROM ONLY information_schema.views LIMIT 1',
    ])
      expect((await client.query(sql)).rows.length, sql).toBeGreaterThanOrEqual(0);
  });

  it('has errors point into the text that was sent', async () => {
    const position = (of: pg.Client, query: string | pg.QueryConfig) =>
      of.query(query).then(
        () => 'no error',
        ({ code, position: at }: pg.DatabaseError) => ({ code, at }),
      );
    for (const text of [
      'SELECT nope FROM information_schema.table_constraints',
      'SELECT 1 FROM information_schema.table_constraints WHERE nope',
      "SELECT 'ü€😀' FROM information_schema.table_constraints, information_schema.views AS v WHERE 'ü' = v.nope",
      'SELECT 1; SELECT 1 FROM information_schema.triggers t JOIN information_schema.views t ON true',
    ]) {
      const there = await position(direct, text);
      expect({ text, ...((await position(client, text)) as object) }).toEqual({ text, ...(there as object) });
      if (text.includes(';')) continue;
      expect(await position(client, { text, values: [] })).toEqual(await position(direct, { text, values: [] }));
    }
  });
});
