"""What may follow what: approvals bound to plan and environment, one outcome per intent, no effect above its maximum."""

from agents import AGENT, Agents
from branches import Branches
from canonical import Unsound, fields
from clicks import Clicks
from delegations import Delegations
from glass import Glass
from notes import open_envelope

_APPROVAL = ("type", "plan", "environment", "identity", "person", "verdict", "reason", "at")
_SIGNED, _ATTESTED = (f"application/vnd.countersign.{kind}+json" for kind in ("approval", "attested-approval"))
_COUNTS = ("inserted", "updated", "deleted", "truncated")


class History:
    """Takes entries in the ledger's order. `trust` says whose signatures count, and where; `keys` are the log's own."""

    def __init__(self, trust, keys):
        self.trust = trust
        self.glass, self.delegations, self.agents = Glass(trust), Delegations(trust), Agents(trust)
        self.clicks, self.branches, self.index = Clicks(trust, keys), Branches(trust), 0
        self.tasks, self.plans, self.writes = {}, {}, {}
        self.counted = {"approvals": 0, "applied": 0, "open": 0}

    def take(self, entry, index):
        self.index = index
        fields(entry, ("v", "kind", "at", "subject", "body"), "entry")
        act = {
            "task opened": self._task,
            "plan": self._plan,
            "approval": self._verdict,
            "rejection": self._verdict,
            "delegation": lambda subject, body, _: self.delegations.take(subject, body),
            "break-glass": self._broken,
            "incident review": self._reviewed,
            "branch": lambda subject, body, _: self.branches.take(subject, body),
            "apply": self._apply,
            "intent": self._intent,
            "outcome": self._outcome,
        }.get(entry["kind"])
        if act is None:
            return
        try:
            act(entry["subject"], entry["body"], entry)
        except (KeyError, TypeError, AttributeError) as error:
            raise Unsound(f"is no {entry['kind']} entry: {error}") from error

    def finish(self):
        everything = [*self.plans.values(), *self.writes.values()]
        alone = self.glass.said()
        told = {"attested": self.clicks.said, "byAgents": self.agents.said, "brokenGlass": alone}
        told = {name: said for name, said in told.items() if said}
        return {**self.counted, "open": sum(each["state"] == "under way" for each in everything), **told}

    def _task(self, subject, body, _):
        if subject in self.tasks or body["id"] != subject:
            raise Unsound(f"opens task {subject} once more")
        self.tasks[subject] = {"left": body["limits"]["rowsPerTask"]}

    def _plan(self, subject, body, entry):
        if subject in self.plans or body["plan"] != subject:
            raise Unsound(f"makes plan {subject} once more")
        in_branch = self._in_branch(body)
        self.plans[subject] = {
            "body": body, "at": entry["at"], "state": "held", "people": {}, "words": {}, "agents": set(), "refused": False, "reserved": False,
            "taken": not in_branch,
        }  # fmt: skip

    def _in_branch(self, body):
        if self.branches.holds(body):
            self.counted["inBranches"] = self.counted.get("inBranches", 0) + 1
            return True
        self._known_target(body)
        return False

    def _known_target(self, body):
        environment = self.trust.environments.get(body["environment"])
        if environment is None:
            raise Unsound(f"is about the environment {body['environment']}, which the trust policy does not name")
        identities = environment["identities"]
        if identities and body["identity"] not in identities:
            raise Unsound(f"is about a target that the trust policy does not name in {body['environment']}")

    def _verdict(self, subject, body, entry):
        plan = self.plans.get(subject)
        if plan is None:
            raise Unsound(f"is a verdict on plan {subject}, which was not made")
        if "envelope" not in body:
            return
        if body["envelope"]["payloadType"] == AGENT or "agent" in body:
            return self._by_agent(plan, subject, body, entry)
        attested = body["envelope"]["payloadType"] == _ATTESTED
        signed, signed_by = open_envelope(body["envelope"], _ATTESTED if attested else _SIGNED)
        more = ("via", "click") if attested else ("delegation",) if "delegation" in signed else ()
        fields(signed, (*_APPROVAL, *more), "approval")
        person, about = signed["person"], plan["body"]
        kind = "attested-approval" if attested else "approval"
        if signed["type"] != f"https://countersign.dev/{kind}/v1" or signed["plan"] != subject:
            raise Unsound("holds an approval of another plan")
        if signed["environment"] != about["environment"] or signed["identity"] != about["identity"]:
            raise Unsound("holds an approval for another environment or target")
        verdict = {"approval": "approve", "rejection": "reject"}[entry["kind"]]
        if signed["verdict"] != verdict or body["person"] != person or body["environment"] != signed["environment"]:
            raise Unsound("says something else than what was signed")
        if person in (about["actor"], about["onBehalfOf"]):
            raise Unsound(f"is signed by {person}, who asked for it")
        known = self.trust.people.get(person)
        if known is None:
            raise Unsound(f"is signed by {person}, whom the trust policy does not name")
        in_place_of = self.delegations.in_place_of(signed, entry["at"], about)
        may = "*" in known["approves"] or about["environment"] in known["approves"]
        if in_place_of is None and not may:
            raise Unsound(f"is signed by {person}, who may not countersign in {about['environment']}")
        if attested != (body.get("via") is not None) or signed.get("via") != body.get("via"):
            raise Unsound("does not say whether somebody signed it or only clicked")
        if attested:
            key = self.clicks.clicked(signed, signed_by, known, about, self.index)
        else:
            key = next((public for public in known["keys"] if signed_by(public)), None)
        if key is None:
            raise Unsound(f"has no valid signature of {person}")
        if not signed["at"] < about["expiresAt"]:
            raise Unsound("was signed when the plan was over")
        if person in plan["people"]:
            raise Unsound(f"is a second verdict of {person}")
        plan["people"][person] = key if verdict == "approve" else None
        if in_place_of is not None:
            plan["words"][person] = (in_place_of, signed["delegation"])
            self.counted["delegated"] = self.counted.get("delegated", 0) + 1
        plan["refused"] |= verdict == "reject"
        self.counted["approvals"] += 1

    def _by_agent(self, plan, subject, body, entry):
        if entry["kind"] != "approval":
            raise Unsound("is a rejection by an agent, which only approve")
        agent = self.agents.approved(subject, body, plan["body"], self.index)
        if agent in plan["agents"]:
            raise Unsound(f"is a second verdict of {agent}")
        plan["agents"].add(agent)
        self.counted["approvals"] += 1

    def _broken(self, subject, body, _):
        self.glass.opened(subject, body, self._made(subject, "the glass for"))

    def _reviewed(self, subject, body, _):
        self.glass.reviewed(subject, body, self._made(subject, "a review of"))

    def _made(self, subject, what):
        if subject not in self.plans:
            raise Unsound(f"is {what} plan {subject}, which was not made")
        return self.plans[subject]

    def _apply(self, subject, body, entry):
        plan = self.plans.get(subject)
        if plan is None or body["plan"] != subject:
            raise Unsound(f"applies plan {subject}, which was not made")
        if plan["state"] not in ("held", "not applied") or plan["refused"]:
            raise Unsound(f"applies a plan that is {'rejected' if plan['refused'] else plan['state']}")
        about = plan["body"]
        plan["alone"] = alone = self.glass.standing_in(subject, body, entry["at"])
        if about["decision"] != "allow":
            needed = 0 if alone and "approvals" in alone["signed"]["standsInFor"] else self._needed(about)
            # People and keys: one key under two names is one signature.
            signers = self._signers(plan, entry["at"])
            # An agent stands for the one person who is asked, never for one of several.
            if signers < needed and not (needed == 1 and plan["agents"]):
                raise Unsound(f"applies a plan that {signers} of {needed} people countersigned")
        elif about["measured"] is not None and plan["taken"] and not plan["reserved"]:
            self._reserve(about["task"], about["measured"]["rows"])
            plan["reserved"] = True
        plan["state"] = "under way"

    def _signers(self, plan, at):
        """Who stands in for somebody and that person are one; so are two names with one key."""
        given = {person: key for person, key in plan["people"].items() if key is not None}
        own = {person for person in given if person not in plan["words"]}
        words = plan["words"].items()
        lent = {word for person, (word, by) in words if person in given and self.delegations.stands(by, at)}
        counted = own | {person for person in given if plan["words"].get(person, (None,))[0] in lent}
        return min(len(own | lent), len({given[person] for person in counted}))

    def _needed(self, about):
        asked = [each.get("count", 1) for each in about.get("missing", []) if each["obligation"] == "approvals"]
        if "missing" in about and not asked:
            return 1  # it only waited for its time
        measured = about["measured"] is not None and about.get("undo", {}).get("undo") != "irreversible"
        environment = self.trust.environments[about["environment"]]
        return max(1, *asked, environment["quorum" if measured else "quorumUnmeasured"])

    def _intent(self, subject, body, _):
        if "plan" in body:
            plan = self.plans.get(subject)
            if plan is None or plan["state"] != "under way" or body["plan"] != subject:
                raise Unsound("takes effect by a plan that is not being applied")
            if body["target"] != plan["body"]["target"]:
                raise Unsound("takes effect on another target than was approved")
            self._same_effect(plan, body)
            return
        if subject in self.writes or body["intent"] != subject:
            raise Unsound(f"records write {subject} once more")
        in_branch = self._in_branch(body)
        if body["decision"] != "allow":
            raise Unsound("takes effect without being allowed")
        rows = _rows(body["measured"])
        taken = 0 if in_branch else rows
        self._reserve(body["task"], taken)
        self.writes[subject] = {"body": body, "state": "under way", "rows": rows, "taken": taken}

    def _reserve(self, name, rows):
        task = self.tasks.get(name)
        if task is not None:
            task["left"] -= rows
            if task["left"] < 0:
                raise Unsound(f"changes more rows than task {name} declared")

    def _outcome(self, subject, body, _):
        one = self.plans.get(subject) or self.writes.get(subject)
        if one is None:
            raise Unsound(f"is the outcome of {subject}, which was not begun")
        outcome, state = body["outcome"], one["state"]
        # Recovery that looked too early is put right by whoever did the work.
        put_right = outcome == "applied" and state == "not applied" and one.get("recovered")
        if state not in ("under way", "indeterminate") and not put_right:
            raise Unsound(f"is a second outcome of {subject}, which is {state}")
        one["state"], one["recovered"] = outcome, body.get("recovered") is True
        if subject in self.writes:
            if "tables" in body and _rows(body["tables"]) > one["rows"]:
                raise Unsound("changed more rows than were measured")
            if outcome == "not applied" and one["body"]["task"] in self.tasks:
                self.tasks[one["body"]["task"]]["left"] += one["taken"]
        elif one["reserved"] and outcome in ("failed", "stale"):
            self._reserve(one["body"]["task"], -one["body"]["measured"]["rows"])
            one["reserved"] = False
        elif outcome == "applied":
            self._same_effect(one, body)
            self._within(one["body"]["measured"], body.get("tables", []))
        if outcome == "applied" and one.get("alone"):
            one["alone"]["applied"] = True
        self.counted["applied"] += outcome == "applied"

    @staticmethod
    def _same_effect(plan, body):
        measured = plan["body"]["measured"]
        if measured is not None and body.get("effect", measured["digest"]) not in (measured["digest"], None):
            raise Unsound("has another effect than the one that was approved")

    @staticmethod
    def _within(measured, tables):
        if measured is None:
            return
        most = {}
        for each in measured["tables"]:
            for count in _COUNTS:
                most[each["table"], count] = most.get((each["table"], count), 0) + each[count]
        for each in tables:
            for count in _COUNTS:
                most[each["table"], count] = most.get((each["table"], count), 0) - each[count]
        over = [table for (table, _), left in most.items() if left < 0]
        if over:
            raise Unsound(f"changed more rows of {over[0]} than were approved")


def _rows(tables):
    return sum(each[count] for each in tables for count in _COUNTS)
