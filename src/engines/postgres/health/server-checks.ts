import type { HealthFinding } from '../../health.ts';
import { type Check, duration, megabytes, number, percent, text } from './check.ts';

/** Checks of the server and the database as a whole. They tell figures and settings, and name no relation. */
export const SERVER_CHECKS: readonly Check[] = [
  {
    check: 'server',
    ofRelations: false,
    sql: `
      SELECT pg_catalog.current_setting('server_version') AS version,
        extract(epoch FROM pg_catalog.now() - pg_catalog.pg_postmaster_start_time())::float8 AS uptime,
        pg_catalog.pg_database_size(pg_catalog.current_database())::text AS size,
        (SELECT pg_catalog.age(datfrozenxid) FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) AS age,
        (SELECT pg_catalog.string_agg(name || ' = ' || setting, ', ' ORDER BY name) FROM pg_catalog.pg_settings
         WHERE name IN ('fsync', 'full_page_writes', 'autovacuum', 'track_counts') AND setting = 'off') AS risky,
        (SELECT pg_catalog.string_agg(name, ', ' ORDER BY name) FROM pg_catalog.pg_settings WHERE pending_restart) AS pending`,
    findings: ([row]) => {
      if (row === undefined) return [];
      const age = number(row, 'age');
      const findings: HealthFinding[] = [
        ok(
          `PostgreSQL ${text(row, 'version')}, up for ${duration(number(row, 'uptime'))}; the database holds ${megabytes(number(row, 'size'))}.`,
        ),
      ];
      if (age > 500_000_000) {
        const severity = age > 1_500_000_000 ? 'critical' : age > 1_000_000_000 ? 'warning' : 'notice';
        findings.push(
          found(
            severity,
            `The oldest transaction id is ${age} old; at 2147483648 the server stops taking writes.`,
            'See why autovacuum does not freeze: long transactions, abandoned replication slots, prepared transactions.',
          ),
        );
      }
      if (row['risky'] !== null) {
        findings.push(
          found(
            'critical',
            `These are off: ${text(row, 'risky')}.`,
            'Turn them on: without them data can be lost, or tables never be cleaned up.',
          ),
        );
      }
      if (row['pending'] !== null)
        findings.push(
          found('notice', `Changed settings wait for a restart: ${text(row, 'pending')}.`, 'Plan a restart.'),
        );
      return findings;
    },
  },
  {
    check: 'connections',
    ofRelations: false,
    sql: `
      SELECT count(*) FILTER (WHERE backend_type = 'client backend') AS used,
        pg_catalog.current_setting('max_connections')::int AS most,
        count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS idle,
        count(*) FILTER (WHERE wait_event_type = 'Lock') AS waiting,
        coalesce(max(extract(epoch FROM pg_catalog.now() - xact_start)) FILTER (WHERE backend_type = 'client backend'), 0)::float8 AS longest
      FROM pg_catalog.pg_stat_activity WHERE pid <> pg_catalog.pg_backend_pid()`,
    findings: ([row]) => {
      if (row === undefined) return [];
      const [used, most, idle, waiting, longest] = (['used', 'most', 'idle', 'waiting', 'longest'] as const).map(
        (name) => number(row, name),
      ) as [number, number, number, number, number];
      const share = used / most;
      const findings: HealthFinding[] = [
        share > 0.75
          ? found(
              share > 0.9 ? 'critical' : 'warning',
              `${used} of ${most} connections are in use.`,
              'Find out who holds them; put a pool before the clients rather than raising max_connections.',
            )
          : ok(`${used} of ${most} connections are in use.`),
      ];
      if (longest > 300)
        findings.push(
          found(
            longest > 3600 ? 'warning' : 'notice',
            `The longest open transaction lasts ${duration(longest)}; ${idle} are idle inside one.`,
            'Until it ends no table can be cleaned of what it may still see. Set idle_in_transaction_session_timeout.',
          ),
        );
      if (waiting > 0)
        findings.push(
          found(
            'notice',
            `${waiting} sessions wait for a lock.`,
            'Look at pg_blocking_pids for the session that holds it.',
          ),
        );
      return findings;
    },
  },
  {
    check: 'cache',
    ofRelations: false,
    sql: `
      SELECT blks_hit::text AS hit, blks_read::text AS read, deadlocks::text AS deadlocks, temp_bytes::text AS temp, stats_reset::text AS since
      FROM pg_catalog.pg_stat_database WHERE datname = pg_catalog.current_database()`,
    findings: ([row]) => {
      if (row === undefined) return [];
      const [hit, all] = [number(row, 'hit'), number(row, 'hit') + number(row, 'read')];
      const fact = `${percent(hit, all)} of ${all} blocks were found in the buffer cache${row['since'] === null ? '' : ` since ${text(row, 'since')}`}.`;
      const findings: HealthFinding[] = [
        all > 100_000 && hit / all < 0.95
          ? found(
              hit / all < 0.9 ? 'warning' : 'notice',
              fact,
              'Look for the queries that read most (get_top_queries by blocks read) before you raise shared_buffers.',
            )
          : ok(fact),
      ];
      if (number(row, 'deadlocks') > 0)
        findings.push(
          found('notice', `There were ${text(row, 'deadlocks')} deadlocks.`, 'Lock rows in the same order everywhere.'),
        );
      if (number(row, 'temp') > 2 ** 30)
        findings.push(
          found(
            'notice',
            `Sorts and hashes have written ${megabytes(number(row, 'temp'))} to disk.`,
            'See get_top_queries by temporary blocks; an index or more work_mem for those queries helps.',
          ),
        );
      return findings;
    },
  },
  {
    check: 'replication',
    ofRelations: false,
    sql: `
      SELECT 'standby' AS kind, coalesce(application_name, '') AS name, state,
        pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END, replay_lsn)::text AS behind
      FROM pg_catalog.pg_stat_replication
      UNION ALL
      SELECT 'slot', slot_name, CASE WHEN active THEN 'active' ELSE 'inactive' END,
        pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END, restart_lsn)::text
      FROM pg_catalog.pg_replication_slots
      UNION ALL
      SELECT 'self', 'this server', 'standby',
        (extract(epoch FROM pg_catalog.now() - pg_catalog.pg_last_xact_replay_timestamp()))::text
      WHERE pg_catalog.pg_is_in_recovery()`,
    findings: (rows) =>
      rows.map((row): HealthFinding => {
        const behind = number(row, 'behind');
        if (row['kind'] === 'self')
          return ok(`This server is a standby; its last transaction is ${duration(behind)} old.`);
        const fact = `The ${text(row, 'kind')} ${text(row, 'name')} is ${text(row, 'state')} and ${megabytes(behind)} behind.`;
        if (row['kind'] === 'slot' && row['state'] === 'inactive')
          return found(
            behind > 10 * 2 ** 30 ? 'critical' : 'warning',
            fact,
            'An inactive slot keeps WAL until the disk is full: connect its consumer, or have a person drop it.',
          );
        return behind > 100 * 2 ** 20
          ? found('warning', fact, 'See whether the standby or the network can’t keep up.')
          : ok(fact);
      }),
  },
  {
    check: 'extensions',
    ofRelations: false,
    sql: `
      SELECT e.extname AS name, e.extversion AS version, a.default_version AS newest
      FROM pg_catalog.pg_extension AS e LEFT JOIN pg_catalog.pg_available_extensions AS a ON a.name = e.extname
      ORDER BY e.extname`,
    findings: (rows) =>
      rows.map((row) =>
        row['newest'] !== null && row['newest'] !== row['version']
          ? found(
              'notice',
              `${text(row, 'name')} ${text(row, 'version')} is installed; ${text(row, 'newest')} is there.`,
              'ALTER EXTENSION … UPDATE, as a plan that a person decides on.',
            )
          : ok(`${text(row, 'name')} ${text(row, 'version')} is installed.`),
      ),
  },
];

function ok(fact: string): HealthFinding {
  return { severity: 'ok', subject: null, fact, advice: null };
}

function found(severity: HealthFinding['severity'], fact: string, advice: string): HealthFinding {
  return { severity, subject: null, fact, advice };
}
