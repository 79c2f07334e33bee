import { copyFileSync, createWriteStream, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { exportLedger } from '../../src/ledger/archive.ts';
import { openCheckpoint, signCheckpoint } from '../../src/ledger/checkpoint.ts';
import { createSigningKey, loadSigningKey, parseVerifierKey, verifierKey } from '../../src/ledger/signing-key.ts';
import { EMPTY_FRONTIER, grow, leafHash, rootOf } from '../../src/ledger/tree.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { checkpointFile } from '../../src/store/sqlite-store.ts';
import { entry, type TestLedger, testLedger } from '../fixtures/ledger.ts';

let made: TestLedger;
let copies = 0;
const nextCopy = () => join(made.directory, `copy-${++copies}`);

/** A copy made by the database, changed by SQL: what somebody with the file can do. */
function forged(change: (database: DatabaseSync) => void): string {
  const copy = nextCopy();
  const original = new DatabaseSync(made.path, { readOnly: true });
  original.exec(`VACUUM INTO '${copy}'`);
  original.close();
  const database = new DatabaseSync(copy);
  change(database);
  database.close();
  return copy;
}

async function exported(): Promise<string> {
  const file = nextCopy();
  await pipeline(exportLedger(made.store, made.ledger), createWriteStream(file));
  return file;
}

function otherKey() {
  const file = join(made.directory, `other-${++copies}.key`);
  createSigningKey(file);
  return loadSigningKey(file, 'test.example/ledger');
}

/** Computes the whole tree anew, so that only the signature is left to tell. */
function rehash(database: DatabaseSync): ReturnType<typeof grow> {
  const entries = database.prepare('SELECT entry FROM ledger_entries ORDER BY idx').all();
  const grown = grow(
    EMPTY_FRONTIER,
    entries.map((row) => leafHash(Buffer.from(String(row['entry']), 'utf8'))),
  );
  database.exec('DELETE FROM ledger_nodes');
  const insert = database.prepare('INSERT INTO ledger_nodes VALUES (?, ?, ?)');
  for (const { level, index, hash } of grown.nodes) insert.run(level, index, hash);
  return grown;
}

describe('G7 a state file in a stranger’s hands', () => {
  beforeAll(async () => {
    made = await testLedger();
    for (let n = 0; n < 20; n++) await made.ledger.record({ entries: [entry(`s${n}`, { n })] });
  });
  afterAll(() => made.remove());
  const verdictOn = (change: string | ((database: DatabaseSync) => void)) =>
    verifyLedger(
      forged((database) => (typeof change === 'string' ? database.exec(change) : change(database))),
      made.ledger.verifierKey,
    );

  it.each([
    ['what it is about', "subject = 'nothing'"],
    ['its kind', "kind = 'reads'"],
    ['its time', "at = '2020-01-01T00:00:00.000Z'"],
  ])('shows that an entry is filed under another than %s', async (_, change) => {
    expect(await verdictOn(`UPDATE ledger_entries SET ${change} WHERE idx = 9`)).toMatchObject({
      verdict: 'tampered',
      entry: 9,
    });
  });

  it('shows each node of the tree that is another, or gone', async () => {
    const nodes = forged(() => undefined);
    const rows = new DatabaseSync(nodes).prepare('SELECT level, idx FROM ledger_nodes').all();
    expect(rows.length).toBeGreaterThan(30);
    for (const { level, idx } of rows.filter((row, n) => Number(row['level']) > 0 || n % 7 === 0)) {
      const which = `level = ${level} AND idx = ${idx}`;
      const last = (Number(idx) + 1) * 2 ** Number(level) - 1;
      expect(await verdictOn(`UPDATE ledger_nodes SET hash = zeroblob(32) WHERE ${which}`), which).toMatchObject({
        verdict: 'tampered',
        entry: last,
      });
      expect(await verdictOn(`DELETE FROM ledger_nodes WHERE ${which}`), which).toMatchObject({ verdict: 'tampered' });
    }
  });

  it.each([
    ['changed', 'UPDATE ledger_entries SET entry = replace(entry, \'"n":7\', \'"n":8\') WHERE idx = 8'],
    [
      'removed, and the others moved up',
      'DELETE FROM ledger_entries WHERE idx = 8; UPDATE ledger_entries SET idx = idx - 1 WHERE idx > 8',
    ],
    [
      'added, and the others moved on',
      'UPDATE ledger_entries SET idx = -idx - 1 WHERE idx >= 8; UPDATE ledger_entries SET idx = -idx WHERE idx < 0; INSERT INTO ledger_entries SELECT 8, kind, subject, at, entry FROM ledger_entries WHERE idx = 2',
    ],
  ])('shows that an entry was %s with every hash made to fit', async (_, change) => {
    const verdict = await verdictOn((database) => {
      database.exec(change);
      rehash(database);
    });
    expect(verdict).toMatchObject({ verdict: 'tampered', entry: 8 });
    expect(verdict).toHaveProperty('problem', expect.stringContaining('not the one signed'));
  });

  it('shows that all of it was signed anew with another key', async () => {
    const key = otherKey();
    const path = forged((database) => {
      database.exec('UPDATE ledger_entries SET entry = replace(entry, \'"n":7\', \'"n":8\') WHERE idx = 8');
      const { frontier } = rehash(database);
      database.exec('DELETE FROM checkpoints');
      const note = signCheckpoint({ origin: key.name, size: frontier.size, root: rootOf(frontier) }, key);
      database.prepare('INSERT INTO checkpoints VALUES (?, ?)').run(frontier.size, note);
    });
    expect(await verifyLedger(path, made.ledger.verifierKey)).toMatchObject({ verdict: 'tampered' });
    expect(await verifyLedger(path)).toMatchObject({ verdict: 'tampered' });
    expect(await verifyLedger(path, verifierKey(key.name, key.publicKey))).toMatchObject({ verdict: 'tampered' });
  });

  it.each([
    ['without any', 'DELETE FROM checkpoints'],
    ['without the newest', 'DELETE FROM checkpoints WHERE size = 21'],
    [
      'of another size than it is kept for',
      'DELETE FROM checkpoints WHERE size = 20; UPDATE checkpoints SET size = 20 WHERE size = 19',
    ],
    ['that is no checkpoint', "UPDATE checkpoints SET note = 'trust me' WHERE size = 21"],
    [
      'of more entries than there are',
      'DELETE FROM ledger_entries WHERE idx = 20; DELETE FROM ledger_nodes WHERE level = 0 AND idx = 20',
    ],
  ])('says what is wrong with checkpoints: %s', async (_, change) => {
    expect(await verdictOn(change)).toMatchObject({ verdict: 'tampered' });
  });

  it('shows that it was put back to an earlier day, by the checkpoint beside it', async () => {
    const path = forged((database) => {
      for (const table of ['ledger_entries', 'ledger_nodes', 'checkpoints']) database.exec(`DELETE FROM ${table}`);
      const old = new DatabaseSync(made.path, { readOnly: true });
      const [first] = old.prepare('SELECT * FROM ledger_entries WHERE idx = 0').all();
      const [note] = old.prepare('SELECT note FROM checkpoints WHERE size = 1').all();
      old.close();
      const { kind, subject, at, entry: text } = first as Record<string, string>;
      database
        .prepare('INSERT INTO ledger_entries VALUES (0, ?, ?, ?, ?)')
        .run(kind ?? '', subject ?? '', at ?? '', text ?? '');
      database.prepare('INSERT INTO checkpoints VALUES (1, ?)').run(String(note?.['note']));
      rehash(database);
    });
    expect(await verifyLedger(path, made.ledger.verifierKey)).toMatchObject({ verdict: 'sound', entries: 1 });
    copyFileSync(checkpointFile(made.path), checkpointFile(path));
    const verdict = await verifyLedger(path, made.ledger.verifierKey);
    expect(verdict).toMatchObject({ verdict: 'tampered', entry: 1 });
    expect(verdict).toHaveProperty('problem', expect.stringContaining('cut off'));
  });
});

describe('G7 an export in a stranger’s hands', () => {
  let bytes: Buffer;
  beforeAll(async () => {
    made = await testLedger();
    for (let n = 0; n < 9; n++) await made.ledger.record({ entries: [entry(`s${n}`, { n, text: `“${n}”` })] });
    bytes = readFileSync(await exported());
  });
  afterAll(() => made.remove());

  async function verdictOf(changed: Buffer): Promise<string> {
    const file = join(made.directory, 'changed');
    writeFileSync(file, changed);
    return (await verifyLedger(file, made.ledger.verifierKey)).verdict;
  }
  const place = fc.nat().map((n) => n % bytes.length);

  it('shows any byte that is another', async () => {
    await fc.assert(
      fc.asyncProperty(place, fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ change;
        expect(await verdictOf(changed), `${at}: ${changed.subarray(Math.max(0, at - 20), at + 20)}`).not.toBe('sound');
      }),
      { numRuns: 400 },
    );
  });

  it('shows any byte that is missing, and any end that is', async () => {
    await fc.assert(
      fc.asyncProperty(place, async (at) => {
        // The line feed at the very end says nothing.
        if (at === bytes.length - 1) return;
        expect(await verdictOf(Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)])), `${at}`).not.toBe(
          'sound',
        );
        expect(await verdictOf(bytes.subarray(0, at)), `up to ${at}`).not.toBe('sound');
      }),
      { numRuns: 150 },
    );
  });

  it('shows lines that are missing, doubled, or in another order', async () => {
    const lines = bytes.toString('utf8').split('\n').slice(0, -1);
    const checkpoints = lines.findLastIndex((line) => line.includes('"checkpoint"'));
    for (let at = checkpoints + 1; at < lines.length; at++) {
      expect(await verdictOf(Buffer.from(lines.toSpliced(at, 1).join('\n'))), `without ${at}`).toBe('tampered');
      expect(await verdictOf(Buffer.from(lines.toSpliced(at, 0, lines[at] ?? '').join('\n'))), `twice ${at}`).toBe(
        'tampered',
      );
      if (at + 1 === lines.length) continue;
      const swapped = lines.with(at, lines[at + 1] ?? '').with(at + 1, lines[at] ?? '');
      expect(await verdictOf(Buffer.from(swapped.join('\n'))), `swapped ${at}`).toBe('tampered');
    }
  });

  it('shows that the last entries were taken away together with their checkpoints', async () => {
    const lines = bytes.toString('utf8').split('\n').slice(0, -1);
    const early = lines.filter((line) => {
      const { size, index } = JSON.parse(line);
      return line.includes('verifierKey":') && index === undefined ? true : (size ?? index + 1) <= 5;
    });
    expect(early).toHaveLength(1 + 5 + 5);
    expect(await verdictOf(Buffer.from(early.join('\n')))).toBe('tampered');
  });
});

