import { readFileSync } from 'node:fs';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlanId } from '../../../src/domain/ids.ts';
import { readContent } from '../../../src/engines/postgres/content.ts';
import { newest } from '../../fixtures/postgres.ts';
import { openRentalTarget, planId, type RentalTarget } from './rental-target.ts';

const SCHEMA = readFileSync(new URL('./undo/drops-schema.sql', import.meta.url), 'utf8');
/** The gateway's own look at the catalogue waits for a drop that is tried: a busy machine must not end it for that. */
const PATIENT = {
  repeatable: true,
  bounds: { statementTimeoutMs: 10_000, lockTimeoutMs: 300, blockingToleranceMs: 5000, maxRows: 100_000 },
} as const;
const KEEP = { ...PATIENT, quarantine: { keepMs: 86_400_000 } };

describe.each(newest)('G8 what is dropped goes into quarantine, on $name', ({ binaries }) => {
  let rental: RentalTarget;
  let admin: pg.Client;
  let plans = 7000;
  beforeAll(async () => {
    rental = await openRentalTarget(binaries, { settings: { autovacuum: 'off' } });
    await rental.sql(
      `CREATE ROLE seller; GRANT seller TO countersign_apply; GRANT CREATE ON DATABASE rental TO seller; GRANT CREATE ON SCHEMA public TO seller;
       ALTER DEFAULT PRIVILEGES FOR ROLE seller GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO countersign_session WITH GRANT OPTION;
       SET ROLE seller; ${SCHEMA} RESET ROLE; GRANT USAGE, CREATE ON SCHEMA shop TO countersign_apply`,
    );
    admin = new pg.Client({ connectionString: rental.url });
    await admin.connect();
  }, 60_000);
  afterAll(async () => {
    await admin?.end();
    await rental?.remove();
  });

  async function content() {
    await admin.query('BEGIN');
    const read = await readContent(admin);
    await admin.query('ROLLBACK');
    return {
      ...read,
      tables: read.tables.filter(({ table }) => !table.startsWith('countersign')),
      sequences: read.sequences.filter(({ sequence }) => !sequence.startsWith('countersign')),
    };
  }
  const tried = (sql: string) => rental.measure([sql], [], KEEP);
  async function measured(sql: string) {
    const found = await tried(sql);
    if (!found.measurement.measured) throw new Error(found.failure?.message ?? found.measurement.why);
    return { ...found, effect: found.measurement.effect };
  }
  async function dropped(sql: string): Promise<PlanId> {
    const plan = planId(++plans);
    expect(await rental.apply([sql], [], await measured(sql), { plan })).toMatchObject({ outcome: 'applied' });
    return plan;
  }
  const undo = (change: PlanId) => ({ ...PATIENT, undo: { change, keepNewer: false } });
  async function undone(change: PlanId): Promise<void> {
    const found = await rental.measure([], [], undo(change));
    expect(await rental.apply([], [], found, { ...undo(change), plan: planId(++plans) })).toMatchObject({
      outcome: 'applied',
    });
  }
  const places = async () =>
    (
      await rental.sql<{ name: string }>("SELECT nspname AS name FROM pg_namespace WHERE nspname ~ '^countersign_q'")
    ).map(({ name }) => name);

  it('as an approved plan: production is left as a DROP leaves it, and all of it comes back', async () => {
    const sql = 'DROP TABLE shop.goods CASCADE';
    const before = await content();
    await admin.query(`BEGIN; SET LOCAL ROLE countersign_apply; ${sql}; RESET ROLE`);
    const { definitions: wanted } = await readContent(admin);
    await admin.query('ROLLBACK');
    const { effect } = await measured(sql);
    expect(effect.kept).toMatchObject({ keepMs: 86_400_000, bytes: expect.any(Number), undoMs: expect.any(Number) });
    expect(effect.objects).toContainEqual({ change: 'dropped', object: 'table shop.goods', rows: 50 });
    expect(await content()).toEqual(before);
    const change = await dropped(sql);
    expect((await content()).definitions).toEqual(wanted);
    expect(await rental.engine.quarantined()).toMatchObject([
      { change, due: false, objects: expect.arrayContaining([{ object: 'table shop.goods', rows: 50 }]) },
    ]);
    expect(await rental.engine.beyondKeeping({ keepMs: -1, maxBytes: 1 })).toEqual([]);
    await undone(change);
    expect(await content()).toEqual(before);
    expect(await places()).toEqual([]);
  });

  it('without a copy, however large it is', async () => {
    await rental.sql(
      "SET ROLE seller; CREATE TABLE shop.large AS SELECT i, repeat('x', 200) AS body FROM generate_series(1, 60000) AS i",
    );
    const file =
      "SELECT relfilenode AS file, pg_relation_size(oid)::int AS bytes FROM pg_class WHERE relname = 'large'";
    const [was] = await rental.sql<{ file: number; bytes: number }>(file);
    const { effect } = await measured('DROP TABLE shop.large');
    expect(effect.walBytes).toBeLessThan((was?.bytes ?? 0) / 20);
    await undone(await dropped('DROP TABLE shop.large'));
    expect(await rental.sql(file)).toEqual([was]);
  });

  it('unless the DROP itself fails', async () => {
    expect(await tried('DROP TABLE shop.goods')).toMatchObject({ failure: { sqlstate: '2BP01' } });
    expect(await tried('DROP TABLE shop.nowhere')).toMatchObject({ failure: { sqlstate: '42P01' } });
  });

  it('and is never destroyed once it was approved to be kept', async () => {
    const approved = await measured('DROP TABLE public.told');
    await admin.query('CREATE PUBLICATION told FOR TABLE public.told');
    expect(await rental.apply(['DROP TABLE public.told'], [], approved)).toMatchObject({
      outcome: 'stale',
      changed: [expect.stringContaining('it was approved to go into quarantine, and can')],
    });
    expect((await measured('DROP TABLE public.told')).effect).toMatchObject({
      inverse: { why: expect.stringContaining('can’t be kept'.replace('’', "'")) },
    });
    await admin.query('DROP PUBLICATION told');
  });

  it('and holds on to nothing that stays', async () => {
    await rental.sql('SET ROLE seller; CREATE TABLE shop.holds (s shop.span)');
    const table = await dropped('DROP TABLE shop.holds');
    const view = await dropped('DROP VIEW public.cheapest');
    await rental.sql('SET ROLE seller; ALTER TABLE shop.heap ALTER b TYPE varchar');
    // What it uses could be taken from it by a CASCADE: that is refused.
    expect(await rental.measure(['DROP TYPE shop.span CASCADE'], [], KEEP)).toMatchObject({
      conflicts: [expect.stringContaining('which lies in quarantine, would go with it')],
    });
    await undone(view);
    await undone(table);
    await rental.sql('DROP TABLE shop.holds');
  });

  it('even where nobody could try it', async () => {
    const untried = {
      ...(await tried('DROP TABLE shop.lines')),
      measurement: { measured: false, why: 'busy' } as const,
    };
    const plan = planId(++plans);
    await rental.apply(['DROP TABLE shop.lines'], [], untried, { plan, quarantine: { keepMs: 1 } });
    expect(await rental.engine.quarantined()).toMatchObject([{ change: plan, due: true }]);
    await undone(plan);
    expect(await rental.sql('SELECT count(*)::int AS n FROM shop.lines')).toEqual([{ n: 200 }]);
  });

  it('wholly or not at all, whatever ends the apply', async () => {
    const before = await content();
    const approved = await measured('DROP SCHEMA shop CASCADE');
    const ended = await rental.apply(['DROP SCHEMA shop CASCADE'], [], approved, {
      async beforeCommit() {
        await rental.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'countersign_apply'");
      },
    });
    expect(ended.outcome).not.toBe('applied');
    expect(await content()).toEqual(before);
    expect(await places()).toEqual([]);
    expect(await rental.engine.quarantined()).toEqual([]);
  });

  it('only if nobody makes something meanwhile that hangs on it', async () => {
    const approved = await measured('DROP TABLE shop.heap');
    const view = 'CREATE VIEW public.late AS SELECT a FROM shop.heap';
    await rental.whileLocked(view, async () => {
      const waited = await rental.apply(['DROP TABLE shop.heap'], [], approved);
      expect(waited).toMatchObject({ outcome: 'not applied', why: expect.stringContaining('lock timeout') });
    });
    await admin.query(view);
    expect(await rental.apply(['DROP TABLE shop.heap'], [], approved)).toMatchObject({ outcome: 'failed' });
    await admin.query('DROP VIEW public.late');
  });

  it('and comes back once, under a name that is free, to rows that are still there', async () => {
    const change = await dropped('DROP TABLE shop.lines');
    await admin.query('CREATE TABLE shop.lines ()');
    expect(await rental.measure([], [], undo(change))).toMatchObject({ failure: { sqlstate: '42P07' } });
    await admin.query(
      'DROP TABLE shop.lines; DELETE FROM shop.parts; DELETE FROM shop.notes; DELETE FROM shop.goods WHERE id = 7',
    );
    expect(await rental.measure([], [], undo(change))).toMatchObject({ failure: { sqlstate: '23503' } });
    await admin.query("INSERT INTO shop.goods (id, name) OVERRIDING SYSTEM VALUE VALUES (7, 'again')");
    const found = await rental.measure([], [], undo(change));
    const twice = [1, 2].map(() => rental.apply([], [], found, { ...undo(change), plan: planId(++plans) }));
    expect((await Promise.all(twice)).map(({ outcome }) => outcome).sort()).toEqual([
      'applied',
      expect.stringMatching(/stale|not applied/),
    ]);
    expect(await rental.sql('SELECT count(*)::int AS n FROM shop.lines')).toEqual([{ n: 200 }]);
  });

  it('and is let go of by a purge, unless something has come to hang on it', async () => {
    const change = await dropped('DROP TABLE public."Odd.Name"');
    const [place] = await places();
    const purge = { ...PATIENT, purge: change };
    await admin.query(`CREATE VIEW public.clings AS SELECT * FROM ${place}."Odd.Name"`);
    expect(await rental.measure([], [], purge)).toMatchObject({
      conflicts: expect.arrayContaining([expect.stringContaining('view public.clings depends on it by now')]),
    });
    await admin.query('DROP VIEW public.clings');
    const found = await rental.measure([], [], purge);
    expect(found.measurement).toMatchObject({
      effect: {
        objects: [{ change: 'dropped', object: 'quarantined table public.Odd.Name' }],
        inverse: { why: expect.any(String) },
      },
    });
    expect(await places()).toEqual([place]);
    const apply = () => rental.apply([], [], found, { ...purge, plan: planId(++plans) });
    expect(await apply()).toMatchObject({ outcome: 'applied' });
    expect(await places()).toEqual([]);
    expect(await apply()).toMatchObject({ outcome: 'stale' });
  });
});
