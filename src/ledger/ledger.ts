import assert from 'node:assert/strict';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { sql } from 'kysely';
import type { Clock } from '../domain/clock.ts';
import { canonicalJson, type Json } from '../domain/digest.ts';
import type { Entry } from '../domain/entry.ts';
import { instantOf } from '../domain/ids.ts';
import { type Refusal, RefusalError } from '../domain/refusal.ts';
import { statements } from '../store/schema.ts';
import { type Reader, STATE_UNAVAILABLE, type Store, StoreUnavailable } from '../store/store.ts';
import { type Write, write } from '../store/write.ts';
import { type BatchWrites, type Waiting, writesOf } from './batch.ts';
import { openCheckpoint, signCheckpoint } from './checkpoint.ts';
import { type EntryFilter, readEntries, type StoredEntry } from './read-entries.ts';
import { type SigningKey, verifierKey } from './signing-key.ts';
import { EMPTY_FRONTIER, edgePositions, type Frontier, grow, leafHash, rootOf } from './tree.ts';
import { consistencyProof, inclusionProof } from './tree-proof.ts';

/** The append-only proof chain. The only way by which the state changes is a record here (G7). */
export interface Ledger {
  readonly origin: string;
  readonly verifierKey: string;
  /**
   * Appends entries and executes the writes that go with them: durable together when it resolves, or not at all.
   *
   * @throws GuardFailed when the state was not what a write expects; LedgerUnavailable when it can't be written.
   */
  record(fact: { readonly entries: readonly Entry[]; readonly writes?: readonly Write[] }): Promise<Recorded>;
  entries(filter: EntryFilter): Promise<readonly StoredEntry[]>;
  /** Looks whether what is kept is what was signed. @throws LedgerCorrupt when it isn't; StoreUnavailable. */
  check(): Promise<void>;
  /** The newest signed checkpoint. */
  checkpoint(): Promise<string>;
  /** Proof that an entry is in the ledger at a size (RFC 6962 §2.1.1). */
  inclusionProof(index: number, size: number): Promise<readonly Buffer[]>;
  /** Proof that the ledger of a size grew out of an earlier one (RFC 6962 §2.1.2). */
  consistencyProof(earlier: number, size: number): Promise<readonly Buffer[]>;
  close(): Promise<void>;
}

/** A batch of entries that became durable together. */
export interface Appended {
  readonly entries: number;
  /** From handing it to the store to its being on disk. */
  readonly durationMs: number;
}

export interface Recorded {
  readonly indexes: readonly number[];
}

export class GuardFailed extends Error {
  constructor() {
    super('the state is no longer what this change expects');
    this.name = 'GuardFailed';
  }
}

export class LedgerUnavailable extends RefusalError {
  constructor(message: string, options?: ErrorOptions) {
    super(STATE_UNAVAILABLE, options);
    this.name = 'LedgerUnavailable';
    this.message = message;
  }
}

const UNRELIABLE: Refusal = {
  refused: 'unavailable',
  message: 'The ledger can’t be relied on, so nothing is done.',
  hint: 'An operator must look at the gateway’s log, and run: countersign ledger verify',
};

/** The ledger was altered behind its back: nothing may be built upon it. */
export class LedgerCorrupt extends RefusalError {
  constructor(message: string, options?: ErrorOptions) {
    super(UNRELIABLE, options);
    this.name = 'LedgerCorrupt';
    this.message = message;
  }
}

const MAX_BATCH = 2000;
const MAX_WAITING = 50_000;
const MAX_RACES = 50;

/** How many ledgers this process has opened: each writes its checkpoints under a name of its own. */
let openings = 0;

/**
 * Opens the ledger in a store, and begins it with a genesis entry where there is none.
 *
 * @throws LedgerCorrupt when the kept tree is not the one that was signed.
 */
