"""Broken glass: a person acted on a plan alone, signed so, and another looks at it afterwards."""

import hashlib

from canonical import Unsound, fields, from_base64
from notes import open_envelope

_BROKEN = ("type", "plan", "environment", "identity", "person", "standsInFor", "reason", "at", "until")
_REVIEW = ("type", "incident", "plan", "person", "reason", "at")


class Glass:
    """What was broken, applied and reviewed. `trust` says whose signatures count, and who may act alone where."""

    def __init__(self, trust):
        self.trust, self.broken = trust, {}

    def opened(self, subject, body, plan):
        signed, signed_by = open_envelope(body["envelope"], "application/vnd.countersign.break-glass+json")
        fields(signed, _BROKEN, "break-glass")
        person, about = signed["person"], plan["body"]
        if signed["type"] != "https://countersign.dev/break-glass/v1" or signed["plan"] != subject:
            raise Unsound("holds the broken glass of another plan")
        if signed["environment"] != about["environment"] or signed["identity"] != about["identity"]:
            raise Unsound("holds the broken glass of another environment or target")
        if body["plan"] != subject or body["person"] != person or body["incident"] != _incident(body["envelope"]):
            raise Unsound("says something else than what was signed")
        known = self._signer(person, signed_by, about)
        if "*" not in known["breaksGlass"] and about["environment"] not in known["breaksGlass"]:
            raise Unsound(f"is signed by {person}, who may not break the glass in {about['environment']}")
        if not signed["at"] < signed["until"] or not signed["standsInFor"]:
            raise Unsound("stands in for nothing")
        if body["incident"] in self.broken:
            raise Unsound(f"opens {body['incident']} once more")
        self.broken[body["incident"]] = {"plan": subject, "signed": signed, "reviewed": None, "applied": False}

    def standing_in(self, subject, body, at):
        """What the glass stands in for that an apply claims; nothing where it claims none."""
        if "breakGlass" not in body:
            return None
        one = self.broken.get(body["breakGlass"])
        if one is None or one["plan"] != subject:
            raise Unsound("applies a plan by broken glass, and nobody signed that for this plan")
        if one["signed"]["person"] != body["by"]:
            raise Unsound(f"is applied by {body['by']}, and {one['signed']['person']} broke the glass")
        if not at < one["signed"]["until"]:
            raise Unsound(f"applies a plan by broken glass that was good until {one['signed']['until']}")
        return one

    def reviewed(self, subject, body, plan):
        signed, signed_by = open_envelope(body["envelope"], "application/vnd.countersign.incident-review+json")
        fields(signed, _REVIEW, "review")
        one = self.broken.get(signed["incident"])
        if signed["type"] != "https://countersign.dev/incident-review/v1" or one is None:
            raise Unsound("reviews what did not happen")
        if one["plan"] != subject or signed["plan"] != subject or body["incident"] != signed["incident"]:
            raise Unsound("holds the review of another incident")
        if body["person"] != signed["person"]:
            raise Unsound("says something else than what was signed")
        if signed["person"] == one["signed"]["person"]:
            raise Unsound(f"is a review by {signed['person']}, who broke the glass")
        self._signer(signed["person"], signed_by, plan["body"])
        one["reviewed"] = signed["person"]

    def said(self):
        """What nobody who reads the verdict may miss, a sentence a plan."""
        return [
            f"plan {one['plan']} applied without {' and '.join(one['signed']['standsInFor'])}"
            f" by break-glass of {one['signed']['person']}, "
            + (f"reviewed by {one['reviewed']}" if one["reviewed"] else "not reviewed")
            for one in self.broken.values()
            if one["applied"]
        ]

    def _signer(self, person, signed_by, about):
        if person in (about["actor"], about["onBehalfOf"]):
            raise Unsound(f"is signed by {person}, who asked for it")
        known = self.trust.people.get(person)
        if known is None:
            raise Unsound(f"is signed by {person}, whom the trust policy does not name")
        if not any(signed_by(public) for public in known["keys"]):
            raise Unsound(f"has no valid signature of {person}")
        return known


def _incident(envelope):
    return f"incident_{hashlib.sha256(from_base64(envelope['payload'])).hexdigest()[:16]}"
