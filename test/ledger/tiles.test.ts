import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readCheckpoint } from '../../src/ledger/checkpoint.ts';
import { publishTiles } from '../../src/ledger/tiles.ts';
import { leafHash, nodeHash } from '../../src/ledger/tree.ts';
import { hasGo, runGo } from '../fixtures/go.ts';
import { entry, type TestLedger, testLedger } from '../fixtures/ledger.ts';

let made: TestLedger;
let directory: string;
beforeEach(async () => {
  made = await testLedger();
  directory = join(made.directory, 'published');
});
afterEach(() => made.remove());

const grow = (count: number, text = 'x') =>
  made.ledger.record({ entries: Array.from({ length: count }, (_, n) => entry(`e${n}`, { text })) });
const file = (path: string) => readFileSync(join(directory, path));
const all = () =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(directory, path)).isFile())
    .sort();

/** RFC 6962 §2.1, as it is written there. */
function root(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 1) return leaves[0] ?? Buffer.alloc(0);
  const left = 2 ** Math.floor(Math.log2(leaves.length - 1));
  return nodeHash(root(leaves.slice(0, left)), root(leaves.slice(left)));
}

function entriesIn(bundle: Buffer): Buffer[] {
  const entries: Buffer[] = [];
  for (let at = 0; at < bundle.length; at += 2 + bundle.readUInt16BE(at))
    entries.push(bundle.subarray(at + 2, at + 2 + bundle.readUInt16BE(at)));
  return entries;
}

describe('G7 a ledger as static files (C2SP tlog-tiles)', () => {
  it('has each entry under the root that its checkpoint signs, and grows by what came since', async () => {
    await grow(299);
    expect(await publishTiles(made, directory)).toEqual({ size: 300, files: 6, leftOut: [] });
    expect(all()).toEqual(
      [
        'checkpoint',
        'tile/0/000',
        'tile/0/001.p/44',
        'tile/1/000.p/1',
        'tile/entries/000',
        'tile/entries/001.p/44',
      ].sort(),
    );
    expect((await publishTiles(made, directory)).files).toBe(1);
    await grow(300);
    await publishTiles(made, directory);
    const { size, root: signed } = readCheckpoint(file('checkpoint').toString());
    expect(size).toBe(600);
    expect(all().filter((path) => path.includes('.p/'))).toEqual(
      ['tile/0/002.p/88', 'tile/1/000.p/1', 'tile/1/000.p/2', 'tile/entries/002.p/88'].sort(),
    );
    const parts = ['000', '001', '002.p/88'];
    const leaves = parts.flatMap((part) => entriesIn(file(`tile/entries/${part}`))).map(leafHash);
    expect(root(leaves).equals(signed)).toBe(true);
    expect(Buffer.concat(parts.map((part) => file(`tile/0/${part}`)))).toEqual(Buffer.concat(leaves));
    expect(file('tile/1/000.p/2')).toEqual(Buffer.concat([root(leaves.slice(0, 256)), root(leaves.slice(256, 512))]));
  });

  it('refuses a directory of another past, and leaves it as it is', async () => {
    const other = await testLedger();
    await other.ledger.record({ entries: [entry('another')] });
    await publishTiles(other, directory);
    await other.remove();
    await grow(5);
    const before = file('checkpoint');
    await expect(publishTiles(made, directory)).rejects.toThrow('has not grown out of');
    expect(file('checkpoint')).toEqual(before);
  });

  it('leaves out a bundle for an entry that is too long for it, and says so', async () => {
    await grow(1, 'x'.repeat(70_000));
    const { leftOut } = await publishTiles(made, directory);
    expect(leftOut).toEqual([{ bundle: 'tile/entries/000', entry: 1, bytes: expect.any(Number) }]);
    expect(existsSync(join(directory, 'tile/entries/000.p/2'))).toBe(false);
    expect(file('tile/0/000.p/2')).toHaveLength(64);
  });

  it.skipIf(!hasGo)(
    'can be read by Go’s checksum database, which trusts no tile that doesn’t lead to the checkpoint',
    async () => {
      await grow(599);
      await publishTiles(made, directory);
      expect(await runGo('tiles.go', directory, made.ledger.verifierKey)).toBe('entries 600 size 600');
    },
  );
});
