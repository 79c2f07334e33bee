"""The keys of a log, one after the other: which counts is told by the size of a tree, never by a clock."""

import ed25519
from canonical import Unsound, fields, from_base64, write
from notes import LOG, key_id, verifier_key

_TYPE = b"application/vnd.countersign.key-rotation+json"


class Keys:
    """Each key signs the trees from its size on. The trusted one may be any: each rotation is signed by both its keys."""

    def __init__(self, rotations, named, trusted):
        """`rotations`: (index, entry) each. `named`: the verifier key that the file names, its newest."""
        self._keys = []
        for index, entry in rotations:
            before, after = _rotation(index, entry["body"])
            self._keys = self._keys or [(0, before)]
            if self._keys[-1][1] != before:
                raise Unsound(f"holds entry {index}, which takes over from a key that was not in force")
            self._keys.append((index + 1, after))
        try:
            newest = verifier_key(named, LOG)
        except ValueError as error:
            raise Unsound(f"has another key than it should: {error}") from error
        self._keys = self._keys or [(0, newest)]
        self.origin = trusted.name
        if newest != self._keys[-1][1] or trusted not in [key for _, key in self._keys]:
            raise Unsound(f"names {named} as its key, which is not the one to be trusted, nor one after it")

    def at(self, size):
        return next(key for since, key in reversed(self._keys) if since <= size)


def _rotation(index, body):
    fields(body, ("origin", "before", "after", "from", "signatures"), "change of key")
    said = {"type": "https://countersign.dev/key-rotation/v1", **body}
    payload = write({name: value for name, value in said.items() if name != "signatures"})
    message = b"DSSEv1 %d %s %d %s" % (len(_TYPE), _TYPE, len(payload), payload)
    try:
        both = [verifier_key(body[which], LOG) for which in ("before", "after")]
    except ValueError as error:
        raise Unsound(f"holds entry {index}, which is about no keys: {error}") from error
    for key, signature in zip(both, body["signatures"]):
        fields(signature, ("keyid", "sig"), "signature")
        signed = ed25519.verify(key.public, message, from_base64(signature["sig"], 64))
        if not signed or signature["keyid"] != key_id(key.public) or key.name != body["origin"]:
            raise Unsound(f"holds entry {index}, which hands the log to another key without both signatures")
    if len(body["signatures"]) != 2 or body["from"] != index + 1:
        raise Unsound(f"holds entry {index}, which hands the log to another key without both signatures, or elsewhere")
    return both
