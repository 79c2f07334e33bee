import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ActorId, asId, type HaltId, instantOf } from '../../src/domain/ids.ts';
import { activeHalts, insertHalt } from '../../src/store/halts.ts';
import { openStore } from '../../src/store/open-store.ts';
import { statements } from '../../src/store/schema.ts';
import { SQLITE_MIGRATIONS } from '../../src/store/sqlite-migrations.ts';
import { type Store, StoreUnavailable } from '../../src/store/store.ts';
import type { Write } from '../../src/store/write.ts';

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

  it('of a newer version is left alone', async () => {
    await (await openStore(`sqlite:${path}`)).close();
    const database = new DatabaseSync(path);
    database.exec(`PRAGMA user_version = ${SQLITE_MIGRATIONS.length + 1}`);
    database.close();
    await expect(openStore(`sqlite:${path}`)).rejects.toThrow(/newer version/);
  });

  it('that is no database, or in no place, is said to be unavailable', async () => {
    const text = join(directory, 'text.db');
    writeFileSync(text, 'this is not a database, however long one makes the text of it'.repeat(100));
    await expect(openStore(`sqlite:${text}`)).rejects.toThrow(StoreUnavailable);
    await expect(openStore(`sqlite:${text}/below/a/file.db`)).rejects.toThrow(StoreUnavailable);
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
});
