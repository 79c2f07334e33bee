"""The trust policy: what a stranger relies on, given to them by another way than what is verified."""

import json

from canonical import from_base64
from notes import LOG, WITNESS, verifier_key
from webauthn import Passkey, passkey


class Trust:
    """Reads a policy as README.md describes it. Raises ValueError or KeyError for anything else."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            said = json.load(file)
        if said.pop("countersign") != "trust/v1":
            raise ValueError("it is no trust/v1")
        self.log = verifier_key(said.pop("log"), LOG)
        self.people = {
            name: {
                "keys": [_person_key(key) for key in person["keys"]] + [passkey(each) for each in person.get("passkeys", [])],
                "approves": person["approves"],
                "slack": person.get("slack"),
                "breaksGlass": person.get("breaksGlass", []),
            }
            for name, person in said.pop("people").items()
        }
        self.environments = {
            name: {
                "quorum": _count(each["quorum"]),
                "quorumUnmeasured": max(_count(each["quorum"]), _count(each.get("quorumUnmeasured", 0))),
                "identities": list(each.get("identities", {}).values()),
                "clicks": _clicks(each.get("clicks", "never")),
                "agentRows": _count(each.get("approvalAgents", {"maxRows": 0})["maxRows"]),
            }
            for name, each in said.pop("environments").items()
        }
        self.approval_agents = {
            name: {
                "keys": [_person_key(key) for key in each["keys"]],
                "owner": each["owner"],
                "family": each["family"],
                "approves": each["approves"],
            }
            for name, each in said.pop("approvalAgents", {}).items()
        }
        self.agents = {
            name: {"owner": each["owner"], "family": each["family"]} for name, each in said.pop("agents", {}).items()
        }
        if self.people.keys() & self.approval_agents.keys():
            raise ValueError("one name stands for a person and for an approval agent")
        self.slack = said.pop("slack", {"team": None})["team"]
        self.delegation_days = _count(said.pop("delegationDays", 0))
        witnesses = said.pop("witnesses", {"keys": [], "quorum": 0})
        self.witnesses = [verifier_key(key, WITNESS) for key in witnesses["keys"]]
        self.quorum, self.unwitnessed = _count(witnesses["quorum"]), _count(witnesses.get("unwitnessed", 0))
        signers = [*self.people.values(), *self.approval_agents.values()]
        keys = [key for each in signers for key in each["keys"]]
        _all_different([key.public if isinstance(key, Passkey) else key for key in keys])
        _all_different([key.public for key in self.witnesses])
        _all_different([person["slack"] for person in self.people.values() if person["slack"] is not None])
        if said:
            raise ValueError(f"it says {', '.join(said)}, which means nothing here")


def _person_key(text):
    if not text.startswith("ed25519:"):
        raise ValueError(f"{text!r} is no key of a person")
    return from_base64(text[len("ed25519:") :], 32)


def _clicks(word):
    if word not in ("never", "reversible", "any"):
        raise ValueError(f"{word!r} does not say what clicks are worth")
    return word


def _count(number):
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r} is no quorum")
    return number


def _all_different(keys):
    if len(set(keys)) != len(keys):
        raise ValueError("one key stands in it twice: it could count twice towards a quorum")
