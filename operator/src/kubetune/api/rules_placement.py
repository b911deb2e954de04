"""Rules about nodes, devices and what they share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kubetune.api.resources import WHOLE, gpus, is_gpu
from kubetune.api.rule import Document, Finding, Rule, block, items, text, when, whole

IS_GPU = "(k.endsWith('/gpu') || k.startsWith('nvidia.com/mig-'))"
LIMITS = "self.resources.limits"
NO_LIMITS = "!has(self.resources) || !has(self.resources.limits)"


def nodes_share_the_output(doc: Document) -> list[Finding]:
    nodes, output = whole(doc, "spec.nodes"), text(doc, "spec.output.uri")
    if nodes is None or nodes <= 1 or output is None or not output.startswith("/"):
        return []
    local = {volume.get("name") for _, volume in items(doc, "spec.template.volumes") if volume.get("emptyDir") is not None}
    mounts = [mount for _, mount in items(doc, "spec.template.volumeMounts") if mount.get("name") not in local]
    shared = any(lies_beneath(output, mount.get("mountPath")) for mount in mounts)
    return when(not shared, "spec.output.uri", output, f"{output!r} is not shared by the {nodes} nodes")


def lies_beneath(path: str, mount_path: object) -> bool:
    return isinstance(mount_path, str) and (path.rstrip("/") + "/").startswith(mount_path.rstrip("/") + "/")


def gpu_resources(doc: Document, path: str) -> dict[str, Any]:
    return {name: value for name, value in block(doc, path).items() if isinstance(name, str) and is_gpu(name)}


def no_gpus_on_cpu(doc: Document) -> list[Finding]:
    if text(doc, "spec.device") != "cpu":
        return []
    paths = ("spec.resources.limits", "spec.resources.requests")
    return [Finding(f"{path}.{name}", value) for path in paths for name, value in gpu_resources(doc, path).items()]


def gpus_are_whole(doc: Document) -> list[Finding]:
    if text(doc, "spec.device") == "cpu":
        return []
    found = gpu_resources(doc, "spec.resources.limits").items()
    return [
        Finding(f"spec.resources.limits.{name}", value, f"{value!r} is not a number of whole GPUs")
        for name, value in found
        if isinstance(value, int | str) and not re.fullmatch(WHOLE, str(value))
    ]


def gpu_requests_equal_limits(doc: Document) -> list[Finding]:
    limits = gpu_resources(doc, "spec.resources.limits")
    return [
        Finding(f"spec.resources.requests.{name}", value)
        for name, value in gpu_resources(doc, "spec.resources.requests").items()
        if str(limits.get(name)) != str(value)
    ]


def a_gpu_for_every_process(doc: Document) -> list[Finding]:
    procs, limits = whole(doc, "spec.procsPerNode"), block(doc, "spec.resources.limits")
    available = gpus(as_limits(limits))
    broken = procs is not None and available is not None and text(doc, "spec.device") != "cpu" and procs > available
    return when(broken, "spec.procsPerNode", procs, f"{procs} processes, but {available} GPUs in resources.limits")


def as_limits(limits: Mapping[Any, Any]) -> dict[str, Any]:
    return {name: value for name, value in limits.items() if isinstance(name, str)}


PLACEMENT_RULES = (
    Rule(
        name="nodes-share-the-output",
        field="spec.output.uri",
        message="not shared by the nodes",
        remedy="use pvc://claim/path (a ReadWriteMany claim), s3://bucket/key, or a path beneath a "
        "template.volumeMounts[].mountPath whose volume all nodes see (not emptyDir)",
        find=nodes_share_the_output,
        cel="!has(self.nodes) || self.nodes <= 1 || !self.output.uri.startsWith('/')"
        " || (has(self.template) && has(self.template.volumeMounts) && self.template.volumeMounts.exists(m,"
        " self.output.uri.startsWith(m.mountPath) && (self.output.uri.size() == m.mountPath.size() || m.mountPath.endsWith('/')"
        " || self.output.uri.charAt(m.mountPath.size()) == '/')"
        " && !(has(self.template.volumes) && self.template.volumes.exists(v, v.name == m.name && has(v.emptyDir)))))",
    ),
    Rule(
        name="no-gpus-on-cpu",
        field="spec.resources",
        message="GPUs are asked for, but device is cpu",
        remedy="leave them out or set device: gpu",
        find=no_gpus_on_cpu,
        cel="!has(self.device) || self.device != 'cpu' || !has(self.resources)"
        f" || !((has(self.resources.limits) && self.resources.limits.exists(k, {IS_GPU}))"
        f" || (has(self.resources.requests) && self.resources.requests.exists(k, {IS_GPU})))",
    ),
    Rule(
        name="gpus-are-whole",
        field="spec.resources.limits",
        message="not a number of whole GPUs",
        remedy="write a whole number from 1 to 9999, or leave it out",
        find=gpus_are_whole,
        cel=f"{NO_LIMITS} || (has(self.device) && self.device == 'cpu')"
        f" || {LIMITS}.all(k, !{IS_GPU} || string({LIMITS}[k]).matches(r'{WHOLE}'))",
    ),
    Rule(
        name="gpu-requests-equal-limits",
        field="spec.resources.requests",
        message="GPUs are requested without an equal limit, which Kubernetes refuses",
        remedy="name them in resources.limits alone",
        find=gpu_requests_equal_limits,
        cel="!has(self.resources) || !has(self.resources.requests)"
        f" || self.resources.requests.all(k, !{IS_GPU} || (has({LIMITS}) && k in {LIMITS}"
        f" && string({LIMITS}[k]) == string(self.resources.requests[k])))",
    ),
    Rule(
        name="a-gpu-for-every-process",
        field="spec.procsPerNode",
        message="more processes than GPUs in resources.limits",
        remedy="lower procsPerNode or raise the GPU limit: each process needs a GPU of its own",
        find=a_gpu_for_every_process,
        cel=f"!has(self.procsPerNode) || {NO_LIMITS} || (has(self.device) && self.device == 'cpu')"
        f" || !{LIMITS}.exists(k, {IS_GPU}) || !{LIMITS}.all(k, !{IS_GPU} || string({LIMITS}[k]).matches(r'{WHOLE}'))"
        f" || self.procsPerNode <= {LIMITS}.filter(k, {IS_GPU}).map(k, int(string({LIMITS}[k]))).sum()",
    ),
)
