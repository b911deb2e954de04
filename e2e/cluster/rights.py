"""python -m e2e.cluster.rights AUDIT_LOG: is every right that deploy/ grants used by some test?

The audit log is that of a whole run of the cluster tests (`make test-cluster` writes it): whichever processes ran the tests, there
was one API server. Exit code 1 and a line for each right that no request of the account needed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
OPERATOR = "system:serviceaccount:kubetune-system:kubetune"
TRAINER = ":kubetune-trainer"
"""End of the masters' user name: the account is in every namespace that has a job."""


class Right(NamedTuple):
    """One verb on one resource ("pods", "pods/log")."""

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{'.' + self.group if self.group else ''}"


CHECKED_WITHIN = frozenset(
    {
        Right("kubeflow.org", "pytorchjobs", "create"),
        Right("", "serviceaccounts", "create"),
        Right("rbac.authorization.k8s.io", "rolebindings", "create"),
        Right("kubetune.dev", "sftjobs/finalizers", "update"),
        Right("kubetune.dev", "osftjobs/finalizers", "update"),
    }
)
"""What the API server asks for within a request of another verb, so that no request shows it.

tests/cluster/test_rights.py takes each away and sees the request refused.
"""


def granted(role: str) -> set[Right]:
    """By that ClusterRole of deploy/."""
    documents = (d for file in (ROOT / "deploy").glob("*-rbac.yaml") for d in yaml.safe_load_all(file.read_text()))
    (found,) = (d for d in documents if (d["kind"], d["metadata"]["name"]) == ("ClusterRole", role))
    return {
        Right(group, resource, verb)
        for rule in found["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(events: Iterable[dict[str, Any]]) -> Iterator[tuple[str, Right]]:
    """(user, right) of each request that the API server did not forbid."""
    for event in events:
        target, code = event.get("objectRef"), event.get("responseStatus", {}).get("code")
        if target is None or code == 403:  # one that another check refused, or the right was not there
            continue
        resource = "/".join(filter(None, (target.get("resource"), target.get("subresource"))))
        yield event["user"]["username"], Right(target.get("apiGroup", ""), resource, event["verb"])


def unused(events: Iterable[dict[str, Any]]) -> list[tuple[str, Right]]:
    """(role, right) of what is granted and was never used."""
    seen = set(used(events))
    operators = {right for user, right in seen if user == OPERATOR} | CHECKED_WITHIN
    trainers = {right for user, right in seen if user.endswith(TRAINER)}
    spare = [("kubetune-operator", right) for right in granted("kubetune-operator") - operators]
    return sorted([*spare, *(("kubetune-trainer", right) for right in granted("kubetune-trainer") - trainers)])


def main() -> int:
    log = Path(sys.argv[1])
    with log.open() as lines:
        spare = unused(json.loads(line) for line in lines)
    for role, right in spare:
        print(f"{role} may {right}, and no test needs it: take it out of deploy/, or test what it is for", file=sys.stderr)
    print(f"==> rights of deploy/ that no test used: {len(spare)}")
    return 1 if spare else 0


if __name__ == "__main__":
    sys.exit(main())
