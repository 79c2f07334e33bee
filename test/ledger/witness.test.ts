import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint, signCheckpoint } from '../../src/ledger/checkpoint.ts';
import { cosignatureOf } from '../../src/ledger/cosignature.ts';
import { openLedger } from '../../src/ledger/ledger.ts';
import { createSigningKey, loadSigningKey, type SigningKey } from '../../src/ledger/signing-key.ts';
import { createWitnessing, type KnownWitness } from '../../src/ledger/witnessing.ts';
import { createEvidence } from '../../src/pipeline/oversight/evidence.ts';
import { openSqliteStore } from '../../src/store/sqlite-store.ts';
import { addCheckpoint, type Witness } from '../../src/witness/add-checkpoint.ts';
import { openKeptCheckpoints } from '../../src/witness/kept-checkpoints.ts';
import { serveWitness } from '../../src/witness/serve-witness.ts';
import { entry, type TestLedger, testLedger } from '../fixtures/ledger.ts';

describe('G7 a witness', () => {
  let made: TestLedger;
  let key: SigningKey;
  let witness: Witness;
  let served: Awaited<ReturnType<typeof serveWitness>>;
  let known: KnownWitness;

  beforeAll(async () => {
    made = await testLedger();
    key = loadSigningKey(join(made.directory, 'ledger.key'), made.ledger.origin);
    createSigningKey(join(made.directory, 'witness.key'));
    witness = {
      key: loadSigningKey(join(made.directory, 'witness.key'), 'witness.example/one'),
      logs: new Map([[key.name, [key]]]),
      kept: openKeptCheckpoints(join(made.directory, 'kept.db')),
      nowMs: () => Date.parse('2026-01-01T00:00:00Z'),
    };
    served = await serveWitness({ witness, host: '127.0.0.1', port: 0, onAnswer: () => undefined });
    known = { url: served.url, name: witness.key.name, publicKey: witness.key.publicKey };
  });
  afterAll(async () => {
    await served.close();
    witness.kept.close();
    await made.remove();
  });

  const witnessing = (ledger = made.ledger, store = made.store, witnesses = [known]) =>
    createWitnessing({ store, ledger, witnesses, quorum: 1 });
  const grow = () => made.ledger.record({ entries: [entry('grown')] });
  const request = (old: number, note: string, proof: readonly string[] = []) =>
    `old ${old}\n${proof.map((line) => `${line}\n`).join('')}\n${note}`;
  const status = (body: string) => addCheckpoint(body, witness).status;

  it('cosigns a ledger that only grows, also after it or the gateway has begun anew', async () => {
    const ours = witnessing();
    expect(await ours.witnessed()).toMatchObject({ witnessed: 0 });
    for (let n = 0; n < 5; n++) {
      await grow();
      expect(await ours.ask()).toMatchObject([{ cosigned: true }]);
    }
    await grow();
    expect(await witnessing().ask()).toMatchObject([{ cosigned: true }]);
    const note = await made.ledger.checkpoint();
    expect(cosignatureOf(note, note.slice(note.indexOf('\n\n') + 2), known)).toBeDefined();
    expect(openCheckpoint(note, key).size).toBe(7);
    expect(await ours.witnessed()).toEqual({ entries: 7, witnessed: 7, by: [known.name] });
    await grow();
    expect(await ours.witnessed()).toEqual({ entries: 8, witnessed: 7, by: [known.name] });
    await made.ledger.check();
  });

  it('is told to people with how far it has signed, and nothing more than that', async () => {
    const ours = witnessing();
    const evidence = createEvidence({
      ...made,
      key,
      verifier: { known: () => ({ since: '', running: null, last: null }), begin: () => undefined },
      witnesses: { quorum: 1, testimonies: () => [], witnessed: ours.witnessed },
      now: () => Date.parse('2026-01-01T00:00:00Z'),
    });
    await ours.ask();
    await grow();
    const { checkpoint, verification, witnesses } = await evidence.standing();
    expect(openCheckpoint(checkpoint.note, key).root.toString('base64')).toBe(checkpoint.root);
    expect(verification.last).toBeNull();
    expect(witnesses).toEqual({ quorum: 1, witnessed: checkpoint.size - 1, by: [known.name], asked: [] });
  });

  it('refuses what C2SP tlog-witness says, with its numbers', async () => {
    await witnessing().ask();
    const note = await made.ledger.checkpoint();
    const { size } = openCheckpoint(note, key);
    createSigningKey(join(made.directory, 'other.key'));
    const other = loadSigningKey(join(made.directory, 'other.key'), key.name);
    expect(status('old x')).toBe(400);
    expect(status(request(size + 1, note))).toBe(400);
    expect(status(request(size, note.replace(key.name, 'another.example')))).toBe(404);
    expect(status(request(size, signCheckpoint({ origin: key.name, size, root: Buffer.alloc(32) }, other)))).toBe(403);
    expect(addCheckpoint(request(0, note), witness)).toEqual({
      status: 409,
      type: 'text/x.tlog.size',
      body: `${size}\n`,
    });
    expect(status(request(size, signCheckpoint({ origin: key.name, size, root: Buffer.alloc(32) }, key)))).toBe(409);
    const fork = signCheckpoint({ origin: key.name, size: size + 1, root: Buffer.alloc(32, 1) }, key);
    expect(status(request(size, fork, [Buffer.alloc(32).toString('base64')]))).toBe(422);
    expect(status(request(size, note))).toBe(200);
    expect((await fetch(`${served.url}/add-checkpoint`)).status).toBe(404);
    expect((await fetch(`${served.url}/add-checkpoint`, { method: 'POST', body: 'x'.repeat(1e5) })).status).toBe(413);
  });

  it('tells a ledger that was set back from one that is behind, and cosigns neither', async () => {
    const snapshot = join(made.directory, 'snapshot.db');
    await made.store.commit([]);
    const before = await openSqliteStore(made.path);
    await before.close();
    copyFileSync(made.path, snapshot);
    copyFileSync(`${made.path}-wal`, `${snapshot}-wal`);
    await grow();
    await witnessing().ask();
    const store = await openSqliteStore(snapshot);
    const ledger = await openLedger({ store, key, clock: { now: () => 0 } });
    const older = witnessing(ledger, store);
    expect(await older.ask()).toMatchObject([
      { cosigned: false, grave: true, why: expect.stringContaining('it has seen') },
    ]);
    await ledger.record({ entries: [entry('another past'), entry('of its own'), entry('and longer')] });
    expect(await older.ask()).toMatchObject([{ cosigned: false, grave: true, why: expect.stringContaining('422') }]);
    await ledger.close();
    await store.close();
  });

  it('says which of them doesn’t answer, and goes on with the others', async () => {
    await grow();
    const gone = { ...known, url: 'http://127.0.0.1:1', name: 'witness.example/gone' };
    expect(await witnessing(made.ledger, made.store, [gone, known]).ask()).toMatchObject([
      { witness: 'witness.example/gone', cosigned: false, grave: false },
      { witness: 'witness.example/one', cosigned: true },
    ]);
  });
});
