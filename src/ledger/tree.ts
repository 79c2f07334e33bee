import { hash } from 'node:crypto';

/**
 * The Merkle tree of RFC 6962 §2.1. Nodes are addressed by level and index: level 0 are the leaves, and only complete
 * subtrees are kept, so that growing the tree never changes a kept node.
 */

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

/** The root of the tree without leaves: the hash of nothing. */
export const EMPTY_ROOT = sha256(Buffer.alloc(0));

/** Grows a tree by leaves and says which nodes became complete, each after its children; the leaves are among them. */
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

/** 0x00 before a leaf and 0x01 before a node: so that none can be passed off as the other. */
const scratch = Buffer.alloc(64 * 1024);
const NODE_BYTES = 65;

export function leafHash(entry: Uint8Array): Buffer {
  if (entry.length >= scratch.length) return sha256(Buffer.concat([Buffer.of(0), entry]));
  scratch[0] = 0;
  scratch.set(entry, 1);
  return sha256(scratch.subarray(0, entry.length + 1));
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  scratch[0] = 1;
  scratch.set(left, 1);
  scratch.set(right, 33);
  return sha256(scratch.subarray(0, NODE_BYTES));
}

function sha256(bytes: Uint8Array): Buffer {
  return hash('sha256', bytes, 'buffer');
}
