import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { query } from '../../src/engines/postgres/wire-messages.ts';
import { type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, newest } from '../fixtures/postgres.ts';
import { connectRaw, spoken } from '../fixtures/raw-client.ts';

describe.each(newest)('what a session holds beyond a statement, before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;

  beforeAll(async () => {
    site = await startSite(binaries);
    // A role is the ceiling, for channels as for tables.
    site.edit((config) =>
      config.replace(/( {4}read:\n)/, '$1      - pg_notify.*\n').replace(/( {4}write:\n)/, '$1      - pg_advisory.*\n'),
    );
    await site.serve();
    task = await site.openTask(WORK.replace('read: [public.*]', 'read: [public.*, pg_notify.jobs]'));
  }, 60_000);
  afterAll(() => site?.remove());

  async function withClient<Result>(use: (client: pg.Client) => Promise<Result>): Promise<Result> {
    const client = new pg.Client({ connectionString: task.postgres });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return await use(client);
    } finally {
      await client.end();
    }
  }
  const codeOf = (run: Promise<unknown>) =>
    run.then(
      () => 'it was not refused',
      (error: { code?: string }) => error.code,
    );

  it('advisory locks that the task names keep others out, until they are given back or the session ends', async () => {
    const migrates = await site.openTask(
      WORK.replace('write: [', 'write: [public.*, pg_advisory.42, pg_advisory.7_8, ').replace('10s', '1s'),
    );
    const connected = async (url = migrates.postgres) => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      return client;
    };
    const [one, two, truth] = [await connected(), await connected(), await connected(site.databaseUrl)];
    const held = async () =>
      (await truth.query("SELECT objid::int AS key FROM pg_locks WHERE locktype = 'advisory' AND granted ORDER BY 1"))
        .rows;
    try {
      expect((await one.query('SELECT pg_advisory_lock(42)')).rows).toEqual([{ pg_advisory_lock: '' }]);
      await one.query({ text: 'SELECT pg_catalog.pg_try_advisory_lock(7, 8) AS got', values: [] });
      expect(await held()).toEqual([{ key: 8 }, { key: 42 }]);
      expect((await two.query('SELECT pg_try_advisory_lock(42) AS got')).rows).toEqual([{ got: false }]);
      // It waits as long as any statement of the task may.
      expect(await codeOf(two.query('SELECT pg_advisory_lock(42)'))).toBe('CS005');
      // A migration under it: held, approved, and then the new table is reached with the lock still held.
      const make = 'CREATE TABLE migrations_made (name text)';
      expect(await codeOf(one.query(make))).toBe('CS001');
      const { rows } = await one.query("SELECT id FROM countersign.plans WHERE state = 'held'");
      await site.ask('plan', 'approve', rows[0].id, '--as', 'ada');
      await one.query(make);
      await one.query("INSERT INTO migrations_made VALUES ('first')");
      expect(await held()).toEqual([{ key: 8 }, { key: 42 }]);
      expect((await one.query('SELECT pg_advisory_unlock(42) AS back')).rows).toEqual([{ back: true }]);
      expect((await two.query('SELECT pg_try_advisory_lock(42) AS got')).rows).toEqual([{ got: true }]);
      await one.query('DISCARD ALL');
      expect(await held()).toEqual([{ key: 42 }]);
      await two.end();
      await expect.poll(held).toEqual([]);
      for (const sql of ['SELECT pg_advisory_lock(43)', 'SELECT pg_try_advisory_lock(7)'])
        expect(await codeOf(one.query(sql))).toBe('CS002');
    } finally {
      await Promise.all([one.end(), two.end(), truth.end()]);
    }
  });

  it('advisory locks are bounded in number', async () => {
    const many = await site.openTask(WORK.replace('write: [', 'write: [pg_advisory.*, '));
    const client = new pg.Client({ connectionString: many.postgres });
    await client.connect();
    for (let key = 0; key < 16; key++) await client.query(`SELECT pg_advisory_lock(${key})`);
    expect(await codeOf(client.query('SELECT pg_advisory_lock(16)'))).toBe('CS008');
    await client.query('SELECT pg_advisory_lock(3)');
    await client.query('SELECT pg_advisory_unlock_all()');
    await client.query('SELECT pg_advisory_lock(16)');
    await client.end();
  });

  it('cursors WITH HOLD outlive their transaction, wherever it ran', async () => {
    await withClient(async (client) => {
      await client.query('DECLARE a CURSOR WITH HOLD FOR SELECT id FROM customers ORDER BY id');
      expect((await client.query('FETCH 2 FROM a')).rows).toEqual([{ id: '1' }, { id: '2' }]);
      await client.query('BEGIN');
      await client.query('UPDATE customers SET loyalty_points = 3 WHERE id = 1');
      await client.query('DECLARE b SCROLL CURSOR WITH HOLD FOR SELECT loyalty_points FROM customers WHERE id = 1');
      expect((await client.query('FETCH 1 FROM a')).rows).toEqual([{ id: '3' }]);
      await client.query('COMMIT');
      expect((await client.query('FETCH ALL FROM b')).rows).toEqual([{ loyalty_points: 3 }]);
      expect((await client.query('FETCH ABSOLUTE 1 FROM b')).rows).toEqual([{ loyalty_points: 3 }]);
      await client.query('CLOSE b');
      expect(await codeOf(client.query('FETCH 1 FROM b'))).toBe('34000');
      await client.query('CLOSE ALL');
      expect(await codeOf(client.query('FETCH 1 FROM a'))).toBe('34000');
    });
  });

  it('cursors WITH HOLD are bounded in number, and governed like the query that they are for', async () => {
    await withClient(async (client) => {
      for (let n = 0; n < 16; n++) await client.query(`DECLARE c${n} CURSOR WITH HOLD FOR SELECT 1`);
      expect(await codeOf(client.query('DECLARE one_more CURSOR WITH HOLD FOR SELECT 1'))).toBe('CS008');
      await client.query('CLOSE c0');
      await client.query('DECLARE one_more CURSOR WITH HOLD FOR SELECT 1');
      const reads = 'DECLARE d CURSOR WITH HOLD FOR SELECT * FROM pg_authid';
      expect(await codeOf(client.query(reads))).not.toBe('it was not refused');
    });
  });

  it('LISTEN hears what the task declares, between answers', async () => {
    const raw = await connectRaw(task.postgres);
    raw.send(query('LISTEN jobs'));
    expect(spoken(await raw.until('Z'))).toBe('C Z');
    await asSuperuser(site.databaseUrl, "NOTIFY jobs, 'first'");
    const [told] = await raw.until('A');
    expect(told?.body.toString('utf8', 4)).toBe('jobs\0first\0');
    raw.send(query('SELECT pg_sleep(0.5)'));
    await sleep(100);
    await asSuperuser(site.databaseUrl, "NOTIFY jobs, 'second'");
    expect(spoken(await raw.until('Z'))).toMatch(/^T D C( A)? Z$/);
    raw.send(query('UNLISTEN jobs'));
    await raw.until('C');
    await raw.until('Z');
    await asSuperuser(site.databaseUrl, "NOTIFY jobs, 'third'");
    raw.send(query('SELECT 1'));
    expect(spoken(await raw.until('Z'))).toBe('T D C Z');
    await raw.close();
  });

  it('LISTEN hears on and cursors are kept when a plan of the session makes a table, which it reaches', async () => {
    await withClient(async (client) => {
      const heard: string[] = [];
      client.on('notification', ({ payload }) => heard.push(payload ?? ''));
      await client.query('LISTEN jobs');
      await client.query('DECLARE kept CURSOR WITH HOLD FOR SELECT generate_series(1, 3) AS n');
      expect((await client.query('FETCH kept')).rows).toEqual([{ n: 1 }]);
      expect(await codeOf(client.query('CREATE TABLE public.notes (id int)'))).toBe('CS001');
      const [plan] = (await client.query("SELECT id FROM countersign.plans WHERE state = 'held'")).rows;
      await site.ask('plan', 'approve', plan.id, '--as', 'ada');
      await client.query(`CALL countersign.apply('${plan.id}')`);
      await asSuperuser(site.databaseUrl, "NOTIFY jobs, 'still'");
      await client.query('SELECT 1');
      await expect.poll(() => heard).toEqual(['still']);
      await client.query('INSERT INTO notes VALUES (7)');
      expect((await client.query('SELECT id FROM notes')).rows).toEqual([{ id: 7 }]);
      expect((await client.query('FETCH kept')).rows).toEqual([{ n: 2 }]);
      // What was held is let go, and the connection that stayed for it with it.
      await client.query('CLOSE kept');
      await client.query('UNLISTEN jobs');
      const open = "SELECT DISTINCT usename FROM pg_stat_activity WHERE usename ~ '^cs_.*_r$'";
      await expect.poll(async () => (await asSuperuser(site.databaseUrl, open)).length).toBe(1);
      expect((await client.query('SELECT id FROM notes')).rows).toEqual([{ id: 7 }]);
    });
  });

  it('LISTEN and NOTIFY are refused beyond that, and hear nothing while halted', async () => {
    await withClient(async (client) => {
      expect(await codeOf(client.query('LISTEN secrets'))).toBe('CS002');
      expect(await codeOf(client.query("NOTIFY jobs, 'x'"))).toBe('CS001');
      expect(await codeOf(client.query("SELECT pg_notify('jobs', 'x')"))).toMatch(/^CS/);
      const heard: string[] = [];
      client.on('notification', ({ payload }) => heard.push(payload ?? ''));
      await client.query('BEGIN');
      await client.query('LISTEN jobs');
      await client.query('COMMIT');
      await client.query('LISTEN jobs');
      await asSuperuser(site.databaseUrl, "NOTIFY jobs, 'once'");
      await sleep(100);
      await site.ask('halt', '--task', task.task, '--reason', 'test');
      await asSuperuser(site.databaseUrl, "NOTIFY jobs, 'halted'");
      await sleep(200);
      await site.ask('resume', '--task', task.task, '--reason', 'test');
      await sleep(300);
      await client.query('UNLISTEN *');
      await asSuperuser(site.databaseUrl, "NOTIFY jobs, 'after'");
      await client.query('SELECT 1');
      await sleep(100);
      expect(heard).toEqual(['once']);
    });
  });
});
