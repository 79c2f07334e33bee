import { closeSync, createReadStream, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { statements } from '../store/schema.ts';
import { checkpointFile } from '../store/sqlite-store.ts';
import type { Store } from '../store/store.ts';
import type { KeptRotation } from './key-succession.ts';
import { type Ledger, newestCheckpoint } from './ledger.ts';
import { leafHash } from './tree.ts';

/** A ledger as a stranger gets it: read without trusting anything in it. */
export interface LedgerCopy {
  /** The key that the copy itself names; `null` where it names none. */
  readonly verifierKey: string | null;
  /** Entries in the order and under the numbers they are kept, with the leaf hash that is kept for each. */
  entries(): AsyncIterable<KeptEntry> | Iterable<KeptEntry>;
  /** The entries by which it was handed to other keys. */
  readonly rotations: readonly KeptRotation[];
  readonly checkpoints: readonly { readonly size: number; readonly note: string }[];
  /** How many entries it says that it has; `null` where it doesn't say. */
  readonly size: number | null;
  /** The kept hash of a complete subtree, where the copy keeps them. */
  readonly nodeAt?: (level: number, index: number) => Buffer | undefined;
  close(): void | Promise<void>;
}

export interface KeptEntry {
  readonly index: number;
  readonly entry: string;
  readonly leaf: Buffer;
  /** What is wrong with how it is kept, where something is. */
  readonly problem?: string;
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

/**
 * Writes the whole ledger as lines of canonical JSON: a header, the checkpoints, the entries with their leaf hashes. The
 * names stand in canonical order here, so that nothing need be sorted.
 */
export async function* exportLedger(store: Store, ledger: Ledger): AsyncGenerator<string> {
  const size = (await newestCheckpoint(store))?.size ?? 0;
  yield `${JSON.stringify({ countersign: 'ledger/v1', size, verifierKey: ledger.verifierKey })}\n`;
  for (let after = 0; after < size; ) {
    const notes = await store.all(
      statements
        .selectFrom('checkpoints')
        .selectAll()
        .where('size', '>', after)
        .where('size', '<=', size)
        .orderBy('size')
        .limit(PAGE),
    );
    for (const { size: at, note } of notes) yield `${JSON.stringify({ checkpoint: note, size: at })}\n`;
    after = notes.at(-1)?.size ?? size;
  }
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
      yield `${JSON.stringify({ entry, index: idx, leaf: leafHash(Buffer.from(entry, 'utf8')).toString('base64') })}\n`;
    }
  }
}

/**
 * Opens a file: a state database or an exported archive.
 *
 * @throws when it is neither, or can't be read.
 */
export async function openFileCopy(path: string): Promise<LedgerCopy> {
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

/** A gateway may be writing to it. */
const BUSY_TIMEOUT_MS = 5000;

function openDatabase(path: string): LedgerCopy {
  // Before the database: a ledger that is being written is then never behind what stands beside it.
  const beside = checkpointFile(path);
  const note = existsSync(beside) ? readFileSync(beside, 'utf8') : null;
  const database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_TIMEOUT_MS });
  // All of it as of one moment.
  database.exec('BEGIN');
  const genesis = database.prepare('SELECT entry FROM ledger_entries WHERE idx = 0').get();
  const checkpoints = database
    .prepare('SELECT size, note FROM checkpoints ORDER BY size')
    .all()
    .map((row) => ({ size: Number(row['size']), note: String(row['note']) }));
  const entries = database.prepare(
    'SELECT e.idx, e.kind, e.subject, e.at, e.entry, n.hash FROM ledger_entries e LEFT JOIN ledger_nodes n ON n.level = 0 AND n.idx = e.idx ORDER BY e.idx',
  );
  const node = database.prepare('SELECT hash FROM ledger_nodes WHERE level = ? AND idx = ?');
  return {
    verifierKey: keyNamedIn(genesis?.['entry']),
    rotations: database
      .prepare("SELECT idx, entry FROM ledger_entries WHERE kind = 'key' ORDER BY idx")
      .all()
      .map((row) => ({ index: Number(row['idx']), entry: String(row['entry']) })),
    *entries() {
      for (const row of entries.iterate()) yield keptEntry(row, row['hash']);
    },
    checkpoints: [...checkpoints, ...besideCheckpoint(note, checkpoints)],
    size: null,
    nodeAt: (level, index) => bytesOf(node.get(level, index)?.['hash']),
    close: () => database.close(),
  };
}

