import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OpenedTask, Site } from '../fixtures/gateway.ts';
import { type GovernedTask, startGovernedTask } from '../fixtures/governed-task.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

const IN_PART = `
purpose: move bookings along
agent: migrator
targets:
  rental-production:
    read: ["public.customers(id, full_name)", "public.reservations(id, customer_id)", public.vehicles]
    write: ["public.reservations(status)", "public.schema_migrations(version)"]
expires: 2h
`;

const [newest] = servers;
describe.skipIf(newest === undefined)('columns that a task declares', () => {
  let governed: GovernedTask;
  let site: Site;
  let task: OpenedTask;
  let client: pg.Client;
  let mcp: GovernedTask['mcp'];

  beforeAll(async () => {
    if (newest === undefined) return;
    governed = await startGovernedTask(newest.binaries, IN_PART);
    ({ site, task, client, mcp } = governed);
  }, 60_000);
  afterAll(() => governed?.remove());

  it('are read, counted, joined and changed', async () => {
    expect((await client.query('SELECT id, full_name FROM customers ORDER BY id LIMIT 1')).rows).toHaveLength(1);
    expect((await client.query('SELECT count(*) FROM customers')).rowCount).toBe(1);
    const joined = 'SELECT c.full_name FROM reservations r JOIN customers c ON c.id = r.customer_id LIMIT 1';
    expect((await client.query(joined)).rowCount).toBe(1);
    expect((await client.query("UPDATE reservations SET status = 'returned' WHERE id = $1", [1])).rowCount).toBe(1);
    expect((await client.query("INSERT INTO schema_migrations (version) VALUES ('columns')")).rowCount).toBe(1);
  });

  it.each([
    ['SELECT email FROM customers', 'Of public.customers the task may read full_name, id, not email.'],
    ['SELECT * FROM customers', 'not created_at, email, loyalty_points, phones, preferences'],
    ['SELECT id FROM customers WHERE email LIKE $$a%$$', 'not email'],
    ['SELECT row_to_json(c) FROM customers c', 'not created_at, email'],
    ['UPDATE reservations SET status = status RETURNING starts_on', 'not starts_on'],
    ['UPDATE reservations SET vehicle_id = 1 WHERE id = 1', 'may update status, not vehicle_id'],
    ["INSERT INTO schema_migrations VALUES ('a', now())", 'may insert version, not applied_at'],
    ['DELETE FROM reservations WHERE id = 1', 'only status: what concerns whole rows needs the whole table'],
    ['TRUNCATE schema_migrations', 'needs the whole table'],
    ['ALTER TABLE schema_migrations ADD COLUMN x int', 'needs the whole table'],
  ])('refuses %s, and says what would be allowed', async (sql, said) => {
    const answer = await governed.refusal(sql);
    expect(answer).toMatch(/^CS002 /);
    expect(answer).toContain(said);
  });

  it('aren’t told by the error of a trial, which is made under the tables’ owner', async () => {
    const failed = await client.query('UPDATE reservations SET status = NULL').catch((error) => error);
    expect(failed).toMatchObject({ code: '23502', detail: expect.stringMatching(/is not shown/) });
  });

  it('G1 are held by the database as well', async () => {
    const [names] = await asSuperuser<{ r: string; w: string }>(
      site.databaseUrl,
      "SELECT max(rolname) FILTER (WHERE rolname ~ '_r$') AS r, max(rolname) FILTER (WHERE rolname ~ '_w$') AS w FROM pg_roles WHERE rolname ~ '^cs_'",
    );
    const as = (role: string | undefined, sql: string) =>
      asSuperuser(
        site.databaseUrl,
        `SET SESSION AUTHORIZATION ${role}; SET default_transaction_read_only = off; ${sql}`,
      ).then(
        () => 'ran',
        (error: pg.DatabaseError) => error.code,
      );
    expect(await as(names?.r, 'SELECT id, full_name FROM customers LIMIT 1')).toBe('ran');
    expect(await as(names?.r, 'SELECT email FROM customers LIMIT 1')).toBe('42501');
    expect(await as(names?.r, 'SELECT customers FROM customers LIMIT 1')).toBe('42501');
    expect(await as(names?.r, "UPDATE reservations SET status = 'booked'")).toBe('42501');
    expect(await as(names?.w, "UPDATE reservations SET status = 'booked' WHERE id = 1")).toBe('ran');
    expect(await as(names?.w, 'UPDATE reservations SET vehicle_id = 1 WHERE id = 1')).toBe('42501');
    expect(await as(names?.w, 'DELETE FROM reservations WHERE id = 1')).toBe('42501');
    expect(await as(names?.w, 'SELECT starts_on FROM reservations')).toBe('42501');
  });

  it('are all that a description shows', async () => {
    const described = await mcp.call('describe_object', { target: 'rental-production', name: 'customers' });
    expect(JSON.stringify(described)).toContain('full_name');
    expect(JSON.stringify(described)).not.toContain('email');
    const found = await mcp.call('search_objects', {
      target: 'rental-production',
      kind: 'column',
      pattern: '*customers*',
    });
    expect(JSON.stringify(found)).not.toContain('email');
    const denied = await mcp.call('execute_sql', { target: 'rental-production', sql: 'SELECT email FROM customers' });
    expect(denied).toMatchObject({ outcome: 'denied' });
    expect(JSON.stringify(denied)).toContain('may read full_name, id');
  });

  it('G1 are refused where the database gives the others to everybody', async () => {
    await asSuperuser(site.databaseUrl, 'GRANT SELECT ON customers TO PUBLIC');
    const other = new pg.Client({ connectionString: task.postgres });
    await expect(other.connect()).rejects.toThrow(/everybody may read public.customers.created_at.*REVOKE SELECT/);
    await asSuperuser(site.databaseUrl, 'REVOKE SELECT ON customers FROM PUBLIC');
    const again = new pg.Client({ connectionString: task.postgres });
    await again.connect();
    await again.end();
  });

  it('are written so that they can be understood', async () => {
    const other = IN_PART.replace('"public.customers(id, full_name)"', '"public.customers(id"');
    await expect(site.openTask(other)).rejects.toThrow(/schema\.table\(column, column\)/);
  });
});
