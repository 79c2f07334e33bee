import { createHash } from 'node:crypto';

/**
 * The Merkle tree of RFC 6962 §2.1. Nodes are addressed by level and index: level 0 are the leaves, and only complete
 * subtrees are kept, so that growing the tree never changes a kept node.
 */

const LEAF = Buffer.from([0]);
const NODE = Buffer.from([1]);

export function leafHash(entry: Uint8Array): Buffer {
  return createHash('sha256').update(LEAF).update(entry).digest();
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return createHash('sha256').update(NODE).update(left).update(right).digest();
}

/** The root of the tree without leaves: the hash of nothing. */
export const EMPTY_ROOT = createHash('sha256').digest();

export interface TreeNode {
  readonly level: number;
  readonly index: number;
  readonly hash: Buffer;
}

/** The right edge of a tree: the roots of its complete subtrees, largest first. All that is needed to grow it. */
export interface Frontier {
  readonly size: number;
  readonly edge: readonly Buffer[];
}

export const EMPTY_FRONTIER: Frontier = { size: 0, edge: [] };

/** Grows a tree by leaves and says which nodes became complete; the leaves are among them. */
export function grow(
  frontier: Frontier,
  leaves: readonly Buffer[],
): { readonly frontier: Frontier; readonly nodes: TreeNode[] } {
  const edge = [...frontier.edge];
  const nodes: TreeNode[] = [];
  let size = frontier.size;
  for (const leaf of leaves) {
    let hash = leaf;
    let level = 0;
    let index = size;
    nodes.push({ level, index, hash });
    while (index % 2 === 1) {
      const left = edge.pop();
      if (left === undefined) throw new Error('the frontier does not fit its size');
      hash = nodeHash(left, hash);
      level++;
      index = (index - 1) / 2;
      nodes.push({ level, index, hash });
    }
    edge.push(hash);
    size++;
  }
  return { frontier: { size, edge }, nodes };
}

export function rootOf({ edge }: Frontier): Buffer {
  if (edge.length === 0) return EMPTY_ROOT;
  return edge.reduceRight((right, left) => nodeHash(left, right));
}

/** Where the nodes of a frontier are kept: level and index of each, largest subtree first. */
export function edgePositions(size: number): readonly { readonly level: number; readonly index: number }[] {
  const positions: { level: number; index: number }[] = [];
  let start = 0;
  for (let level = 52; level >= 0; level--) {
    const span = 2 ** level;
    if (size - start < span) continue;
    positions.push({ level, index: start / span });
    start += span;
  }
  return positions;
}

/** Reads a kept node. */
export type NodeAt = (level: number, index: number) => Buffer | Promise<Buffer>;

/** The hash of the leaves from `start` up to `end`, where `start` is a multiple of the span's power of two. */
async function subtree(start: number, end: number, nodeAt: NodeAt): Promise<Buffer> {
  const span = end - start;
  const level = Math.log2(span);
  if (Number.isInteger(level)) return nodeAt(level, start / span);
  const split = largestPowerOfTwoBelow(span);
  return nodeHash(await subtree(start, start + split, nodeAt), await subtree(start + split, end, nodeAt));
}

/** The audit path of a leaf in the tree of that size (RFC 6962 §2.1.1). */
export async function inclusionProof(index: number, size: number, nodeAt: NodeAt): Promise<readonly Buffer[]> {
  if (!(index >= 0 && index < size)) throw new RangeError(`there is no leaf ${index} in a tree of ${size}`);
  const path: Buffer[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const middle = start + largestPowerOfTwoBelow(end - start);
    if (index < middle) {
      path.unshift(await subtree(middle, end, nodeAt));
      end = middle;
    } else {
      path.unshift(await subtree(start, middle, nodeAt));
      start = middle;
    }
  }
  return path;
}

/** Whether the path leads from the leaf to the root (RFC 9162 §2.1.3.2). */
export function verifyInclusion(
  proof: { readonly leaf: Buffer; readonly index: number; readonly size: number; readonly path: readonly Buffer[] },
  root: Buffer,
): boolean {
  if (proof.index >= proof.size) return false;
  let node = proof.index;
  let last = proof.size - 1;
  let hash = proof.leaf;
  for (const sibling of proof.path) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sibling, hash);
      while (node % 2 === 0 && node !== 0) {
        node = Math.floor(node / 2);
        last = Math.floor(last / 2);
      }
    } else {
      hash = nodeHash(hash, sibling);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && hash.equals(root);
}

function largestPowerOfTwoBelow(count: number): number {
  let power = 1;
  while (power * 2 < count) power *= 2;
  return power;
}
