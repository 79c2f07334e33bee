import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  EMPTY_FRONTIER,
  EMPTY_ROOT,
  edgePositions,
  type Frontier,
  grow,
  leafHash,
  nodeHash,
  rootOf,
} from '../../src/ledger/tree.ts';
import { consistencyProof, inclusionProof, verifyConsistency, verifyInclusion } from '../../src/ledger/tree-proof.ts';

/** RFC 6962 §2.1, written down as it stands there: slow, and beyond doubt. */
function plainRoot(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return EMPTY_ROOT;
  if (leaves.length === 1 && leaves[0] !== undefined) return leaves[0];
  let half = 1;
  while (half * 2 < leaves.length) half *= 2;
  return nodeHash(plainRoot(leaves.slice(0, half)), plainRoot(leaves.slice(half)));
}

function leavesOf(count: number): Buffer[] {
  return Array.from({ length: count }, (_, n) => leafHash(Buffer.from(`leaf ${n}`)));
}

function treeOf(leaves: readonly Buffer[], steps: readonly number[] = [leaves.length]) {
  const kept = new Map<string, Buffer>();
  let frontier: Frontier = EMPTY_FRONTIER;
  let at = 0;
  for (const step of [...steps, leaves.length]) {
    const grown = grow(frontier, leaves.slice(at, at + step));
    at += step;
    frontier = grown.frontier;
    for (const { level, index, hash } of grown.nodes) kept.set(`${level}/${index}`, hash);
    if (at >= leaves.length) break;
  }
  const nodeAt = (level: number, index: number) => {
    const hash = kept.get(`${level}/${index}`);
    if (hash === undefined) throw new Error(`no node ${level}/${index}`);
    return hash;
  };
  return { frontier, nodeAt };
}

const size = fc.integer({ min: 1, max: 200 });

/** The leaves and roots that implementations of Certificate Transparency test themselves with. */
const KNOWN_LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
];
const KNOWN_ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

describe('the Merkle tree', () => {
  it.each(KNOWN_ROOTS.map((root, n) => [n + 1, root] as const))(
    'of %i known leaves has the known root',
    (count, root) => {
      const leaves = KNOWN_LEAVES.slice(0, count).map((leaf) => leafHash(Buffer.from(leaf, 'hex')));
      expect(rootOf(treeOf(leaves).frontier).toString('hex')).toBe(root);
      expect(EMPTY_ROOT.toString('hex')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    },
  );

  it('hashes a leaf the same, however long it is', () => {
    for (const length of [0, 1, 65_534, 65_535, 65_536, 200_000]) {
      const leaf = Buffer.alloc(length, 7);
      const plain = createHash('sha256').update(Buffer.of(0)).update(leaf).digest();
      expect(leafHash(leaf), `${length}`).toEqual(plain);
    }
  });

  it('refuses proofs of what can’t be', async () => {
    const { nodeAt } = treeOf(leavesOf(8));
    for (const [index, of] of [
      [8, 8],
      [-1, 8],
      [0, 0],
      [0.5, 8],
      [Number.NaN, 8],
    ] as const)
      await expect(inclusionProof(index, of, nodeAt)).rejects.toThrow(RangeError);
    for (const [earlier, later] of [
      [9, 8],
      [-1, 8],
      [1.5, 8],
    ] as const)
      await expect(consistencyProof(earlier, later, nodeAt)).rejects.toThrow(RangeError);
    expect(await consistencyProof(8, 8, nodeAt)).toEqual([]);
  });

  it('is not proven by a path with a node changed, missing or added', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 100 }), fc.nat(), fc.nat(), async (count, pick, spoil) => {
        const leaves = leavesOf(count);
        const { frontier, nodeAt } = treeOf(leaves);
        const root = rootOf(frontier);
        const index = pick % count;
        const earlier = 1 + (pick % (count - 1));
        const spoilt = (path: readonly Buffer[]) => {
          const at = spoil % Math.max(1, path.length);
          const other = Buffer.from(path[at] ?? root);
          other[spoil % 32] = (other[spoil % 32] ?? 0) ^ 1;
          return path.length === 0
            ? [[other]]
            : [path.with(at, other), path.toSpliced(at, 1), path.toSpliced(at, 0, other)];
        };
        const inclusion = await inclusionProof(index, count, nodeAt);
        const leaf = leaves[index] ?? root;
        for (const path of spoilt(inclusion))
          expect(verifyInclusion({ leaf, index, size: count, path }, root)).toBe(false);
        const consistency = await consistencyProof(earlier, count, nodeAt);
        const before = { size: earlier, root: plainRoot(leaves.slice(0, earlier)) };
        for (const path of spoilt(consistency))
          expect(verifyConsistency(before, { size: count, root }, path)).toBe(false);
        expect(verifyConsistency({ size: count, root }, before, consistency)).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  it('has the root of RFC 6962, however it grew', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 200 }),
        fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 20 }),
        (count, steps) => {
          const leaves = leavesOf(count);
          expect(rootOf(treeOf(leaves, steps).frontier)).toEqual(plainRoot(leaves));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('finds its right edge again among the kept nodes', () => {
    fc.assert(
      fc.property(size, (count) => {
        const { frontier, nodeAt } = treeOf(leavesOf(count));
        expect(edgePositions(count).map(({ level, index }) => nodeAt(level, index))).toEqual(frontier.edge);
      }),
      { numRuns: 40 },
    );
  });

  it('proves that a leaf is in it, and no other', async () => {
    await fc.assert(
      fc.asyncProperty(size, fc.nat(), async (count, pick) => {
        const leaves = leavesOf(count);
        const index = pick % count;
        const { frontier, nodeAt } = treeOf(leaves);
        const path = await inclusionProof(index, count, nodeAt);
        const root = rootOf(frontier);
        const leaf = leaves[index] ?? Buffer.alloc(0);
        expect(verifyInclusion({ leaf, index, size: count, path }, root)).toBe(true);
        expect(verifyInclusion({ leaf: leafHash(Buffer.from('another')), index, size: count, path }, root)).toBe(false);
        if (count > 1)
          expect(verifyInclusion({ leaf, index: (index + 1) % count, size: count, path }, root)).toBe(false);
        expect(verifyInclusion({ leaf, index, size: count, path: [...path, root] }, root)).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  it('proves that it grew out of an earlier one, and of no other', async () => {
    await fc.assert(
      fc.asyncProperty(size, fc.nat(), async (count, pick) => {
        const earlier = 1 + (pick % count);
        const leaves = leavesOf(count);
        const { frontier, nodeAt } = treeOf(leaves);
        const root = rootOf(frontier);
        const earlierRoot = plainRoot(leaves.slice(0, earlier));
        const path = await consistencyProof(earlier, count, nodeAt);
        expect(verifyConsistency({ size: earlier, root: earlierRoot }, { size: count, root }, path)).toBe(true);
        const forged = plainRoot([leafHash(Buffer.from('forged')), ...leaves.slice(1, earlier)]);
        expect(verifyConsistency({ size: earlier, root: forged }, { size: count, root }, path)).toBe(false);
      }),
      { numRuns: 60 },
    );
  });
});
