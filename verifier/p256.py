"""ECDSA over P-256 with SHA-256, written from FIPS 186-5 section 6.4.2 and SEC 1. It verifies and never signs."""

import functools
import hashlib

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
BASE = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def point(data):
    """The point that 65 uncompressed bytes stand for (SEC 1 section 2.3.4), or None where it is not on the curve."""
    if len(data) != 65 or data[0] != 4:
        return None
    x, y = int.from_bytes(data[1:33], "big"), int.from_bytes(data[33:], "big")
    on_curve = x < P and y < P and (y * y - (x * x * x - 3 * x + B)) % P == 0
    return (x, y) if on_curve else None


def add(a, b):
    """The sum of two points; None is the neutral one."""
    if a is None or b is None:
        return b if a is None else a
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P) % P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (slope * slope - a[0] - b[0]) % P
    return (x, (slope * (a[0] - x) - a[1]) % P)


def sum_of_multiples(u, a, v, b):
    """u*a + v*b, bit by bit from the highest."""
    both, total = add(a, b), None
    for bit in range(max(u.bit_length(), v.bit_length()) - 1, -1, -1):
        total = add(total, total)
        which = (u >> bit & 1) + 2 * (v >> bit & 1)
        if which:
            total = add(total, (None, a, b, both)[which])
    return total


def integers(signature):
    """r and s of a DER sequence of two positive integers in their shortest form, or None."""
    if len(signature) < 2 or signature[0] != 0x30 or signature[1] != len(signature) - 2:
        return None
    found, at = [], 2
    while at < len(signature):
        size = signature[at + 1] if at + 1 < len(signature) else 0
        value = signature[at + 2 : at + 2 + size]
        padded = len(value) > 1 and value[0] == 0 and value[1] < 0x80
        if signature[at] != 2 or size == 0 or len(value) != size or value[0] >= 0x80 or padded:
            return None
        found.append(int.from_bytes(value, "big"))
        at += 2 + size
    return found if len(found) == 2 else None


@functools.lru_cache(maxsize=100_000)
def verify(public_key, message, signature):
    """Whether the owner of the key signed the message."""
    key, both = point(public_key), integers(signature)
    if key is None or both is None or not all(0 < each < ORDER for each in both):
        return False
    r, s = both
    inverse = pow(s, -1, ORDER)
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    found = sum_of_multiples(digest * inverse % ORDER, BASE, r * inverse % ORDER, key)
    return found is not None and found[0] % ORDER == r