describe('verify', () => {
  beforeEach(async () => {
    made = await testLedger();
  });
  afterEach(() => made.remove());

  it('finds an export sound whatever its entries say', async () => {
    const odd = ['\u2028', '\u2029', '\u0085', '\r', '\n', '\r\n', '\v', '\f', '\0', '\ufeff', '😀', '"', '\\'];
    await made.ledger.record({ entries: odd.map((text) => entry(text, { text: `a${text}b` })) });
    const any = fc.sample(fc.string({ unit: 'binary', maxLength: 100 }), 300).filter((text) => text.isWellFormed());
    await made.ledger.record({ entries: any.map((text) => entry('any', { text })) });
    const verdict = { verdict: 'sound', entries: 1 + odd.length + any.length };
    expect(await verifyLedger(await exported(), made.ledger.verifierKey)).toMatchObject(verdict);
    expect(await verifyLedger(made.path, made.ledger.verifierKey)).toMatchObject(verdict);
  });

  it('finds a ledger sound while it is written', async () => {
    let done = false;
    const writing = (async () => {
      while (!done) {
        await Promise.all(Array.from({ length: 3 }, (_, n) => made.ledger.record({ entries: [entry(`s${n}`)] })));
      }
    })();
    try {
      for (let n = 0; n < 10; n++) {
        expect(await verifyLedger(made.path, made.ledger.verifierKey)).toMatchObject({ verdict: 'sound' });
        expect(await verifyLedger(await exported(), made.ledger.verifierKey)).toMatchObject({ verdict: 'sound' });
      }
    } finally {
      done = true;
      await writing;
    }
  });

  it('refuses a key that is none', async () => {
    expect(await verifyLedger(made.path, 'nonsense')).toMatchObject({ verdict: expect.not.stringMatching('sound') });
    for (const text of ['', 'a+b+c', made.ledger.verifierKey.replace(/\+[0-9a-f]{8}\+/, '+00000000+')])
      expect(() => parseVerifierKey(text)).toThrow(/verifier key/);
  });
});

