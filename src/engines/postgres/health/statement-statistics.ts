import type pg from 'pg';
import type { StatementOrder, StatementStatisticsReply } from '../../health.ts';
import { quoteIdentifier } from '../quote.ts';

/** How many are looked at to find those that may be shown. */
const MAX_STATEMENTS = 500;

/** The costliest statements of this database as pg_stat_statements has counted them, costliest first. */
export async function statementStatistics(
  connect: () => Promise<pg.Client>,
  order: StatementOrder,
): Promise<StatementStatisticsReply> {
  const client = await connect();
  try {
    const { rows: installed } = await client.query<{ schema: string; mayRead: boolean }>(
      `SELECT n.nspname AS schema, pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS "mayRead"
       FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
       WHERE e.extname = 'pg_stat_statements'`,
    );
    const [extension] = installed;
    if (extension === undefined) return NOT_INSTALLED;
    const { rows: preloaded } = await client.query<{ is: boolean }>(
      "SELECT EXISTS (SELECT FROM pg_catalog.pg_settings WHERE name = 'pg_stat_statements.max') AS is",
    );
    if (preloaded[0]?.is !== true) return NOT_PRELOADED;
    if (!extension.mayRead) return NOT_GRANTED;
    const schema = quoteIdentifier(extension.schema);
    const { rows: statements } = await client.query<Counted>(
      `SELECT s.query, s.calls::float8, s.total_exec_time AS total, s.mean_exec_time AS mean, s.max_exec_time AS max, s.rows::float8,
         s.shared_blks_hit::float8 AS hit, s.shared_blks_read::float8 AS read, (s.temp_blks_read + s.temp_blks_written)::float8 AS temp
       FROM ${schema}.pg_stat_statements AS s
       WHERE s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
       ORDER BY ${ORDER_BY[order]} DESC LIMIT ${MAX_STATEMENTS}`,
    );
    const { rows: info } = await client.query<{ since: string | null }>(
      `SELECT stats_reset::text AS since FROM ${schema}.pg_stat_statements_info`,
    );
    return {
      since: info[0]?.since ?? null,
      statements: statements.map((row) => ({
        text: row.query,
        calls: row.calls,
        totalMs: row.total,
        meanMs: row.mean,
        maxMs: row.max,
        rows: row.rows,
        blocksHit: row.hit,
        blocksRead: row.read,
        temporaryBlocks: row.temp,
      })),
    };
  } finally {
    await client.end();
  }
}

interface Counted {
  readonly query: string | null;
  readonly calls: number;
  readonly total: number;
  readonly mean: number;
  readonly max: number;
  readonly rows: number;
  readonly hit: number;
  readonly read: number;
  readonly temp: number;
}

const ORDER_BY: Readonly<Record<StatementOrder, string>> = {
  'total time': 's.total_exec_time',
  'mean time': 's.mean_exec_time',
  calls: 's.calls',
  rows: 's.rows',
  'blocks read': 's.shared_blks_read',
  'temporary blocks': 's.temp_blks_read + s.temp_blks_written',
};

const NOT_INSTALLED: StatementStatisticsReply = {
  unavailable: 'The extension pg_stat_statements is not installed in this database.',
  advice:
    'A person puts it into shared_preload_libraries, restarts the server, and runs CREATE EXTENSION pg_stat_statements.',
};
const NOT_PRELOADED: StatementStatisticsReply = {
  unavailable: 'pg_stat_statements is installed, but the server was started without it.',
  advice: 'A person puts it into shared_preload_libraries and restarts the server.',
};
const NOT_GRANTED: StatementStatisticsReply = {
  unavailable: 'The gateway’s login may not read the statistics of other logins.',
  advice: 'A person runs `countersign init` again: it grants pg_read_all_stats to countersign_session.',
};
