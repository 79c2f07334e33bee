import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { newest } from '../fixtures/postgres.ts';

const SCHEMA = `
  CREATE DOMAIN public.plate AS text CONSTRAINT plate_form CHECK (VALUE ~ '^[A-Z]') NOT NULL;
  CREATE TYPE public.colour AS ENUM ('red', 'blue'); CREATE TYPE public.pair AS (a int, b text);
  CREATE TABLE public.wide (id serial PRIMARY KEY, a int NOT NULL, b int GENERATED ALWAYS AS (a * 2) STORED, p public.plate,
    c public.colour DEFAULT 'red', n numeric(10, 2), arr text[], ts timestamptz(3), UNIQUE (a, b), CONSTRAINT ordered CHECK (a < b OR id > 0),
    EXCLUDE USING gist (box(point(a, b), point(a, b)) WITH &&));
  COMMENT ON TABLE public.wide IS 'wide'; COMMENT ON COLUMN public.wide.a IS 'the a';
  CREATE INDEX wide_partial ON public.wide (lower(p), a DESC NULLS LAST) INCLUDE (n) WHERE a > 3;
  CREATE VIEW public.narrow AS SELECT id, a FROM public.wide WHERE a > 0;
  CREATE MATERIALIZED VIEW public.mat AS SELECT id FROM public.wide;
  CREATE TABLE public.parts (id int, k int, PRIMARY KEY (id, k)) PARTITION BY RANGE (k);
  CREATE TABLE public.part1 PARTITION OF public.parts FOR VALUES FROM (1) TO (9);
  CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER touched BEFORE UPDATE OF a ON public.wide FOR EACH ROW WHEN (OLD.a < NEW.a) EXECUTE FUNCTION public.touch();
`;

/** What database tools ask, each in its manner; a statement ends with a line of its own. */
const QUESTIONS = readFileSync(new URL('../fixtures/catalogue-questions.sql', import.meta.url), 'utf8')
  .split(/^;$/m)
  .map((sql) => sql.trim())
  .filter((sql) => sql !== '');

const PYTHON = ['python3', '/usr/bin/python3'].find(
  (python) => spawnSync(python, ['-c', 'import sqlalchemy, psycopg2']).status === 0,
);
if (PYTHON === undefined) console.warn('skipped: SQLAlchemy (Debian: python3-sqlalchemy python3-psycopg2)');

describe.each(newest)('introspection before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;

  beforeAll(async () => {
    site = await startSite(binaries, { schema: SCHEMA });
    await site.serve();
    task = await site.openTask(WORK);
  }, 60_000);
  afterAll(() => site?.remove());

  async function withClient<Result>(url: string, work: (client: pg.Client) => Promise<Result>): Promise<Result> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return work(client).finally(() => client.end());
  }

  /** Rows in any order, or the error. */
  const answersTo = (url: string) =>
    withClient(url, async (client) => {
      const answers = new Map<string, unknown>();
      for (const sql of QUESTIONS) {
        const said = await client.query({ text: sql, rowMode: 'array' }).then(
          ({ rows }) => rows.map((row) => JSON.stringify(row)).sort(),
          (error: pg.DatabaseError) => `${error.code} ${error.message}`,
        );
        answers.set(sql, said);
      }
      return answers;
    });

  it('answers what tools ask of the catalogue, as the database does', async () => {
    const [governed, direct] = [await answersTo(task.postgres), await answersTo(site.databaseUrl)];
    const asked = [...direct].filter(([, said]) => !Array.isArray(said));
    expect(asked, 'what the database itself does not answer').toEqual([]);
    const otherwise = [...direct].filter(([sql, said]) => !isDeepStrictEqual(governed.get(sql), said));
    expect(otherwise.map(([sql, said]) => ({ sql, said, governed: governed.get(sql) }))).toEqual([]);
  });

  it('takes what clients begin with, and what pools send when they take a connection back', async () => {
    const texts = [
      // A script of pg_dump, run as a migration.
      `SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET client_encoding = 'UTF8';
       SET standard_conforming_strings = on; SELECT pg_catalog.set_config('search_path', '', false); SET check_function_bodies = false;
       SET xmloption = content; SET client_min_messages = warning; SET row_security = off;`,
      "SET default_tablespace = ''",
      'SET default_table_access_method = heap',
      'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
      'RESET default_transaction_read_only',
      'SET enable_bitmapscan = off; SET lc_monetary = "C"; SET max_parallel_workers_per_gather = 0',
      'SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;',
      'SET SESSION AUTHORIZATION DEFAULT;RESET ALL;CLOSE ALL;UNLISTEN *;SELECT pg_advisory_unlock_all();DISCARD SEQUENCES;DISCARD TEMP',
      'RESET ROLE; DEALLOCATE ALL; SHOW search_path',
      'DISCARD ALL',
    ];
    await withClient(task.postgres, async (client) => {
      for (const sql of texts) {
        const said = await client.query(sql).then(
          () => 'done',
          (error: pg.DatabaseError) => `${error.code} ${error.message} ${error.detail}`,
        );
        expect({ sql, said }).toEqual({ sql, said: 'done' });
      }
      const named = 'DEALLOCATE ALL; SELECT count(*) FROM customers';
      await expect(client.query(named)).rejects.toThrow('What names mean would change');
      for (const sql of ["SET ROLE 'postgres'", "SET SESSION AUTHORIZATION 'postgres'", 'SET work_mem = 1000000'])
        await expect(client.query(sql), sql).rejects.toThrow();
    });
  });

  it('shows Kysely the same tables', async () => {
    const tablesAt = async (connectionString: string) => {
      const db = new Kysely({ dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString, max: 1 }) }) });
      const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
      await db.destroy();
      return tables.filter(({ schema }) => schema === 'public');
    };
    const governed = await tablesAt(task.postgres);
    expect(governed.map(({ name }) => name)).toContain('wide');
    expect(governed).toEqual(await tablesAt(site.databaseUrl));
  });

  it.skipIf(PYTHON === undefined)('shows SQLAlchemy the same schema', () => {
    const reflect = new URL('../fixtures/reflect.py', import.meta.url).pathname;
    const seenAt = (url: string) => execFileSync(PYTHON ?? '', ['-W', 'ignore', reflect, url], { encoding: 'utf8' });
    const governed = seenAt(task.postgres);
    expect(governed).toContain('reservations_customer_id_fkey');
    expect(governed).toBe(seenAt(site.databaseUrl));
  });

  it('takes the database’s own name for the target, where it is only one', async () => {
    const url = new URL(task.postgres);
    url.pathname = '/rental';
    const sql = 'SELECT current_database() AS name';
    expect(await withClient(url.href, async (client) => (await client.query(sql)).rows)).toEqual([{ name: 'rental' }]);
    url.pathname = '/postgres';
    await expect(withClient(url.href, async (client) => client.query(sql))).rejects.toThrow('does not declare');
  });
});
