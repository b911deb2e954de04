"""What the audit log says about the rights that deploy/ grants."""

import json
import sys

import pytest

from e2e.cluster import rights
from e2e.cluster.rights import CHECKED_WITHIN, OPERATOR, Right, granted, unused, used


def event(user: str, right: Right, code: int = 200) -> dict:
    resource, _, subresource = right.resource.partition("/")
    target = {"resource": resource, **({"subresource": subresource} if subresource else {}), "apiGroup": right.group}
    return {"user": {"username": user}, "verb": right.verb, "objectRef": target, "responseStatus": {"code": code}}


def everything() -> list[dict]:
    operators = [event(OPERATOR, right) for right in granted("kubetune-operator") - CHECKED_WITHIN]
    return operators + [event("system:serviceaccount:team:kubetune-trainer", r) for r in granted("kubetune-trainer")]


def test_what_is_checked_within_another_request_is_granted_at_all():
    assert granted("kubetune-operator") >= CHECKED_WITHIN


def test_a_run_that_used_everything_leaves_nothing():
    assert unused(everything()) == []


@pytest.mark.parametrize("role", ["kubetune-operator", "kubetune-trainer"])
def test_each_right_that_was_not_used_is_named(role: str):
    for right in granted(role) - CHECKED_WITHIN:
        who = OPERATOR if role == "kubetune-operator" else "system:serviceaccount:team:kubetune-trainer"
        rest = [each for each in everything() if each != event(who, right)]
        assert unused(rest) == [(role, right)]


def test_a_forbidden_request_uses_no_right_and_a_strangers_neither():
    logs = Right("", "pods/log", "get")
    assert list(used([event(OPERATOR, logs, 403)])) == []
    rest = [each for each in everything() if each != event(OPERATOR, logs)]
    assert ("kubetune-operator", logs) in unused([*rest, event(OPERATOR, logs, 403), event("admin", logs)])
    assert unused([*rest, event(OPERATOR, logs, 404)]) == [], "it was allowed to look"


def test_the_program_fails_on_an_unused_right(tmp_path, monkeypatch, capsys):
    log = tmp_path / "audit.log"
    monkeypatch.setattr(sys, "argv", ["rights", str(log)])
    log.write_text("\n".join(map(json.dumps, everything())))
    assert rights.main() == 0
    log.write_text("\n".join(json.dumps(e) for e in everything() if e["objectRef"].get("subresource") != "log"))
    assert rights.main() == 1
    assert "kubetune-operator may get pods/log, and no test needs it" in capsys.readouterr().err
