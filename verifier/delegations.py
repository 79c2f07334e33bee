"""Who decides in whose place for a time: signed by the person who is away, ended by either or by who may."""

import hashlib
from datetime import datetime

from canonical import Unsound, fields, from_base64
from notes import open_envelope

_GIVEN = ("type", "person", "to", "environment", "reason", "at", "until")
_ENDED = ("type", "delegation", "person", "reason", "at")


class Delegations:
    """`trust` says whose signatures count, where they may decide themselves, and how long a delegation may last."""

    def __init__(self, trust):
        self.trust, self.standing = trust, {}

    def take(self, subject, body):
        if body["event"] == "ended":
            return self._end(subject, body)
        signed, signed_by = open_envelope(body["envelope"], "application/vnd.countersign.delegation+json")
        fields(signed, _GIVEN, "delegation")
        person, to = signed["person"], signed["to"]
        named = hashlib.sha256(from_base64(body["envelope"]["payload"])).hexdigest()[:16]
        if signed["type"] != "https://countersign.dev/delegation/v1" or subject != f"delegation_{named}":
            raise Unsound("calls a delegation otherwise than what was signed")
        if body["event"] != "delegated" or (body["person"], body["to"]) != (person, to):
            raise Unsound("says something else than what was signed")
        if subject in self.standing:
            raise Unsound(f"gives {subject} once more")
        self._signed(person, signed_by)
        if not self._decides(person, signed["environment"]):
            raise Unsound(f"is signed by {person}, who may not countersign in {signed['environment']}")
        if person == to or _seconds(signed["until"]) - _seconds(signed["at"]) > self.trust.delegation_days * 86400:
            raise Unsound("lasts longer than the trust policy allows a delegation")
        self.standing[subject] = signed

    def in_place_of(self, signed, at, about):
        """In whose place an approval is, if in anybody's."""
        if "delegation" not in signed:
            return None
        given = self.standing.get(signed["delegation"])
        if given is None or not at < given["until"]:
            raise Unsound(f"is signed by {signed['delegation']}, which does not stand")
        if given["to"] != signed["person"] or given["environment"] != about["environment"]:
            raise Unsound(f"is signed by {signed['delegation']}, which was given to another or for elsewhere")
        if given["person"] in (about["actor"], about["onBehalfOf"]):
            raise Unsound(f"is signed in the place of {given['person']}, who asked for it")
        return given["person"]

    def stands(self, delegation, at):
        given = self.standing.get(delegation)
        return given is not None and at < given["until"]

    def _end(self, subject, body):
        signed, signed_by = open_envelope(body["envelope"], "application/vnd.countersign.delegation-end+json")
        fields(signed, _ENDED, "end of a delegation")
        if signed["delegation"] != subject or signed["person"] != body["person"] or subject not in self.standing:
            raise Unsound("ends another delegation than it says")
        self._signed(signed["person"], signed_by)
        del self.standing[subject]

    def _decides(self, person, environment):
        approves = self.trust.people[person]["approves"]
        return "*" in approves or environment in approves

    def _signed(self, person, signed_by):
        known = self.trust.people.get(person)
        if known is None:
            raise Unsound(f"is signed by {person}, whom the trust policy does not name")
        if not any(signed_by(public) for public in known["keys"]):
            raise Unsound(f"has no valid signature of {person}")


def _seconds(instant):
    try:
        return datetime.strptime(instant, "%Y-%m-%dT%H:%M:%S.%fZ").timestamp()
    except ValueError as error:
        raise Unsound(f"says {instant!r}, which is no instant") from error
