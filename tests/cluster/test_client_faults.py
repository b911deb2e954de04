"""The client against a real API server behind a proxy that does to its requests what networks and servers do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from fake_cluster import NOW
from faulty_api import LOST, RESET, TORN, FaultyApi, behind_faults_of
from operator_process import OperatorProcess
from real_cluster import Job, Namespace
from waiting import until

from e2e.chaos.proxy import Asked, Fault, Kind, Proxy
from kubetune.api import parse_job
from kubetune.cluster import NUDGED, ClusterError
from kubetune.controller.kubernetes_api import Request
from kubetune.controller.kubernetes_cluster import PYTORCHJOBS
from kubetune.controller.reconcile import Outcome, reconcile
from kubetune.controller.settings import ControllerSettings
from kubetune.render import AttemptPlan, RenderSettings, render_pytorchjob

pytestmark = pytest.mark.cluster

SETTINGS = ControllerSettings(render=RenderSettings(image="trainer:1"))


@pytest.fixture
def faulty(kubeconfig: Path) -> Iterator[FaultyApi]:
    with behind_faults_of(kubeconfig) as it:
        yield it


def once(faulty: FaultyApi, job: Job) -> Outcome:
    moment = datetime.now(UTC)
    return asyncio.run(reconcile(faulty.cluster, job.kind, job.namespace.name, job.name, moment, SETTINGS))


@pytest.mark.parametrize("fault", [TORN, LOST, RESET, Fault(Kind.ANSWER, 500), Fault(Kind.HANG, seconds=0.2)])
def test_a_read_that_breaks_is_repeated_until_it_is_whole(namespace: Namespace, faulty: FaultyApi, fault: Fault):
    namespace.create("whole")
    faulty.meets("GET", fault, times=3)
    read = asyncio.run(faulty.cluster.get_job("SFTJob", namespace.name, "whole"))
    assert read is not None
    assert read["metadata"]["name"] == "whole"
    assert len(faulty.asked) == 4
    assert len(faulty.waits) == 3


def test_a_server_that_takes_a_request_and_never_answers_is_left_after_the_deadline(faulty: FaultyApi):
    faulty.meets("GET", Fault(Kind.HANG, seconds=60), times=2)
    with pytest.raises(ClusterError, match="timed out") as raised:
        faulty.api.json(Request("GET", "/version", tries=2, timeout=(5.0, 0.5)))
    assert raised.value.retryable
    assert "minor" in faulty.api.json(Request("GET", "/version"))


def test_it_waits_for_as_long_as_the_server_asks(faulty: FaultyApi):
    faulty.meets("GET", Fault(Kind.ANSWER, 429, {"Retry-After": "7"}), times=2)
    assert "minor" in faulty.api.json(Request("GET", "/version"))
    assert faulty.waits == [7, 7]


def test_trouble_that_stays_is_an_error_after_five_tries(faulty: FaultyApi):
    faulty.meets("GET", Fault(Kind.ANSWER, 503), times=9)
    with pytest.raises(ClusterError) as raised:
        faulty.api.json(Request("GET", "/version"))
    assert (raised.value.status, len(faulty.asked)) == (503, 5)


def test_a_list_that_expires_between_two_pages_starts_anew(namespace: Namespace, faulty: FaultyApi):
    names = {namespace.create(f"job-{n}").name for n in range(5)}
    second_page = [(lambda asked: "continue" in asked.query, Fault(Kind.ANSWER, 410))]
    faulty.faults += second_page
    items = faulty.api.items(namespace.jobs("SFTJob"), query={}, page=2)
    assert sorted(item["metadata"]["name"] for item in items) == sorted(names), "each once"
    assert [asked.query.get("limit") for asked in faulty.asked] == ["2"] * 5, "two pages, of which one expired, and three"
    faulty.asked.clear()
    faulty.faults += second_page * 2
    items = faulty.api.items(namespace.jobs("SFTJob"), query={}, page=2)
    assert len(items) == len(names)
    assert "limit" not in faulty.asked[-1].query, "the last resort is one answer"


def test_a_lost_answer_to_any_write_does_it_once(namespace: Namespace, faulty: FaultyApi):
    """Child, status and event: each was done, and each is sent again."""
    job = namespace.create("lossy", edit={"spec.runPolicy": {"activeDeadlineSeconds": 3600}})  # its start is recorded at once
    for path in ("serviceaccounts", "pytorchjobs", "/status"):
        faulty.meets("PATCH", LOST, path=path)
    once(faulty, job)
    assert faulty.faults == [], "all were met"
    assert [child["metadata"]["name"] for child in namespace.children()] == ["lossy-sft-1"]
    assert [a["number"] for a in job.attempts] == [1]
    told = namespace.create("told", edit={"spec.runPolicy": {"suspend": True}})
    faulty.meets("POST", LOST, path="/events")
    faulty.meets("PATCH", LOST, path="/status")
    once(faulty, told)
    assert faulty.faults == [], "all were met"
    assert (told.phase, [reason for reason, _ in told.events()]) == ("Suspended", ["Suspended"])


def test_a_lost_answer_to_a_delete_is_no_error(namespace: Namespace, faulty: FaultyApi):
    job = namespace.create("gone")
    once(faulty, job)
    (child,) = namespace.children()
    faulty.meets("DELETE", LOST)
    asyncio.run(faulty.cluster.delete_pytorchjob(namespace.name, child["metadata"]["name"], child["metadata"]["uid"]))
    assert [asked.method for asked in faulty.asked].count("DELETE") == 2
    assert namespace.children() == []


def test_a_conflict_with_another_writer_stays_a_conflict(namespace: Namespace, faulty: FaultyApi):
    job = namespace.create("raced")
    before = job.get()
    job.report(progress={"step": 1})
    with pytest.raises(ClusterError) as raised:
        asyncio.run(faulty.cluster.write_status(before, {"phase": "Running"}))
    assert raised.value.status == 409
    assert job.phase == "Pending"


def test_what_others_own_on_the_child_stays_theirs(namespace: Namespace, faulty: FaultyApi):
    """A queue's suspend, a user's label: applied again, the child keeps them, and they are not ours."""
    job = namespace.create("shared")
    once(faulty, job)
    path = f"{PYTORCHJOBS.format(namespace.name)}/shared-sft-1"
    theirs = {"metadata": {"labels": {"team": "a"}}, "spec": {"runPolicy": {"suspend": True}}}
    faulty.api.json(Request("PATCH", path, {"fieldManager": "kueue"}, theirs, "application/merge-patch+json"))
    document = {key: value for key, value in job.get().items() if key != "status"}
    again = asyncio.run(faulty.cluster.apply_pytorchjob(render_pytorchjob(parse_job(document), AttemptPlan(1), SETTINGS.render)))
    assert again["metadata"]["labels"]["team"] == "a"
    assert again["spec"]["runPolicy"]["suspend"] is True
    ours = next(entry for entry in again["metadata"]["managedFields"] if entry["manager"] == "kubetune")
    text = json.dumps(ours["fieldsV1"])
    assert "f:suspend" not in text
    assert "f:team" not in text
    assert "f:pytorchReplicaSpecs" in text


def test_a_nudge_wakes_whoever_watches_and_changes_nothing_else(namespace: Namespace, faulty: FaultyApi):
    job = namespace.create("nudged")
    once(faulty, job)
    (before,) = namespace.children()
    nudge = partial(faulty.cluster.nudge_pytorchjob, namespace.name, "nudged-sft-1")
    asyncio.run(nudge("00000000-0000-4000-8000-000000000000", NOW))
    assert NUDGED not in namespace.children()[0]["metadata"]["annotations"], "another object bore the name"
    asyncio.run(nudge(before["metadata"]["uid"], NOW))
    (after,) = namespace.children()
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"] | {NUDGED: "2026-01-01T12:00:00Z"}
    assert after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
    assert after["spec"] == before["spec"]


@pytest.fixture
def watcher(namespace: Namespace, faulty: FaultyApi, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator that knows of changes by its watches alone: it sweeps once an hour."""
    process = OperatorProcess(faulty.kubeconfig(tmp_path), namespace.name, tmp_path / "operator.log")
    process.start("--sweep-seconds=3600", "--no-leader-elect", "--port=0")
    try:
        until(
            lambda: {path.rsplit("/", 1)[1] for path in faulty.on_watches(lambda proxy: proxy.watched)} >= KINDS,
            "it watches",
            evidence=lambda: process.said,
        )
        yield process
    finally:
        process.stop()