/** The database may have gone on since: only a checkpoint that it doesn't know any more says something. */
export function besideCheckpoint(
  note: string | null,
  checkpoints: readonly { readonly size: number }[],
): { readonly size: number; readonly note: string }[] {
  const size = Number(note?.split('\n')[1]);
  return note === null || size <= (checkpoints.at(-1)?.size ?? 0) ? [] : [{ size, note }];
}

/** An entry as a database keeps it. */
export function keptEntry(row: Readonly<Record<string, unknown>>, hash: unknown): KeptEntry {
  const entry = String(row['entry']);
  const kept = { index: Number(row['idx']), entry, leaf: bytesOf(hash) ?? Buffer.alloc(0) };
  const misfiled = misfiledBy(row, parsedOrNull(entry));
  return misfiled === undefined ? kept : { ...kept, problem: `it is filed under another ${misfiled} than its own` };
}

export function bytesOf(hash: unknown): Buffer | undefined {
  return hash instanceof Uint8Array ? Buffer.from(hash) : undefined;
}

/** The column by which an entry is looked for and that is not what the entry says; no hash covers the columns. */
function misfiledBy(row: Readonly<Record<string, unknown>>, entry: unknown): string | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined;
  return ['kind', 'subject', 'at'].find((column) => row[column] !== (entry as Record<string, unknown>)[column]);
}

export function keyNamedIn(genesis: unknown): string | null {
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

const OF_A_KEY = '"kind":"key"';
/** As that stands in a line of an archive. */
const OF_A_KEY_ESCAPED = JSON.stringify(OF_A_KEY).slice(1, -1);

/** Whether an entry hands the ledger to another key. */
export function isOfAKey(entry: string): boolean {
  if (!entry.includes(OF_A_KEY)) return false;
  const parsed = parsedOrNull(entry);
  return typeof parsed === 'object' && parsed !== null && 'kind' in parsed && parsed.kind === 'key';
}

async function openArchive(path: string): Promise<LedgerCopy> {
  const checkpoints: { size: number; note: string }[] = [];
  const rotations: KeptRotation[] = [];
  let header: z.infer<typeof HEADER> | null = null;
  for await (const [line] of numberedLines(path)) {
    if (header === null) {
      header = HEADER.parse(JSON.parse(line));
      continue;
    }
    if (line.startsWith('{"entry":') && !line.includes(OF_A_KEY_ESCAPED)) continue;
    const parsed = LINE.safeParse(parsedOrNull(line));
    if (!parsed.success) continue; // told of when the entries are read
    if ('checkpoint' in parsed.data) checkpoints.push({ size: parsed.data.size, note: parsed.data.checkpoint });
    else if (isOfAKey(parsed.data.entry)) rotations.push(parsed.data);
  }
  return {
    verifierKey: header?.verifierKey ?? null,
    rotations,
    async *entries() {
      for await (const [line, number] of numberedLines(path)) {
        if (number === 0) continue;
        const parsed = LINE.safeParse(parsedOrNull(line));
        if (!parsed.success) throw new UnreadableLine(number, line);
        if ('checkpoint' in parsed.data) continue;
        const { index, entry, leaf } = parsed.data;
        const bytes = Buffer.from(leaf, 'base64');
        if (bytes.toString('base64') !== leaf) throw new UnreadableLine(number, line);
        yield { index, entry, leaf: bytes };
      }
    },
    checkpoints,
    size: header?.size ?? null,
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

/** Only a line feed ends a line: `node:readline` would also end it at U+2028, which may stand in any entry. */
async function* numberedLines(path: string): AsyncGenerator<readonly [line: string, number: number]> {
  let number = 0;
  let rest = '';
  for await (const chunk of createReadStream(path, 'utf8')) {
    const lines = `${rest}${chunk}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield [line, number++];
  }
  if (rest !== '') yield [rest, number];
}
