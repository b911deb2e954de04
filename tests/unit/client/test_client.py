"""The client over jobs in memory."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_jobs import FakeJobs, attempt, job, pod

from kubetune import Client, OSFTJob, SFTJob
from kubetune.api import InvalidJob, Phase
from kubetune.client import (
    AmbiguousNameError,
    ConflictError,
    JobFailedError,
    JobHandle,
    NoClusterError,
    NotFoundError,
    WaitTimeoutError,
)
from kubetune.client.jobs import Event
from kubetune.cluster import RETRY, ClusterError

SPEC = {"model": {"uri": "/m"}, "dataset": {"uri": "/d.jsonl"}, "output": {"uri": "pvc://runs"}, "device": "cpu"}
DOCUMENT = {"apiVersion": "kubetune.dev/v1alpha1", "kind": "SFTJob", "metadata": {"name": "new"}, "spec": SPEC}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits take no time; gives how long they would have been."""
    waits: list[float] = []
    monkeypatch.setattr("kubetune.client.waiting.pause", waits.append)
    monkeypatch.setattr("kubetune.client.logs.pause", lambda _: time.sleep(0.001))
    return waits


def client(*jobs: dict[str, Any]) -> tuple[Client, FakeJobs]:
    there = FakeJobs(*jobs)
    return Client(jobs=there), there


# -- reading


def test_a_job_is_found_by_its_name_its_kind_a_model_or_a_handle():
    c, _ = client(job("teach", "OSFTJob", "Running"))
    for named in ("teach", "osftjob/teach", c.get("teach")):
        assert str(c.get(named)) == "osftjob/teach"
    model = SFTJob.model_validate({"metadata": {"name": "plain"}, "spec": SPEC})
    with pytest.raises(NotFoundError, match="there is no SFTJob plain in namespace ml"):
        c.get(model)


def test_a_missing_name_is_told_with_the_nearest_and_two_of_one_name_with_both():
    c, _ = client(job("teach"), job("teach", "OSFTJob"))
    with pytest.raises(NotFoundError, match="did you mean osftjob/teach"):
        c.get("teech")
    with pytest.raises(AmbiguousNameError, match="write sftjob/teach or osftjob/teach"):
        c.get("teach")


def test_lists_are_of_one_kind_or_both_and_of_one_namespace_or_all():
    other = job("far")
    other["metadata"]["namespace"] = "else"
    c, _ = client(job("a"), job("b", "OSFTJob"), other)
    assert [each.name for each in c.list()] == ["a", "b"]
    assert [each.name for each in c.list("osftj")] == ["b"]
    assert {each.name for each in c.list(all_namespaces=True)} == {"a", "b", "far"}


def test_pods_are_sorted_by_attempt_and_rank_and_the_child_is_the_jobs_own():
    c, there = client(job(phase="Running", attempts=[attempt(1, "NodeLost"), attempt(2)]))
    there.pod_list = [pod(2, 1), pod(2, 0), pod(1, 0)]
    assert [p["metadata"]["name"] for p in c.pods("teach")] == [
        "teach-sft-1-master-0",
        "teach-sft-2-master-0",
        "teach-sft-2-worker-0",
    ]
    assert len(c.pods("teach", attempt=2)) == 2
    mine = {"metadata": {"uid": "c", "labels": {"kubetune.dev/job-uid": "uid-teach"}}}
    there.children = {"teach-sft-2": mine, "teach-sft-1": {"metadata": {"labels": {"kubetune.dev/job-uid": "another"}}}}
    assert c.pytorchjob("teach") == mine
    assert c.pytorchjob("teach", attempt=1) is None
    assert c.queueing("teach") is None, "it stands in no queue"


def test_events_are_the_jobs_own_unless_all_are_asked_for():
    c, there = client(job())
    there.published = [Event("Warning", "Failed", "x"), Event("Warning", "BackOff", "y", about="Pod/p")]
    assert [each.reason for each in c.events("teach")] == ["Failed"]
    assert [each.reason for each in c.events("teach", all_objects=True)] == ["Failed", "BackOff"]


# -- submitting


def test_a_model_a_document_and_a_file_are_the_same_submission(tmp_path: Path):
    c, there = client()
    file = tmp_path / "job.yaml"
    configmap = {"kind": "ConfigMap", "metadata": {"name": "data"}, "data": {"a": "b"}}
    file.write_text(yaml.safe_dump_all([configmap, DOCUMENT]))
    handles = [c.submit(SFTJob.model_validate(DOCUMENT)), c.submit(DOCUMENT), c.submit(file), c.submit(str(file))]
    assert {each.uid for each in handles} == {"uid-new"}, "the same again is no second job"
    assert handles[0].manifest["spec"] == SPEC, "no default appears in it"
    assert handles[0].namespace == "ml"
    assert there.configmaps[0]["metadata"] == {"namespace": "ml", "name": "data"}


