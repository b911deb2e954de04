"""The client on the embedded cluster: real processes, with a short script where the trainer would be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from kubetune import Client
from kubetune.api import InvalidJob, Phase
from kubetune.client import ClientError, ConflictError, JobFailedError, NoClusterError
from kubetune.client.embedded import merged

TRAINER = """
import json, os, signal, sys, time
contract = json.loads(os.environ["KUBETUNE_CONTRACT"])
attempt = contract["attempt"]

def checkpoint(kind, step):
    return {"uri": f"{contract['outputUri']}/attempt-{attempt}/{kind}-{step}", "step": step, "bytes": 1, "kind": kind, "verified": True}

def report(step, *checkpoints):
    name = os.environ["KUBETUNE_REPORT_FILE"]
    open(name + ".new", "w").write(json.dumps({"attempt": attempt, "progress": {"step": step, "totalSteps": 9}, "checkpoints": checkpoints}))
    os.replace(name + ".new", name)

def end(code, **outcome):
    open(os.environ["KUBETUNE_TERMINATION_LOG"], "w").write(json.dumps({"attempt": attempt, "exitCode": code, **outcome}))
    sys.exit(code)

def succeed():
    print("done", flush=True)
    report(9, checkpoint("hf", 9))
    end(0, reachedEnd=True, step=9, totalSteps=9, checkpoint=checkpoint("hf", 9), resumedFrom=(contract["resumeFrom"] or [None])[0])

def save_and_end(*_):
    report(4, checkpoint("full-state", 4))
    end(143, reachedEnd=False, step=4, **{"class": "Preempted"}, message="told to end")

print("begun", attempt, flush=True)
"""
UNTIL_TOLD = "signal.signal(signal.SIGTERM, save_and_end)\nreport(3)\nif attempt > 1: succeed()\ntime.sleep(600)"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A client whose jobs' trainer is that script; gives it and the job to submit."""
    clients: list[Client] = []
    (tmp_path / "m").mkdir()
    (tmp_path / "d.jsonl").touch()

    def here(script: str, **run_policy: Any) -> tuple[Client, dict[str, Any]]:
        (tmp_path / "trainer.py").write_text(TRAINER + script)
        monkeypatch.setattr("kubetune.render.pod.COMMAND", ["python", str(tmp_path / "trainer.py")])
        clients.append(Client.local(tmp_path / "state"))
        uris = {
            "model": {"uri": str(tmp_path / "m")},
            "dataset": {"uri": str(tmp_path / "d.jsonl")},
            "output": {"uri": "pvc://runs"},
        }
        spec = {**uris, "device": "cpu", "runPolicy": {"backoffLimit": 0, **run_policy}}
        return clients[-1], {"apiVersion": "kubetune.dev/v1alpha1", "kind": "SFTJob", "metadata": {"name": "a"}, "spec": spec}

    yield here
    for client in clients:
        client.close()


def test_a_job_really_runs_and_the_same_again_is_the_same_job(here):
    client, document = here("succeed()")
    job = client.submit(document)
    ended = job.wait(timeout=120)
    assert ended.phase is Phase.SUCCEEDED
    assert ended.seen_status.final_checkpoint is not None
    assert client.logs("a") == "begun 1\ndone\n"
    assert [line.text for line in client.stream("a")] == ["begun 1", "done"]
    assert client.submit(document).uid == job.uid
    assert [each.reason for each in client.events("a")] == ["Succeeded"]
    assert client.pods("a")[0]["status"]["phase"] == "Succeeded"
    assert client.pytorchjob("a") is not None
    assert [str(each) for each in Client.local(client._jobs._state.root).list()] == ["sftjob/a"]  # type: ignore[attr-defined]
    with pytest.raises(ConflictError, match=r"with another spec\.nodes"):
        client.submit(document | {"spec": document["spec"] | {"nodes": 2}})
    client.delete("a")
    assert client.list() == []


def test_suspended_it_saves_and_resumed_it_goes_on(here):
    client, document = here(UNTIL_TOLD)
    job = client.submit(document)
    until(lambda: job.status().progress is not None, "the trainer came so far")
    job.suspend()
    until(lambda: job.status().phase is Phase.SUSPENDED, "the trainer came so far")
    assert [each.step for each in job.checkpoints()] == [4]
    job.resume()
    ended = job.wait(timeout=120)
    assert ended.phase is Phase.SUCCEEDED
    assert ended.seen_status.attempts[1].resumed_from.endswith("full-state-4")