export async function openLedger(deps: {
  readonly store: Store;
  readonly key: SigningKey;
  /** The key that has signed until now, where `key` is about to take over (`rotateKey`). */
  readonly takesOverFrom?: SigningKey;
  readonly clock: Clock;
  readonly onAppended?: (batch: Appended) => void;
}): Promise<Ledger> {
  const { store, key } = deps;
  const opening = ++openings;
  const queue: Waiting[] = [];
  // Before the store: a ledger that is being written is then never behind what stands beside it.
  const beside = existsSync(store.checkpointFile) ? readFileSync(store.checkpointFile, 'utf8') : null;
  const signedUntilNow = deps.takesOverFrom ?? key;
  let frontier = await loadFrontier(store, store.name, signedUntilNow);
  if (beside !== null) refuseSetBack(store, frontier, beside, signedUntilNow);
  let running: Promise<void> | null = null;
  let closed = false;

  function record(fact: Parameters<Ledger['record']>[0]): Promise<Recorded> {
    if (closed) return Promise.reject(new LedgerUnavailable('the ledger is closed'));
    if (queue.length >= MAX_WAITING) return Promise.reject(new LedgerUnavailable('too many entries wait for the disk'));
    return new Promise((resolve, reject) => {
      assert(fact.entries.length > 0, 'G7: the state changes with an entry that proves it, or not at all');
      const bytes = fact.entries.map((entry) => canonicalJson(entry as unknown as Json));
      queue.push({ bytes, entries: fact.entries, writes: fact.writes ?? [], resolve, reject });
      running ??= drain();
    });
  }

  /** One batch after the other: while the disk works on one, the next gathers (group commit). */
  async function drain(): Promise<void> {
    while (queue.length > 0) {
      const batch = queue.splice(0, MAX_BATCH);
      try {
        await append(batch);
      } catch (error) {
        const reason =
          error instanceof StoreUnavailable ? new LedgerUnavailable(error.message, { cause: error }) : error;
        for (const waiting of batch) waiting.reject(reason instanceof Error ? reason : new Error(String(reason)));
      }
    }
    // In the same turn as the last look at the queue, so that no record can come in between and wait for ever.
    running = null;
  }

  async function append(batch: Waiting[]): Promise<void> {
    let left = batch;
    for (let races = 0; left.length > 0; races++) {
      let step: Step | undefined;
      const startedMs = performance.now();
      const failedAt = await store.append(async (turn) => {
        if (turn !== null || races > 0) frontier = await caughtUp(turn ?? store, frontier);
        step = stepOf(left, frontier);
        return step.writes;
      });
      assert(step !== undefined);
      if (failedAt === null) {
        const durationMs = performance.now() - startedMs;
        resolveAll(left, frontier.size);
        deps.onAppended?.({ entries: step.frontier.size - frontier.size, durationMs });
        frontier = step.frontier;
        step.publish();
        return;
      }
      if (failedAt === 0) {
        // Another process appended first: its entries come before these.
        if (races > MAX_RACES) throw new LedgerUnavailable('other processes keep appending to the ledger');
        continue;
      }
      const owner = step.owners[failedAt];
      if (owner === undefined) {
        throw new LedgerCorrupt(`the ledger in ${store.name} goes beyond its size; run: countersign ledger verify`);
      }
      owner.reject(new GuardFailed());
      left = left.filter((waiting) => waiting !== owner);
    }
  }

  /** The tree as it is now: what this process knows, unless another one has appended since. */
  async function caughtUp(reader: Reader, known: Frontier): Promise<Frontier> {
    const head = await reader.first(statements.selectFrom('ledger_head').select('size'));
    const size = head?.size ?? 0;
    if (size === known.size) return known;
    if (size < known.size) throw setBack(store, size, known.size);
    return loadFrontier(reader, store.name, key);
  }

  function stepOf(batch: readonly Waiting[], from: Frontier): Step {
    const grown = grow(
      from,
      batch.flatMap(({ bytes }) => bytes.map((entry) => leafHash(Buffer.from(entry, 'utf8')))),
    );
    const note = signCheckpoint({ origin: key.name, size: grown.frontier.size, root: rootOf(grown.frontier) }, key);
    const publish = keepBeside(store.checkpointFile, opening, note);
    return { ...writesOf(batch, from.size, grown, note), frontier: grown.frontier, publish };
  }

  const ledger: Ledger = {
    origin: key.name,
    verifierKey: verifierKey(key.name, key.publicKey),
    record,
    entries: (filter) => readEntries(store, filter),
    async check() {
      const known = frontier.size;
      const { size } = await loadFrontier(store, store.name, key);
      if (size < known) throw setBack(store, size, known);
    },
    async checkpoint() {
      const row = await newestCheckpoint(store);
      assert(row !== undefined);
      return row.note;
    },
    inclusionProof: (index, size) => inclusionProof(index, size, (level, at) => nodeAt(store, level, at)),
    consistencyProof: (earlier, size) => consistencyProof(earlier, size, (level, at) => nodeAt(store, level, at)),
    async close() {
      closed = true;
      await running;
    },
  };
  if (frontier.size === 0) {
    const body = { origin: key.name, verifierKey: ledger.verifierKey };
    const at = instantOf(deps.clock.now());
    const first = write(statements.updateTable('ledger_head').set({ size: 1 }).where('size', '=', 1), 1);
    try {
      await record({ entries: [{ v: 1, kind: 'genesis', at, subject: key.name, body }], writes: [first] });
    } catch (error) {
      // Another process has begun it in the same instant, with the same key.
      if (!(error instanceof GuardFailed)) throw error;
    }
  }
  return ledger;
}

