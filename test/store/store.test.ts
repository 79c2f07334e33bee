import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ActorId, asId, type HaltId, instantOf } from '../../src/domain/ids.ts';
import { activeHalts, insertHalt } from '../../src/store/halts.ts';
import { MIGRATIONS, statements } from '../../src/store/schema.ts';
import { openStore, type Store, StoreUnavailable } from '../../src/store/store.ts';
import { type Write, write } from '../../src/store/write.ts';

let directory: string;
let path: string;
const opened: Store[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'countersign-store-'));
  path = join(directory, 'state', 'countersign.db');
});
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  rmSync(directory, { recursive: true, force: true });
});

async function open(): Promise<Store> {
  const store = await openStore(`sqlite:${path}`);
  opened.push(store);
  return store;
}

function pragma(store: Store, name: string): Promise<unknown> {
  return store.first({ compile: () => sql.raw(`PRAGMA ${name}`).compile(statements) });
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

describe('the state file', () => {
  it('is made with its directory, for its owner alone', async () => {
    await open();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(directory, 'state')).mode & 0o777).toBe(0o700);
  });

  it('G12 is written through to the disk, with its references checked', async () => {
    const store = await open();
    expect(await pragma(store, 'journal_mode')).toEqual({ journal_mode: 'wal' });
    expect(await pragma(store, 'synchronous')).toEqual({ synchronous: 2 });
    expect(await pragma(store, 'foreign_keys')).toEqual({ foreign_keys: 1 });
  });

  it('keeps what it holds when it is opened again', async () => {
    const first = await openStore(`sqlite:${path}`);
    expect(await first.commit([halt('h1')])).toBeNull();
    await first.close();
    expect(await haltIds(await open())).toEqual(['h1']);
  });

  it('of a newer version is left alone', async () => {
    await (await openStore(`sqlite:${path}`)).close();
    const database = new DatabaseSync(path);
    database.exec(`PRAGMA user_version = ${MIGRATIONS.length + 1}`);
    database.close();
    await expect(openStore(`sqlite:${path}`)).rejects.toThrow(/newer version/);
  });

  it('that is no database, or in no place, is said to be unavailable', async () => {
    const text = join(directory, 'text.db');
    writeFileSync(text, 'this is not a database, however long one makes the text of it'.repeat(100));
    await expect(openStore(`sqlite:${text}`)).rejects.toThrow(StoreUnavailable);
    await expect(openStore(`sqlite:${text}/below/a/file.db`)).rejects.toThrow(StoreUnavailable);
    await expect(openStore('postgres://db/state')).rejects.toThrow(/use sqlite:<path>/);
  });

  it('can be opened by one who only reads, who then can’t write', async () => {
    const writer = await open();
    await writer.commit([halt('h1')]);
    const reader = await openStore(`sqlite:${path}`, { readOnly: true });
    opened.push(reader);
    expect(await haltIds(reader)).toEqual(['h1']);
    await expect(reader.commit([halt('h2')])).rejects.toThrow(StoreUnavailable);
    await expect(openStore(`sqlite:${join(directory, 'none.db')}`, { readOnly: true })).rejects.toThrow(
      StoreUnavailable,
    );
  });
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
    await expect(store.commit([halt('h1'), { sql: 'INSERT INTO nowhere VALUES (1)', parameters: [] }])).rejects.toThrow(
      StoreUnavailable,
    );
    expect(await haltIds(store)).toEqual([]);
    expect(await store.commit([halt('h1')])).toBeNull();
  });

  it('says that the disk is full, keeps what was there, and goes on when there is room', async () => {
    const store = await open();
    await store.commit([halt('h1')]);
    const { page_count: pages } = (await pragma(store, 'page_count')) as { page_count: number };
    await pragma(store, `max_page_count = ${pages}`);
    const large = insertHalt({
      id: asId<HaltId>('large'),
      scope: { scope: 'global' },
      reason: 'x'.repeat(100_000),
      by: asId<ActorId>('ada'),
      at: instantOf(0),
    });
    await expect(store.commit([halt('h2'), large])).rejects.toThrow(/full/);
    expect(await haltIds(store)).toEqual(['h1']);
    await pragma(store, 'max_page_count = 1000000');
    expect(await store.commit([halt('h2'), large])).toBeNull();
    expect(await haltIds(store)).toEqual(['h1', 'h2', 'large']);
  });

  it('refuses what can’t be stored', () => {
    expect(() => write(statements.updateTable('halts').set({ reason: {} as string }))).toThrow(TypeError);
  });
});

describe('a closed store', () => {
  it('says so to whoever comes after, and closes twice', async () => {
    const store = await openStore(`sqlite:${path}`);
    await Promise.all([store.close(), store.close()]);
    await store.close();
    await expect(store.commit([halt('h1')])).rejects.toThrow(StoreUnavailable);
    await expect(activeHalts(store)).rejects.toThrow(StoreUnavailable);
  });

  it('has done what it was asked before', async () => {
    const store = await openStore(`sqlite:${path}`);
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
    const child = fork(new URL('other-process.ts', import.meta.url).pathname, [path], { stdio: 'inherit' });
    const said: unknown[] = [];
    child.on('message', (message) => said.push(message));
    try {
      await until(() => said.includes('ready'));
      await sleep(30);
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
