import { readFileSync } from 'node:fs';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlanId } from '../../../../src/domain/ids.ts';
import { readContent } from '../../../../src/engines/postgres/content.ts';
import { newest } from '../../../fixtures/postgres.ts';
import { openRentalTarget, planId, type RentalTarget } from '../rental-target.ts';

const SCHEMA = readFileSync(new URL('./schema.sql', import.meta.url), 'utf8');
const KEEP = { quarantine: { keepMs: 86_400_000 } };

/** Each is applied as a move, and taken back; in CI a part of them, all with UNDO_MATRIX=whole. */
const DROPS: readonly (readonly string[])[] = [
  ['DROP TABLE shop.heap'],
  ['DROP TABLE shop.goods CASCADE'],
  ['DROP TABLE shop.goods, shop.lines, shop.notes, shop.parts CASCADE'],
  ['DROP TABLE IF EXISTS shop.lines, shop.absent'],
  ['DROP TABLE shop.buyers CASCADE'],
  ['DROP TABLE shop.parts'],
  ['DROP TABLE shop.parts_eu'],
  ['DROP TABLE public."Odd.Name"'],
  ['DROP VIEW public.cheapest, shop.cheap'],
  ['DROP VIEW shop.cheap CASCADE'],
  ['DROP MATERIALIZED VIEW shop.counted'],
  ['DROP SEQUENCE shop.numbers CASCADE'],
  ['DROP FUNCTION shop.touch CASCADE'],
  ['DROP SCHEMA shop CASCADE'],
  ['DROP TABLE shop.lines', 'DROP TABLE shop.heap', 'DROP VIEW public.cheapest'],
];

describe.each(newest)('G8 what is dropped goes into quarantine, on $name', ({ binaries }) => {
  let rental: RentalTarget;
  let admin: pg.Client;
  let plans = 7000;
  beforeAll(async () => {
    rental = await openRentalTarget(binaries, { settings: { autovacuum: 'off' } });
    await rental.sql(
      `CREATE ROLE seller; GRANT seller TO countersign_apply; GRANT CREATE ON DATABASE rental TO seller; GRANT CREATE ON SCHEMA public TO seller; SET ROLE seller; ${SCHEMA}
       RESET ROLE; CREATE ROLE clerk; GRANT USAGE ON SCHEMA shop TO clerk, countersign_session WITH GRANT OPTION; GRANT USAGE, CREATE ON SCHEMA shop TO countersign_apply;
       GRANT SELECT ON shop.goods, shop.cheap TO clerk; GRANT UPDATE (name) ON shop.goods TO clerk`,
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

  async function measured(sql: readonly string[]) {
    const found = await rental.measure(sql, [], { ...KEEP, repeatable: true });
    if (!found.measurement.measured) throw new Error(found.failure?.message ?? found.measurement.why);
    return { ...found, effect: found.measurement.effect };
  }

  async function applied(sql: readonly string[]): Promise<PlanId> {
    const plan = planId(++plans);
    expect(await rental.apply(sql, [], await measured(sql), { plan })).toMatchObject({ outcome: 'applied' });
    return plan;
  }

  async function undone(change: PlanId): Promise<void> {
    const undo = { change, keepNewer: false };
    const found = await rental.measure([], [], { undo, repeatable: true });
    if (!found.measurement.measured)
      throw new Error(found.failure?.message ?? found.conflicts?.join() ?? 'not measured');
    expect(await rental.apply([], [], found, { plan: planId(++plans), undo })).toMatchObject({ outcome: 'applied' });
  }

  /** What a real DROP would have left. */
  async function afterDrop(sql: readonly string[]) {
    await admin.query('BEGIN');
    await admin.query('SET LOCAL ROLE countersign_apply');
    for (const text of sql) await admin.query(text);
    await admin.query('RESET ROLE');
    const read = await readContent(admin);
    await admin.query('ROLLBACK');
    return read.definitions;
  }

  const cases = process.env['UNDO_MATRIX'] === 'whole' ? DROPS : DROPS.filter((_, at) => at % 5 === 1);
  it.each(cases.map((sql) => ({ name: sql.join('; '), sql })))('and comes back as it was: $name', async ({ sql }) => {
    const before = await content();
    const wanted = await afterDrop(sql);
    const { effect } = await measured(sql);
    expect(effect.inverse).toBeUndefined();
    expect(effect.kept).toMatchObject({ keepMs: 86_400_000, undoMs: expect.any(Number), bytes: expect.any(Number) });
    expect(await content()).toEqual(before);
    const change = await applied(sql);
    expect((await content()).definitions).toEqual(wanted);
    expect(await rental.engine.quarantined()).toMatchObject([{ change, due: false }]);
    await undone(change);
    expect(await content()).toEqual(before);
    expect(await rental.engine.quarantined()).toEqual([]);
  });
});