interface Step extends BatchWrites {
  readonly frontier: Frontier;
  readonly publish: () => void;
}

function resolveAll(batch: readonly Waiting[], size: number): void {
  let index = size;
  for (const waiting of batch) waiting.resolve({ indexes: waiting.entries.map(() => index++) });
}

/** The size, what is signed and what is there, of one moment. */
const HEAD = statements.selectFrom('ledger_head').select((eb) => [
  'size',
  eb
    .selectFrom('checkpoints')
    .select((in_) => in_.fn.max('checkpoints.size').as('size'))
    .as('signed'),
  eb.selectFrom('ledger_entries').select(sql<number | null>`max(idx) + 1`.as('count')).as('entries'),
]);

/** The tree's right edge as it is kept, checked against the checkpoint that was signed for that size. */
async function loadFrontier(reader: Reader, name: string, key: SigningKey): Promise<Frontier> {
  const head = await reader.first(HEAD);
  const size = head?.size ?? 0;
  if ((head?.signed ?? 0) !== size || (head?.entries ?? 0) !== size) {
    throw new LedgerCorrupt(
      `the ledger in ${name} says that it has ${size} entries, and has ${head?.entries ?? 0} of ${head?.signed ?? 0} that were signed; run: countersign ledger verify`,
    );
  }
  if (size === 0) return EMPTY_FRONTIER;
  const frontier = { size, edge: await edgeAt(reader, size) };
  // Not the newest one: another process may have appended since the size was read.
  const row = await reader.first(statements.selectFrom('checkpoints').select('note').where('size', '=', size));
  try {
    const checkpoint = openCheckpoint(row?.note ?? '', key);
    assert.equal(checkpoint.size, size, 'its checkpoint is of another size');
    assert(checkpoint.root.equals(rootOf(frontier)), 'the tree has another root than was signed');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new LedgerCorrupt(`the ledger in ${name} is not as it was signed: ${why}; run: countersign ledger verify`, {
      cause: error,
    });
  }
  return frontier;
}

async function edgeAt(reader: Reader, size: number): Promise<readonly Buffer[]> {
  const positions = edgePositions(size);
  const kept = await reader.all(
    statements
      .selectFrom('ledger_nodes')
      .selectAll()
      .where(({ or, and }) => or(positions.map(({ level, index }) => and({ level, idx: index })))),
  );
  return positions.map(({ level, index }) => {
    const node = kept.find((each) => each.level === level && each.idx === index);
    if (node === undefined) throw missingNode(level, index);
    return Buffer.from(node.hash);
  });
}

export async function newestCheckpoint(store: Store): Promise<{ size: number; note: string } | undefined> {
  return store.first(statements.selectFrom('checkpoints').selectAll().orderBy('size', 'desc').limit(1));
}

async function nodeAt(reader: Reader, level: number, index: number): Promise<Buffer> {
  const row = await reader.first(
    statements.selectFrom('ledger_nodes').select('hash').where('level', '=', level).where('idx', '=', index),
  );
  if (row === undefined) throw missingNode(level, index);
  return Buffer.from(row.hash);
}

function missingNode(level: number, index: number): LedgerCorrupt {
  return new LedgerCorrupt(`node ${index} of level ${level} is missing from the ledger`);
}

/**
 * Keeps the newest checkpoint beside the database, so that a database cut back to an earlier size is noticed. Written
 * before the commit, so that a disk that has no room for it refuses the record.
 *
 * @returns puts it in place; called once the commit is durable, or it would vouch for entries that never came.
 */
function keepBeside(file: string, opening: number, note: string): () => void {
  const making = `${file}.${process.pid}-${opening}`;
  try {
    writeFileSync(making, note, { mode: 0o600 });
  } catch (error) {
    throw new LedgerUnavailable(`the checkpoint can't be written to ${making}`, { cause: error });
  }
  return () => renameSync(making, file);
}

/** @throws LedgerCorrupt when the checkpoint beside the store vouches for entries that the store doesn't have. */
function refuseSetBack(store: Store, { size }: Frontier, beside: string, key: SigningKey): void {
  let known: number;
  try {
    known = openCheckpoint(beside, key).size;
  } catch (error) {
    throw new LedgerCorrupt(`${store.checkpointFile} is no checkpoint of the ledger in ${store.name}`, {
      cause: error,
    });
  }
  if (known > size) throw setBack(store, size, known);
}

function setBack({ name, checkpointFile }: Store, size: number, known: number): LedgerCorrupt {
  return new LedgerCorrupt(
    `the ledger in ${name} has ${size} entries, and had ${known}: the store was set back to an earlier state. Bring the lost entries back, or, if a person takes the loss upon themselves, put ${checkpointFile} aside`,
  );
}
