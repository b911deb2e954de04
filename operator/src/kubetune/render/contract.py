"""The document that the trainer gets: everything about the attempt that does not differ by node."""

from __future__ import annotations

from kubetune.api import Job
from kubetune.api.identity import output_subdir, procs_per_node, spec_hash
from kubetune.render.paths import output_dir, path_in_pod, uri_below
from kubetune.render.plan import AttemptPlan, RenderSettings
from kubetune_trainer.contract import CheckpointPolicy, Contract, JobIdentity, MLflow, TensorBoard, Tracking, WeightsAndBiases


def build_contract(job: Job, attempt: AttemptPlan, settings: RenderSettings) -> Contract:
    """What the trainer is to do. Raises ValueError if spec.resumeFrom names a job and the plan no checkpoint of it."""
    output_uri = uri_below(job.spec.output.uri, output_subdir(job))
    return Contract(
        job=JobIdentity(
            kind=job.kind,
            namespace=job.metadata.namespace,
            name=job.metadata.name,
            uid=job.metadata.uid,
            spec_hash=spec_hash(job),
        ),
        attempt=attempt.number,
        algorithm=job.algorithm,
        backend=job.backend,
        model=path_in_pod(model_uri(job, attempt), settings),
        dataset=path_in_pod(job.spec.dataset.uri, settings),
        dataset_format=job.dataset_format,
        output=output_dir(job.spec.output.uri, output_subdir(job), settings),
        output_uri=output_uri,
        nodes=job.spec.nodes,
        procs_per_node=procs_per_node(job),
        device=job.spec.device,
        training=job.spec.training.given(),
        checkpoint=checkpoint_policy(job),
        resume_from=tuple(path_in_pod(uri, settings) for uri in attempt.resume_from),
        tracking=tracking(job, output_dir(job.spec.output.uri, output_subdir(job), settings)),
        hang_seconds=job.spec.run_policy.progress_deadline_seconds,
        grace_seconds=job.spec.run_policy.effective_termination_grace_period_seconds,
        report="api",
        earlier_checkpoints=attempt.checkpoints,
    )


def model_uri(job: Job, attempt: AttemptPlan) -> str:
    """Where the weights come from: what the plan says, else spec.resumeFrom.uri, else spec.model.uri.

    Raises:
        ValueError: spec.resumeFrom names a job, and the plan does not say which checkpoint of it.

    """
    start, model = job.spec.resume_from, job.spec.model
    uri = attempt.model_uri or (start.uri if start else model.uri if model else None)
    if uri is None:
        raise ValueError(
            "spec.resumeFrom.jobRef is not resolved: the checkpoint is known once that job has finished in a cluster; "
            "give spec.resumeFrom.uri instead"
        )
    return uri


def tracking(job: Job, directory: str) -> Tracking | None:
    """spec.tracking with its defaults; the trackers are named after the job, whose attempts share one run."""
    given = job.spec.tracking
    if given is None:
        return None
    name, namespace = job.metadata.name, job.metadata.namespace
    board, flow, wandb = given.tensorboard, given.mlflow, given.wandb
    return Tracking(
        tensorboard=TensorBoard(log_dir=board.log_dir or f"{directory}/tensorboard") if board else None,
        mlflow=MLflow(tracking_uri=flow.tracking_uri, experiment=flow.experiment or namespace, run_name=flow.run_name or name)
        if flow
        else None,
        wandb=WeightsAndBiases(project=wandb.project or namespace, entity=wandb.entity, run_name=wandb.run_name or name)
        if wandb
        else None,
    )


def checkpoint_policy(job: Job) -> CheckpointPolicy:
    """spec.checkpoint, by the trainer's names. training.accelerateFullStateAtEpoch is the usage document's name of everyEpoch."""
    given = job.spec.checkpoint
    epoch = given.every_epoch
    if epoch is None:
        epoch = getattr(job.spec.training, "accelerate_full_state_at_epoch", None)
    return CheckpointPolicy(
        every_epoch=epoch is not False,
        every_steps=given.every_steps,
        every_minutes=given.every_minutes,
        on_preemption=given.on_preemption is not False,
        keep=given.effective_keep,
        keep_weights=given.keep_weights,
    )
