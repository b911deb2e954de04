from __future__ import annotations

import sys
from pathlib import Path

import pytest
from manifests import pytorchjob

from kubetune.cluster import ClusterError
from kubetune.local import pods
from kubetune.local.training_operator import desired_pods


def pod(**container) -> dict:
    job = pytorchjob("pass")
    job["metadata"]["uid"] = "u1"
    (made,) = desired_pods(job, 4711)
    made["metadata"]["uid"] = "p1"
    env = container.pop("env", [])
    made["spec"]["containers"][0] |= container
    made["spec"]["containers"][0]["env"] += env
    return made


def env_of(made: dict, inherited: dict | None = None, configmaps: Path = Path("/none")) -> dict[str, str]:
    return pods.environment(made, inherited or {}, configmaps)


def test_python_is_the_interpreter_that_runs_kubetune() -> None:
    assert pods.command(pod(command=["python", "-m", "x"], args=["y"]), {}) == [sys.executable, "-m", "x", "y"]
    assert pods.command(pod(command=["/bin/true"]), {}) == ["/bin/true"]


def test_no_command_is_refused() -> None:
    with pytest.raises(ClusterError, match="no image to take one from"):
        pods.command(pod(command=[]), {})


def test_no_trainer_container_is_refused() -> None:
    with pytest.raises(ClusterError, match="no container named 'pytorch'"):
        pods.command(pod(name="other"), {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("$(A)/x", "1/x"), ("$$(A)", "$(A)"), ("$(UNKNOWN)", "$(UNKNOWN)"), ("$A ${A}", "$A ${A}"), ("$(A)$(A)", "11")],
)
def test_variables_are_filled_in_as_kubernetes_does(text: str, expected: str) -> None:
    assert pods.expand(text, {"A": "1"}) == expected


def test_the_surrounding_rendezvous_is_not_inherited() -> None:
    inherited = {
        "MASTER_ADDR": "elsewhere",
        "PET_NNODES": "9",
        "LOCAL_RANK": "3",
        "KUBETUNE_CONTRACT": "x",
        "HF_TOKEN": "t",
        "RANKING": "kept",
    }
    env = env_of(pod(), inherited)
    assert env["MASTER_ADDR"] == "127.0.0.1"
    assert env["PET_NNODES"] == "1"
    assert (env["HF_TOKEN"], env["RANKING"]) == ("t", "kept")
    assert not {"LOCAL_RANK", "KUBETUNE_CONTRACT"} & env.keys()


def test_torchrun_beside_the_interpreter_is_found() -> None:
    assert env_of(pod(), {"PATH": "/usr/bin"})["PATH"] == f"{Path(sys.executable).parent}:/usr/bin"


def test_the_downward_api() -> None:
    variables = [
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "ATTEMPT", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['kubetune.dev/attempt']"}}},
        {"name": "BOTH", "value": "$(NAME)-$(ATTEMPT)"},
    ]
    env = env_of(pod(env=variables))
    assert (env["NAME"], env["NODE"], env["ATTEMPT"], env["BOTH"]) == (
        "demo-sft-1-master-0",
        "localhost",
        "1",
        "demo-sft-1-master-0-1",
    )
    with pytest.raises(ClusterError, match="hostIPs' means nothing"):
        env_of(pod(env=[{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIPs"}}}]))


def test_configmaps_and_secrets(tmp_path: Path) -> None:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "LEVEL").write_text("debug")
    key = {"name": "settings", "key": "LEVEL"}
    assert env_of(pod(env=[{"name": "L", "valueFrom": {"configMapKeyRef": key}}]), configmaps=tmp_path)["L"] == "debug"
    assert (
        env_of(pod(envFrom=[{"configMapRef": {"name": "settings"}, "prefix": "MY_"}]), configmaps=tmp_path)["MY_LEVEL"] == "debug"
    )
    token = [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}]
    assert env_of(pod(env=token), {"HF_TOKEN": "mine"})["HF_TOKEN"] == "mine"
    with pytest.raises(ClusterError, match="HF_TOKEN: hub/token is not here; set the variable in your own environment"):
        env_of(pod(env=token))
    with pytest.raises(ClusterError, match="there is no ConfigMap 'other'"):
        env_of(pod(envFrom=[{"configMapRef": {"name": "other"}}]), configmaps=tmp_path)
    assert "X" not in env_of(pod(env=[{"name": "X", "valueFrom": {"configMapKeyRef": key | {"optional": True}}}]))


def state(record: dict, message: str = "") -> tuple[str, dict]:
    status = pods.pod_status(pod(), record, message)
    return status["phase"], status["containerStatuses"][0]["state"]


def test_a_pods_status_follows_its_record() -> None:
    assert state({}) == ("Pending", {"waiting": {"reason": "ContainerCreating"}})
    assert state({"startedAt": "T1", "pid": 7}) == ("Running", {"running": {"startedAt": "T1"}})
    ended = {"startedAt": "T1", "pid": 7, "exitCode": 0, "reason": "Completed", "finishedAt": "T2"}
    assert state(ended, "done") == (
        "Succeeded",
        {"terminated": {"exitCode": 0, "reason": "Completed", "message": "done", "startedAt": "T1", "finishedAt": "T2"}},
    )
    assert state({"exitCode": 137, "reason": "ContainerStatusUnknown", "message": "gone"})[1] == {
        "terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": "gone"}
    }


def test_a_termination_message_is_cut_as_the_kubelet_does() -> None:
    said = state({"exitCode": 1, "reason": "Error"}, "é" * 4000)[1]["terminated"]["message"]
    assert len(said.encode()) == 4096
