"""What entries say of an action, as an in-toto Statement v1 (docs/proof-format.md): derived here once more, to compare."""

import hashlib

from canonical import write

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_SAID = ("task", "actor", "owner", "onBehalfOf", "channel", "target", "environment", "identity")
_ENDED = ("outcome", "xid", "effect", "rows", "tables", "recovered", "why", "undo")


def statement(origin, about, checkpoint, earlier, entries):
    """`entries`: (index, bytes, value) each, in order."""
    subjects = list(dict.fromkeys(entry["subject"] for _, _, entry in entries))
    opened = [entry["body"] for _, _, entry in entries if entry["kind"] == "task opened"]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            _named("checkpoint", checkpoint.encode()),
            *([] if earlier is None else [_named("earlier checkpoint", earlier.encode())]),
            *(_named(f"entry/{index}", data) for index, data, _ in entries),
        ],
        "predicateType": "https://countersign.dev/action/v1",
        "predicate": {
            "tool": {"name": "countersign", "origin": origin},
            "about": about,
            "task": opened[0] if opened else None,
            "actions": [action for subject in subjects for action in _action(subject, entries)],
        },
    }


def _action(subject, entries):
    own = [(index, entry, _body(entry)) for index, _, entry in entries if entry["subject"] == subject]
    first = next(((entry, body) for _, entry, body in own if entry["kind"] in ("plan", "intent")), None)
    if first is None:
        return
    entry, said = first
    yield {
        "id": subject,
        "kind": "plan" if entry["kind"] == "plan" else "write",
        "at": entry["at"],
        **_picked(said, _SAID),
        "input": said.get("statements", []),
        "decision": _picked(said, ("decision", "policies", "policyDigest")),
        "plan": said.get("plan"),
        "measured": said.get("measured"),
        **_picked(said, ("undo", "undoes", "merges", "purges", "askedBy", "kept", "backup")),
        "approvals": [
            {
                "entry": index,
                "at": verdict["at"],
                "verdict": verdict["kind"],
                **_picked(body, ("person", "agent", "owner", "via", "reason")),
                "envelope": f"sha256:{hashlib.sha256(write(body['envelope'])).hexdigest()}",
            }
            for index, verdict, body in own
            if verdict["kind"] in ("approval", "rejection") and "envelope" in body
        ],
        **_glass(own),
        "effect": _last(own, "intent", ("xid", "effect")),
        "outcome": _last(own, "outcome", _ENDED),
    }


def _glass(own):
    events = {"break-glass": "broken", "incident review": "reviewed"}
    said = [
        {
            "entry": index,
            "at": entry["at"],
            "event": events[entry["kind"]],
            **_picked(body, ("incident", "person", "reason", "standsInFor", "until")),
            "envelope": f"sha256:{hashlib.sha256(write(body['envelope'])).hexdigest()}",
        }
        for index, entry, body in own
        if entry["kind"] in events and "envelope" in body
    ]
    return {"breakGlass": said} if said else {}


def _last(own, kind, names):
    found = [(entry, body) for _, entry, body in own if entry["kind"] == kind]
    return {"at": found[-1][0]["at"], **_picked(found[-1][1], names)} if found else None


def _picked(body, names):
    return {name: body[name] for name in names if name in body}


def _body(entry):
    return entry["body"] if isinstance(entry["body"], dict) else {}


def _named(name, data):
    return {"name": name, "digest": {"sha256": hashlib.sha256(data).hexdigest()}}
