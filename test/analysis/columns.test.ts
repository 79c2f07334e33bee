import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { analyse } from '../../src/analysis/analyse.ts';
import { initAnalyser } from '../../src/analysis/parse.ts';
import type { Effect } from '../../src/domain/effect.ts';
import { objectName } from '../../src/domain/object.ts';
import type { Catalogue } from '../../src/engines/catalogue.ts';
import { loadCatalogue } from '../../src/engines/postgres/catalogue.ts';
import { rentalDatabase, servers, startTestServer, type TestServer } from '../fixtures/postgres.ts';

let server: TestServer;
let client: pg.Client;
let catalogue: Catalogue;

beforeAll(async () => {
  const [first] = servers;
  if (first === undefined) throw new Error('there is no PostgreSQL server on this machine');
  await initAnalyser();
  server = await startTestServer(first.binaries);
  client = new pg.Client({ connectionString: await rentalDatabase(server, 'rental', 0.01) });
  await client.connect();
  await client.query(
    'CREATE ROLE probe; GRANT USAGE ON SCHEMA public TO probe; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO probe',
  );
  catalogue = await loadCatalogue(async (sql) => (await client.query(sql)).rows);
}, 60_000);

afterAll(async () => {
  await client.end();
  await server.remove();
});

function effectsOf(sql: string): readonly Effect[] {
  const analysis = analyse(sql, catalogue, ['public']);
  if ('sqlstate' in analysis) throw new Error(`${sql}: ${analysis.message}`);
  return analysis.effects.filter(({ via }) => via === 'direct');
}

/** `read customers(id email)` */
function told(sql: string): string {
  return effectsOf(sql)
    .map(({ verb, object, columns }) => `${verb} ${object.name}(${columns?.join(' ') ?? '…'})`)
    .sort()
    .join(' ');
}

/** Whether the server lets a role run it that holds these rights and no other. */
async function runs(sql: string, effects: readonly Effect[]): Promise<string> {
  await client.query('BEGIN');
  try {
    for (const { verb, object, columns } of effects) {
      if (object.schema !== 'public') continue;
      const right = verb === 'read' ? 'SELECT' : verb === 'lock' ? 'UPDATE' : verb.toUpperCase();
      const name = `public.${pg.escapeIdentifier(object.name)}`;
      if (columns?.length === 0 && verb === 'read') {
        // Any column will do, as for count(*): the database's rule, and the task's.
        const [column] = catalogue.relations.get(objectName(object))?.columns ?? [];
        await client.query(`GRANT SELECT (${column?.name}) ON ${name} TO probe`);
      } else if (columns?.length !== 0) {
        const listed = columns === undefined ? '' : ` (${columns.map(pg.escapeIdentifier).join(', ')})`;
        await client.query(`GRANT ${right}${listed} ON ${name} TO probe`);
      } else {
        await client.query(`GRANT ${right} ON ${name} TO probe`);
      }
    }
    await client.query('SET LOCAL ROLE probe');
    await client.query(/^COPY/.test(sql) ? sql : `EXPLAIN ${sql}`);
    return 'runs';
  } catch (error) {
    return error instanceof pg.DatabaseError ? `${error.code} ${error.message}` : String(error);
  } finally {
    await client.query('ROLLBACK');
  }
}

