import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { statements } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { readCheckpoint } from './checkpoint.ts';
import type { Ledger } from './ledger.ts';
import { verifyConsistency } from './tree-proof.ts';

/** Hashes or entries in a tile; a tile of the next level stands on as many of this. */
const WIDTH = 256;
const HEIGHT = 8;
/** The length of an entry stands before it in two bytes. */
const MAX_ENTRY_BYTES = 65_535;

/** What was written, and what a bundle can't hold. */
export interface Published {
  readonly size: number;
  readonly files: number;
  /** Bundles that are missing, because an entry in them is too long; its hash is in the tiles all the same. */
  readonly leftOut: readonly { readonly bundle: string; readonly entry: number; readonly bytes: number }[];
}

/**
 * Writes the ledger as static files that any web server can hand out (C2SP tlog-tiles v1): `checkpoint`, `tile/<level>/<n>`,
 * `tile/entries/<n>`. What is there already is left as it is, and only what came since is read; the checkpoint is written last.
 *
 * @throws Error when the directory holds a ledger that this one has not grown out of.
 */
export async function publishTiles(
  { store, ledger }: { readonly store: Store; readonly ledger: Ledger },
  directory: string,
): Promise<Published> {
  const note = await ledger.checkpoint();
  const { size } = readCheckpoint(note);
  const before = await publishedSize(ledger, note, directory);
  let files = 0;
  const leftOut: Published['leftOut'][number][] = [];

  async function put(path: string, bytes: Buffer | string): Promise<void> {
    const whole = join(directory, path);
    await mkdir(dirname(whole), { recursive: true });
    const part = `${whole}.new`;
    await writeFile(part, bytes);
    await rename(part, whole);
    files++;
  }

  /** Full tiles never change; the parts of one that was begun are of no use once it is full. */
  async function putTile(kind: string, n: number, width: number, bytes: Buffer): Promise<void> {
    const path = `tile/${kind}/${numbered(n)}`;
    await put(width === WIDTH ? path : `${path}.p/${width}`, bytes);
    if (width === WIDTH) await rm(join(directory, `${path}.p`), { recursive: true, force: true });
  }

  for (const { n, width } of tilesFrom(before, size)) {
    const entries = await entriesOf(store, n, width);
    const long = entries.findIndex(({ length }) => length > MAX_ENTRY_BYTES);
    if (long === -1)
      await putTile('entries', n, width, Buffer.concat(entries.flatMap((entry) => [sizeOf(entry), entry])));
    else
      leftOut.push({
        bundle: `tile/entries/${numbered(n)}`,
        entry: n * WIDTH + long,
        bytes: entries[long]?.length ?? 0,
      });
  }
  for (let level = 0; size >= WIDTH ** level; level++) {
    const span = WIDTH ** level;
    for (const { n, width } of tilesFrom(Math.floor(before / span), Math.floor(size / span)))
      await putTile(String(level), n, width, await hashesOf(store, level * HEIGHT, n, width));
  }
  await put('checkpoint', note);
  return { size, files, leftOut };
}

/** How many entries the directory has; it must be of the same past. */
async function publishedSize(ledger: Ledger, note: string, directory: string): Promise<number> {
  const file = join(directory, 'checkpoint');
  if (!existsSync(file)) return 0;
  const earlier = readCheckpoint(readFileSync(file, 'utf8'));
  const now = readCheckpoint(note);
  if (earlier.size === 0) return 0;
  const grown =
    earlier.origin === now.origin &&
    earlier.size <= now.size &&
    verifyConsistency(earlier, now, await ledger.consistencyProof(earlier.size, now.size));
  if (!grown)
    throw new Error(
      `${directory} holds ${earlier.size} entries of ${earlier.origin} that this ledger of ${now.size} has not grown out of`,
    );
  return earlier.size;
}

/** The tiles over `size` hashes that are not full over the first `before` of them. */
function* tilesFrom(before: number, size: number): Generator<{ readonly n: number; readonly width: number }> {
  if (before === size) return;
  for (let n = Math.floor(before / WIDTH); n * WIDTH < size; n++) yield { n, width: Math.min(WIDTH, size - n * WIDTH) };
}

/** `1234067` is written `x001/x234/067`. */
function numbered(n: number): string {
  const groups = [String(n % 1000).padStart(3, '0')];
  for (let rest = Math.floor(n / 1000); rest > 0; rest = Math.floor(rest / 1000))
    groups.unshift(`x${String(rest % 1000).padStart(3, '0')}`);
  return groups.join('/');
}

async function entriesOf(store: Store, n: number, width: number): Promise<readonly Buffer[]> {
  const from = n * WIDTH;
  const rows = await store.all(
    statements
      .selectFrom('ledger_entries')
      .select('entry')
      .where('idx', '>=', from)
      .where('idx', '<', from + width)
      .orderBy('idx'),
  );
  return complete(
    rows.map(({ entry }) => Buffer.from(entry, 'utf8')),
    width,
    `entries from ${from}`,
  );
}

async function hashesOf(store: Store, level: number, n: number, width: number): Promise<Buffer> {
  const from = n * WIDTH;
  const rows = await store.all(
    statements
      .selectFrom('ledger_nodes')
      .select('hash')
      .where('level', '=', level)
      .where('idx', '>=', from)
      .where('idx', '<', from + width)
      .orderBy('idx'),
  );
  return Buffer.concat(
    complete(rows, width, `nodes of level ${level} from ${from}`).map(({ hash }) => Buffer.from(hash)),
  );
}

function complete<Row>(rows: readonly Row[], width: number, what: string): readonly Row[] {
  if (rows.length !== width)
    throw new Error(`the ledger has ${rows.length} of ${width} ${what}: countersign ledger verify says more`);
  return rows;
}

function sizeOf(entry: Buffer): Buffer {
  const size = Buffer.alloc(2);
  size.writeUInt16BE(entry.length);
  return size;
}
