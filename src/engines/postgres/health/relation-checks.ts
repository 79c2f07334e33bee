import type { HealthFinding } from '../../health.ts';
import { type Check, duration, megabytes, number, percent, type Row, text } from './check.ts';

/** Checks of tables and what belongs to them. Each tells only of relations whose names it was given as `$1`. */
export const RELATION_CHECKS: readonly Check[] = [
  {
    check: 'vacuum',
    ofRelations: true,
    sql: `
      SELECT s.schemaname || '.' || s.relname AS subject, s.n_live_tup::text AS live, s.n_dead_tup::text AS dead,
        s.n_mod_since_analyze::text AS modified, pg_catalog.age(c.relfrozenxid) AS age,
        extract(epoch FROM pg_catalog.now() - greatest(s.last_vacuum, s.last_autovacuum))::float8 AS vacuumed,
        greatest(s.last_analyze, s.last_autoanalyze) IS NOT NULL AS analyzed
      FROM pg_catalog.pg_stat_user_tables AS s JOIN pg_catalog.pg_class AS c ON c.oid = s.relid
      WHERE s.schemaname || '.' || s.relname = ANY ($1::text[])
        AND (s.n_dead_tup > 1000 AND s.n_dead_tup > 0.2 * s.n_live_tup OR s.n_mod_since_analyze > 1000 AND s.n_mod_since_analyze > 0.2 * s.n_live_tup)
      ORDER BY s.n_dead_tup DESC`,
    findings: (rows) =>
      rows.flatMap((row) => {
        const [live, dead] = [number(row, 'live'), number(row, 'dead')];
        const vacuumed = row['vacuumed'] === null ? 'never' : `${duration(number(row, 'vacuumed'))} ago`;
        const findings: HealthFinding[] = [];
        if (dead > 1000 && dead > 0.2 * live)
          findings.push(
            about(
              row,
              dead > live ? 'warning' : 'notice',
              `${dead} dead rows beside ${live} live ones (${percent(dead, live + dead)}); last vacuumed ${vacuumed}.`,
              'Autovacuum does not keep up: lower autovacuum_vacuum_scale_factor for this table, and look for long transactions.',
            ),
          );
        if (number(row, 'modified') > 1000 && number(row, 'modified') > 0.2 * live)
          findings.push(
            about(
              row,
              'notice',
              `${text(row, 'modified')} rows changed since its statistics were taken${row['analyzed'] === true ? '' : ' (never)'}: plans may be poor.`,
              'ANALYZE it, as a plan that a person decides on.',
            ),
          );
        return findings;
      }),
  },
  {
    check: 'indexes',
    ofRelations: true,
    sql: `
      WITH own AS (
        SELECT i.*, n.nspname || '.' || t.relname AS subject, c.relname AS name, c.relam,
          pg_catalog.pg_relation_size(c.oid)::text AS size, coalesce(s.idx_scan, 0) AS scans,
          EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x', 'f')) AS needed
        FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
        LEFT JOIN pg_catalog.pg_stat_user_indexes AS s ON s.indexrelid = i.indexrelid
        WHERE n.nspname || '.' || t.relname = ANY ($1::text[])
      )
      SELECT 'invalid' AS what, subject, name, size, NULL AS other FROM own WHERE NOT indisvalid OR NOT indisready
      UNION ALL
      SELECT 'duplicate', a.subject, a.name, a.size, b.name FROM own AS a JOIN own AS b
        ON a.indrelid = b.indrelid AND a.indexrelid <> b.indexrelid AND a.relam = b.relam
        AND a.indkey = b.indkey AND a.indclass = b.indclass AND a.indcollation = b.indcollation AND a.indoption = b.indoption
        AND a.indexprs IS NOT DISTINCT FROM b.indexprs AND a.indpred IS NOT DISTINCT FROM b.indpred
        AND a.indnkeyatts = b.indnkeyatts
      WHERE a.indisvalid AND NOT a.needed AND (NOT a.indisunique OR b.indisunique)
        AND (b.needed OR b.indisunique AND NOT a.indisunique OR a.indexrelid > b.indexrelid)
      UNION ALL
      SELECT 'unused', subject, name, size, NULL FROM own WHERE indisvalid AND scans = 0 AND NOT indisunique AND NOT needed
        AND pg_catalog.pg_relation_size(indexrelid) > 65536
      UNION ALL
      SELECT 'unindexed key', n.nspname || '.' || t.relname, k.conname, pg_catalog.pg_relation_size(t.oid)::text,
        (SELECT pg_catalog.string_agg(a.attname, ', ' ORDER BY p.at) FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS p (num, at) JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = p.num)
      FROM pg_catalog.pg_constraint AS k
      JOIN pg_catalog.pg_class AS t ON t.oid = k.conrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
      WHERE k.contype = 'f' AND n.nspname || '.' || t.relname = ANY ($1::text[])
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = t.oid AND i.indisvalid AND i.indpred IS NULL AND i.indnkeyatts >= pg_catalog.cardinality(k.conkey)
          AND (SELECT pg_catalog.array_agg(key ORDER BY key) FROM pg_catalog.unnest((i.indkey::int2[])[0:pg_catalog.cardinality(k.conkey) - 1]) AS u (key))
            = (SELECT pg_catalog.array_agg(key ORDER BY key) FROM pg_catalog.unnest(k.conkey) AS u (key)))
      ORDER BY 1, 2, 3`,
    findings: (rows) => rows.map(indexFinding),
  },
  {
    check: 'constraints',
    ofRelations: true,
    sql: `
      SELECT 'not valid' AS what, n.nspname || '.' || t.relname AS subject, k.conname AS name
      FROM pg_catalog.pg_constraint AS k
      JOIN pg_catalog.pg_class AS t ON t.oid = k.conrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
      WHERE NOT k.convalidated AND n.nspname || '.' || t.relname = ANY ($1::text[])
      UNION ALL
      SELECT 'no primary key', n.nspname || '.' || t.relname, NULL
      FROM pg_catalog.pg_class AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
      WHERE t.relkind IN ('r', 'p') AND NOT t.relispartition AND n.nspname || '.' || t.relname = ANY ($1::text[])
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = t.oid AND i.indisprimary)
      ORDER BY 1, 2, 3`,
    findings: (rows) =>
      rows.map((row) =>
        row['what'] === 'not valid'
          ? about(
              row,
              'warning',
              `The constraint ${text(row, 'name')} was never checked against the rows that were there before it.`,
              'Look for rows that break it, then ALTER TABLE … VALIDATE CONSTRAINT, as a plan.',
            )
          : about(
              row,
              'notice',
              'It has no primary key.',
              'Rows can’t be told apart, nor replicated by key: give it one.',
            ),
      ),
  },
  {
    check: 'sequences',
    ofRelations: true,
    sql: `
      SELECT coalesce(tn.nspname || '.' || t.relname, s.schemaname || '.' || s.sequencename) AS subject, s.sequencename AS name,
        coalesce(s.last_value, 0)::text AS last, s.max_value::text AS most
      FROM pg_catalog.pg_sequences AS s
      JOIN pg_catalog.pg_namespace AS n ON n.nspname = s.schemaname
      JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = s.sequencename
      LEFT JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
      LEFT JOIN pg_catalog.pg_class AS t ON t.oid = d.refobjid LEFT JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
      WHERE coalesce(tn.nspname || '.' || t.relname, s.schemaname || '.' || s.sequencename) = ANY ($1::text[])
        AND s.increment_by > 0 AND NOT s.cycle AND s.last_value > 0.5 * s.max_value
      ORDER BY s.last_value::float8 / s.max_value DESC`,
    findings: (rows) =>
      rows.map((row) => {
        const share = number(row, 'last') / number(row, 'most');
        return about(
          row,
          share > 0.9 ? 'critical' : share > 0.75 ? 'warning' : 'notice',
          `The sequence ${text(row, 'name')} stands at ${text(row, 'last')} of ${text(row, 'most')} (${percent(share, 1)}).`,
          'Make the column and the sequence bigint before it ends: then every insert fails.',
        );
      }),
  },
  {
    check: 'security',
    ofRelations: true,
    sql: `
      SELECT CASE WHEN c.relrowsecurity THEN 'no policy' ELSE 'policies off' END AS what, n.nspname || '.' || c.relname AS subject
      FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      WHERE n.nspname || '.' || c.relname = ANY ($1::text[]) AND c.relkind IN ('r', 'p')
        AND c.relrowsecurity <> EXISTS (SELECT FROM pg_catalog.pg_policy AS p WHERE p.polrelid = c.oid)
      UNION ALL
      SELECT 'public', n.nspname || '.' || c.relname
      FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace, pg_catalog.aclexplode(c.relacl) AS a
      WHERE n.nspname || '.' || c.relname = ANY ($1::text[]) AND a.grantee = 0
      GROUP BY 2
      ORDER BY 1, 2`,
    findings: (rows) =>
      rows.map((row) => {
        switch (row['what']) {
          case 'policies off':
            return about(
              row,
              'warning',
              'It has policies, but row security is off.',
              'ENABLE ROW LEVEL SECURITY, as a plan.',
            );
          case 'no policy':
            return about(
              row,
              'notice',
              'Row security is on without any policy: all but its owner see no row.',
              'Make the policy that was meant.',
            );
          default:
            return about(
              row,
              'warning',
              'Every login of this database holds rights on it, by a grant to PUBLIC.',
              'REVOKE it from PUBLIC, and grant what is needed to those who need it.',
            );
        }
      }),
  },
];