def test_another_job_of_the_name_is_a_conflict_that_names_what_differs():
    c, _ = client()
    c.submit(DOCUMENT)
    with pytest.raises(
        ConflictError,
        match=r"sftjob/new is there already in namespace ml \(Pending\), with another spec.nodes; .*kubetune delete sftjob/new",
    ):
        c.submit(DOCUMENT | {"spec": SPEC | {"nodes": 2}})


def test_a_default_that_the_api_server_filled_in_makes_no_other_job():
    c, there = client()
    c.submit(DOCUMENT)
    there.jobs["SFTJob", "ml", "new"]["spec"]["nodes"] = 1
    assert c.submit(DOCUMENT).uid == "uid-new"


def test_a_job_that_was_suspended_is_still_the_same():
    c, _ = client()
    c.submit(DOCUMENT)
    c.suspend("new")
    assert c.submit(DOCUMENT).uid == "uid-new"
    c.resume("new")
    assert c.submit(DOCUMENT).uid == "uid-new"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "SFTJob"}, "apiVersion: required field is missing"),
        (DOCUMENT | {"metadata": {}}, "metadata.name: required field is missing; give it a name"),
        ("no-such-file.yaml", "file: no-such-file.yaml cannot be read"),
    ],
)
def test_what_is_no_job_is_refused_before_anything_is_sent(given, said):
    c, there = client()
    with pytest.raises(InvalidJob, match=said.replace(".", r"\.")):
        c.submit(given)
    assert there.jobs == {}


def test_two_jobs_in_a_file_are_refused(tmp_path: Path):
    (tmp_path / "two.yaml").write_text(yaml.safe_dump_all([DOCUMENT, DOCUMENT]))
    with pytest.raises(InvalidJob, match="holds 2 jobs; put each into a file of its own"):
        client()[0].submit(tmp_path / "two.yaml")


def test_what_the_server_refuses_as_invalid_names_field_value_and_remedy():
    c, there = client()
    there.refusal = ClusterError("is invalid", status=422)
    with pytest.raises(InvalidJob, match=r"spec\.nodes: 0 is less than 1; use at least 1"):
        c.submit(DOCUMENT | {"spec": SPEC | {"nodes": 0}})


def test_a_namespace_that_is_not_there_is_told_with_the_remedy():
    c, there = client()
    there.refusal = ClusterError('namespaces "ml" not found', status=404)
    with pytest.raises(NotFoundError, match="there is no namespace ml; `kubectl create namespace ml`"):
        c.submit(DOCUMENT)


# -- waiting


def phase(name: str, **status: Any):
    return lambda stored: stored["status"].update(phase=name, **status)


def test_wait_survives_what_happens_to_the_cluster_and_ends_with_the_job(quick):
    c, there = client(job(phase="Running"))
    away = [ClusterError("connection reset"), ClusterError("too many", status=429), ClusterError("gone", status=410)]
    there.script = [phase("Running"), *away, phase("Running"), phase("Succeeded")]
    assert c.wait("teach").phase is Phase.SUCCEEDED
    assert len(quick) == 5
    assert quick[0] < quick[3], "it looks ever less often while nothing changes"


def test_a_handle_waits_though_the_cluster_is_away_from_the_start(quick):
    c, there = client(job(phase="Running"))
    handle = c.get("teach")
    there.script = [ClusterError("connection refused"), phase("Succeeded")]
    assert handle.wait().phase is Phase.SUCCEEDED
    assert handle.phase is Phase.SUCCEEDED, "it saw the end, too"


def test_wait_gives_up_where_the_cluster_refuses(quick):
    c, there = client(job(phase="Running"))
    there.script = [phase("Running"), ClusterError("forbidden", status=403, retryable=False)]
    with pytest.raises(Exception, match="ask an administrator"):
        c.wait("teach")


def test_a_failed_job_raises_with_class_message_and_log(quick):
    failure = {"class": "CudaOOM", "reason": "OutOfMemory", "message": "GPU 0 is full", "logTail": "torch.OutOfMemoryError"}
    c, there = client(job(phase="Running"))
    there.script = [phase("Running"), phase("Failed", failure=failure)]
    with pytest.raises(JobFailedError, match="sftjob/teach has Failed: CudaOOM: GPU 0 is full") as caught:
        c.wait("teach")
    assert caught.value.failure_class == "CudaOOM"
    assert caught.value.message == "GPU 0 is full"
    assert caught.value.log_tail == "torch.OutOfMemoryError"
    assert c.wait("teach", raise_on_failure=False).phase is Phase.FAILED


def test_wait_says_so_when_the_time_is_over_or_the_job_is_gone(quick, monkeypatch: pytest.MonkeyPatch):
    c, there = client(job(phase="Running"))
    with pytest.raises(WaitTimeoutError, match="sftjob/teach is not finished after 0 s"):
        c.wait("teach", timeout=0)
    assert issubclass(WaitTimeoutError, TimeoutError)
    there.script = [phase("Running"), lambda stored: stored["metadata"].update(uid="another")]
    with pytest.raises(NotFoundError, match="was deleted, and another one of its name was created"):
        c.wait("teach")


