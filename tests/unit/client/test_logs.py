"""Which lines, of which pods, until when."""

from __future__ import annotations

import time
from typing import Any

import pytest
from fake_jobs import FakeJobs, attempt, job, pod

from kubetune import Client
from kubetune.client import ClientError, NoLogError
from kubetune.cluster import ClusterError


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubetune.client.logs.pause", lambda _: time.sleep(0.001))
    monkeypatch.setattr("kubetune.client.logs.POLL_SECONDS", 0.01)


def running(nodes: int = 2, **status: Any) -> tuple[Client, FakeJobs]:
    there = FakeJobs(job(phase="Running", attempts=[attempt(1)], **status))
    there.pod_list = [pod(1, rank) for rank in range(nodes)]
    there.lines = {p["metadata"]["name"]: [f"{p['metadata']['name']} {i}" for i in range(3)] for p in there.pod_list}
    return Client(jobs=there), there


def test_the_masters_log_is_the_default_and_others_can_be_asked_for():
    c, _ = running()
    assert c.logs("teach").splitlines()[0] == "teach-sft-1-master-0 0"
    assert c.logs("teach", rank=1, tail=1) == "teach-sft-1-worker-0 2\n"
    assert c.logs("teach", rank=None, tail=1).splitlines() == ["[0] teach-sft-1-master-0 2", "[1] teach-sft-1-worker-0 2"]


def test_a_rank_that_is_not_there_is_told_with_how_many_there_are():
    c, _ = running()
    with pytest.raises(ClientError, match="there is no rank 7 of attempt 1: it has 2 nodes, counted from 0"):
        c.logs("teach", rank=7)


def test_following_goes_on_with_the_next_attempt_until_the_job_ends():
    c, there = running(nodes=1)
    second = pod(2)
    there.lines[second["metadata"]["name"]] = ["second"]

    def retried(stored: dict[str, Any]) -> None:
        stored["status"]["attempts"] = [attempt(1, "NodeLost"), attempt(2)]
        there.pod_list.append(second)

    def ended(stored: dict[str, Any]) -> None:
        stored["status"]["phase"] = "Succeeded"

    there.script = [lambda _: None, lambda _: None, retried, ended]
    lines = list(c.stream("teach"))
    assert [(line.attempt, line.text) for line in lines][-2:] == [(1, "teach-sft-1-master-0 2"), (2, "second")]
    assert there.followed == ["teach-sft-1-master-0", "teach-sft-2-master-0"]


def test_following_one_attempt_ends_with_it():
    c, _ = running(nodes=1)
    assert [line.text[-1] for line in c.stream("teach", attempt=1)] == ["0", "1", "2"]


def test_all_ranks_are_followed_side_by_side_and_an_error_of_one_is_raised():
    c, there = running()
    got = list(c.stream("teach", rank=None, attempt=1))
    assert sorted(line.labelled for line in got) == sorted(f"[{r}] {n} {i}" for r, n in enumerate(there.lines) for i in range(3))

    def broken(*_: Any, **__: Any):
        raise ClusterError("kubelet says no", status=500)
        yield

    there.log = broken  # type: ignore[method-assign]
    with pytest.raises(ClientError, match="kubelet says no"):
        list(c.stream("teach", rank=None, attempt=1))


def test_who_stops_reading_leaves_no_thread_behind():
    import threading

    c, there = running()
    there.lines = {name: ["x"] * 50_000 for name in there.lines}
    before = threading.active_count()
    lines = c.stream("teach", rank=None, attempt=1)
    next(lines)
    lines.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 30
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_following_waits_until_the_container_has_started():
    c, there = running(nodes=1)
    there.pod_list = [pod(1, started=False)]

    def start(_: Any) -> None:
        there.pod_list = [pod(1)]

    there.script = [lambda _: None, start]
    assert len(list(c.stream("teach", attempt=1))) == 3
    there.pod_list = [pod(1, started=False)]
    with pytest.raises(
        NoLogError, match="has no log yet: its container has not started yet; `kubetune logs -f sftjob/teach` waits"
    ):
        c.logs("teach")


def test_of_pods_that_are_gone_the_status_kept_the_last_lines():
    failure = {"class": "CudaOOM", "reason": "OutOfMemory", "message": "full", "logTail": "the root error"}
    there = FakeJobs(job(phase="Failed", attempts=[attempt(1, "NodeLost"), attempt(2, "CudaOOM")], failure=failure))
    c = Client(jobs=there)
    with pytest.raises(NoLogError, match="pods of attempt 2 of sftjob/teach are gone") as gone:
        c.logs("teach")
    assert gone.value.tail == "the root error"
    with pytest.raises(NoLogError, match="how it ended: it ended") as earlier:
        c.logs("teach", attempt=1)
    assert earlier.value.tail == "", "what was kept is another attempt's"
    with pytest.raises(NoLogError, match="has no attempt 9 with pods; attempts: 1, 2"):
        c.logs("teach", attempt=9)
    with pytest.raises(NoLogError):
        list(c.stream("teach"))
