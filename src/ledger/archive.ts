import { closeSync, createReadStream, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { statements } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { checkpointFile, type Ledger } from './ledger.ts';
import { leafHash } from './tree.ts';

/** A ledger as a stranger gets it: read without trusting anything in it. */
export interface LedgerCopy {
  /** The key that the copy itself names; `null` where it names none. */
  readonly verifierKey: string | null;
  /** Entries in the order and under the numbers they are kept, with the leaf hash that is kept for each. */
  entries(): AsyncIterable<KeptEntry> | Iterable<KeptEntry>;
  readonly checkpoints: readonly { readonly size: number; readonly note: string }[];
  close(): void;
}

export interface KeptEntry {
  readonly index: number;
  readonly entry: string;
  readonly leaf: Buffer;
}

const HEADER = z.strictObject({
  countersign: z.literal('ledger/v1'),
  verifierKey: z.string(),
  size: z.int().nonnegative(),
});
const LINE = z.union([
  z.strictObject({ index: z.int().nonnegative(), leaf: z.base64(), entry: z.string() }),
  z.strictObject({ size: z.int().nonnegative(), checkpoint: z.string() }),
]);
const PAGE = 1000;

/** Writes the whole ledger as JSON lines: a header, the checkpoints, the entries with their leaf hashes. */
export async function* exportLedger(store: Store, ledger: Ledger): AsyncGenerator<string> {
  const checkpoints = await store.all(statements.selectFrom('checkpoints').selectAll().orderBy('size'));
  const size = checkpoints.at(-1)?.size ?? 0;
  yield `${JSON.stringify({ countersign: 'ledger/v1', verifierKey: ledger.verifierKey, size })}\n`;
  for (const { size: at, note } of checkpoints) yield `${JSON.stringify({ size: at, checkpoint: note })}\n`;
  for (let from = 0; from < size; from += PAGE) {
    const rows = await store.all(
      statements
        .selectFrom('ledger_entries')
        .select(['idx', 'entry'])
        .where('idx', '>=', from)
        .where('idx', '<', Math.min(from + PAGE, size))
        .orderBy('idx'),
    );
    for (const { idx, entry } of rows) {
      yield `${JSON.stringify({ index: idx, leaf: leafHash(Buffer.from(entry, 'utf8')).toString('base64'), entry })}\n`;
    }
  }
}

/**
 * Opens a copy: a state database or an exported archive.
 *
 * @throws when it is neither, or can't be read.
 */
export async function openLedgerCopy(path: string): Promise<LedgerCopy> {
  const start = beginningOf(path);
  if (start === '') throw new Error(`${path} is empty`);
  return start === 'SQLite format 3' ? openDatabase(path) : openArchive(path);
}

function beginningOf(path: string): string {
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(15);
    return bytes.subarray(0, readSync(file, bytes)).toString('latin1');
  } finally {
    closeSync(file);
  }
}

function openDatabase(path: string): LedgerCopy {
  const database = new DatabaseSync(path, { readOnly: true });
  const genesis = database.prepare('SELECT entry FROM ledger_entries WHERE idx = 0').get();
  const entries = database.prepare(
    'SELECT e.idx, e.entry, n.hash FROM ledger_entries e LEFT JOIN ledger_nodes n ON n.level = 0 AND n.idx = e.idx ORDER BY e.idx',
  );
  const checkpoints = database
    .prepare('SELECT size, note FROM checkpoints ORDER BY size')
    .all()
    .map((row) => ({ size: Number(row['size']), note: String(row['note']) }));
  const beside = checkpointFile(path);
  if (existsSync(beside)) {
    const note = readFileSync(beside, 'utf8');
    const size = Number(note.split('\n')[1]);
    // The database may have gone on since: only a checkpoint that it doesn't know any more says something.
    if (size > (checkpoints.at(-1)?.size ?? 0)) checkpoints.push({ size, note });
  }
  return {
    verifierKey: keyNamedIn(genesis?.['entry']),
    *entries() {
      for (const row of entries.iterate()) {
        const hash = row['hash'];
        yield {
          index: Number(row['idx']),
          entry: String(row['entry']),
          leaf: hash instanceof Uint8Array ? Buffer.from(hash) : Buffer.alloc(0),
        };
      }
    },
    checkpoints,
    close: () => database.close(),
  };
}

function keyNamedIn(genesis: unknown): string | null {
  const parsed = z.object({ body: z.object({ verifierKey: z.string() }) }).safeParse(parsedOrNull(String(genesis)));
  return parsed.success ? parsed.data.body.verifierKey : null;
}

function parsedOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

async function openArchive(path: string): Promise<LedgerCopy> {
  const checkpoints: { size: number; note: string }[] = [];
  let verifierKey: string | null = null;
  for await (const [line] of numberedLines(path)) {
    if (verifierKey === null) {
      verifierKey = HEADER.parse(JSON.parse(line)).verifierKey;
      continue;
    }
    const parsed = LINE.parse(JSON.parse(line));
    if (!('checkpoint' in parsed)) break;
    checkpoints.push({ size: parsed.size, note: parsed.checkpoint });
  }
  return {
    verifierKey,
    async *entries() {
      for await (const [line, number] of numberedLines(path)) {
        if (number === 0) continue;
        const parsed = LINE.safeParse(parsedOrNull(line));
        if (!parsed.success) throw new UnreadableLine(number, line);
        if ('checkpoint' in parsed.data) continue;
        const { index, entry, leaf } = parsed.data;
        yield { index, entry, leaf: Buffer.from(leaf, 'base64') };
      }
    },
    checkpoints,
    close: () => undefined,
  };
}

/** A line of an archive that is no line of an archive. */
export class UnreadableLine extends Error {
  readonly index: number | undefined;
  constructor(line: number, text: string) {
    super(`line ${line + 1} is damaged`);
    this.name = 'UnreadableLine';
    const index = /"index":(\d+)/.exec(text)?.[1];
    this.index = index === undefined ? undefined : Number(index);
  }
}

async function* numberedLines(path: string): AsyncGenerator<readonly [line: string, number: number]> {
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    yield [line, number++];
  }
}
