"""Shadow copies of targets: what is done in one is done to no target that the trust policy names."""

from canonical import Unsound


class Branches:
    def __init__(self, trust):
        self.trust, self._identities = trust, {}

    def take(self, subject, body):
        if body["outcome"] != "made":
            return
        if subject in self._identities or body["branch"] != subject:
            raise Unsound(f"makes branch {subject} once more")
        if any(body["identity"] in each["identities"] for each in self.trust.environments.values()):
            raise Unsound("calls a branch what the trust policy names as a target")
        environment = self.trust.environments.get(body["environment"])
        # Where the policy names no target of the environment, any database is one: a branch can't be told from it.
        if environment is not None and environment["identities"]:
            self._identities[subject] = body["identity"]

    def holds(self, body):
        """Whether it is done in a branch: nobody was asked, and it counts for no task."""
        identity = self._identities.get(body.get("target"))
        if identity is not None and body["identity"] != identity:
            raise Unsound(f"is done in {body['target']}, and to another database")
        return identity is not None
