from __future__ import annotations

from datetime import UTC, datetime

import pytest
from manifests import pytorchjob

from kubetune.local.training_operator import desired_pods, finished, job_status, rendezvous_environment

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def stored(workers: int = 1, **run_policy) -> dict:
    job = pytorchjob("pass", workers=workers)
    job["metadata"]["uid"] = "u1"
    job["spec"]["runPolicy"] |= run_policy
    return job


def pods(job: dict, *phases: str) -> list[dict]:
    return [pod | {"status": {"phase": phase}} for pod, phase in zip(desired_pods(job, 4711), phases, strict=True)]


def true_conditions(status: dict) -> list[str]:
    return [c["type"] for c in status["conditions"] if c["status"] == "True"]


def test_pods_bear_the_operators_names_labels_and_owner() -> None:
    job = stored(workers=2)
    master, first, second = desired_pods(job, 4711)
    assert [p["metadata"]["name"] for p in (master, first, second)] == [
        "demo-sft-1-master-0",
        "demo-sft-1-worker-0",
        "demo-sft-1-worker-1",
    ]
    labels = master["metadata"]["labels"]
    assert labels["training.kubeflow.org/job-role"] == "master"
    assert labels["training.kubeflow.org/operator-name"] == "pytorchjob-controller"
    assert (second["metadata"]["labels"]["training.kubeflow.org/replica-type"]) == "worker"
    assert second["metadata"]["labels"]["training.kubeflow.org/replica-index"] == "1"
    assert "training.kubeflow.org/job-role" not in first["metadata"]["labels"]
    assert labels.items() >= job["metadata"]["labels"].items()
    assert master["metadata"]["ownerReferences"][0]["uid"] == "u1"


def test_the_rendezvous_is_what_the_operator_sets() -> None:
    job = stored(workers=1)
    job["spec"]["nprocPerNode"] = "4"
    assert rendezvous_environment(job, "Worker", 0, 4711) == {
        "PYTHONUNBUFFERED": "1",
        "MASTER_PORT": "4711",
        "PET_MASTER_PORT": "4711",
        "MASTER_ADDR": "127.0.0.1",
        "PET_MASTER_ADDR": "127.0.0.1",
        "WORLD_SIZE": "8",
        "RANK": "1",
        "PET_NPROC_PER_NODE": "4",
        "PET_NODE_RANK": "1",
        "PET_NNODES": "2",
    }


def test_the_operators_variables_win_over_the_templates() -> None:
    job = stored(workers=0)
    container = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "MASTER_PORT", "value": "1"}, {"name": "MINE", "value": "2"}]
    (pod,) = desired_pods(job, 4711)
    env = {e["name"]: e["value"] for e in pod["spec"]["containers"][0]["env"]}
    assert (env["MASTER_PORT"], env["MINE"]) == ("4711", "2")
    assert len([e for e in pod["spec"]["containers"][0]["env"] if e["name"] == "MASTER_PORT"]) == 1


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        (("Pending", "Pending"), ["Created"]),
        (("Running", "Pending"), ["Created", "Running"]),
        (("Running", "Running"), ["Created", "Running"]),
        (("Pending", "Running"), ["Created"]),  # the master decides
        (("Succeeded", "Running"), ["Created", "Succeeded"]),
        (("Running", "Failed"), ["Created", "Failed"]),
        (("Failed", "Running"), ["Created", "Failed"]),
        (("Running", "Succeeded"), ["Created", "Running"]),
    ],
)
def test_conditions_by_phases(phases: tuple[str, str], expected: list[str]) -> None:
    job = stored()
    assert true_conditions(job_status(job, pods(job, *phases), NOW)) == expected


def test_failed_makes_running_false_and_counts_what_failed() -> None:
    job = stored()
    job["status"] = job_status(job, pods(job, "Running", "Running"), NOW)
    status = job_status(job, pods(job, "Running", "Failed"), NOW)
    assert {c["type"]: c["status"] for c in status["conditions"]} == {"Created": "True", "Running": "False", "Failed": "True"}
    assert status["replicaStatuses"] == {"Master": {"active": 1}, "Worker": {"failed": 1}}
    assert status["conditions"][-1]["reason"] == "PyTorchJobFailed"
    assert status["completionTime"] == "2026-01-02T03:04:05Z"


def test_a_pod_that_is_being_deleted_counts_as_failed() -> None:
    job = stored()
    master, worker = pods(job, "Running", "Running")
    worker["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    assert "Failed" in true_conditions(job_status(job, [master, worker], NOW))


def test_finished_stays_finished() -> None:
    job = stored()
    job["status"] = job_status(job, pods(job, "Succeeded", "Running"), NOW)
    assert finished(job)
    assert job_status(job, pods(job, "Succeeded", "Failed"), NOW) == job["status"]


def test_suspended_and_resumed() -> None:
    job = stored(suspend=True)
    job["status"] = job_status(job, [], NOW)
    assert true_conditions(job["status"]) == ["Created", "Suspended"]
    assert "startTime" not in job["status"]
    job["spec"]["runPolicy"]["suspend"] = False
    status = job_status(job, pods(job, "Running", "Running"), NOW)
    assert true_conditions(status) == ["Created", "Running"]


def test_a_condition_keeps_the_time_of_its_transition() -> None:
    job = stored()
    job["status"] = job_status(job, pods(job, "Running", "Running"), NOW)
    later = job_status(job, pods(job, "Running", "Running"), NOW.replace(hour=9))
    assert later["conditions"] == job["status"]["conditions"]
