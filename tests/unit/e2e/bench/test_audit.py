from __future__ import annotations

import json
from typing import Any

from e2e.bench import audit

OPERATORS = "system:serviceaccount:operators:"


def line(user: str, verb: str, resource: str, sub: str = "", *, namespace: str = "bench", code: int = 200) -> bytes:
    about: dict[str, Any] = {"resource": resource, "namespace": namespace} | ({"subresource": sub} if sub else {})
    entry = {"user": {"username": user}, "verb": verb, "objectRef": about, "responseStatus": {"code": code}}
    return json.dumps(entry).encode() + b"\n"


LOG = [
    line(OPERATORS + "kubetune", "patch", "pytorchjobs", code=201),
    line(OPERATORS + "kubetune", "patch", "sftjobs", "status"),
    line(OPERATORS + "kubetune", "patch", "sftjobs", "status", code=409),
    line(OPERATORS + "kubetune", "create", "events", code=201),
    line("kubernetes-admin", "create", "sftjobs", code=201),
    line("kubernetes-admin", "create", "sftjobs", code=201, namespace="another"),
    line("kubernetes-admin", "get", "sftjobs"),
    json.dumps({"user": {"username": "kubernetes-admin"}, "verb": "create"}).encode() + b"\n",
]


def test_writes_are_counted_a_job_by_user_and_part():
    assert audit.a_job(audit.writes(LOG, "bench"), jobs=2) == {
        "kubetune": {"objects": 0.5, "status": 1.0, "events": 0.5},
        "kubernetes-admin": {"objects": 0.5, "status": 0.0, "events": 0.0},
    }


def test_refused_writes_are_named():
    assert audit.refused(audit.writes(LOG, "bench")) == {"kubetune patch sftjobs/status 409": 1}


def test_a_line_that_is_still_being_written_is_left_out():
    assert audit.writes([*LOG, line("x", "create", "pods")[:-9]], "bench") == audit.writes(LOG, "bench")
