"""Signed notes, checkpoints and cosignatures (C2SP signed-note, tlog-checkpoint, tlog-cosignature), and DSSE envelopes."""

import hashlib
import re
from collections import namedtuple

import ed25519
import webauthn
from canonical import Unsound, fields, from_base64, read

Key = namedtuple("Key", "name id public")
Checkpoint = namedtuple("Checkpoint", "note size root")

LOG, WITNESS = 1, 4
_NOTE = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+/]{43}=)\n\n((?:\u2014 [^ \n]+ [A-Za-z0-9+/]+=*\n)+)")


def verifier_key(text, kind):
    """A key as `<name>+<id>+<base64 of kind and key>`. Raises ValueError."""
    match = re.fullmatch(r"([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)", text)
    try:
        typed = from_base64(match[3], 33)
    except (TypeError, Unsound) as error:
        raise ValueError(f"{text!r} is no verifier key") from error
    key_id = hashlib.sha256(match[1].encode() + b"\n" + typed).digest()[:4]
    if typed[0] != kind or key_id.hex() != match[2]:
        raise ValueError(f"{text!r} is no verifier key of a {'log' if kind == LOG else 'witness'}")
    return Key(match[1], key_id, typed[1:])


def open_checkpoint(note, keys):
    """The checkpoint in a note that the log signed with the key for its size; of other signatures nothing is said."""
    match = _NOTE.fullmatch(note)
    if match is None or match[1] != keys.origin:
        raise Unsound(f"is no checkpoint of {keys.origin}")
    key = keys.at(int(match[2]))
    body = _body(match)
    if not any(ed25519.verify(key.public, body, blob) for blob in _signatures(match, key)):
        raise Unsound(f"has no valid signature of {key.name}")
    return Checkpoint(note, int(match[2]), from_base64(match[3], 32))


def witnesses_of(note, keys):
    """The witnesses of these keys that cosigned the note, each once."""
    match = _NOTE.fullmatch(note)
    return {
        key.public
        for key in keys
        for blob in _signatures(match, key)
        if len(blob) == 72
        and ed25519.verify(
            key.public, b"cosignature/v1\ntime %d\n" % int.from_bytes(blob[:8], "big") + _body(match), blob[8:]
        )
    }


def _body(match):
    return f"{match[1]}\n{match[2]}\n{match[3]}\n".encode()


def _signatures(match, key):
    for line in match[4].splitlines():
        _, name, blob = line.split(" ")
        data = from_base64(blob)
        if name == key.name and data[:4] == key.id:
            yield data[4:]


def key_id(public):
    return f"sha256:{hashlib.sha256(public).hexdigest()}"


def open_envelope(envelope, payload_type):
    """The statement of a DSSE envelope with one signature, and a function that says whether a key made it."""
    fields(envelope, ("payloadType", "payload", "signatures"), "envelope")
    if envelope["payloadType"] != payload_type or len(envelope["signatures"]) != 1:
        raise Unsound(f"is no envelope of {payload_type} with one signature")
    signature = envelope["signatures"][0]
    evidence = signature.get("webauthn")
    fields(signature, ("keyid", "sig") if evidence is None else ("keyid", "sig", "webauthn"), "signature")
    payload, blob = from_base64(envelope["payload"]), from_base64(signature["sig"], 64 if evidence is None else None)
    message = f"DSSEv1 {len(payload_type)} {payload_type} {len(payload)} ".encode() + payload

    if evidence is not None:
        fields(evidence, ("credential", "authenticatorData", "clientData"), "evidence of a passkey")

    def signed_by(key):
        if isinstance(key, webauthn.Passkey):
            named = evidence is not None and signature["keyid"] == key_id(key.public)
            return named and webauthn.signed_by(key, message, evidence, blob)
        return evidence is None and signature["keyid"] == key_id(key) and ed25519.verify(key, message, blob)

    return read(payload), signed_by