function indexFinding(row: Row): HealthFinding {
  const index = `The index ${text(row, 'name')} (${megabytes(number(row, 'size'))})`;
  switch (row['what']) {
    case 'invalid':
      return about(
        row,
        'warning',
        `${index} is invalid: it costs with every write and serves no query.`,
        'It was left behind by a CREATE INDEX CONCURRENTLY that failed: drop it, or REINDEX CONCURRENTLY.',
      );
    case 'duplicate':
      return about(row, 'notice', `${index} does the same as ${text(row, 'other')}.`, 'Drop one of them, as a plan.');
    case 'unused':
      return about(
        row,
        'notice',
        `${index} was not used since the statistics began.`,
        'See that they cover a whole business cycle and every standby, then drop it, as a plan.',
      );
    default:
      return about(
        row,
        number(row, 'size') > 10 * 2 ** 20 ? 'warning' : 'notice',
        `The foreign key ${text(row, 'name')} (${text(row, 'other')}) has no index: deletes and updates of what it points to scan the table.`,
        'CREATE INDEX CONCURRENTLY on these columns, as a plan.',
      );
  }
}

function about(row: Row, severity: HealthFinding['severity'], fact: string, advice: string): HealthFinding {
  return { severity, subject: text(row, 'subject'), fact, advice };
}
