"""Clicks in a chat: the gateway says that somebody clicked, and nobody but the gateway has signed it."""

from canonical import Unsound, fields

_CLICK = ("team", "user", "conversation", "message", "at", "callback")


class Clicks:
    """`trust` says whose users are believed to be whom, and where a click is enough; `keys` are the log's own."""

    def __init__(self, trust, keys):
        self.trust, self.keys, self.said = trust, keys, []

    def clicked(self, signed, signed_by, known, about, index):
        """Who is counted for a click that the gateway attested; refused where the policy does not let clicks count."""
        person, click = signed["person"], fields(signed["click"], _CLICK, "click")
        said = f"a click in Slack (user {click['user']} of {click['team']}), attested by the gateway, not signed by {person}"
        if signed["via"] != "slack" or not signed_by(self.keys.at(index + 1).public):
            raise Unsound(f"has no valid attestation of {self.keys.origin} that {person} clicked")
        if self.trust.slack is None or known["slack"] is None or (click["team"], click["user"]) != (self.trust.slack, known["slack"]):
            raise Unsound(f"is {said}, and the trust policy does not name this Slack user as {person}")
        why = self._why_no_click(about)
        if why is not None:
            raise Unsound(f"is {said}, which does not count in {about['environment']}: {why}")
        verdict = "approval" if signed["verdict"] == "approve" else "rejection"
        self.said.append(f"entry {index}: the {verdict} of {person} is {said}")
        return ("slack", click["team"], click["user"])

    def _why_no_click(self, about):
        clicks = self.trust.environments[about["environment"]]["clicks"]
        if clicks == "never":
            return "it takes a signature"
        if any(each["obligation"] == "after freeze" for each in about.get("missing", [])):
            return "there was a freeze"
        if clicks == "any":
            return None
        if about["measured"] is None:
            return "its effect was not measured"
        return "it can't be undone" if about.get("undo", {}).get("undo") in (None, "irreversible") else None
