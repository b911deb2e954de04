"""A pod template as a local command, and what became of it as a pod's status. Pure but for the ConfigMaps that it reads."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubetune.cluster import ClusterError, Manifest
from kubetune.local.training_operator import CONTAINER
from kubetune_trainer.contract import MAX_OUTCOME_BYTES

NOT_INHERITED = re.compile(
    r"MASTER_|PET_|TORCHELASTIC_|KUBETUNE_|(WORLD_SIZE|RANK|LOCAL_RANK|GROUP_RANK|NODE_RANK|LOCAL_WORLD_SIZE)$"
)
"""Rendezvous variables around `kubetune run` itself would send its pods to another gang."""

PYTHONS = ("python", "python3")


def container(pod: Manifest) -> dict[str, Any]:
    """The one container that is run here. Others need their images, and so a real cluster."""
    found: list[dict[str, Any]] = [c for c in pod["spec"]["containers"] if c["name"] == CONTAINER]
    if not found:
        raise ClusterError(f"pod {pod['metadata']['name']} has no container named {CONTAINER!r}", retryable=False)
    return found[0]


def command(pod: Manifest, environment: Mapping[str, str]) -> list[str]:
    """Its command and args, $(VARIABLES) filled in; `python` is the interpreter that runs kubetune."""
    spec = container(pod)
    words = [expand(word, environment) for word in [*spec.get("command", []), *spec.get("args", [])]]
    if not words:
        raise ClusterError(
            "the container names no command, and the embedded cluster has no image to take one from", retryable=False
        )
    return [sys.executable, *words[1:]] if words[0] in PYTHONS else words


def environment(pod: Manifest, inherited: Mapping[str, str], configmaps: Path) -> dict[str, str]:
    """What the container sees: this machine's environment (in the image's place), then the pod's own variables."""
    values = {name: value for name, value in inherited.items() if not NOT_INHERITED.match(name)}
    # torchrun and its like lie beside the interpreter, which need not be an activated environment's
    values["PATH"] = f"{Path(sys.executable).parent}:{values.get('PATH', '/usr/bin:/bin')}"
    spec = container(pod)
    for source in spec.get("envFrom", []):
        values.update(_from_source(source, configmaps))
    for variable in spec.get("env", []):
        value = _value(variable, pod, inherited, configmaps)
        if value is not None:
            values[variable["name"]] = expand(value, values)
    return values


def expand(text: str, values: Mapping[str, str]) -> str:
    """$(NAME) as Kubernetes fills it in: unknown names stay, $$(NAME) is $(NAME) itself."""

    def replace(match: re.Match[str]) -> str:
        if match[0].startswith("$$"):
            return match[0][1:]
        return values.get(match[1], match[0])

    return re.sub(r"\$?\$\(([A-Za-z_.-][\w.-]*)\)", replace, text)


def _from_source(source: Mapping[str, Any], configmaps: Path) -> dict[str, str]:
    """A ConfigMap's keys. A Secret's stay where they are: this machine's own environment was taken over whole."""
    if "configMapRef" not in source:
        return {}
    folder = configmaps / source["configMapRef"]["name"]
    prefix = source.get("prefix", "")
    if not folder.is_dir():
        if source["configMapRef"].get("optional"):
            return {}
        raise ClusterError(
            f"envFrom: there is no ConfigMap {folder.name!r}; add it to the file or pass --config-map", retryable=False
        )
    return {prefix + file.name: file.read_text() for file in sorted(folder.iterdir()) if file.is_file()}


def _value(variable: Mapping[str, Any], pod: Manifest, inherited: Mapping[str, str], configmaps: Path) -> str | None:
    source: dict[str, Any] = variable.get("valueFrom", {})
    if not source:
        return str(variable.get("value", ""))
    if "fieldRef" in source:
        return _field(pod, source["fieldRef"]["fieldPath"])
    name: str = variable["name"]
    reference: dict[str, Any] | None = source.get("configMapKeyRef") or source.get("secretKeyRef")
    if reference is None:
        raise ClusterError(f"env {name}: the embedded cluster knows no {', '.join(source)}", retryable=False)
    file: Path = configmaps / reference["name"] / reference["key"]
    if "configMapKeyRef" in source and file.is_file():
        return file.read_text()
    if "secretKeyRef" in source and name in inherited:
        return inherited[name]
    if reference.get("optional"):
        return None
    remedy = "set the variable in your own environment" if "secretKeyRef" in source else "add the ConfigMap to the file"
    raise ClusterError(f"env {name}: {reference['name']}/{reference['key']} is not here; {remedy}", retryable=False)


def _field(pod: Manifest, path: str) -> str:
    """The downward API's fields that have a meaning here."""
    known = {
        "metadata.name": pod["metadata"]["name"],
        "metadata.namespace": pod["metadata"]["namespace"],
        "metadata.uid": pod["metadata"]["uid"],
        "spec.nodeName": pod["spec"]["nodeName"],
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", "default"),
        "status.podIP": "127.0.0.1",
        "status.hostIP": "127.0.0.1",
    }
    known |= {f"metadata.labels['{k}']": v for k, v in pod["metadata"].get("labels", {}).items()}
    known |= {f"metadata.annotations['{k}']": v for k, v in pod["metadata"].get("annotations", {}).items()}
    if path not in known:
        raise ClusterError(f"fieldPath {path!r} means nothing on the embedded cluster", retryable=False)
    return str(known[path])


def pod_status(pod: Manifest, record: Mapping[str, Any], message: str) -> Manifest:
    """The pod's status by its supervisor's record; `message` is what its termination log holds."""
    started = record.get("startedAt")
    if "exitCode" not in record:
        state: dict[str, Any] = {"running": {"startedAt": started}} if started else {"waiting": {"reason": "ContainerCreating"}}
        phase = "Running" if started else "Pending"
    else:
        said = shorten(message) or record.get("message", "")
        ended = {"exitCode": record["exitCode"], "reason": record["reason"], **({"message": said} if said else {})}
        times = {"startedAt": started, "finishedAt": record.get("finishedAt")}
        state = {"terminated": ended | {name: when for name, when in times.items() if when}}
        phase = "Succeeded" if record["exitCode"] == 0 else "Failed"
    spec = container(pod)
    status = {"name": spec["name"], "image": spec.get("image", ""), "imageID": "", "lastState": {}, "restartCount": 0}
    return {
        "phase": phase,
        "hostIP": "127.0.0.1",
        "podIP": "127.0.0.1",
        "qosClass": "BestEffort",
        **({"startTime": started} if started else {}),
        "containerStatuses": [{**status, "ready": phase == "Running", "started": phase == "Running", "state": state}],
    }


def shorten(message: str) -> str:
    """The kubelet keeps the first 4096 bytes of a termination message."""
    return message.encode()[:MAX_OUTCOME_BYTES].decode(errors="ignore")
