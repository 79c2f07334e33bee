import { chownSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { generate } from 'selfsigned';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ActorId, asId, type HaltId, instantOf } from '../../src/domain/ids.ts';
import type { PostgresState } from '../../src/domain/state-location.ts';
import { startEmbeddedServer } from '../../src/engines/postgres/embedded-server.ts';
import { openPostgresCopy } from '../../src/ledger/postgres-copy.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { activeHalts, insertHalt } from '../../src/store/halts.ts';
import { openStore } from '../../src/store/open-store.ts';
import { statements } from '../../src/store/schema.ts';
import { type Store, StoreUnavailable } from '../../src/store/store.ts';
import type { Write } from '../../src/store/write.ts';
import { entry, testLedger } from '../fixtures/ledger.ts';
import { asSuperuser, newest } from '../fixtures/postgres.ts';
import { connectToState, type PostgresPlace, startPostgresPlace } from '../fixtures/state.ts';
import { startTcpProxy, type TcpProxy } from '../fixtures/tcp-proxy.ts';

const LEASE_MS = 1000;
const NEXT_NUMBER = 'SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS next';

function halt(id: string): Write {
  const by = asId<ActorId>('ada');
  return insertHalt({ id: asId<HaltId>(id), scope: { scope: 'global' }, reason: 'r', by, at: instantOf(0) });
}