const STATEMENTS: readonly (readonly [sql: string, columns: string])[] = [
  ['SELECT id FROM customers', 'read customers(id)'],
  ['SELECT count(*) FROM customers', 'read customers()'],
  ['SELECT 1 FROM customers WHERE email = $1::text ORDER BY full_name', 'read customers(email full_name)'],
  ['SELECT id AS email FROM customers ORDER BY email', 'read customers(id)'],
  ['SELECT id AS email FROM customers GROUP BY id, email', 'read customers(email id)'],
  [
    'SELECT loyalty_points, count(*) FROM customers GROUP BY 1 HAVING max(email) > $1',
    'read customers(email loyalty_points)',
  ],
  ['SELECT * FROM customers', 'read customers(created_at email full_name id loyalty_points phones preferences)'],
  ['SELECT c FROM customers c', 'read customers(created_at email full_name id loyalty_points phones preferences)'],
  [
    'SELECT row_to_json(customers) FROM public.customers',
    'read customers(created_at email full_name id loyalty_points phones preferences)',
  ],
  ['SELECT (c).id FROM customers c', 'read customers(created_at email full_name id loyalty_points phones preferences)'],
  ['SELECT x FROM customers AS c (id, x)', 'read customers(email)'],
  ['SELECT public.customers.id FROM public.customers', 'read customers(id)'],
  ['SELECT ctid FROM customers', 'read customers(ctid)'],
  [
    'SELECT r.id FROM reservations r JOIN customers c ON c.id = r.customer_id',
    'read customers(id) read reservations(customer_id id)',
  ],
  ['SELECT model FROM vehicles JOIN damage_reports USING (id)', 'read damage_reports(id) read vehicles(id model)'],
  ['SELECT model FROM vehicles NATURAL JOIN payments', 'read payments(id) read vehicles(id model)'],
  ['SELECT j.email FROM (customers c JOIN reservations r ON true) AS j', 'read customers(email) read reservations()'],
  [
    'SELECT full_name FROM customers, reservations WHERE customer_id = customers.id',
    'read customers(full_name id) read reservations(customer_id)',
  ],
  ['SELECT s.e FROM (SELECT email AS e FROM customers) s', 'read customers(email)'],
  ['SELECT email FROM (SELECT id AS email FROM customers) s', 'read customers(id)'],
  ['SELECT * FROM (SELECT id FROM customers) s', 'read customers(id)'],
  ['WITH s AS (SELECT email, id FROM customers) SELECT id FROM s', 'read customers(email id)'],
  ['WITH customers AS (SELECT 1 AS email) SELECT email FROM customers', ''],
  [
    'WITH RECURSIVE n(x) AS (SELECT id FROM vehicles UNION ALL SELECT x + 1 FROM n WHERE x < 3) SELECT x FROM n',
    'read vehicles(id)',
  ],
  [
    'SELECT id FROM customers c WHERE EXISTS (SELECT FROM reservations WHERE customer_id = c.id)',
    'read customers(id) read reservations(customer_id)',
  ],
  [
    'SELECT id FROM vehicles WHERE EXISTS (SELECT FROM payments WHERE model = plate::text)',
    'read payments() read vehicles(id model plate)',
  ],
  [
    'SELECT l.amount FROM reservations r, LATERAL (SELECT amount FROM payments WHERE reservation_id = r.id LIMIT 1) l',
    'read payments(amount reservation_id) read reservations(id)',
  ],
  ['SELECT k FROM customers, jsonb_object_keys(preferences) AS k', 'read customers(preferences)'],
  [
    'SELECT id FROM customers UNION SELECT vehicle_id FROM reservations ORDER BY 1',
    'read customers(id) read reservations(vehicle_id)',
  ],
  [
    'SELECT sum(amount) OVER (PARTITION BY settled ORDER BY paid_at) FROM payments',
    'read payments(amount paid_at settled)',
  ],
  ['SELECT DISTINCT ON (model) id FROM vehicles ORDER BY model, daily_rate', 'read vehicles(daily_rate id model)'],
  ['SELECT id FROM customers WHERE id = 1 FOR UPDATE', 'lock customers(…) read customers(id)'],
  ['SELECT id, full_name FROM active_reservations', 'read active_reservations(full_name id)'],
  ['SELECT vehicle_id FROM telemetry', 'read telemetry(vehicle_id)'],
  ['VALUES (1), ((SELECT max(id) FROM customers))', 'read customers(id)'],
  ['COPY customers (id, email) TO STDOUT', 'read customers(email id)'],
  ['UPDATE customers SET full_name = $1 WHERE id = $2', 'read customers(id) update customers(full_name)'],
  [
    'UPDATE customers SET loyalty_points = loyalty_points + 1',
    'read customers(loyalty_points) update customers(loyalty_points)',
  ],
  [
    'UPDATE customers c SET (full_name, email) = (SELECT model, plate::text FROM vehicles v WHERE v.id = c.id)',
    'read customers(id) read vehicles(id model plate) update customers(email full_name)',
  ],
  [
    'UPDATE vehicles SET retired = true FROM reservations r WHERE r.vehicle_id = vehicles.id RETURNING model',
    'read reservations(vehicle_id) read vehicles(id model) update vehicles(retired)',
  ],
  ['DELETE FROM payments WHERE settled', 'delete payments(…) read payments(settled)'],
  [
    'DELETE FROM payments USING reservations r WHERE r.id = reservation_id RETURNING payments.*',
    'delete payments(…) read payments(amount id paid_at reservation_id settled) read reservations(id)',
  ],
  [
    'INSERT INTO vehicles (plate, model, daily_rate) VALUES ($1, $2, 3)',
    'insert vehicles(daily_rate model plate) read vehicles()',
  ],
  ['INSERT INTO schema_migrations VALUES ($1)', 'insert schema_migrations(version) read schema_migrations()'],
  [
    'INSERT INTO schema_migrations SELECT email, created_at FROM customers',
    'insert schema_migrations(applied_at version) read customers(created_at email) read schema_migrations()',
  ],
  [
    'INSERT INTO audit_log (relation, action) VALUES ($1, $2) RETURNING id',
    'insert audit_log(action relation) read audit_log(id)',
  ],
  [
    'INSERT INTO schema_migrations (version) VALUES ($1) ON CONFLICT (version) DO NOTHING',
    'insert schema_migrations(version) read schema_migrations(version)',
  ],
  [
    'INSERT INTO schema_migrations AS m (version) VALUES ($1) ON CONFLICT (version) DO UPDATE SET applied_at = now() WHERE m.applied_at < excluded.applied_at',
    'insert schema_migrations(version) read schema_migrations(applied_at version) update schema_migrations(applied_at)',
  ],
  [
    'INSERT INTO schema_migrations (version) VALUES ($1) ON CONFLICT ON CONSTRAINT schema_migrations_pkey DO NOTHING',
    'insert schema_migrations(version) read schema_migrations(applied_at version)',
  ],
  [
    'WITH gone AS (DELETE FROM payments WHERE id = $1 RETURNING amount) SELECT amount FROM gone',
    'delete payments(…) read payments(amount id)',
  ],
  [
    'MERGE INTO customers c USING reservations r ON c.id = r.customer_id WHEN MATCHED THEN UPDATE SET full_name = r.status::text',
    'read customers(id) read reservations(customer_id status) update customers(full_name)',
  ],
];