describe('a checkpoint', () => {
  const root = leafHash(Buffer.from('x'));
  beforeAll(async () => {
    made = await testLedger();
  });
  afterAll(() => made.remove());

  it('says what was signed, to whoever has the key', () => {
    const key = otherKey();
    const note = signCheckpoint({ origin: 'example.com/log', size: 5, root }, key);
    expect(openCheckpoint(note, key)).toEqual({ origin: 'example.com/log', size: 5, root });
    const witness = signCheckpoint({ origin: 'example.com/log', size: 5, root }, { ...otherKey(), name: 'witness' });
    expect(openCheckpoint(note + witness.slice(witness.indexOf('— ')), key).size).toBe(5);
    expect(() => openCheckpoint(note, { ...key, name: 'another' })).toThrow(/no valid signature/);
    expect(() => openCheckpoint(note, otherKey())).toThrow(/no valid signature/);
  });

  it('is worth nothing with one character changed', () => {
    const key = otherKey();
    const note = signCheckpoint({ origin: 'example.com/log', size: 5, root }, key);
    for (let at = 0; at < note.length; at++) {
      const changed = `${note.slice(0, at)}${note[at] === 'A' ? 'B' : 'A'}${note.slice(at + 1)}`;
      expect(() => openCheckpoint(changed, key), changed).toThrow();
    }
  });
});
