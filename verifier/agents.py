"""Approvals by agents: one word in the place of one person's, where the trust policy lets it, and never for its own kind."""

from canonical import Unsound, fields
from notes import open_envelope

AGENT = "application/vnd.countersign.agent-approval+json"
_SIGNED = ("type", "plan", "environment", "identity", "agent", "verdict", "reason", "at")


class Agents:
    """`trust` says which agents approve, where, up to how many rows, and of what kind those are who propose."""

    def __init__(self, trust):
        self.trust, self.said = trust, []

    def approved(self, subject, body, about, index):
        """The agent that approved the plan, verified."""
        signed, signed_by = open_envelope(body["envelope"], AGENT)
        fields(signed, _SIGNED, "approval of an agent")
        agent = signed["agent"]
        if signed["type"] != "https://countersign.dev/agent-approval/v1" or signed["plan"] != subject:
            raise Unsound("holds an agent's approval of another plan")
        if signed["environment"] != about["environment"] or signed["identity"] != about["identity"]:
            raise Unsound("holds an agent's approval for another environment or target")
        if signed["verdict"] != "approve" or body["agent"] != agent or "person" in body:
            raise Unsound("says something else than what the agent signed")
        known = self.trust.approval_agents.get(agent)
        if known is None:
            raise Unsound(f"is approved by {agent}, which the trust policy names as no approval agent")
        if body["owner"] != known["owner"]:
            raise Unsound(f"names {body['owner']} for {agent}, for which {known['owner']} answers")
        if not any(signed_by(public) for public in known["keys"]):
            raise Unsound(f"has no valid signature of {agent}")
        if not signed["at"] < about["expiresAt"]:
            raise Unsound("was signed when the plan was over")
        why = self._why_not(agent, known, about)
        if why is not None:
            raise Unsound(f"is approved by the agent {agent}, which does not count: {why}")
        self.said.append(f"entry {index}: approved by the approval agent {agent}, for which {known['owner']} answers")
        return agent

    def _why_not(self, agent, known, about):
        most = self.trust.environments[about["environment"]]["agentRows"]
        if most == 0 or about["environment"] not in known["approves"]:
            return f"none does in {about['environment']}"
        owner = self.trust.people.get(known["owner"], {"approves": []})["approves"]
        if "*" not in owner and about["environment"] not in owner:
            return f"{known['owner']}, who answers for it, may not countersign in {about['environment']}"
        proposer = self.trust.agents.get(about["actor"])
        if proposer is None:
            return f"the trust policy does not say of what kind {about['actor']} is"
        if about["actor"] == agent or proposer["family"] == known["family"] or proposer["owner"] == known["owner"]:
            return f"{about['actor']} is of its own kind"
        if known["owner"] in (about["onBehalfOf"], about.get("askedBy")):
            return f"{known['owner']}, who answers for it, asked for it"
        if about["measured"] is None or about.get("undo", {}).get("undo") in (None, "irreversible"):
            return "it was not measured, or can't be undone"
        if any(each["obligation"] == "after freeze" for each in about.get("missing", [])):
            return "there was a freeze"
        return f"it changes more than {most} rows" if about["measured"]["rows"] > most else None
