import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ActorId, asId, type HaltId, instantOf } from '../../src/domain/ids.ts';
import type { StateLocation } from '../../src/domain/state-location.ts';
import { activeHalts, insertHalt } from '../../src/store/halts.ts';
import { openStore } from '../../src/store/open-store.ts';
import { statements } from '../../src/store/schema.ts';
import { type Store, StoreUnavailable } from '../../src/store/store.ts';
import { type Write, write } from '../../src/store/write.ts';
import { dialects, locationText, type StatePlace } from '../fixtures/state.ts';

/** What every store promises, whatever is beneath it. */
describe.each(dialects)('a store on $name', (dialect) => {
  let place: StatePlace;
  let location: StateLocation;
  const opened: Store[] = [];
  beforeAll(async () => {
    place = await dialect.start();
  });
  afterAll(() => place?.remove());
  beforeEach(async () => {
    location = await place.make();
  });
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
  });

  async function open(): Promise<Store> {
    const store = await openStore(location);
    opened.push(store);
    return store;
  }

  function halt(id: string): Write {
    const by = asId<ActorId>('ada');
    return insertHalt({ id: asId<HaltId>(id), scope: { scope: 'global' }, reason: 'r', by, at: instantOf(0) });
  }

  async function haltIds(store: Store): Promise<readonly string[]> {
    return (await activeHalts(store)).map(({ id }) => id).sort();
  }

  async function until(condition: () => boolean): Promise<void> {
    for (let waitedMs = 0; !condition(); waitedMs += 5) {
      if (waitedMs > 5000) throw new Error('it never came');
      await sleep(5);
    }
  }

  it('keeps what it holds when it is opened again', async () => {
    const first = await openStore(location);
    expect(await first.commit([halt('h1')])).toBeNull();
    await first.close();
    expect(await haltIds(await open())).toEqual(['h1']);
  });

  it('is made once by whoever opens it first', async () => {
    const stores = await Promise.all(Array.from({ length: 5 }, () => open()));
    await Promise.all(stores.map((store, n) => store.commit([halt(`h${n}`)])));
    expect(await haltIds(await open())).toEqual(['h0', 'h1', 'h2', 'h3', 'h4']);
  });

  it('takes many rows at once, and none of them when one breaks a rule', async () => {
    const store = await open();
    const columns = [
      ['level', 'bigint'],
      ['idx', 'bigint'],
      ['hash', 'bytea'],
    ] as const;
    const rows = Array.from({ length: 3000 }, (_, n) => [0, n, Buffer.from([n % 256])]);
    expect(await store.commit([halt('h1'), { into: 'ledger_nodes', columns, rows }])).toBeNull();
    const again = {
      into: 'ledger_nodes',
      columns,
      rows: [
        [0, 5000, Buffer.alloc(1)],
        [0, 7, Buffer.alloc(1)],
      ],
    };
    expect(await store.commit([halt('h2'), again])).toBe(1);
    const kept = await store.all(statements.selectFrom('ledger_nodes').select(['idx', 'hash']).orderBy('idx', 'desc'));
    expect(kept).toHaveLength(3000);
    expect(kept[0]?.idx).toBe(2999);
    expect(Buffer.from(kept[0]?.hash ?? [])).toEqual(Buffer.from([2999 % 256]));
    expect(await haltIds(store)).toEqual(['h1']);
  });

  describe('commit', () => {
    const nobody = write(statements.deleteFrom('halts').where('id', '=', 'nobody'), 1);

    it('does all or nothing, and says which write did not do what it should', async () => {
      const store = await open();
      expect(await store.commit([halt('h1'), nobody, halt('h2')])).toBe(1);
      expect(await store.commit([nobody])).toBe(0);
      expect(await haltIds(store)).toEqual([]);
      expect(await store.commit([halt('h1'), halt('h2')])).toBeNull();
      expect(await haltIds(store)).toEqual(['h1', 'h2']);
    });

    it('counts more rows than expected as wrong, too', async () => {
      const store = await open();
      await store.commit([halt('h1'), halt('h2')]);
      expect(await store.commit([write(statements.deleteFrom('halts'), 1)])).toBe(0);
      expect(await haltIds(store)).toEqual(['h1', 'h2']);
    });

    it('leaves nothing of a transaction that broke, and goes on', async () => {
      const store = await open();
      await expect(
        store.commit([halt('h1'), { sql: 'INSERT INTO nowhere VALUES (1)', parameters: [] }]),
      ).rejects.toThrow(StoreUnavailable);
      expect(await haltIds(store)).toEqual([]);
      expect(await store.commit([halt('h1')])).toBeNull();
    });

    it('refuses what can’t be stored', () => {
      expect(() => write(statements.updateTable('halts').set({ reason: {} as string }))).toThrow(TypeError);
    });
  });

  describe('a closed store', () => {
    it('says so to whoever comes after, and closes twice', async () => {
      const store = await openStore(location);
      await Promise.all([store.close(), store.close()]);
      await store.close();
      await expect(store.commit([halt('h1')])).rejects.toThrow(StoreUnavailable);
      await expect(activeHalts(store)).rejects.toThrow(StoreUnavailable);
    });

    it('has done what it was asked before', async () => {
      const store = await openStore(location);
      const asked = [store.commit([halt('h1')]), store.commit([halt('h2')])];
      await store.close();
      expect(await Promise.all(asked)).toEqual([null, null]);
      expect(await haltIds(await open())).toEqual(['h1', 'h2']);
    });
  });

  describe('G11 two processes on one state', () => {
    it('see soon what the other committed, and not what they did themselves', async () => {
      const here = await open();
      let changes = 0;
      here.onChange(() => changes++);
      const child = fork(new URL('other-process.ts', import.meta.url).pathname, [locationText(location)], {
        stdio: 'inherit',
      });
      const said: unknown[] = [];
      child.on('message', (message) => said.push(message));
      try {
        await until(() => said.includes('ready'));
        await sleep(300);
        changes = 0;
        said.length = 0;
        await here.commit([halt('h-here')]);
        await until(() => said.includes('changed'));
        expect(changes).toBe(0);
        child.send('halt');
        await until(() => said.includes('halted') && changes > 0);
        expect(await haltIds(here)).toEqual(['h-here', 'h-other']);
      } finally {
        const gone = once(child, 'exit');
        child.disconnect();
        await gone;
      }
    });
  });
});
