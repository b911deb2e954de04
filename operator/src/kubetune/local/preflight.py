"""What can be known before anything is started: is all that the job names on this machine?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from kubetune.api import FieldError, Job
from kubetune.api.identity import procs_per_node
from kubetune.api.status import Phase
from kubetune.api.uri import parse_uri
from kubetune.local.devices import gpus
from kubetune.local.state import StateDir
from kubetune.local.store import Store
from kubetune.local.volumes import bind_claim
from kubetune.render import RenderSettings
from kubetune.render.paths import path_in_pod


def problems(job: Job, state: StateDir, settings: RenderSettings, environment: Mapping[str, str]) -> list[FieldError]:
    """Everything that would keep the job from running here."""
    found = [*device_problems(job, environment), *run_policy_problems(job)]
    return [*found, *path_problems(job, state, settings), *upstream_problems(job, state)]


def notes(job: Job) -> Iterator[str]:
    """What a cluster would do and the embedded one does not."""
    template = job.spec.template.to_dict() if job.spec.template else {}
    if template.get("sidecars"):
        names = ", ".join(each["name"] for each in template["sidecars"])
        yield f"spec.template.sidecars ({names}) do not run here: no image is pulled"
    if template.get("volumes") or template.get("volumeMounts"):
        yield "spec.template.volumes are not mounted here: the trainer sees this machine's own files"


def device_problems(job: Job, environment: Mapping[str, str]) -> Iterator[FieldError]:
    wanted = job.spec.nodes * procs_per_node(job)
    if job.spec.device != "gpu":
        return
    if not (there := gpus(environment)):
        yield FieldError(
            "spec.device", "gpu", "gpu, but this machine has no NVIDIA GPU (/dev/nvidia0)", "set device: cpu or pass --device cpu"
        )
    elif wanted > len(there):
        message = f"{job.spec.nodes} nodes of {procs_per_node(job)} processes need {wanted} GPUs, this machine has {len(there)}"
        yield FieldError("spec.nodes", job.spec.nodes, message, "lower nodes or procsPerNode, or pass --device cpu")


def run_policy_problems(job: Job) -> Iterator[FieldError]:
    if job.spec.run_policy.effective_suspend:
        remedy = "remove it, or set it to false"
        yield FieldError("spec.runPolicy.suspend", True, "true, so nothing would ever start", remedy)


def upstream_problems(job: Job, state: StateDir) -> Iterator[FieldError]:
    """In a cluster the job waits for that of resumeFrom.jobRef; here nobody else would run it."""
    reference = job.spec.resume_from.job_ref if job.spec.resume_from else None
    if reference is None:
        return
    kind = reference.kind or job.kind
    stored = Store(state.resources).get(kind, job.metadata.namespace, reference.name)
    phase = (stored or {}).get("status", {}).get("phase")
    if phase != Phase.SUCCEEDED:
        message = f"{kind} {reference.name} " + (f"is {phase or Phase.PENDING}" if stored else f"was never run in {state.root}")
        yield FieldError("spec.resumeFrom.jobRef.name", reference.name, message, "run it first, with the same --state-dir")


def path_problems(job: Job, state: StateDir, settings: RenderSettings) -> Iterator[FieldError]:
    """Model and data set must be here already; an output's claim is made if it is new."""
    output = parse_uri(job.spec.output.uri)
    if output.scheme == "pvc":
        bind_claim(state, output.claim)
    model = job.spec.model.uri if job.spec.model else None
    start = job.spec.resume_from.uri if job.spec.resume_from else None
    for field, uri in (("spec.model.uri", model), ("spec.dataset.uri", job.spec.dataset.uri), ("spec.resumeFrom.uri", start)):
        if uri is not None:
            yield from missing(field, uri, settings)


def missing(field: str, uri: str, settings: RenderSettings) -> Iterator[FieldError]:
    path = path_in_pod(uri, settings)
    if not path.startswith("/") or Path(path).exists():
        return
    parsed = parse_uri(uri)
    remedy = {
        "pvc": f"put it there, or pass --volume {parsed.name}=DIR with the directory that is to be the claim",
        "configMap": f"add the ConfigMap to the file, or pass --config-map {parsed.name}=DIR",
    }.get(parsed.scheme, "check the path")
    yield FieldError(field, uri, f"{uri} does not exist" if path == uri else f"{uri} is {path} here, which does not exist", remedy)