def test_progress_is_shown_on_standard_error(quick, capsys: pytest.CaptureFixture[str]):
    c, there = client(job(phase="Starting"))
    there.script = [
        phase("Starting"),
        phase("Running", attempts=[attempt(1)]),
        phase("Running", progress={"step": 3, "totalSteps": 9}),
        phase("Succeeded"),
    ]
    c.wait("teach", progress=True)
    said = capsys.readouterr()
    assert said.out == ""
    assert "kubetune logs sftjob/teach -n ml --attempt 1" in said.err
    assert "step 3/9" in said.err
    assert "Succeeded" in said.err


# -- changing


def test_suspend_and_resume():
    c, there = client(job(phase="Running"))
    assert c.suspend("teach").manifest["spec"]["runPolicy"] == {"suspend": True}
    assert c.resume("teach").manifest["spec"]["runPolicy"] == {}
    assert c.resume("teach").manifest["spec"]["runPolicy"] == {}
    there.jobs["SFTJob", "ml", "teach"]["status"]["phase"] = "Succeeded"
    with pytest.raises(ConflictError, match="has Succeeded already: there is nothing to suspend"):
        c.suspend("teach")


def test_retry_names_the_attempt_after_which_it_is_asked_for():
    c, there = client(job(phase="Failed", attempts=[attempt(1, "CudaOOM"), attempt(2, "CudaOOM")]))
    assert c.retry("teach").manifest["metadata"]["annotations"] == {RETRY: "2"}
    there.jobs["SFTJob", "ml", "teach"]["status"] = {"phase": "Failed"}
    assert c.retry("teach").manifest["metadata"]["annotations"] == {RETRY: "0"}, "it never started"


def test_retry_lets_a_job_go_that_was_suspended_meanwhile():
    stored = job(phase="Failed", attempts=[attempt(1, "CudaOOM")])
    stored["spec"]["runPolicy"] = {"suspend": True}
    c, _ = client(stored)
    assert "suspend" not in c.retry("teach").manifest["spec"]["runPolicy"]


def test_a_job_that_is_to_be_retried_is_waited_for_though_it_still_is_failed(quick):
    c, there = client(job(phase="Failed", attempts=[attempt(1, "CudaOOM")]))
    c.retry("teach")
    there.script = [lambda _: None, lambda _: None, phase("Succeeded")]
    assert c.wait("teach").phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    ("where", "said"), [("Succeeded", "resumeFrom.jobRef"), ("Running", "has not Failed"), (None, "has not Failed")]
)
def test_only_what_failed_can_be_retried(where, said):
    c, _ = client(job(phase=where))
    with pytest.raises(ConflictError, match=said):
        c.retry("teach")


def test_a_failed_job_is_retried_not_resumed():
    c, _ = client(job(phase="Failed"))
    with pytest.raises(ConflictError, match="kubetune retry sftjob/teach"):
        c.resume("teach")


def test_checkpoints_are_those_that_were_verified():
    good = {"uri": "pvc://r/a", "step": 1, "bytes": 9, "kind": "hf", "verified": True}
    c, _ = client(job(phase="Running", checkpoints=[good, good | {"uri": "pvc://r/b", "verified": False}]))
    assert [each.uri for each in c.checkpoints("teach")] == ["pvc://r/a"]
    assert len(c.checkpoints("teach", verified=False)) == 2


def test_a_handle_does_what_the_client_does_without_naming_the_job_again():
    c, there = client()
    handle = c.submit(DOCUMENT)
    there.jobs["SFTJob", "ml", "new"]["status"] = {"phase": "Running"}
    assert handle.phase is None
    assert handle.refresh().phase is Phase.RUNNING
    assert handle.status().phase is Phase.RUNNING
    handle.suspend()
    handle.delete()
    assert there.jobs == {}
    public = {name for name in vars(Client) if not name.startswith("_")} - {"submit", "get", "list", "local", "namespace", "close"}
    assert public <= set(dir(JobHandle)), "every verb about one job"
    assert JobHandle.wait.__doc__ == Client.wait.__doc__


def test_leaving_the_context_closes():
    there = FakeJobs()
    with Client(jobs=there):
        assert not there.closed
    assert there.closed


def test_no_configuration_of_a_cluster_says_what_to_set(tmp_path: Path):
    with pytest.raises(NoClusterError, match="set KUBECONFIG"):
        Client(tmp_path / "none")


def test_models_come_from_the_package_itself():
    import kubetune

    assert {"Client", "AsyncClient", "OSFTJob", "SFTJob"} <= set(dir(kubetune))
    assert OSFTJob.algorithm == "osft"
    with pytest.raises(AttributeError):
        kubetune.nothing  # noqa: B018
