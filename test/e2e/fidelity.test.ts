import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasPsql, type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { servers } from '../fixtures/postgres.ts';

/** Each is a psql script of its own. Directly and through the gateway psql must print the same, byte for byte. */
const SCRIPTS: readonly string[] = [
  'SELECT 1',
  'SELECT 1, NULL, true, false',
  "SELECT 'text', 'ümläut €', E'tab\\tnew\\nline', ''",
  'SELECT 1::int2, 2::int4, 3::int8, 4.5::numeric, 1e300::float8, 1.5::float4, 0.1::float8 + 0.2',
  "SELECT 'NaN'::float8, 'Infinity'::float4, '-Infinity'::numeric, 'NaN'::numeric",
  "SELECT DATE '2026-01-31', TIME '10:11:12.123', TIMESTAMP '2026-01-31 10:11:12', TIMESTAMPTZ '2026-01-31 10:11:12Z', INTERVAL '1 year 2 months 3 days 04:05:06'",
  "SELECT '{1,2,NULL}'::int[], '{{a,b},{c,\"d e\"}}'::text[], ARRAY[]::int[]",
  'SELECT \'{"a": [1, 2, {"b": null}]}\'::json, \'{"a": [1, 2, {"b": null}]}\'::jsonb',
  "SELECT '\\xdeadbeef'::bytea, ''::bytea",
  "SELECT '550e8400-e29b-41d4-a716-446655440000'::uuid, '10.0.0.1/8'::inet, '08:00:2b:01:02:03'::macaddr, '10.0.0.0/8'::cidr",
  "SELECT '(1,2)'::point, '[(0,0),(1,1)]'::lseg, '((0,0),(1,1))'::box, '<(0,0),1>'::circle",
  "SELECT B'1010', '1010'::varbit, '[1,5)'::int4range, '{[1,2),[5,6)}'::int4multirange",
  "SELECT 'fat & rat'::tsquery, 'a fat cat'::tsvector, '$1,234.56'::money, 'a=>1'::text",
  "SELECT '<a>x</a>'::text, row(1, 'a', NULL), ROW(1)",
  'SELECT * FROM customers ORDER BY id LIMIT 5',
  'SELECT * FROM vehicles ORDER BY id LIMIT 5',
  'SELECT * FROM reservations ORDER BY id LIMIT 5',
  'SELECT * FROM payments ORDER BY id LIMIT 5',
  'SELECT * FROM telemetry ORDER BY at, vehicle_id LIMIT 5',
  'SELECT * FROM active_reservations ORDER BY id LIMIT 5',
  'SELECT * FROM fleet_utilisation ORDER BY model',
  'SELECT status, count(*) FROM reservations GROUP BY ROLLUP (status) ORDER BY 1',
  'SELECT model, daily_rate, rank() OVER (PARTITION BY model ORDER BY daily_rate DESC, id) FROM vehicles ORDER BY id LIMIT 10',
  'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) SELECT sum(i) FROM n',
  "SELECT preferences->>'colour' AS colour, count(*) FROM customers GROUP BY 1 ORDER BY 1",
  'SELECT c.id, r.n FROM customers c CROSS JOIN LATERAL (SELECT count(*) AS n FROM reservations r WHERE r.customer_id = c.id) r ORDER BY 1 LIMIT 5',
  'SELECT DISTINCT ON (model) model, id FROM vehicles ORDER BY model, id',
  'SELECT id FROM vehicles EXCEPT SELECT vehicle_id FROM reservations ORDER BY 1 LIMIT 3',
  "VALUES (1, 'a'), (2, 'b')",
  'TABLE schema_migrations',
  'SELECT',
  'SELECT FROM customers LIMIT 3',
  '',
  ';',
  '-- only a comment',
  'SELECT 1; SELECT 2; SELECT 3',
  "SELECT 'a;b'; SELECT $$;$$;",
  'SELECT nope',
  'SELECT * FROM nope',
  'SELEC 1',
  'SELECT 1 +',
  "SELECT 'unterminated",
  'SELECT 1/0',
  'SELECT 1; SELECT 1/0; SELECT 2',
  "SELECT 'x'::int",
  'SELECT length(1)',
  'SELECT nofunction(1)',
  'SELECT \' leading\' AS "a b", 2 AS "select"',
  "SELECT repeat('x', 5000)",
  'SELECT generate_series(1, 1000)',
  "SELECT '99999999999'::int4",
  "SELECT 'a' || NULL, concat('a', NULL), coalesce(NULL, 1)",
  "SELECT to_char(TIMESTAMP '2026-02-03 04:05:06', 'Day DD Month YYYY HH24:MI:SS'), to_char(1234567.891, '9G999G999D99')",
  "SET TIME ZONE 'America/New_York'; SELECT TIMESTAMPTZ '2026-07-01 12:00:00Z'; SHOW TIME ZONE",
  "SET DateStyle = 'SQL, DMY'; SELECT DATE '2026-01-31'",
  "SET bytea_output = escape; SELECT '\\x00ff41'::bytea",
  "SET search_path = pg_catalog; SELECT 'x'::text; RESET search_path; SHOW search_path",
  'SHOW server_version; SHOW server_encoding; SHOW client_encoding; SHOW standard_conforming_strings',
  'SHOW nosuchsetting',
  'BEGIN; SELECT 1; COMMIT',
  'BEGIN; SELECT 1/0; SELECT 1; ROLLBACK; SELECT 2',
  'BEGIN; SELECT 1; SELECT 1/0; COMMIT; SELECT 3',
  'BEGIN; SAVEPOINT a; SELECT 1/0; ROLLBACK TO a; SELECT 4; RELEASE a; COMMIT',
  'COMMIT',
  'ROLLBACK',
  'BEGIN; BEGIN; COMMIT',
  'SAVEPOINT outside',
  'BEGIN; RELEASE nothing; ROLLBACK',
  'START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY; SHOW transaction_isolation; SHOW transaction_read_only; COMMIT',
  'BEGIN; DECLARE c CURSOR FOR SELECT id FROM vehicles ORDER BY id; FETCH 3 FROM c; MOVE 2 IN c; FETCH NEXT FROM c; FETCH BACKWARD 1 FROM c; CLOSE c; COMMIT',
  'BEGIN; DECLARE c SCROLL CURSOR FOR SELECT 1; FETCH ALL c; FETCH ALL c; COMMIT; FETCH c',
  'CLOSE nothing',
  "BEGIN; SET LOCAL TIME ZONE 'UTC'; SELECT TIMESTAMPTZ '2026-01-01 00:00:00+00'; COMMIT",
  'COPY vehicles (id, plate) TO STDOUT',
  'COPY (SELECT id, full_name FROM customers ORDER BY id LIMIT 3) TO STDOUT WITH (FORMAT csv, HEADER)',
  "COPY (SELECT 1, NULL, E'a\\tb') TO STDOUT WITH (NULL 'nix', DELIMITER '|')",
  'COPY nope TO STDOUT',
  'EXPLAIN (COSTS OFF) SELECT * FROM customers WHERE id = 1',
  'EXPLAIN (COSTS OFF, FORMAT json) SELECT 1',
  'EXPLAIN (COSTS OFF) DELETE FROM customers WHERE id = 1',
  'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT 1',
  'UPDATE customers SET loyalty_points = loyalty_points WHERE id = 1',
  'UPDATE customers SET full_name = full_name WHERE id = 1 RETURNING id, full_name',
  'UPDATE customers SET loyalty_points = -1 WHERE id = 1',
  'UPDATE customers SET email = (SELECT email FROM customers WHERE id = 2) WHERE id = 1',
  'DELETE FROM customers WHERE id = -1',
  'DELETE FROM vehicles WHERE id = 1',
  "INSERT INTO vehicles (plate, model) VALUES ('XX', 'y')",
  "INSERT INTO reservations (customer_id, vehicle_id, starts_on, ends_on) VALUES (-1, 1, '2026-01-01', '2026-01-02')",
  "INSERT INTO vehicles (plate, model, daily_rate) VALUES ('not a plate!', 'y', 1)",
  "BEGIN; UPDATE customers SET full_name = 'temporary' WHERE id = 3; SELECT full_name FROM customers WHERE id = 3; ROLLBACK; SELECT full_name FROM customers WHERE id = 3",
  'MERGE INTO customers c USING (SELECT 4 AS id) s ON c.id = s.id WHEN MATCHED THEN UPDATE SET loyalty_points = c.loyalty_points',
  'SELECT id FROM customers WHERE id = 5 FOR UPDATE',
  '\\d customers',
  '\\d+ reservations',
  '\\d+ telemetry',
  '\\d active_reservations',
  '\\dt',
  '\\dv',
  '\\df',
  '\\dT+',
  '\\dn',
  '\\di',
  '\\sf write_audit_log',
  "\\set x 5\nSELECT :x, :'x'",
  'SELECT 1 AS a \\gset\n\\echo :a',
  'SELECT 1 \\g',
  'SELECT id, plate FROM vehicles ORDER BY id LIMIT 2 \\gx',
  'SELECT $1::int + $2::int \\bind 1 2 \\g',
  '\\pset null (null)\nSELECT NULL',
  '\\x\nSELECT 1 AS a, 2 AS b',
  'SELECT model, status, count(*) FROM reservations r JOIN vehicles v ON v.id = r.vehicle_id GROUP BY 1, 2 ORDER BY 1, 2 \\crosstabview',
  '\\errverbose',
  'SELECT 1/0;\n\\errverbose',
  '\\timing off\nSELECT 1',
  '\\encoding',
  '\\set FETCH_COUNT 2\nSELECT id FROM vehicles ORDER BY id LIMIT 5',
  '\\set ON_ERROR_ROLLBACK on\nBEGIN;\nSELECT 1/0;\nSELECT 2;\nCOMMIT;',
  '\\set AUTOCOMMIT off\nSELECT 1;\nROLLBACK;',
  "DO $$ BEGIN RAISE NOTICE 'x'; END $$ -- held, but not here",
].filter((script) => !script.startsWith('DO '));

describe.skipIf(!hasPsql).each(servers)('fidelity before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;

  beforeAll(async () => {
    site = await startSite(binaries);
    await site.serve();
    task = await site.openTask(WORK.replace('write: [', 'write: [public.payments, '));
  }, 60_000);
  afterAll(() => site?.remove());

  function run(url: string, file: string): Promise<string> {
    return new Promise((resolve) => {
      execFile(
        'psql',
        ['-X', '-a', '-f', file, url],
        { timeout: 30_000, maxBuffer: 64 * 1024 * 1024 },
        (_error, stdout, stderr) => resolve(`${stdout}\n${stderr}`),
      );
    });
  }

  it(`prints the same for ${SCRIPTS.length} scripts of psql`, async () => {
    const file = join(site.directory, 'script.sql');
    const different: string[] = [];
    for (const script of SCRIPTS) {
      writeFileSync(file, `${script}\n`);
      const [direct, governed] = [await run(site.databaseUrl, file), await run(task.postgres, file)];
      if (direct !== governed) different.push(`${script}\n--- directly\n${direct}\n--- governed\n${governed}`);
    }
    expect(different.join('\n======\n')).toBe('');
  }, 180_000);
});
