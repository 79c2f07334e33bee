"""What the verifier is built of, held against published vectors and against what an attacker would try."""

import hashlib
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "verifier"))
import ed25519
import merkle
import p256
from canonical import Unsound, read

# RFC 8032 section 7.1: key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


def signatures():
    for key, message, signature in (map(bytes.fromhex, vector) for vector in VECTORS):
        yield ed25519.verify(key, message, signature)
        yield not ed25519.verify(key, message + b"x", signature)
        for at in range(64):
            yield not ed25519.verify(key, message, signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :])
        # The same number plus the order of the group: a second form of one signature.
        other = int.from_bytes(signature[32:], "little") + ed25519.ORDER
        yield not ed25519.verify(key, message, signature[:32] + other.to_bytes(32, "little"))
    yield not ed25519.verify((2**255 - 1).to_bytes(32, "little"), b"", bytes(64))


def curves():
    # RFC 6979 appendix A.2.5, with SHA-256: key, and r and s of "sample" and "test".
    public = bytes.fromhex(
        "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
        "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
    )
    for message, r, s in (
        (b"sample", "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
         "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"),
        (b"test", "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367",
         "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083"),
    ):  # fmt: skip
        signature = der(int(r, 16), int(s, 16))
        yield p256.verify(public, message, signature)
        yield not p256.verify(public, message + b"x", signature)
        for at in range(0, len(signature), 5):
            yield not p256.verify(public, message, signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :])
        yield not p256.verify(public, message, signature + b"\0")
        yield not p256.verify(public, message, der(int(r, 16), int(s, 16) + p256.ORDER))
        yield not p256.verify(public[:-1] + b"\0", message, signature)
    for r, s in ((0, 0), (0, 1), (1, 0), (p256.ORDER, 1), (1, p256.ORDER)):
        yield not p256.verify(public, b"sample", der(r, s))
    yield not p256.verify(b"", b"sample", b"")


def der(*integers):
    parts = b""
    for each in integers:
        value = each.to_bytes(each.bit_length() // 8 + 1, "big")
        parts += bytes([2, len(value)]) + value
    return bytes([0x30, len(parts)]) + parts


def trees():
    leaves = [merkle.leaf_hash(bytes([n])) for n in range(4)]
    left, right = merkle.node_hash(*leaves[:2]), merkle.node_hash(*leaves[2:])
    tree = merkle.Tree()
    for leaf in leaves:
        tree.append(leaf)
    yield tree.root() == merkle.node_hash(left, right)
    yield merkle.is_included(leaves[0], 0, 4, [leaves[1], right], tree.root())
    # A node of the tree, passed off as an entry: the 64 bytes under it, one level up.
    yield not merkle.is_included(merkle.leaf_hash(leaves[0] + leaves[1]), 0, 2, [right], tree.root())
    yield hashlib.sha256(b"\x01" + leaves[0] + leaves[1]).digest() == left
    yield merkle.is_consistent(2, left, 4, tree.root(), [right])
    yield not merkle.is_consistent(2, right, 4, tree.root(), [right])
    yield not merkle.is_consistent(0, left, 4, tree.root(), [])


def texts():
    one = '{"a":[1,0.5,1e+21,1e-7,-3,123456789012345680000,0.000001],"b":"\\u0001\\n\u20ac"}'
    yield json.dumps(read(one.encode()))[:9] == '{"a": [1,'
    for other in (
        '{"b":1,"a":1}', '{"a":1,"a":1}', '{"a": 1}', '[1.0]', '[01]', '[-0]', '[1E3]', '[1e21]', '["\\u000a"]', '["\\/"]',
        '["\\u00e9"]', '[NaN]', '[1,]', '[1]\n', '"\ud800"', "[" * 100_000,
        f'["{"7" * 64}",{"7" * 64} ]',
    ):  # fmt: skip
        try:
            read(other.encode("utf-8", "surrogatepass"))
            yield False
        except Unsound:
            yield True


print(json.dumps({each.__name__: [n for n, held in enumerate(each()) if not held] for each in (signatures, curves, trees, texts)}))
