import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expireUndo } from '../../src/pipeline/expire-undo.ts';
import type { ChangeView } from '../../src/pipeline/gateway.ts';
import { openIntents } from '../../src/store/intents.ts';
import { type Countersigner, openCountersigner } from '../fixtures/countersigner.ts';
import { type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

const SCHEMA = `
  CREATE TABLE odd (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, js json, tags text[], at timestamptz DEFAULT now(), twice int GENERATED ALWAYS AS (1) STORED);
  INSERT INTO odd (js, tags) SELECT '{"a" :  1}', ARRAY['x', NULL] FROM generate_series(1, 5);`;
const CONTENT = ['customers', 'reservations', 'payments', 'odd']
  .map((table) => `SELECT '${table}' AS t, count(*), md5(string_agg(x::text, '' ORDER BY x::text)) FROM ${table} AS x`)
  .join(' UNION ALL ');
/** Of the newest change alone. */
const BYTES = `
  SELECT sum(coalesce(pg_column_size(before), 0) + coalesce(pg_column_size(after), 0))::int AS bytes FROM countersign.captured_rows
  WHERE change = (SELECT change FROM countersign.captured_rows ORDER BY seq DESC LIMIT 1)`;
const TASK = WORK.replace(/write: \[.*\]/, 'write: [public.*]');

describe.each(servers.slice(0, 1))('G8 the way back of a write within limits, before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;
  let client: pg.Client;
  let ada: Countersigner;
  beforeAll(async () => {
    site = await startSite(binaries, { schema: SCHEMA });
    await site.serve();
    task = await site.openTask(TASK);
    client = new pg.Client({ connectionString: task.postgres });
    await client.connect();
    ada = await openCountersigner(site);
  }, 90_000);
  afterAll(async () => {
    await ada?.close();
    await client?.end();
    await site?.remove();
  });

  const content = () => asSuperuser(site.databaseUrl, CONTENT);
  async function newest(): Promise<ChangeView> {
    const [change] = await ada.countersign.changes.list({ limit: 1 });
    if (change === undefined) throw new Error('nothing has changed');
    return change;
  }

  it('is kept by the database in the same transaction, whatever the session says, and taken back by a plan', async () => {
    const before = await content();
    await client.query("SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'; SET bytea_output = 'escape'");
    await client.query('BEGIN');
    await client.query(`UPDATE odd SET js = '{"a":1}', at = '2026-03-29 01:30+01' WHERE id < 4`);
    await client.query('SAVEPOINT s');
    await client.query('DELETE FROM odd WHERE id = 5');
    await client.query('ROLLBACK TO SAVEPOINT s');
    await client.query("INSERT INTO odd (js) VALUES ('null')");
    await client.query('DELETE FROM customers WHERE id = 1');
    await client.query('COMMIT');
    const after = await content();
    expect(after).not.toEqual(before);
    const change = await newest();
    expect(change).toMatchObject({ plan: null, undo: { undo: 'row images' }, undoneBy: null });
    const made = await site.ask<{ plan: string }>('change', 'undo', change.id, '--as', 'ada');
    await ada.approve(made.plan);
    expect(await ada.apply(made.plan)).toMatchObject({ reply: 'applied' });
    expect(await content()).toEqual(before);
    expect(await ada.countersign.changes.of(change.id)).toMatchObject({ undoneBy: made.plan });
  });

  it('is kept in a table that was made past Countersign, and held where nothing can keep it', async () => {
    const [owner] = await asSuperuser(
      site.databaseUrl,
      "SELECT relowner::regrole::text AS name FROM pg_class WHERE oid = 'public.customers'::regclass",
    );
    await asSuperuser(
      site.databaseUrl,
      `CREATE TABLE public.beside (id int PRIMARY KEY); GRANT ALL ON public.beside TO countersign_session WITH GRANT OPTION;
       SET ROLE ${String(owner?.['name'])}; CREATE TABLE public.migrated (id int PRIMARY KEY)`,
    );
    const laid = () =>
      asSuperuser(
        site.databaseUrl,
        "SELECT tgrelid::regclass::text AS t FROM pg_trigger WHERE tgrelid::regclass::text ~ '^(beside|migrated)$'",
      );
    await expect.poll(laid, { timeout: 10_000 }).toEqual([{ t: 'migrated' }]);
    const later = new pg.Client({ connectionString: task.postgres });
    await later.connect();
    expect((await later.query('INSERT INTO migrated VALUES (1) RETURNING id')).rows).toEqual([{ id: 1 }]);
    expect(await newest()).toMatchObject({ plan: null, undo: { undo: 'row images', rows: 1 } });
    // What can’t be measured by the apply login either.
    await expect(later.query('INSERT INTO beside VALUES (1)')).rejects.toMatchObject({ code: '42501' });
    await later.end();
    expect(await asSuperuser(site.databaseUrl, 'SELECT id FROM beside')).toEqual([]);
  });

  it('is kept of tables too that a plan has made', async () => {
    const create = client.query('CREATE TABLE public.later (id int PRIMARY KEY, said text)');
    const held: { detail?: string } = await create.then(
      () => ({}),
      (error: { detail?: string }) => error,
    );
    const plan = /Plan (sha256:\w+)/.exec(held.detail ?? '')?.[1] ?? '';
    await ada.approve(plan);
    expect(await ada.apply(plan)).toMatchObject({ reply: 'applied' });
    const later = new pg.Client({ connectionString: task.postgres });
    await later.connect();
    const { rows } = await later.query("INSERT INTO later VALUES (1, 'kept') RETURNING said");
    await later.end();
    expect(rows).toEqual([{ said: 'kept' }]);
    expect(await newest()).toMatchObject({ plan: null, undo: { undo: 'row images', rows: 1 } });
  });

  it('is its own where the database was restored into a cluster whose transactions have the same numbers', async () => {
    const points = () =>
      asSuperuser<{ n: number }>(
        site.databaseUrl,
        'SELECT loyalty_points AS n FROM customers WHERE id IN (7, 8) ORDER BY id',
      );
    const before = await points();
    await client.query('UPDATE customers SET loyalty_points = loyalty_points + 1 WHERE id = 7');
    const elsewhere = await newest();
    await client.query('UPDATE customers SET loyalty_points = loyalty_points + 1 WHERE id = 8');
    const here = await newest();
    await asSuperuser(
      site.databaseUrl,
      `WITH number AS (SELECT xid FROM countersign.written WHERE intent = '${here.id}'),
            moved AS (UPDATE countersign.written AS w SET xid = number.xid FROM number, countersign.written AS old
                      WHERE w.intent = '${elsewhere.id}' AND old.intent = w.intent RETURNING old.xid AS was, w.xid AS now)
       UPDATE countersign.captured_rows SET change = replace(change, 'xid:' || was::text, 'xid:' || now::text) FROM moved
       WHERE change LIKE 'xid:' || was::text || '%'`,
    );
    const made = await site.ask<{ plan: string }>('change', 'undo', here.id, '--as', 'ada');
    await ada.approve(made.plan);
    expect(await ada.apply(made.plan)).toMatchObject({ reply: 'applied' });
    expect(await points()).toEqual([{ n: (before[0]?.n ?? 0) + 1 }, before[1]]);
    expect(await ada.countersign.changes.of(elsewhere.id)).toMatchObject({ undo: { undo: 'row images', rows: 1 } });
  });

  it('expires by time, which the ledger says and whoever asks is told', async () => {
    await client.query('UPDATE vehicles SET retired = NOT retired WHERE id = 3');
    const change = await newest();
    const targets = (keepMs: number, maxBytes: number) => async () =>
      (await ada.countersign.keepingTargets()).map(({ target }) => ({ target, bounds: { keepMs, maxBytes } }));
    const { proof, store } = ada.countersign;
    const deps = { proof, openIntents: () => openIntents(store) };
    const marked = () => asSuperuser(site.databaseUrl, 'SELECT intent FROM countersign.written');
    await expireUndo({ ...deps, targets: targets(3_600_000, 1_000_000_000) });
    expect(await marked()).toContainEqual({ intent: change.id });
    expect(await ada.countersign.changes.of(change.id)).toMatchObject({ undo: { undo: 'row images' } });
    // The oldest go first where there is too much of it.
    const [kept] = await asSuperuser<{ bytes: number }>(site.databaseUrl, BYTES);
    await expireUndo({ ...deps, targets: targets(3_600_000, kept?.bytes ?? 0) });
    expect(await ada.countersign.changes.of(change.id)).toMatchObject({ undo: { undo: 'row images' } });
    expect(
      await asSuperuser(site.databaseUrl, 'SELECT count(DISTINCT change)::int AS n FROM countersign.captured_rows'),
    ).toEqual([{ n: 1 }]);
    // What nobody knows the end of keeps its mark; so does nothing else.
    await asSuperuser(
      site.databaseUrl,
      `INSERT INTO countersign.written VALUES ('void', '3', '-infinity'), ('open', '3', '2020-01-01')`,
    );
    const unknown = async () => [{ id: 'open' }];
    await expireUndo({ ...deps, openIntents: unknown, targets: targets(0, 1_000_000_000) });
    expect(await marked()).toEqual([{ intent: 'open' }]);
    expect((await site.run('change', 'show', change.id)).stdout).toContain('NONE: undo expired');
    expect((await site.run('change', 'undo', change.id, '--as', 'ada')).stderr).toContain('has expired');
    const { entries } = await site.ask<{ entries: { body: { undo: { change: string }[] } }[] }>(
      'ledger',
      'show',
      '--kind',
      'expired',
    );
    expect(JSON.stringify(entries)).toContain(change.id);
  });

  it('leaves what others write alone, and lets no session see or change what is kept', async () => {
    const kept = 'SELECT count(*)::int AS n FROM countersign.captured_rows';
    const [before] = await asSuperuser(site.databaseUrl, kept);
    await asSuperuser(site.databaseUrl, "UPDATE odd SET tags = '{}' WHERE id = 2");
    expect(await asSuperuser(site.databaseUrl, kept)).toEqual([before]);
    const [login] = await asSuperuser<{ rolname: string }>(
      site.databaseUrl,
      "SELECT rolname FROM pg_roles WHERE rolname ~ '^cs_.*_w$' LIMIT 1",
    );
    const asLogin = (sql: string) =>
      asSuperuser(site.databaseUrl, `SET SESSION AUTHORIZATION ${login?.rolname}; ${sql}`);
    await expect(asLogin('SELECT 1 FROM countersign.captured_rows')).rejects.toMatchObject({ code: '42501' });
    await expect(asLogin("INSERT INTO countersign.captured_rows (change) VALUES ('x')")).rejects.toMatchObject({
      code: '42501',
    });
    await expect(asLogin('ALTER TABLE odd DISABLE TRIGGER USER')).rejects.toMatchObject({ code: '42501' });
    await expect(asLogin('SET session_replication_role = replica')).rejects.toMatchObject({ code: '42501' });
    await expect(asLogin('SELECT countersign.keep_row()')).rejects.toMatchObject({ code: '0A000' });
  });
});
