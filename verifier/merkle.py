"""The Merkle tree of RFC 6962 section 2.1, and the proofs of RFC 9162 sections 2.1.3.2 and 2.1.4.2."""

import hashlib


def leaf_hash(entry):
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """Grows leaf by leaf, and knows only its right edge: the complete subtrees, largest first."""

    def __init__(self):
        self.size = 0
        self._edge = []

    def append(self, leaf):
        node, index = leaf, self.size
        while index & 1:
            node = node_hash(self._edge.pop(), node)
            index >>= 1
        self._edge.append(node)
        self.size += 1

    def root(self):
        if not self._edge:
            return hashlib.sha256(b"").digest()
        root = self._edge[-1]
        for left in reversed(self._edge[:-1]):
            root = node_hash(left, root)
        return root


def is_included(leaf, index, size, path, root):
    if not 0 <= index < size:
        return False
    node, last, current = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if node & 1 or node == last:
            current = node_hash(sibling, current)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            current = node_hash(current, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and current == root


def is_consistent(earlier, earlier_root, later, later_root, path):
    if earlier == later:
        return not path and earlier_root == later_root
    if not 0 < earlier < later or not path:
        return False
    if earlier & (earlier - 1) == 0:
        path = [earlier_root, *path]
    node, last = earlier - 1, later - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old == earlier_root and new == later_root
