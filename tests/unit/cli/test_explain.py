"""`kubetune explain` by its own parser: where it finds the job, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from explained import attempt, job, waits

from kubetune.cli.app import kubetune
from kubetune.cluster import JOB_UID, ClusterError
from kubetune.local.state import StateDir
from kubetune.local.store import Store


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))

    def call(*arguments: str, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(kubetune, ["explain", *arguments], input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return call


def stored(*objects: dict[str, Any]) -> StateDir:
    state = StateDir.create(Path(".kubetune"))
    for each in objects:
        Store(state.resources).put(each)
    return state


def failed(**more: Any) -> dict[str, Any]:
    failure = {
        "class": "BackendError",
        "reason": "Error",
        "message": "rank 0: KeyError",
        "pod": "teach-sft-1-master-0",
        "logTail": "KeyError: 'x'",
    }
    return job("Failed", failure=failure, attempts=[attempt(ended="2026-11-28T11:00:00Z", reason="BackendError")], **more)


def test_a_job_of_the_state_directory_is_found_by_name(call) -> None:
    stored(failed())
    result = call("teach", "-n", "research")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "SFTJob research/teach: Failed"
    assert lines[2].startswith("failed   the job Failed: the training library failed")
    assert "         last line of its log: KeyError: 'x'" in lines
    assert lines[-1] == "         $ tail -n 50 .kubetune/pods/research/teach-sft-1-master-0*/log"


def test_one_that_a_process_drives_is_told_apart_from_one_that_was_interrupted(call) -> None:
    state = stored(job("Running", reason="Running", attempts=[attempt()]))
    assert "no `kubetune run` is at it" in call("teach", "-n", "research").stdout
    with state.lock("SFTJob", "research", "teach"):
        result = call("sftjob/teach", "-n", "research")
    assert (result.exit_code, "no `kubetune run`" in result.stdout) == (0, False)
    assert not StateDir(Path("nowhere")).driven("SFTJob", "research", "teach")


def test_its_pods_and_events_are_read(call) -> None:
    document = job("Starting", reason="Starting", attempts=[attempt()])
    pod = {
        "kind": "Pod",
        "metadata": {
            "name": "teach-sft-1-master-0",
            "namespace": "research",
            "uid": "p",
            "labels": {JOB_UID: "u", "kubetune.dev/attempt": "1"},
        },
        "spec": {},
        "status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": "Insufficient nvidia.com/gpu"}]},
    }
    state = stored(document, pod)
    told = {
        "time": "2026-11-28T11:00:00Z",
        "type": "Warning",
        "reason": "Unschedulable",
        "message": "m",
        "job": "teach",
        "name": ["u", "r", "o"],
    }
    (state.root / "events.jsonl").write_text(json.dumps(told) + "\n" + json.dumps(told | {"name": ["other", "r", "o"]}) + "\n")
    with state.lock("SFTJob", "research", "teach"):
        assert "not enough free GPUs on any one node" in call("teach", "-n", "research").stdout


@pytest.mark.parametrize("how", ["file", "stdin"])
def test_a_printed_job_is_explained_from_its_status_alone(call, how: str) -> None:
    text = yaml.safe_dump(failed())
    Path("teach.yaml").write_text(text)
    result = call("teach.yaml") if how == "file" else call("-", stdin=text)
    assert result.exit_code == 1
    assert "rank 0: KeyError" in result.stdout
    assert "$ kubectl logs teach-sft-1-master-0 --tail=100 -n research" in result.stdout


def test_a_file_without_a_status_is_looked_up_and_explained_by_itself_otherwise(call) -> None:
    Path("teach.yaml").write_text(yaml.safe_dump(job(spec={"nodes": 0})))
    result = call("teach.yaml")
    assert result.exit_code == 1
    assert "spec.nodes: 0 is less than 1" in result.stdout
    assert "teach.yaml alone was looked at" in result.stderr
    stored(failed())
    assert "rank 0: KeyError" in call("teach.yaml").stdout


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_programs_get_findings(call, output: str) -> None:
    stored(failed())
    document = yaml.safe_load(call("teach", "-n", "research", "-o", output).stdout)
    assert document["job"] == {"kind": "SFTJob", "namespace": "research", "name": "teach"}
    assert document["phase"] == "Failed"
    assert document["findings"][0]["reason"] == "BackendError"
    assert document["findings"][0]["page"] == "docs/failures.md"


def test_what_cannot_be_found_says_where_was_looked(call) -> None:
    result = call("teach")
    assert result.exit_code == 2
    assert "nor is there a job teach in .kubetune" in result.stderr
    assert "--local: .kubetune has no job teach in namespace default" in call("teach", "--local").stderr
    assert "is no kind of kubetune's" in call("pod/teach").stderr
    assert "jobs/teach.yaml does not exist" in call("jobs/teach.yaml").stderr
    Path("two.yaml").write_text(yaml.safe_dump_all([failed(), failed()]))
    assert "two.yaml holds 2 jobs" in call("two.yaml").stderr


def test_two_kinds_of_one_name_need_the_kind(call) -> None:
    other = failed() | {"kind": "OSFTJob"}
    stored(failed(), other)
    assert "write sftjob/teach or osftjob/teach" in call("teach", "-n", "research").stderr
    assert call("osftj/teach", "-n", "research").stdout.startswith("OSFTJob research/teach")


class FewJobs:
    """A cluster of one job, of which events may not be read."""

    namespace = "research"

    def __init__(self, stored: dict[str, Any]) -> None:
        self.stored = stored

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        asked = (self.stored["kind"], "research", self.stored["metadata"]["name"])
        return self.stored if (kind, namespace, name) == asked else None

    def all(self, kind: str, namespace: str | None) -> list[dict[str, Any]]:
        return [self.stored] if kind == self.stored["kind"] else []

    def pods(self, namespace: str, job_uid: str) -> list[dict[str, Any]]:
        return [waits("ImagePullBackOff", "no such image")]

    def pytorchjob(self, namespace: str, name: str) -> None:
        return None

    def events(self, namespace: str, names: frozenset[str]) -> list[Any]:
        raise ClusterError("GET /events: forbidden (403)", status=403, retryable=False)

    def close(self) -> None:
        pass


def test_a_job_on_a_cluster_is_read_by_the_client(call, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = FewJobs(job("Starting", reason="Starting", attempts=[attempt()]))
    monkeypatch.setattr("kubetune.client.client.remote_jobs", lambda *_: jobs)
    result = call("teach")
    assert result.exit_code == 1
    assert "its image cannot be pulled" in result.stdout
    assert "$ kubectl describe pod/teach-sft-1-master-0 -n research" in result.stdout
    assert "Note: events could not be read" in result.stderr
    near = call("teech")
    assert near.exit_code == 2
    assert "did you mean sftjob/teach?" in near.stderr
