import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PostgresState } from '../../src/domain/state-location.ts';
import { LedgerCorrupt } from '../../src/ledger/ledger.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { entry, type TestLedger, testLedger } from '../fixtures/ledger.ts';
import { servers } from '../fixtures/postgres.ts';
import { connectToState, type PostgresPlace, startPostgresPlace } from '../fixtures/state.ts';

const SET_BACK = `
  DELETE FROM ledger_entries WHERE idx >= 21;
  DELETE FROM ledger_nodes WHERE (idx + 1) * (1::bigint << level::int) > 21;
  DELETE FROM checkpoints WHERE size > 21;
  UPDATE ledger_head SET size = 21`;

describe.each(servers.slice(0, 1))('G7 a ledger in the hands of whoever owns the server, on $name', ({ binaries }) => {
  let place: PostgresPlace;
  let location: PostgresState;
  let made: TestLedger;
  beforeAll(async () => {
    place = await startPostgresPlace(binaries);
  });
  afterAll(() => place?.remove());
  beforeEach(async () => {
    location = await place.make();
    made = await testLedger(location);
    for (let n = 0; n < 40; n++) await made.ledger.record({ entries: [entry(`s${n}`, { n })] });
  });
  afterEach(() => made?.remove());

  async function change(sql: string): Promise<void> {
    const client = await connectToState(location);
    await client.query(sql);
    await client.end();
  }
  const verdict = () => verifyLedger(location, made.ledger.verifierKey);

  it('is sound as it was written', async () => {
    expect(await verdict()).toMatchObject({ verdict: 'sound', entries: 41, checkpoints: 41, keyFrom: 'outside' });
  });

  it.each<[what: string, sql: string, entry: number | null]>([
    ['a changed entry', `UPDATE ledger_entries SET entry = replace(entry, '"n":7', '"n":8') WHERE idx = 8`, 8],
    ['an entry under another name', "UPDATE ledger_entries SET subject = 'elsewhere' WHERE idx = 8", 8],
    ['a removed entry', 'DELETE FROM ledger_entries WHERE idx = 5', 5],
    ['a changed leaf', "UPDATE ledger_nodes SET hash = decode(repeat('00', 32), 'hex') WHERE level = 0 AND idx = 3", 3],
    [
      'a changed node',
      "UPDATE ledger_nodes SET hash = decode(repeat('00', 32), 'hex') WHERE level = 3 AND idx = 1",
      15,
    ],
    ['a forged checkpoint', "UPDATE checkpoints SET note = replace(note, '— ', '— x') WHERE size = 9", null],
    [
      'an added entry',
      'INSERT INTO ledger_entries SELECT 41, kind, subject, at, entry FROM ledger_entries WHERE idx = 40',
      null,
    ],
    ['all of it set back to an earlier day', SET_BACK, 21],
  ])('shows %s', async (_, sql, index) => {
    await change(sql);
    const found = await verdict();
    expect(found).toMatchObject({ verdict: 'tampered' });
    if (index !== null) expect(found).toMatchObject({ entry: index });
  });

  it('is not built upon when it was set back while a node runs, nor by one that starts', async () => {
    const other = await made.another();
    await other.ledger.check();
    await change(SET_BACK);
    await expect(made.ledger.check()).rejects.toThrow(/set back/);
    for (const { ledger } of [made, other]) {
      await expect(ledger.record({ entries: [entry('on top')] })).rejects.toThrow(LedgerCorrupt);
    }
    await expect(made.another()).rejects.toThrow(/set back/);
    await other.close();
  });
});
