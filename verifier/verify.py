#!/usr/bin/env python3
"""Verifies what Countersign exports, and trusts neither it nor who hands it over. See README.md beside this file.

Exit codes: 0 sound, 1 unsound (the first thing wrong is said), 2 the file or the trust policy can't be read.
"""

import argparse
import json
import sys

import merkle
from canonical import Unsound, fields, from_base64, read, write
from history import History
from keys import Keys
from notes import open_checkpoint, open_envelope, witnesses_of
from statement import PAYLOAD_TYPE, statement
from trust import Trust


def verify(lines, trust, kept):
    """`lines`: bytes with their line feeds. `kept`: notes from earlier. Returns what was verified."""
    if not all(line.endswith(b"\n") for line in lines):
        raise Unsound("the file was cut off: its last line has no end")
    values = _Lines(line[:-1] for line in lines)
    check = {"proof/v1": verify_proof, "ledger/v1": verify_archive}.get(values.first.get("countersign"))
    if check is not None:
        with values.at():
            keys = Keys(_rotations(lines), values.first["verifierKey"], trust.log)
        try:
            earlier = [open_checkpoint(note, keys) for note in kept]
        except Unsound as error:
            raise Unsound(f"a checkpoint that was kept {error}") from error
        return check(values, trust, keys, earlier)
    raise Unsound("line 1 is neither the beginning of a proof nor that of a ledger")


def verify_proof(lines, trust, keys, kept):
    header = fields(lines.first, ("countersign", "about", "verifierKey"), "header of a proof")
    envelope = lines.next("envelope")
    note = fields(lines.next("checkpoint"), ("checkpoint",), "checkpoint")["checkpoint"]
    with lines.at():
        checkpoint = open_checkpoint(note, keys)
        witnesses = _witnessed([checkpoint], checkpoint.size, trust)
    earlier = None
    following = lines.next("entry")
    if "earlier" in following:
        with lines.at():
            earlier = _earlier(fields(following, ("earlier", "consistency"), "earlier checkpoint"), checkpoint, keys)
        following = lines.next("entry")
    entries, history = [], History(trust, keys)
    while following is not None:
        with lines.at():
            entries.append(_included(following, checkpoint, entries))
            history.take(entries[-1][2], entries[-1][0])
        following = lines.next(None)
    about = header["about"]
    if not any(entry["subject"] == about for _, _, entry in entries):
        raise Unsound(f"it holds no entry about {about}")
    _, signed_by = open_envelope(envelope, PAYLOAD_TYPE)
    ought = statement(keys.origin, about, note, earlier and earlier.note, entries)
    if from_base64(envelope["payload"]) != write(ought):
        raise Unsound("line 2: its statement is not what the entries say")
    if not signed_by(keys.at(checkpoint.size).public):
        raise Unsound(f"line 2: it has no valid signature of {keys.origin}")
    _same_as_kept(kept, {each.size: each.root for each in (checkpoint, earlier) if each is not None}, checkpoint.size)
    return {"about": about, "entries": len(entries), "size": checkpoint.size, "witnessed": witnesses, **history.finish()}


def verify_archive(lines, trust, keys, kept):
    header = fields(lines.first, ("countersign", "size", "verifierKey"), "header of a ledger")
    checkpoints, last = {}, None
    following = lines.next("checkpoint")
    while following is not None and "checkpoint" in following:
        with lines.at():
            fields(following, ("checkpoint", "size"), "checkpoint")
            last = open_checkpoint(following["checkpoint"], keys)
            if last.size != following["size"] or last.size in checkpoints:
                raise Unsound(f"is a second checkpoint of {last.size} entries, or one of another size than it says")
            checkpoints[last.size] = last
        following = lines.next(None)
    if last is None or last.size != max(checkpoints) or last.size != header["size"]:
        raise Unsound(f"it says that it has {header['size']} entries, and no checkpoint is signed for so many")
    witnesses = _witnessed(checkpoints.values(), last.size, trust)
    tree, history = merkle.Tree(), History(trust, keys)
    roots = {each.size for each in kept} | set(checkpoints)
    roots, wanted = {}, roots
    while following is not None:
        with lines.at():
            fields(following, ("entry", "index", "leaf"), "entry")
            data = following["entry"].encode()
            leaf = merkle.leaf_hash(data)
            if following["index"] != tree.size or from_base64(following["leaf"], 32) != leaf:
                raise Unsound(f"is not entry {tree.size} as it was recorded")
            tree.append(leaf)
            if tree.size in wanted:
                roots[tree.size] = tree.root()
            if tree.size in checkpoints and checkpoints[tree.size].root != roots[tree.size]:
                raise Unsound(f"or one before it was changed: at {tree.size} entries the root is not the signed one")
            history.take(read(data), tree.size - 1)
        following = lines.next(None)
    if tree.size != last.size:
        raise Unsound(f"it ends at {tree.size} entries, and a checkpoint is signed for {last.size}")
    _same_as_kept(kept, roots, tree.size)
    return {"entries": tree.size, "checkpoints": len(checkpoints), "witnessed": witnesses, **history.finish()}