KINDS = {"sftjobs", "osftjobs", "pytorchjobs"}


def watches(faulty: FaultyApi) -> list[Asked]:
    return [asked for asked in faulty.asked if asked.watch and asked.path.endswith("/sftjobs")]


def lists(faulty: FaultyApi) -> int:
    return sum(1 for asked in faulty.asked if not asked.watch and asked.path.endswith("/sftjobs"))


def test_a_watch_that_breaks_goes_on_where_it_was(namespace: Namespace, faulty: FaultyApi, watcher: OperatorProcess):
    before = lists(faulty)
    assert faulty.on_watches(Proxy.cut_watches) >= len(KINDS)
    namespace.create("after-a-cut")
    until(namespace.children, "a child", evidence=lambda: watcher.said)
    assert lists(faulty) == before
    assert len(watches(faulty)) >= 2
    assert all(int(asked.query["resourceVersion"]) > 0 for asked in watches(faulty))
    assert {asked.query["allowWatchBookmarks"] for asked in watches(faulty)} == {"true"}, "so that what it goes on from is recent"


def test_a_watch_whose_history_is_gone_begins_with_a_new_list(namespace: Namespace, faulty: FaultyApi, watcher: OperatorProcess):
    before = lists(faulty)
    assert faulty.on_watches(Proxy.expire_watches) >= len(KINDS)
    namespace.create("after-an-expiry")
    until(namespace.children, "a child", evidence=lambda: watcher.said)
    assert lists(faulty) > before
    assert "Traceback" not in watcher.said
