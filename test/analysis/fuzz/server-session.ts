import pg from 'pg';

/** What the server says that a statement did, and what it said of it. */
export interface Ran {
  /** SQLSTATE and message, where it failed. */
  readonly error: { readonly code: string; readonly message: string } | null;
  /** What is different after it than before, in words; empty if nothing is. */
  readonly left: readonly string[];
}

/** One connection of the owner, which tells what a statement left behind once it was committed. */
export interface OwnerSession {
  /** Runs statements one after the other in one read-write transaction and commits it. */
  commit(texts: readonly string[]): Promise<Ran>;
  /** Runs statements in a transaction that is rolled back. @returns tables whose rows changed, `schema.name`. */
  changed(texts: readonly string[]): Promise<{ readonly error: Ran['error']; readonly tables: readonly string[] }>;
  /** Runs statements as a role that has these rights (`SELECT ON …`) and nothing else, and rolls back. */
  asReader(grants: readonly string[], texts: readonly string[]): Promise<Ran>;
  /** A digest of definitions and rows: dear, for now and then. */
  fingerprint(): Promise<string>;
  end(): Promise<void>;
}

const LIMIT_MS = 250;

/** Opens a connection to a database in which the role `fuzz_reader` exists. */
export async function openOwnerSession(url: string): Promise<OwnerSession> {
  const client = new pg.Client({ connectionString: url, application_name: 'fuzz' });
  let notified = 0;
  client.on('notification', () => notified++);
  await client.connect();
  await client.query(`SET statement_timeout = ${LIMIT_MS}; SET max_parallel_workers_per_gather = 0; LISTEN bites`);
  const sequences = await namesOf(
    client,
    "SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind = 'S' ORDER BY 1",
  );
  const state = `SELECT ${sequences.map((name) => `(SELECT last_value || '/' || is_called FROM ${name})`).join(` || ' ' || `)} AS sequences,
    (SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid())::int AS advisory,
    concat_ws('|', pg_catalog.current_setting('fuzz.bitten', true), ${SETTINGS.map((name) => `pg_catalog.current_setting('${name}')`).join(', ')}, current_user) AS settings`;
  const before = async () => (await client.query<Record<string, unknown>>(state)).rows[0] ?? {};
  let known = await before();

  return {
    async commit(texts) {
      const left: string[] = [];
      const notifiedBefore = notified;
      await client.query('BEGIN READ WRITE');
      const error = await run(client, texts);
      const end = error === null ? `${WROTE}; COMMIT` : 'ROLLBACK';
      const results = (await client.query(`${end}; ${state}`)) as unknown as pg.QueryResult<Record<string, unknown>>[];
      if (results[0]?.rows[0]?.['xid'] != null) left.push('the transaction wrote');
      const now = results.at(-1)?.rows[0] ?? {};
      for (const what of Object.keys(now))
        if (now[what] !== known[what]) left.push(`${what}: ${String(known[what])} → ${String(now[what])}`);
      if (notified > notifiedBefore) left.push('a notification');
      known = now;
      return { error, left };
    },
    async changed(texts) {
      await client.query('BEGIN');
      const counts = async () =>
        new Map((await client.query<{ name: string; n: string }>(CHANGES)).rows.map((row) => [row.name, row.n]));
      const first = await counts();
      const error = await run(client, texts);
      let tables: string[] = [];
      if (error === null) {
        tables = [...(await counts())].filter(([name, n]) => first.get(name) !== n).map(([name]) => name);
      }
      await client.query('ROLLBACK');
      known = await before();
      return { error, tables };
    },
    async asReader(grants, texts) {
      const given = grants.map((grant) => `GRANT ${grant} TO fuzz_reader;`).join(' ');
      await client.query(`BEGIN; ${given} SET LOCAL ROLE fuzz_reader`);
      const error = await run(client, texts);
      await client.query('ROLLBACK');
      const now = await before();
      const left = now['sequences'] === known['sequences'] ? [] : ['a sequence moved, as a role under row security'];
      known = now;
      return { error, left };
    },
    async fingerprint() {
      const tables = await namesOf(client, TABLES);
      const rows = tables.map(
        (name) => `(SELECT coalesce(md5(string_agg(t::text, ',' ORDER BY t::text)), '') FROM ONLY ${name} AS t)`,
      );
      const result = await client.query<{ digest: string }>(
        `SET LOCAL row_security = off; SELECT md5(concat_ws('|', ${rows.join(', ')})) AS digest`.replace(
          /^SET.*?; /,
          '',
        ),
      );
      const definitions = await client.query<{ digest: string }>(DEFINITIONS);
      // Reading everything may itself run what lies in wait.
      known = await before();
      return `${result.rows[0]?.digest} ${definitions.rows[0]?.digest}`;
    },
    end: () => client.end(),
  };
}

const SETTINGS = [
  'work_mem',
  'search_path',
  'session_replication_role',
  'transaction_read_only',
  'statement_timeout',
  'row_security',
];

/** Who has written has a transaction id. */
const WROTE = 'SELECT pg_catalog.pg_current_xact_id_if_assigned()::text AS xid';

/** Rows that each table's pending counters tell of, and the file it is in, because TRUNCATE gives it another. */
const CHANGES = `SELECT n.nspname || '.' || c.relname AS name,
    concat_ws('/', pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid), pg_catalog.pg_stat_get_xact_tuples_updated(c.oid), pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid), pg_catalog.pg_relation_filenode(c.oid)) AS n
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname = 'public'`;

const TABLES =
  "SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname = 'public' ORDER BY 1";

/** Users' definitions by their transactions, so that nothing has to be evaluated to compare them. */
const DEFINITIONS = `SELECT md5(string_agg(what, ',' ORDER BY what)) AS digest FROM (
  ${[
    'pg_class',
    'pg_proc',
    'pg_attribute',
    'pg_type',
    'pg_rewrite',
    'pg_trigger',
    'pg_constraint',
    'pg_policy',
    'pg_authid',
    'pg_largeobject_metadata',
    'pg_db_role_setting',
    'pg_default_acl',
  ]
    .map(
      (name) =>
        `SELECT '${name}' || count(*) || '/' || coalesce(sum(xmin::text::bigint), 0) AS what FROM pg_catalog.${name}`,
    )
    .join(' UNION ALL ')}) AS all_of_it`;

async function namesOf(client: pg.Client, sql: string): Promise<readonly string[]> {
  return (await client.query<{ name: string }>(sql)).rows.map(({ name }) => name);
}

async function run(client: pg.Client, texts: readonly string[]): Promise<Ran['error']> {
  try {
    for (const text of texts) {
      // The driver can end a COPY that waits for rows only in the simple protocol.
      const queryMode = /stdin/i.test(text) ? 'simple' : 'extended';
      await client.query({ text, queryMode, rowMode: 'array' } as pg.QueryArrayConfig);
    }
    return null;
  } catch (error) {
    if (error instanceof pg.DatabaseError) return { code: error.code ?? '', message: error.message };
    throw error;
  }
}
