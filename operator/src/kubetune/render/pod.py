"""The pod template of both replica types: the trainer's container, restricted, with the user's overrides."""

from __future__ import annotations

from typing import Any

from kubetune.api import Job
from kubetune.cluster import REPORTER
from kubetune.render.contract import build_contract
from kubetune.render.labels import attempt_labels
from kubetune.render.models import (
    V1Container,
    V1ContainerPort,
    V1EnvFromSource,
    V1EnvVar,
    V1ObjectMeta,
    V1PodSpec,
    V1PodTemplateSpec,
    V1SecretEnvSource,
    V1Toleration,
)
from kubetune.render.plan import AttemptPlan, RenderSettings
from kubetune.render.resources import container_resources, omp_num_threads
from kubetune.render.security import container_security, pod_security, sidecar_security
from kubetune.render.storage import storage, with_users_own
from kubetune_trainer.contract import CONTRACT_ENV

CONTAINER = "pytorch"
"""The training operator looks for a container of this name, and refuses a job without one."""

RENDEZVOUS_PORT = V1ContainerPort(name="pytorchjob-port", container_port=23456)
"""The training operator reads MASTER_PORT from the port of this name; its default, written down so that the object as applied
is the object as stored."""

COMMAND = ["python", "-m", "kubetune_trainer.entrypoint"]

Overrides = dict[str, Any]
"""spec.template in Kubernetes' JSON form; empty if the user gave none."""


def pod_template(job: Job, attempt: AttemptPlan, settings: RenderSettings, *, master: bool) -> V1PodTemplateSpec:
    """One node's pod: the master's differs in that it may report. Raises ValueError as build_contract."""
    template = overrides(job)
    metadata = V1ObjectMeta(
        labels={**template.get("labels", {}), **attempt_labels(job, attempt.number)},
        annotations=template.get("annotations"),
    )
    return V1PodTemplateSpec(metadata=metadata, spec=pod_spec(job, attempt, settings, template, master=master))


def overrides(job: Job) -> Overrides:
    return job.spec.template.to_dict() if job.spec.template else {}


def pod_spec(job: Job, attempt: AttemptPlan, settings: RenderSettings, template: Overrides, *, master: bool) -> V1PodSpec:
    volumes, mounts = with_users_own(storage(job, attempt, settings), template.get("volumes", []), template.get("volumeMounts", []))
    return V1PodSpec(
        containers=[trainer(job, attempt, settings, template, mounts)],
        init_containers=[sidecar(each) for each in template.get("sidecars", [])] or None,
        volumes=volumes,
        security_context=pod_security(settings, template.get("securityContext", {})),
        tolerations=tolerations(settings, template.get("tolerations", [])),
        node_selector=template.get("nodeSelector"),
        affinity=template.get("affinity"),
        image_pull_secrets=template.get("imagePullSecrets"),
        priority_class_name=template.get("priorityClassName"),
        runtime_class_name=template.get("runtimeClassName"),
        scheduler_name=template.get("schedulerName"),
        service_account_name=template.get("serviceAccountName", REPORTER),
        automount_service_account_token=master,  # it alone reports: elsewhere a token would only be something to steal
        enable_service_links=False,  # a Service named "master" would put its own MASTER_PORT into the environment
        termination_grace_period_seconds=job.spec.run_policy.termination_grace_period_seconds,
    )


def trainer(job: Job, attempt: AttemptPlan, settings: RenderSettings, template: Overrides, mounts: list[Any]) -> V1Container:
    return V1Container(
        name=CONTAINER,
        image=job.spec.image or settings.image,
        image_pull_policy=job.spec.image_pull_policy,
        command=COMMAND,
        env=environment(job, attempt, settings, template.get("env", [])),
        env_from=[*secrets(job), *template.get("envFrom", [])] or None,
        ports=[RENDEZVOUS_PORT],
        resources=container_resources(job),
        volume_mounts=mounts,
        security_context=container_security(),
        termination_message_policy="File",  # the outcome is what the trainer wrote, never a tail of its log
    )


def environment(job: Job, attempt: AttemptPlan, settings: RenderSettings, users: list[dict[str, Any]]) -> list[Any]:
    """The contract, what a read-only root file system and CPU need (the user's win), and the user's variables."""
    contract = V1EnvVar(name=CONTRACT_ENV, value=without_references(build_contract(job, attempt, settings).to_json()))
    threads = omp_num_threads(job)
    defaults = {"HOME": settings.scratch, "OMP_NUM_THREADS": threads}
    named = {variable["name"] for variable in users}
    ours = [V1EnvVar(name=name, value=str(value)) for name, value in defaults.items() if value is not None and name not in named]
    return [contract, *ours, *users]


def without_references(document: str) -> str:
    """The same JSON without a dollar sign: Kubernetes would replace $(NAME), and make one of two, in a variable's value."""
    return document.replace("$", "\\u0024")


def secrets(job: Job) -> list[V1EnvFromSource]:
    """The Secrets named by secretRef, each once: their keys become variables (HF_TOKEN, AWS_ACCESS_KEY_ID ...)."""
    tracking = job.spec.tracking
    trackers = (tracking.mlflow, tracking.wandb) if tracking else ()
    sources = (job.spec.model, job.spec.dataset, job.spec.output, *trackers)
    refs = (source.secret_ref for source in sources if source is not None)
    names = dict.fromkeys(ref.name for ref in refs if ref is not None)
    return [V1EnvFromSource(secret_ref=V1SecretEnvSource(name=name)) for name in names]


def sidecar(container: dict[str, Any]) -> dict[str, Any]:
    """A native sidecar: as an init container that restarts it starts before the trainer and ends with it, so that the pod ends.

    Source: kubernetes.io, Sidecar Containers (on by default since 1.29).
    """
    return {**container, "restartPolicy": "Always", "securityContext": sidecar_security(container.get("securityContext", {}))}


def tolerations(settings: RenderSettings, users: list[dict[str, Any]]) -> list[Any]:
    """The user's, and a short stay on a lost node, without which Kubernetes adds its own of 300 s."""
    theirs = {toleration.get("key") for toleration in users if toleration.get("effect", "NoExecute") == "NoExecute"}
    lost = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    return [
        V1Toleration(key=key, operator="Exists", effect="NoExecute", toleration_seconds=settings.unreachable_toleration_seconds)
        for key in lost
        if key not in theirs
    ] + users
