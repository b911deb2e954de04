"""How a job is run, saved, followed and started: the blocks of the spec beside what is trained.

Fields that are not set stay unset, so that a default never makes a diff; `effective_*` says what then holds.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from kubetune.api.base import ApiModel
from kubetune.api.template import Name, SecretReference

Seconds = Annotated[int, Field(ge=1, le=2**31 - 1)]
CleanPodPolicy = Literal["None", "Running", "All"]
Kind = Literal["SFTJob", "OSFTJob"]

BACKOFF_LIMIT = 3
CLEAN_POD_POLICY: CleanPodPolicy = "Running"
TERMINATION_GRACE_PERIOD_SECONDS = 30


class RunPolicy(ApiModel):
    """When to stop, retry and clean up. Everything here may be changed while the job runs."""

    suspend: bool | None = Field(
        default=None, description="Stop the pods and start no new ones until it is false again. Default: false."
    )
    backoff_limit: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        default=None, description="Restarts of the whole gang after failures that another try can mend, 0 to 1000. Default: 3."
    )
    active_deadline_seconds: Seconds | None = Field(
        default=None, description="Seconds from the first start after which the job fails. Default: no limit."
    )
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(
        default=None,
        description="Seconds after the end at which the PyTorchJob and its pods are deleted; the job itself stays, "
        "but for deleteJob. Default: never.",
    )
    delete_job: bool | None = Field(
        default=None,
        description="Delete the job, too, when ttlSecondsAfterFinished has passed. A GitOps tool would create it again and so "
        "train again. Default: false.",
    )
    clean_pod_policy: CleanPodPolicy | None = Field(
        default=None, description="Which pods go when an attempt ends: None, Running or All. Default: Running."
    )
    progress_deadline_seconds: Seconds | None = Field(
        default=None,
        description="Seconds without a new optimizer step after which the attempt counts as hung: the trainer ends it and tells "
        "where its ranks stand, or the operator does 20 s later. Until the first step it counts from the start. "
        "Default: no limit.",
    )
    termination_grace_period_seconds: Annotated[int, Field(ge=0, le=86400)] | None = Field(
        default=None, description="Seconds that a pod has to end after SIGTERM, 0 to 86400. Default: 30 (Kubernetes' own)."
    )

    @property
    def effective_suspend(self) -> bool:
        return self.suspend is True

    @property
    def effective_backoff_limit(self) -> int:
        return BACKOFF_LIMIT if self.backoff_limit is None else self.backoff_limit

    @property
    def effective_clean_pod_policy(self) -> CleanPodPolicy:
        return self.clean_pod_policy or CLEAN_POD_POLICY

    @property
    def effective_delete_job(self) -> bool:
        return self.delete_job is True

    @property
    def effective_termination_grace_period_seconds(self) -> int:
        given = self.termination_grace_period_seconds
        return TERMINATION_GRACE_PERIOD_SECONDS if given is None else given


class Checkpointing(ApiModel):
    """When to save the full training state, from which a failed attempt goes on."""

    every_epoch: bool | None = Field(default=None, description="Save at the end of each epoch. Default: true.")
    every_steps: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        default=None, description="Save after this many optimizer steps. Default: not by steps."
    )
    every_minutes: Annotated[float, Field(gt=0, le=10080, allow_inf_nan=False)] | None = Field(
        default=None, description="Save after this many minutes, at most 10080 (a week). Default: not by time."
    )
    on_preemption: bool | None = Field(
        default=None,
        description="Save when a pod is told to end (SIGTERM: suspended, evicted, its node drained), if save and verification "
        "fit into runPolicy.terminationGracePeriodSeconds; the next attempt goes on with the next step. Default: true.",
    )
    keep: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description="Full states that stay on disk, 1 to 100; the oldest go first. Default: 1."
    )
    keep_weights: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None,
        description="Verified checkpoints of weights (Hugging Face directories, adapters) that stay on disk, 1 to 1000; the "
        "oldest go first. Default: all.",
    )

    @property
    def effective_every_epoch(self) -> bool:
        return self.every_epoch is not False

    @property
    def effective_keep(self) -> int:
        return self.keep or 1


class JobReference(ApiModel):
    """Another job of this namespace."""

    kind: Kind | None = Field(default=None, description="SFTJob or OSFTJob. Default: this job's own kind.")
    name: Name = Field(description="Name of the job.")


class ResumeFrom(ApiModel):
    """Where to start instead of spec.model: one of jobRef and uri."""

    job_ref: JobReference | None = Field(
        default=None, description="A job whose verified final checkpoint is the model to start from; it is waited for."
    )
    uri: str | None = Field(
        default=None,
        max_length=1024,
        description="A Hugging Face checkpoint that a job wrote: pvc://claim/path, s3://bucket/key or an absolute path in the pod.",
    )


Word = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class TensorBoard(ApiModel):
    """TensorBoard event files."""

    log_dir: Annotated[str, StringConstraints(pattern="^/", max_length=1024)] | None = Field(
        default=None,
        description="Where they are written: an absolute path in the pod. Default: tensorboard in the job's own directory of the "
        "output, so that one log has all attempts.",
    )


class MLflow(ApiModel):
    """A run on an MLflow server."""

    tracking_uri: Word | None = Field(default=None, description="Address of the server. Default: MLFLOW_TRACKING_URI.")
    experiment: Word | None = Field(default=None, description="Name of the experiment. Default: the namespace.")
    run_name: Word | None = Field(default=None, description="Name of the run. Default: the job's name.")
    secret_ref: SecretReference | None = Field(
        default=None,
        description="Secret whose keys become environment variables of the trainer, "
        "MLFLOW_TRACKING_TOKEN for instance. Default: none.",
    )


class WeightsAndBiases(ApiModel):
    """A run at Weights & Biases."""

    project: Word | None = Field(default=None, description="Name of the project. Default: the namespace.")
    entity: Word | None = Field(default=None, description="User or team. Default: the API key's own.")
    run_name: Word | None = Field(default=None, description="Name of the run. Default: the job's name.")
    secret_ref: SecretReference | None = Field(
        default=None,
        description="Secret whose keys become environment variables of the trainer: WANDB_API_KEY. Default: none.",
    )


class Tracking(ApiModel):
    """Where the metrics are sent, beside the job's status: by the master, of all attempts into one run (docs/tracking.md)."""

    tensorboard: TensorBoard | None = Field(default=None, description="TensorBoard event files.")
    mlflow: MLflow | None = Field(default=None, description="A run on an MLflow server.")
    wandb: WeightsAndBiases | None = Field(default=None, description="A run at Weights & Biases.")