describe('columns', () => {
  it.each(STATEMENTS)('of %s', (sql, columns) => {
    expect(told(sql)).toBe(columns);
  });

  it('G1 are all that the server asks rights for', async () => {
    const asked: Record<string, string> = {};
    for (const [sql] of STATEMENTS) {
      const typed = sql.replaceAll(/\$\d(::\w+)?/g, 'NULL');
      const outcome = await runs(typed, effectsOf(sql));
      if (outcome !== 'runs') asked[sql] = outcome;
    }
    expect(asked).toEqual({});
  });

  it('are no more than the server asks rights for, where it is plain', async () => {
    const spare: string[] = [];
    for (const [sql] of STATEMENTS) {
      if (/AS c \(id, x\)|ON CONSTRAINT|GROUP BY id, email/.test(sql)) continue;
      const effects = effectsOf(sql);
      for (const [index, effect] of effects.entries()) {
        for (const column of (effect.columns?.length ?? 0) > 1 ? (effect.columns ?? []) : []) {
          const without = effects.with(index, {
            ...effect,
            columns: effect.columns?.filter((name) => name !== column) ?? [],
          });
          const outcome = await runs(sql.replaceAll(/\$\d(::\w+)?/g, 'NULL'), without);
          if (!outcome.startsWith('42501')) spare.push(`${effect.verb} ${column}: ${sql}`);
        }
      }
    }
    expect(spare).toEqual([]);
  });
});