def test_a_failed_job_raises_and_retried_it_goes_on_from_its_checkpoint(here):
    fail = (
        "report(4, checkpoint('full-state', 4)); end(1, reachedEnd=False, step=4, **{'class': 'BackendError'}, message='it broke')"
    )
    client, document = here(f"if attempt == 1: {fail}\nsucceed()")
    job = client.submit(document)
    with pytest.raises(JobFailedError, match="BackendError: it broke"):
        job.wait(timeout=120)
    with pytest.raises(JobFailedError):
        client.submit(document).wait(timeout=60)
    ended = job.retry().wait(timeout=120)
    assert [attempt.reason for attempt in ended.seen_status.attempts] == ["BackendError", "Succeeded"]
    assert ended.seen_status.attempts[1].resumed_from.endswith("full-state-4")


def test_closed_it_stops_the_job_after_a_save_and_another_client_goes_on(here):
    client, document = here(UNTIL_TOLD)
    job = client.submit(document)
    until(lambda: job.status().progress is not None, "the trainer came so far")
    client.close()
    assert job.status().phase is Phase.SUSPENDED
    other, document = here(UNTIL_TOLD)
    with pytest.raises(ClientError, match="nobody runs it: its process has ended; submit it again"):
        other.wait("a")
    ended = other.submit(document).wait(timeout=120)
    assert ended.seen_status.attempts[-1].resumed_from.endswith("full-state-4")


def test_a_script_that_ends_with_a_job_under_way_leaves_nothing_running(here, tmp_path: Path):
    client, document = here(UNTIL_TOLD)
    program = (
        "import sys, json, time, kubetune.render.pod as pod\nfrom kubetune import Client\n"
        "pod.COMMAND = ['python', sys.argv[1]]\njob = Client.local(sys.argv[2]).submit(json.loads(sys.argv[3]))\n"
        "while job.status().progress is None: time.sleep(0.05)\n"
    )
    arguments = [str(tmp_path / "trainer.py"), str(tmp_path / "state"), json.dumps(document)]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    status = client.status("a")
    assert status.phase is Phase.SUSPENDED
    assert [each.step for each in status.checkpoints] == [4]


def test_a_job_of_another_process_can_be_read_not_changed(here):
    client, document = here(UNTIL_TOLD)
    job = client.submit(document)
    until(lambda: job.status().progress is not None, "the trainer came so far")
    other = Client.local(client._jobs._state.root)  # type: ignore[attr-defined]
    until(lambda: other.status("a").phase is Phase.RUNNING, "it runs, seen from elsewhere")
    with pytest.raises(ConflictError, match="is being run by process"):
        other.suspend("a")
    assert other.submit(document).uid == job.uid
    job.delete()
    assert client.list() == []


def test_what_is_not_on_this_machine_is_named_with_the_remedy(here, tmp_path: Path):
    client, document = here("")
    with pytest.raises(InvalidJob, match=r"spec.dataset.uri: .*none.jsonl does not exist; check the path"):
        client.submit(document | {"spec": document["spec"] | {"dataset": {"uri": str(tmp_path / "none.jsonl")}}})
    with pytest.raises(InvalidJob, match=r"spec\.nodes"):
        client.submit(document | {"spec": document["spec"] | {"nodes": 0}})


def test_a_state_directory_that_cannot_be_is_told(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(NoClusterError, match="name a directory that can be written"):
        Client.local(tmp_path / "file" / "state")


def test_configmaps_of_a_file_are_there_for_the_job(here, tmp_path: Path):
    import yaml

    client, document = here("succeed()")
    document["spec"]["dataset"] = {"uri": "configMap://data/a.jsonl"}
    configmap = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "data"}, "data": {"a.jsonl": "{}"}}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump_all([configmap, document]))
    assert client.submit(tmp_path / "job.yaml").wait(timeout=120).phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": "foo"}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches_are_those_of_rfc_7386(before, change, after):
    assert merged(before, change) == after