def _rotations(lines):
    """The entries by which the log was handed to other keys: known before all else, and verified in their places."""
    for line in lines:
        if b'\\"kind\\":\\"key\\"' in line:
            value = read(line[:-1])
            entry = read(value["entry"].encode())
            if entry["kind"] == "key":
                yield value["index"], entry


def _witnessed(checkpoints, size, trust):
    """The size of the newest checkpoint that enough witnesses cosigned; nothing where none is asked for."""
    if trust.quorum == 0:
        return 0
    newest_first = sorted(checkpoints, key=lambda each: -each.size)
    enough = (each.size for each in newest_first if len(witnesses_of(each.note, trust.witnesses)) >= trust.quorum)
    cosigned = next(enough, 0)
    if cosigned == 0 or size - cosigned > trust.unwitnessed:
        raise Unsound(f"no {trust.quorum} witnesses have cosigned it beyond {cosigned} of {size} entries")
    return cosigned


def _earlier(line, checkpoint, keys):
    earlier = open_checkpoint(line["earlier"], keys)
    path = [from_base64(each, 32) for each in line["consistency"]]
    if not merkle.is_consistent(earlier.size, earlier.root, checkpoint.size, checkpoint.root, path):
        raise Unsound(f"does not show that the ledger grew out of its first {earlier.size} entries")
    return earlier


def _included(line, checkpoint, before):
    fields(line, ("entry", "inclusion", "index"), "entry")
    index, data = line["index"], line["entry"].encode()
    path = [from_base64(each, 32) for each in line["inclusion"]]
    if type(index) is not int or (before and index <= before[-1][0]):
        raise Unsound("is out of order")
    if not merkle.is_included(merkle.leaf_hash(data), index, checkpoint.size, path, checkpoint.root):
        raise Unsound(f"is not entry {index} of the ledger")
    return index, data, read(data)


def _same_as_kept(kept, roots, size):
    for each in kept:
        if each.size > size:
            raise Unsound(f"it has {size} entries; the checkpoint that was kept has {each.size}: it was set back")
        if each.size not in roots:
            raise Unsound(f"it does not show that it grew out of the kept checkpoint of {each.size} entries")
        if roots[each.size] != each.root:
            raise Unsound(f"it is a fork: at {each.size} entries the kept checkpoint has another root")


class _Lines:
    """Canonical values, one a line; what is wrong with one is told with its number."""

    def __init__(self, lines):
        self._lines, self._number = iter(lines), 0
        self.first = self.next("header")

    def next(self, needed):
        line = next(self._lines, None)
        self._number += 1
        if line is None and needed is not None:
            raise Unsound(f"the file was cut off: line {self._number}, with the {needed}, is missing")
        with self.at():
            value = None if line is None else read(line)
            if line is not None and not isinstance(value, dict):
                raise Unsound("is no object")
        return value

    def at(self):
        return _Place(self._number)


class _Place:
    def __init__(self, number):
        self._number = number

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if kind is not None and issubclass(kind, (Unsound, TypeError, AttributeError, KeyError, UnicodeError)):
            what = error if kind is Unsound else f"is not what belongs there ({error})"
            raise Unsound(f"line {self._number}: it {what}") from error


def main():
    parser = argparse.ArgumentParser(description="Verifies a proof or a whole ledger that Countersign exported.")
    parser.add_argument("file")
    parser.add_argument("--trust", required=True, help="the trust policy")
    parser.add_argument("--kept", action="append", default=[], help="a checkpoint kept earlier; may be given often")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    try:
        trust = Trust(asked.trust)
        kept = [open(path, encoding="utf-8").read() for path in asked.kept]
        with open(asked.file, "rb") as file:
            lines = file.readlines()
        if not lines:
            raise ValueError(f"{asked.file} is empty")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, Unsound) as error:
        return _end(asked, 2, {"verdict": "unreadable", "problem": str(error)})
    try:
        found = verify(lines, trust, kept)
    except Unsound as error:
        return _end(asked, 1, {"verdict": "unsound", "problem": str(error)})
    return _end(asked, 0, {"verdict": "sound", **found})


def _end(asked, code, answer):
    apart = ("verdict", "attested", "byAgents", "brokenGlass")
    told = [each for name in apart[1:] for each in answer.get(name, [])]
    said = ", ".join(f"{name} {value}" for name, value in answer.items() if name not in apart)
    print(json.dumps(answer) if asked.json else "\n  ".join([f"{answer['verdict'].upper()}: {said}", *told]))
    return code


if __name__ == "__main__":
    sys.exit(main())