describe.each(newest)('a state store on $name', ({ binaries }) => {
  let place: PostgresPlace;
  let direct: PostgresState;
  let proxy: TcpProxy;
  let store: Store;
  beforeAll(async () => {
    place = await startPostgresPlace(binaries);
  });
  afterAll(() => place?.remove());
  beforeEach(async () => {
    direct = await place.make({ leaseMs: LEASE_MS });
    proxy = await startTcpProxy(direct);
    store = await openStore({ ...direct, port: proxy.port });
  });
  afterEach(async () => {
    await store.close();
    await proxy.close();
  });

  async function truth(): Promise<readonly string[]> {
    const client = await connectToState(direct);
    const { rows } = await client.query<{ id: string }>('SELECT id FROM halts ORDER BY id');
    await client.end();
    return rows.map(({ id }) => id);
  }

  it('G12 asks what became of a COMMIT whose answer was lost, and does it not again', async () => {
    proxy.cutAt('COMMIT', 'after');
    expect(await store.commit([halt('h1')])).toBeNull();
    expect(await truth()).toEqual(['h1']);
  });

  it('G12 says that nothing was done when the COMMIT never came', async () => {
    proxy.cutAt('COMMIT', 'before');
    await expect(store.commit([halt('h1')])).rejects.toThrow(/undone/);
    expect(await truth()).toEqual([]);
    expect(await store.commit([halt('h1')])).toBeNull();
    expect(await truth()).toEqual(['h1']);
  });

  it('G12 takes no other transaction for its own that was given its number after a crash', async () => {
    const doomed = await startPostgresPlace(binaries);
    const state = await doomed.make({ leaseMs: LEASE_MS });
    const wire = await startTcpProxy(state);
    const unlucky = await openStore({ ...state, port: wire.port });
    await unlucky.commit([halt('h0')]);
    // So that nothing of the transaction reaches the disk by itself.
    const superuser = doomed.server.url('postgres');
    await asSuperuser(superuser, "ALTER SYSTEM SET wal_writer_delay = '10s'");
    await asSuperuser(superuser, 'SELECT pg_reload_conf()');
    await asSuperuser(superuser, 'CHECKPOINT');
    const nextNumber = async () =>
      Number((await asSuperuser<{ next: string }>(superuser, NEXT_NUMBER)).map(({ next }) => next));
    const number = await nextNumber();
    wire.cutAt('COMMIT', 'before, for good');
    const told = unlucky.commit([halt('h1')]).then(
      () => 'committed',
      (error: unknown) => String(error),
    );
    await wire.whenCut();
    await doomed.server.kill();
    const { dataDirectory, port } = doomed.server;
    const again = await startEmbeddedServer({ dataDirectory, port, binaries, durable: false });
    expect(await nextNumber()).toBe(number);
    await asSuperuser(superuser, 'CREATE TABLE others (); INSERT INTO others DEFAULT VALUES');
    for (let n = 0; n < 5; n++) await asSuperuser(superuser, 'INSERT INTO others DEFAULT VALUES');
    expect(await nextNumber()).toBeGreaterThan(number + 1);
    wire.mend();
    expect(await told).toMatch(/undone/);
    expect((await activeHalts(unlucky)).map(({ id }) => id)).toEqual(['h0']);
    await unlucky.close();
    await wire.close();
    await again.stop();
    await doomed.remove();
  }, 60_000);

  it('G12 says that nobody knows when even that can’t be asked; the ledger goes on from what is there', async () => {
    const made = await testLedger({ ...direct, port: proxy.port });
    proxy.cutAt('COMMIT', 'after, for good');
    const recording = made.ledger.record({ entries: [entry('unknown')], writes: [halt('h1')] });
    const failed = expect(recording).rejects.toMatchObject({
      name: 'LedgerUnavailable',
      cause: { name: 'StoreUncertain' },
    });
    await failed;
    expect(await truth()).toEqual(['h1']);
    proxy.mend();
    await made.ledger.record({ entries: [entry('next')] });
    const subjects = (await made.ledger.entries({ from: 1, limit: 10 })).map(({ entry: { subject } }) => subject);
    expect(subjects).toEqual(['unknown', 'next']);
    expect(await verifyLedger(direct, made.ledger.verifierKey)).toMatchObject({ verdict: 'sound', entries: 3 });
    await made.remove();
  }, 60_000);

  it('says so within its bound when the network is parted, and goes on when it is whole again', async () => {
    await store.commit([halt('h1')]);
    proxy.freeze();
    const beganMs = performance.now();
    await expect(store.commit([halt('h2')])).rejects.toThrow(StoreUnavailable);
    expect(performance.now() - beganMs).toBeLessThan(LEASE_MS + 500);
    proxy.mend();
    expect(await store.commit([halt('h3')])).toBeNull();
    expect(await truth()).toEqual(['h1', 'h3']);
  });

  it('G12 does not hold the turn of a node that was cut off while it had it', async () => {
    const other = await openStore(direct);
    const late = store.append(async () => {
      proxy.freeze();
      await sleep(50);
      return [halt('late')];
    });
    const failed = expect(late).rejects.toThrow(StoreUnavailable);
    await sleep(30);
    const beganMs = performance.now();
    let done = false;
    while (!done && performance.now() - beganMs < 5000) {
      done = await other
        .append(() => Promise.resolve([halt('next')]))
        .then(
          () => true,
          () => false,
        );
    }
    expect(done).toBe(true);
    expect(performance.now() - beganMs).toBeLessThan(2 * LEASE_MS + 500);
    await failed;
    await other.close();
    expect(await truth()).toEqual(['next']);
  });

  it('reads on after its connections were ended', async () => {
    await store.commit([halt('h1')]);
    const client = await connectToState(direct);
    await client.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );
    await client.end();
    expect((await activeHalts(store)).map(({ id }) => id)).toEqual(['h1']);
    expect(await store.commit([halt('h2')])).toBeNull();
  });

  it('G11 tells of what others commit within milliseconds, again after its connection was lost', async () => {
    const other = await openStore(direct);
    let changes = 0;
    store.onChange(() => changes++);
    const heard = async (id: string): Promise<number> => {
      changes = 0;
      const beganMs = performance.now();
      await other.commit([halt(id)]);
      while (changes === 0 && performance.now() - beganMs < 5000) await sleep(1);
      expect(changes).toBeGreaterThan(0);
      return performance.now() - beganMs;
    };
    await expect.poll(() => changes, { timeout: 5000 }).toBe(1);
    expect(await heard('h1')).toBeLessThan(500);
    proxy.cut();
    await other.commit([halt('meanwhile')]);
    changes = 0;
    proxy.mend();
    await expect.poll(() => changes, { timeout: 5000 }).toBe(1);
    expect(await heard('h2')).toBeLessThan(500);
    await other.close();
  });

  it('G7 is verified however long the signatures take', async () => {
    const made = await testLedger(direct);
    await made.ledger.record({ entries: [entry('one')] });
    const copy = await openPostgresCopy({ ...direct, leaseMs: 100 });
    await sleep(500);
    const kept: string[] = [];
    for await (const one of copy.entries()) kept.push(JSON.parse(one.entry).subject);
    expect(kept.at(-1)).toBe('one');
    await copy.close();
    await made.remove();
  });

  it('of a newer version is left alone', async () => {
    const client = await connectToState(direct);
    await client.query('UPDATE version SET version = 1000');
    await client.end();
    await expect(openStore(direct)).rejects.toThrow(/newer version/);
  });

  it('is reached by TLS, and by whom it should be', async () => {
    const { private: key, cert } = await generate([{ name: 'commonName', value: '127.0.0.1' }], {
      extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
    });
    const stranger = await generate([{ name: 'commonName', value: '127.0.0.1' }]);
    const { dataDirectory } = place.server;
    const { uid, gid } = statSync(dataDirectory);
    for (const [name, text] of [
      ['server.key', key],
      ['server.crt', cert],
    ] as const) {
      writeFileSync(join(dataDirectory, name), text, { mode: 0o600 });
      chownSync(join(dataDirectory, name), uid, gid);
    }
    const superuser = place.server.url('postgres');
    await asSuperuser(superuser, 'ALTER SYSTEM SET ssl = on');
    await asSuperuser(superuser, 'SELECT pg_reload_conf()');
    await expect.poll(() => asSuperuser(superuser, 'SHOW ssl')).toEqual([{ ssl: 'on' }]);

    const encrypted = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
    for (const tls of [{ tls: 'require' }, { tls: 'verify-full', tlsAuthorities: cert }] as const) {
      const safe = await openStore({ ...direct, ...tls });
      expect(await safe.all({ compile: () => sql.raw(encrypted).compile(statements) })).toEqual([{ ssl: true }]);
      await safe.close();
    }
    for (const tls of [{ tls: 'verify-full' }, { tls: 'verify-full', tlsAuthorities: stranger.cert }] as const)
      await expect(openStore({ ...direct, ...tls })).rejects.toThrow(StoreUnavailable);
    await asSuperuser(superuser, 'ALTER SYSTEM RESET ssl');
    await asSuperuser(superuser, 'SELECT pg_reload_conf()');
  });

  it('is written through to the disk, and never says a password', async () => {
    const [row] = await store.all({ compile: () => sql.raw('SHOW synchronous_commit').compile(statements) });
    expect(row).toEqual({ synchronous_commit: 'on' });
    const wrong = openStore({ ...direct, password: () => 'not-the-password' });
    await expect(wrong).rejects.toThrow(StoreUnavailable);
    await expect(wrong).rejects.not.toThrow(/not-the-password/);
    expect(store.name).not.toContain(place.server.password);
  });
});
