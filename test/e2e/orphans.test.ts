import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

const [newest] = servers;
describe.skipIf(newest === undefined)('G12 a gateway that is killed under load', () => {
  let site: Site;
  let served: Served;
  let task: OpenedTask;

  beforeAll(async () => {
    if (newest === undefined) return;
    site = await startSite(newest.binaries);
    served = await site.serve();
    task = await site.openTask(WORK.replace('statementTimeout: 10s', 'statementTimeout: 10m'));
  }, 60_000);
  afterAll(() => site?.remove());

  const sessions = async () =>
    (
      await asSuperuser<{ pid: number }>(
        site.databaseUrl,
        "SELECT pid FROM pg_stat_activity WHERE usename ~ '^(cs_|countersign_)' AND pid <> pg_backend_pid()",
      )
    ).length;

  async function client(): Promise<pg.Client> {
    const url = new URL(task.postgres);
    url.host = served.pg;
    const connected = new pg.Client({ connectionString: url.href });
    connected.on('error', () => undefined);
    await connected.connect();
    return connected;
  }

  it('leaves no session, no lock, no prepared transaction and no half-made login', async () => {
    for (const moment of [0, 30, 120]) {
      const busy = await client();
      await busy.query('SET statement_timeout = 0');
      const endless = busy.query('SELECT count(*) FROM telemetry a, telemetry b, telemetry c').catch(() => undefined);
      const locking = await client();
      await locking.query('SET idle_in_transaction_session_timeout = 0');
      await locking.query('BEGIN; UPDATE customers SET loyalty_points = 3 WHERE id = 1');
      // Sessions that are just being opened, and logins that are just being made.
      const coming = Array.from({ length: 8 }, () => client().catch(() => undefined));
      await new Promise((resolve) => setTimeout(resolve, moment));
      await served.kill();
      await Promise.all([endless, ...coming]);
      await expect.poll(sessions, { timeout: 8000, interval: 100 }).toBe(0);
      const [left] = await asSuperuser(
        site.databaseUrl,
        `SELECT (SELECT count(*)::int FROM pg_prepared_xacts) AS prepared,
                (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory') AS advisory,
                (SELECT count(*)::int FROM pg_roles WHERE rolname ~ '^cs_' AND shobj_description(oid, 'pg_authid') IS NULL) AS half_made`,
      );
      expect(left).toEqual({ prepared: 0, advisory: 0, half_made: 0 });
      served = await site.serve();
      const after = await client();
      const [row] = (await after.query('SELECT loyalty_points FROM customers WHERE id = 1 FOR UPDATE NOWAIT')).rows;
      expect(row.loyalty_points).not.toBe(3);
      await after.end();
    }
    await served.stop();
    await expect.poll(sessions, { timeout: 3000 }).toBe(0);
  }, 60_000);
});
