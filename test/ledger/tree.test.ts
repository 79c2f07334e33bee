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

describe('the Merkle tree', () => {
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
