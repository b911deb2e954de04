"""The spec of both kinds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from kubetune.api.base import ApiModel
from kubetune.api.policies import Checkpointing, ResumeFrom, RunPolicy, Tracking
from kubetune.api.resources import Resources
from kubetune.api.template import Name, PodTemplate, SecretReference
from kubetune.api.uri import MAX_URI
from kubetune_trainer.parameters import OSFTParameters, SFTParameters, TrainingParameters

DatasetFormat = Literal["messages", "processed", "pretraining"]
Device = Literal["gpu", "cpu"]
ImagePullPolicy = Literal["Always", "IfNotPresent", "Never"]

UriText = Annotated[str, Field(max_length=MAX_URI)]

CREDENTIALS = (
    "Secret whose keys become environment variables of the trainer: for instance HF_TOKEN, or AWS_ACCESS_KEY_ID, "
    "AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL for s3://. One environment serves model, dataset and "
    "output. Default: none."
)


class Model(ApiModel):
    """The model to train."""

    uri: UriText = Field(
        description="hf://org/name@revision, pvc://claim/path, s3://bucket/key or an absolute path in the pod: a Hugging Face "
        "directory. hf:// and s3:// are downloaded by every node."
    )
    secret_ref: SecretReference | None = Field(default=None, description=CREDENTIALS)


class Dataset(ApiModel):
    """What it is trained on: one JSON Lines file."""

    uri: UriText = Field(
        description="pvc://claim/path/file.jsonl, configMap://name/key, hf://org/name@revision/path/file.jsonl, "
        "s3://bucket/key or an absolute path in the pod."
    )
    format: DatasetFormat | None = Field(
        default=None,
        description="messages: chat messages, tokenised by kubetune. processed: input_ids and labels. "
        "pretraining: plain documents, joined and cut into samples of maxSeqLen tokens, every one of which is learned. "
        "Default: messages, or processed with training.useProcessedDataset: true.",
    )
    secret_ref: SecretReference | None = Field(default=None, description=CREDENTIALS)


class Output(ApiModel):
    """Where checkpoints go; each job writes beneath its own <namespace>-<name>-<uid8>."""

    uri: UriText = Field(
        description="pvc://claim/path or an absolute path in the pod, which several nodes must share (ReadWriteMany), or "
        "s3://bucket/key: each node writes to its own disk (a volume of the pod at /var/kubetune/output), and checkpoints are "
        "uploaded while training goes on; one counts once its manifest is there, which is written last."
    )
    secret_ref: SecretReference | None = Field(default=None, description=CREDENTIALS)


class JobSpec(ApiModel):
    """What both kinds have in common."""

    backend: str | None = Field(default=None, description="Training library.")
    model: Model | None = Field(default=None, description="The model to train. Left out only with resumeFrom.")
    dataset: Dataset = Field(description="What the model is trained on.")
    output: Output = Field(description="Where the checkpoints are written.")
    training: TrainingParameters
    nodes: int = Field(default=1, ge=1, le=999, description="Nodes that train together, one pod each, 1 to 999. Default: 1.")
    procs_per_node: Annotated[int, Field(ge=1, le=128)] | None = Field(
        default=None,
        description="Training processes a node, 1 to 128, one a GPU. Default: the GPUs in resources.limits, else 1.",
    )
    device: Device = Field(default="gpu", description="gpu (NCCL) or cpu (gloo). Default: gpu.")
    resources: Resources | None = Field(default=None, description="Compute resources of each node's trainer container.")
    template: PodTemplate | None = Field(default=None, description="Additions to the pods.")
    image: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        default=None, description="Trainer image. Default: the operator's own."
    )
    image_pull_policy: ImagePullPolicy | None = Field(
        default=None, description="Always, IfNotPresent or Never. Default: Kubernetes' own (Always for the tag latest)."
    )
    run_policy: RunPolicy = Field(default_factory=RunPolicy, description="When to stop, retry and clean up.")
    checkpoint: Checkpointing = Field(
        default_factory=Checkpointing, description="When to save the full training state, from which a failed attempt goes on."
    )
    resume_from: ResumeFrom | None = Field(
        default=None, description="Start from a checkpoint of an earlier job instead of spec.model."
    )
    tracking: Tracking | None = Field(
        default=None,
        description="Where the metrics are sent beside the status: tensorboard, mlflow and wandb, each where its block is there; "
        "one that is down or slow holds nothing up.",
    )
    queue_name: Name | None = Field(
        default=None,
        description="Kueue LocalQueue of this namespace. The job waits there, phase Queued, until Kueue admits it: condition "
        "Admitted says what for. If Kueue preempts it, it goes on from its last checkpoint once it is admitted again. The label "
        "kueue.x-k8s.io/priority-class names its WorkloadPriorityClass. Default: none, it starts at once.",
    )


class SFTJobSpec(JobSpec):
    """Supervised fine-tuning."""

    backend: Literal["instructlab-training"] | None = Field(
        default=None, description="Training library. Known: instructlab-training. Default: instructlab-training."
    )
    training: SFTParameters = Field(
        default_factory=SFTParameters, description="Parameters of supervised fine-tuning; none is required."
    )


class OSFTJobSpec(JobSpec):
    """Orthogonal subspace fine-tuning."""

    backend: Literal["mini-trainer"] | None = Field(
        default=None, description="Training library. Known: mini-trainer. Default: mini-trainer."
    )
    training: OSFTParameters = Field(description="Parameters of orthogonal subspace fine-tuning (arXiv:2504.07097).")
