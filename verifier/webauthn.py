"""What a passkey signed (WebAuthn Level 3, section 7.2): a challenge, on a page, for a name, by somebody who was verified."""

import base64
import hashlib
import json
from collections import namedtuple

import ed25519
import p256
from canonical import from_base64

Passkey = namedtuple("Passkey", "public verify credential rp_id origin")

_PRESENT, _VERIFIED = 0x01, 0x04


def passkey(said):
    """A passkey as a trust policy names it. Raises ValueError or KeyError."""
    kind, _, key = said["key"].partition(":")
    if kind not in ("p256", "ed25519"):
        raise ValueError(f"{said['key']!r} is no key of a passkey")
    public = from_base64(key, 65 if kind == "p256" else 32)
    verify = p256.verify if kind == "p256" else ed25519.verify
    return Passkey(public, verify, said["credential"], said["rpId"], said["origin"])


def signed_by(key, message, evidence, signature):
    """Whether the holder of a passkey signed the message, by a challenge that is its digest."""
    data, client = from_base64(evidence["authenticatorData"]), from_base64(evidence["clientData"])
    try:
        said = json.loads(client.decode())
    except ValueError:
        return False
    challenge = base64.urlsafe_b64encode(hashlib.sha256(message).digest()).rstrip(b"=").decode()
    return (
        isinstance(said, dict)
        and evidence["credential"] == key.credential
        and said.get("type") == "webauthn.get"
        and said.get("challenge") == challenge
        and said.get("origin") == key.origin
        and said.get("crossOrigin", False) is False
        and "topOrigin" not in said
        and len(data) >= 37
        and data[:32] == hashlib.sha256(key.rp_id.encode()).digest()
        and data[32] & _PRESENT != 0
        and data[32] & _VERIFIED != 0
        and key.verify(key.public, data + hashlib.sha256(client).digest(), signature)
    )
