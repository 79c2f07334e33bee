"""Flips every bit of a proof, and cuts it off at every byte, in one process: none of it may still be sound.

python3 test/verifier/flip.py PROOF TRUST [every how many bytes, 1 when left out]
"""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "verifier"))
from canonical import Unsound
from trust import Trust
from verify import verify

file, policy, every = sys.argv[1], sys.argv[2], int((sys.argv[3:] or ["1"])[0])
trust = Trust(policy)
with open(file, "rb") as opened:
    data = opened.read()
sound, crashed = [], []


def judged(lines, place):
    try:
        verify(lines, trust, [])
        sound.append(place)
    except Unsound:
        pass
    except Exception as error:
        crashed.append(f"{place}: {error!r}")


def lines_of(some):
    """As `readlines` parts a file: only a line feed ends a line."""
    return [line + b"\n" for line in some.split(b"\n")[:-1]] + [rest for rest in [some.split(b"\n")[-1]] if rest]


lines = lines_of(data)
verify(lines, trust, [])
flips = start = 0
for number, line in enumerate(lines):
    for at in range(-start % every, len(line), every):
        for bit in range(8):
            changed = line[:at] + bytes([line[at] ^ (1 << bit)]) + line[at + 1 :]
            # A flipped line feed joins two lines, and a new one parts one.
            parts = [changed] if changed.count(b"\n") == 1 and changed.endswith(b"\n") else None
            around = [*lines[:number], *(parts or [changed]), *lines[number + 1 :]]
            judged(around if parts else lines_of(b"".join(around)), f"bit {bit} of byte {start + at}")
            flips += 1
    start += len(line)
for end in range(0, len(data), every):
    judged(lines_of(data[:end]), f"cut at {end}")
print(json.dumps({"unflipped": "sound", "flips": flips, "cuts": -(-len(data) // every), "sound": sound, "crashed": crashed[:20]}))
