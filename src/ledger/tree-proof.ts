import { nodeHash } from './tree.ts';

/** Reads a kept node: the root of a complete subtree. */
export type NodeAt = (level: number, index: number) => Buffer | Promise<Buffer>;

/**
 * The audit path of a leaf in the tree of that size (RFC 6962 §2.1.1).
 *
 * @throws RangeError when there is no such leaf.
 */
export async function inclusionProof(index: number, size: number, nodeAt: NodeAt): Promise<readonly Buffer[]> {
  if (!(Number.isSafeInteger(index) && Number.isSafeInteger(size) && index >= 0 && index < size)) {
    throw new RangeError(`there is no leaf ${index} in a tree of ${size}`);
  }
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
  if (!(proof.index >= 0 && proof.index < proof.size)) return false;
  let node = proof.index;
  let last = proof.size - 1;
  let hash = proof.leaf;
  for (const sibling of proof.path) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sibling, hash);
      while (node % 2 === 0 && node !== 0) {
        node /= 2;
        last = half(last);
      }
    } else {
      hash = nodeHash(hash, sibling);
    }
    node = half(node);
    last = half(last);
  }
  return last === 0 && hash.equals(root);
}

/**
 * What shows that the tree of `size` grew out of its first `earlier` leaves, with nothing changed (RFC 6962 §2.1.2).
 *
 * @throws RangeError when the earlier tree is larger.
 */
export async function consistencyProof(earlier: number, size: number, nodeAt: NodeAt): Promise<readonly Buffer[]> {
  if (!(Number.isSafeInteger(earlier) && Number.isSafeInteger(size) && earlier >= 0 && earlier <= size)) {
    throw new RangeError(`a tree of ${size} has no earlier tree of ${earlier}`);
  }
  if (earlier === 0 || earlier === size) return [];
  const proof: Buffer[] = [];
  let start = 0;
  let end = size;
  while (end > earlier) {
    const middle = start + largestPowerOfTwoBelow(end - start);
    if (earlier <= middle) {
      proof.unshift(await subtree(middle, end, nodeAt));
      end = middle;
    } else {
      proof.unshift(await subtree(start, middle, nodeAt));
      start = middle;
    }
  }
  // Where the earlier tree is itself the leftmost complete subtree, whoever verifies knows its root already.
  if (start > 0) proof.unshift(await subtree(start, end, nodeAt));
  return proof;
}

/** Whether the proof leads from the earlier root to both roots (RFC 9162 §2.1.4.2). */
export function verifyConsistency(
  earlier: { readonly size: number; readonly root: Buffer },
  later: { readonly size: number; readonly root: Buffer },
  proof: readonly Buffer[],
): boolean {
  if (!(earlier.size >= 0 && earlier.size <= later.size)) return false;
  if (earlier.size === later.size) return proof.length === 0 && earlier.root.equals(later.root);
  if (earlier.size === 0) return proof.length === 0;
  const path = isPowerOfTwo(earlier.size) ? [earlier.root, ...proof] : proof;
  const [first, ...rest] = path;
  if (first === undefined) return false;
  let node = earlier.size - 1;
  let last = later.size - 1;
  while (node % 2 === 1) {
    node = half(node);
    last = half(last);
  }
  let earlierHash = first;
  let laterHash = first;
  for (const sibling of rest) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      earlierHash = nodeHash(sibling, earlierHash);
      laterHash = nodeHash(sibling, laterHash);
      while (node % 2 === 0 && node !== 0) {
        node /= 2;
        last = half(last);
      }
    } else {
      laterHash = nodeHash(laterHash, sibling);
    }
    node = half(node);
    last = half(last);
  }
  return last === 0 && earlierHash.equals(earlier.root) && laterHash.equals(later.root);
}

/** The hash of the leaves from `start` up to `end`, where `start` is a multiple of the span's next power of two. */
async function subtree(start: number, end: number, nodeAt: NodeAt): Promise<Buffer> {
  const span = end - start;
  if (isPowerOfTwo(span)) return nodeAt(Math.log2(span), start / span);
  const split = largestPowerOfTwoBelow(span);
  return nodeHash(await subtree(start, start + split, nodeAt), await subtree(start + split, end, nodeAt));
}

function largestPowerOfTwoBelow(count: number): number {
  let power = 1;
  while (power * 2 < count) power *= 2;
  return power;
}

function isPowerOfTwo(count: number): boolean {
  return Number.isInteger(Math.log2(count));
}

function half(count: number): number {
  return Math.floor(count / 2);
}
