import { fork } from 'node:child_process';
import { copyFileSync, createWriteStream, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exportLedger } from '../../src/ledger/archive.ts';
import { GuardFailed } from '../../src/ledger/ledger.ts';
import { createSigningKey, loadSigningKey, verifierKey } from '../../src/ledger/signing-key.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { statements } from '../../src/store/schema.ts';
import { write } from '../../src/store/write.ts';
import { entry, type TestLedger, testLedger } from '../fixtures/ledger.ts';

let made: TestLedger;
beforeEach(async () => {
  made = await testLedger();
});
afterEach(() => made.remove());

async function fill(count: number): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, n) => made.ledger.record({ entries: [entry(`subject-${n}`, { n })] })),
  );
}

/** A copy made by the database, changed by SQL: what somebody with the file can do. */
async function forged(sql: string): Promise<string> {
  const copy = join(made.directory, `copy-${Math.random().toString(36).slice(2)}.db`);
  const original = new DatabaseSync(made.path, { readOnly: true });
  original.exec(`VACUUM INTO '${copy}'`);
  original.close();
  const database = new DatabaseSync(copy);
  database.exec(sql);
  database.close();
  return copy;
}

describe('G7 the ledger', () => {
  it('numbers what many record at once, without a gap, and verifies', async () => {
    const recorded = await Promise.all(
      Array.from({ length: 500 }, (_, n) => made.ledger.record({ entries: [entry(`s${n}`)] })),
    );
    const indexes = recorded.flatMap(({ indexes: [index] }) => index ?? -1).sort((a, b) => a - b);
    expect(indexes).toEqual(Array.from({ length: 500 }, (_, n) => n + 1));
    expect(await verifyLedger(made.path, made.ledger.verifierKey)).toMatchObject({
      verdict: 'sound',
      entries: 501,
      keyFrom: 'outside',
    });
  });

  it('is one chain for two processes that append at once', async () => {
    const other = await made.another();
    await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        (n % 2 === 0 ? made.ledger : other.ledger).record({ entries: [entry(`s${n}`)] }),
      ),
    );
    await other.close();
    expect(await verifyLedger(made.path, made.ledger.verifierKey)).toMatchObject({ verdict: 'sound', entries: 101 });
  });

  it('writes neither entry nor state when a guard fails, and lets others of the group through', async () => {
    const guarded = write(statements.deleteFrom('tasks').where('id', '=', 'nobody'), 1);
    const [failed, ...others] = await Promise.allSettled([
      made.ledger.record({ entries: [entry('guarded')], writes: [guarded] }),
      made.ledger.record({ entries: [entry('other')] }),
      made.ledger.record({ entries: [entry('third')] }),
    ]);
    expect(failed).toMatchObject({ status: 'rejected', reason: expect.any(GuardFailed) });
    expect(others.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
    expect(await made.ledger.entries({ subject: 'guarded', limit: 5 })).toEqual([]);
    expect(await made.ledger.entries({ subject: 'other', limit: 5 })).toHaveLength(1);
  });

  it('has every entry that was acknowledged before a kill -9', async () => {
    await made.close();
    const child = fork(new URL('recorder.ts', import.meta.url).pathname, [made.directory], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    const acknowledged: number[] = [];
    await new Promise<void>((resolve) => {
      child.on('message', (index: number) => {
        acknowledged.push(index);
        if (acknowledged.length === 200) child.kill('SIGKILL');
      });
      child.once('exit', () => resolve());
    });
    const copy = await verifyLedger(made.path);
    expect(copy).toMatchObject({ verdict: 'sound' });
    const again = await made.another();
    const kept = await again.ledger.entries({ from: 0, limit: 10_000 });
    await again.close();
    const indexes = new Set(kept.map(({ index }) => index));
    expect(acknowledged.filter((index) => !indexes.has(index))).toEqual([]);
  });
});

describe('verify', () => {
  beforeEach(() => fill(40));

  const tampering: readonly [name: string, sql: string, entry: number | null][] = [
    [
      'a changed byte',
      `UPDATE ledger_entries SET entry = replace(entry, '"n":7', '"n":8') WHERE subject = 'subject-7'`,
      8,
    ],
    ['a removed entry', 'DELETE FROM ledger_entries WHERE idx = 5', 5],
    [
      'two entries that changed places',
      'UPDATE ledger_entries SET idx = -1 WHERE idx = 3; UPDATE ledger_entries SET idx = 3 WHERE idx = 4; UPDATE ledger_entries SET idx = 4 WHERE idx = -1',
      3,
    ],
    [
      'an entry with its leaf made to fit',
      `UPDATE ledger_entries SET entry = replace(entry, '"n":7', '"n":8') WHERE idx = 8; DELETE FROM ledger_nodes WHERE level = 0 AND idx = 8`,
      8,
    ],
    [
      'an added entry',
      `INSERT INTO ledger_entries SELECT 41, kind, subject, at, entry FROM ledger_entries WHERE idx = 40`,
      null,
    ],
    ['the end cut off', 'DELETE FROM ledger_entries WHERE idx > 30', null],
    [
      'a forged checkpoint',
      `UPDATE checkpoints SET note = replace(note, substr(note, instr(note, '— '), 40), '— test.example/ledger AAAAAAAAAAAAAAAAAA')`,
      null,
    ],
  ];
  it.each(tampering)('finds %s', async (_, sql, index) => {
    const verdict = await verifyLedger(await forged(sql), made.ledger.verifierKey);
    expect(verdict.verdict).toBe('tampered');
    if (index !== null) expect(verdict).toMatchObject({ entry: index });
  });

  it('finds that another key signed it', async () => {
    const file = join(made.directory, 'other.key');
    createSigningKey(file);
    const other = loadSigningKey(file, 'test.example/ledger');
    expect(await verifyLedger(made.path, verifierKey(other.name, other.publicKey))).toMatchObject({
      verdict: 'tampered',
    });
  });

  it('says that it trusted the copy’s own key when it was given none', async () => {
    const file = join(made.directory, 'export.jsonl');
    await pipeline(exportLedger(made.store, made.ledger), createWriteStream(file));
    expect(await verifyLedger(file)).toMatchObject({ verdict: 'sound', keyFrom: 'the copy itself', entries: 41 });
  });

  it('finds one changed byte anywhere in an export', async () => {
    const file = join(made.directory, 'export.jsonl');
    await pipeline(exportLedger(made.store, made.ledger), createWriteStream(file));
    const bytes = readFileSync(file);
    const changed = join(made.directory, 'changed.jsonl');
    for (let at = 3; at < bytes.length; at += 97) {
      if (bytes[at] === 0x0a) continue;
      const copy = Buffer.from(bytes);
      copy[at] = copy[at] === 0x61 ? 0x62 : 0x61;
      writeFileSync(changed, copy);
      const { verdict } = await verifyLedger(changed, made.ledger.verifierKey);
      expect(verdict, `byte ${at}: ${bytes.subarray(at - 3, at + 10)}`).not.toBe('sound');
    }
  });

  it('says that what is no ledger is unreadable', async () => {
    const file = join(made.directory, 'nothing');
    writeFileSync(file, 'hello');
    expect(await verifyLedger(file)).toMatchObject({ verdict: 'unreadable' });
    expect(await verifyLedger(join(made.directory, 'missing'))).toMatchObject({ verdict: 'unreadable' });
    copyFileSync(file, join(made.directory, 'empty'));
    writeFileSync(join(made.directory, 'empty'), '');
    expect(await verifyLedger(join(made.directory, 'empty'))).toMatchObject({ verdict: 'unreadable' });
  });
});
