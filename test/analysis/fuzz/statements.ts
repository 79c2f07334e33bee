import { change } from './changes.ts';
import { expression, type Pen } from './expressions.ts';
import { query, readable, scalarSubquery } from './queries.ts';

/** A statement, and what the session did before it. */
export interface Case {
  readonly text: string;
  /** A PREPARE that `text` executes. */
  readonly prepare?: { readonly name: string; readonly text: string };
  /** A cursor that `text` declares, so that its rows can be fetched. */
  readonly cursor?: string;
}

/** A statement of any kind, by the grammar of PostgreSQL 15-18. */
export function statement(pen: Pen, depth: number): Case {
  const { random } = pen;
  return random.among<Case>([
    [14, () => ({ text: query(pen, [], depth) })],
    [6, () => ({ text: change(pen, depth) })],
    [2, () => ({ text: `EXPLAIN ${explainOptions(pen)}${inner(pen, depth)}` })],
    [
      1,
      () => ({
        text: `COPY (${query(pen, [], depth)}) TO STDOUT${random.pick(['', ' WITH (FORMAT csv, HEADER)', ' (FORMAT binary)'])}`,
      }),
    ],
    [
      1,
      () => ({
        text: `COPY ${random.pick(pen.model.relations).name} ${random.pick(['TO STDOUT', 'TO STDOUT', '(id) TO STDOUT', 'FROM STDIN'])}`,
      }),
    ],
    [
      1,
      () => ({
        text: `DECLARE cur ${random.pick(['', 'SCROLL ', 'NO SCROLL ', 'BINARY ', 'INSENSITIVE '])}CURSOR FOR ${query(pen, [], depth)}`,
        cursor: 'cur',
      }),
    ],
    [1, () => executed(pen, depth)],
    [1, () => ({ text: utility(pen, depth) })],
  ]);
}

/** A statement that runs nothing but the server's own code on honest tables: it must be let through as a read. */
export function harmlessStatement(pen: Pen, depth: number): Case {
  const { random } = pen;
  return random.among<Case>([
    [14, () => ({ text: query(pen, [], depth) })],
    [1, () => ({ text: `EXPLAIN ${explainOptions(pen)}${query(pen, [], depth)}` })],
    [1, () => ({ text: `COPY (${query(pen, [], depth)}) TO STDOUT` })],
    [1, () => ({ text: `DECLARE cur CURSOR FOR ${query(pen, [], depth)}`, cursor: 'cur' })],
    [1, () => executed(pen, depth)],
  ]);
}

/** A pen for a model. */
export function penFor(random: Pen['random'], model: Pen['model'], harmless: boolean): Pen {
  return { random, model, harmless, subquery: scalarSubquery };
}

function inner(pen: Pen, depth: number): string {
  return pen.random.chance(0.7) ? query(pen, [], depth) : change(pen, depth);
}

function explainOptions({ random }: Pen): string {
  return random.pick([
    '',
    '',
    'ANALYZE ',
    'VERBOSE ',
    '(ANALYZE, COSTS off) ',
    '(ANALYZE false) ',
    '(FORMAT json) ',
    '(VERBOSE, SETTINGS) ',
  ]);
}

function executed(pen: Pen, depth: number): Case {
  const body = pen.harmless || pen.random.chance(0.7) ? query(pen, [], depth) : change(pen, depth);
  const parameter = expression(pen, 'int', [], 1);
  const types = pen.random.chance(0.5);
  const name = pen.random.pick(['p1', '"P 2"']);
  return {
    prepare: { name: name.replaceAll('"', ''), text: `PREPARE ${name}${types ? ' (int)' : ''} AS ${body}` },
    text: `EXECUTE ${name}${types ? ` (${parameter})` : ''}`,
  };
}

function utility(pen: Pen, depth: number): string {
  const { random } = pen;
  const relation = random.pick(readable(pen)).name;
  return random.among<string>([
    [
      1,
      () =>
        `LOCK TABLE ${relation} IN ${random.pick(['ACCESS SHARE', 'ROW SHARE', 'ROW EXCLUSIVE', 'SHARE', 'EXCLUSIVE', 'ACCESS EXCLUSIVE'])} MODE`,
    ],
    [1, () => `SHOW ${random.pick(['work_mem', 'ALL', 'TIME ZONE'])}`],
    [
      1,
      () =>
        `SET ${random.pick(['', 'LOCAL '])}${random.pick(['work_mem = 65', "application_name = 'x'", 'search_path = public', 'session_replication_role = replica', 'TIME ZONE DEFAULT'])}`,
    ],
    [1, () => `CREATE TABLE made_${random.below(99)} AS ${query(pen, [], depth)}`],
    [1, () => `${query(pen, [], 1).replace(/ FROM /, ' INTO made_x FROM ')}`],
    [1, () => `CREATE ${random.pick(['', 'OR REPLACE ', 'TEMP '])}VIEW made_v AS ${query(pen, [], depth)}`],
    [1, () => `DROP ${random.pick(['TABLE', 'VIEW', 'SEQUENCE'])} IF EXISTS ${relation} CASCADE`],
    [1, () => `ALTER TABLE ${relation} ADD COLUMN z${random.below(99)} int`],
    [1, () => `CALL public.proceed(${expression(pen, 'int', [], 1)})`],
    [1, () => `DO $$ BEGIN PERFORM ${expression(pen, 'int', [], 1)}; END $$`],
    [
      1,
      () =>
        `${random.pick(['VACUUM', 'ANALYZE', 'REINDEX TABLE', 'REFRESH MATERIALIZED VIEW', 'CLUSTER'])} ${relation}`,
    ],
    [1, () => `GRANT SELECT ON ${relation} TO PUBLIC`],
    [1, () => `NOTIFY bites, 'x'`],
    [
      1,
      () =>
        random.pick([
          'DISCARD ALL',
          'RESET ALL',
          'LISTEN a',
          'UNLISTEN *',
          'CHECKPOINT',
          'SET CONSTRAINTS ALL DEFERRED',
          'DEALLOCATE ALL',
          'CLOSE ALL',
        ]),
    ],
    [
      1,
      () =>
        `SELECT ${random.pick(['pg_advisory_lock(1)', 'lo_create(0)', "set_config('work_mem', '65', false)", "pg_notify('bites', 'x')", "query_to_xml('SELECT public.bite()', true, true, '')", "ts_stat('SELECT public.bite()::text::tsvector')", 'txid_current()', "pg_logical_emit_message(true, 'a', 'b')", 'pg_export_snapshot()', "setval('public.plain_seq', 5)", 'lo_from_bytea(0, $$x$$)', 'pg_stat_reset()', 'currval($$public.plain_seq$$)', 'lastval()'])}`,
    ],
  ]);
}
