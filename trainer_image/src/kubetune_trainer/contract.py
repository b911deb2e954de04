"""What the operator and the trainer say to each other: names, shapes and limits, and nothing that trains.

The operator writes one `Contract` into the pod's environment; the trainer answers with `Report`s while it trains and one
`Outcome` at the end. The operator may import this, `kubetune_trainer.parameters`, and, to read what a run left on disk, the ledger,
the manifest and the last-good pointer of `kubetune_trainer.checkpoints`, and `attempt_record`: none of them imports torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

CONTRACT_ENV = "KUBETUNE_CONTRACT"
"""The environment variable that holds the contract as one JSON document."""

REPORT_FILE_ENV = "KUBETUNE_REPORT_FILE"
"""Where the trainer writes its latest `Report` (atomically replaced). Set by whoever runs the pod, not by the job."""

TERMINATION_LOG_ENV = "KUBETUNE_TERMINATION_LOG"
TERMINATION_LOG = "/dev/termination-log"
"""Kubernetes reads the outcome from here (terminationMessagePath's default); the variable above moves it."""

MAX_OUTCOME_BYTES = 4096
"""The kubelet truncates a container's termination message here (kubernetes.io: Determine the Reason for Pod Failure)."""

API_VERSION = "kubetune.dev/v1alpha1"
"""Of the resources, under which the master reports."""

MAX_CHECKPOINTS = 20
"""The resource's status holds no more."""

MAX_URI = 2048
"""Characters of a URI. A job's output has at most 1024, and what is written below it adds some hundred."""

MAX_STAGE = 200
"""Characters of what is being done before the first step."""

MAX_LOSSES = 32
"""Of the curve in a report: a line of text has room for as many."""

MAX_URI_BYTES = 16 * 1024
"""Of all checkpoints' URIs that a status lists, in JSON: what the trainer writes stays under 24 KiB of the status' 64."""

ESCAPED = r'[\x00-\x1f"&<>\\\x{2028}\x{2029}]'
"""What Go's encoding/json escapes, in at most six bytes. In RE2's syntax."""

MANIFEST_NAME = "kubetune-manifest.json"
"""Written last into every checkpoint directory: a checkpoint without it is not one."""


class ExitCode(IntEnum):
    """How the trainer's process ends; everything that is not listed is 1."""

    REACHED_END = 0
    FAILED = 1
    USER_ERROR = 2
    PREEMPTED = 143


EXIT_MEANINGS = {
    ExitCode.REACHED_END: "The last step was done, its loss is finite, and its checkpoint was read back and found whole.",
    ExitCode.FAILED: "Any other failure; the outcome names its class.",
    ExitCode.USER_ERROR: "The job's spec or its data must be changed: nothing is tried again.",
    ExitCode.PREEMPTED: "It was told to end (SIGTERM); what could be saved was saved, and the next attempt goes on from there.",
}
"""For people: docs/reference/exit-codes.md."""


class FailureClass(StrEnum):
    """Why an attempt failed. The operator's answer (retry or not) depends on nothing else."""

    USER_ERROR = "UserError"
    DATA_ERROR = "DataError"
    CUDA_OOM = "CudaOOM"
    HOST_OOM = "HostOOM"
    RENDEZVOUS_TIMEOUT = "RendezvousTimeout"
    NODE_LOST = "NodeLost"
    PREEMPTED = "Preempted"
    DISK_FULL = "DiskFull"
    NON_FINITE_LOSS = "NonFiniteLoss"
    HANG = "Hang"
    IMAGE_PULL = "ImagePull"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    CHILD_LOST = "ChildLost"
    BACKEND_ERROR = "BackendError"

    @property
    def retryable(self) -> bool:
        """Whether the same spec can succeed at another try: bad input and a passed deadline cannot."""
        return self not in NOT_RETRYABLE


NOT_RETRYABLE = frozenset({FailureClass.USER_ERROR, FailureClass.DATA_ERROR, FailureClass.DEADLINE_EXCEEDED})

CLASS_MEANINGS = {
    FailureClass.USER_ERROR: "The spec, the model or the output must be changed.",
    FailureClass.DATA_ERROR: "The data set must be changed, or the parameters that select from it.",
    FailureClass.CUDA_OOM: "A rank ran out of its GPU's memory.",
    FailureClass.HOST_OOM: "A process was killed, or an allocation failed, for want of the container's or the node's memory.",
    FailureClass.RENDEZVOUS_TIMEOUT: "Not all nodes came together in time.",
    FailureClass.NODE_LOST: "A node, or its pod, is gone: killed, deleted, or without connection.",
    FailureClass.PREEMPTED: "It was told to end: a drain, an eviction, a preemption, Kueue.",
    FailureClass.DISK_FULL: "A disk, a quota or a store has no room.",
    FailureClass.NON_FINITE_LOSS: "The loss of the last step is NaN or infinite.",
    FailureClass.HANG: "No new step within runPolicy.progressDeadlineSeconds.",
    FailureClass.IMAGE_PULL: "An image cannot be pulled.",
    FailureClass.DEADLINE_EXCEEDED: "The job was active for longer than runPolicy.activeDeadlineSeconds.",
    FailureClass.CHILD_LOST: "Somebody deleted the attempt's PyTorchJob while it ran.",
    FailureClass.BACKEND_ERROR: "Everything else: any other exception, a process that was killed, a run that trained too little.",
}
"""For people: docs/reference/failure-classes.md."""


class Message(BaseModel):
    """Base of all that is exchanged: camelCase in JSON, snake_case in Python, unknown fields refused."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True, frozen=True)

    def to_json(self) -> str:
        """Compact JSON with sorted keys and no empty fields: equal values give equal bytes."""
        values = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)


class JobIdentity(Message):
    """Which resource this attempt belongs to; copied into every manifest."""

    kind: str
    namespace: str
    name: str
    uid: str
    spec_hash: str = Field(description="SHA-256 of the part of the spec that decides what is trained.")


class CheckpointPolicy(Message):
    """When to save the full training state (the part of a checkpoint from which training goes on)."""

    every_epoch: bool = True
    every_steps: int | None = Field(default=None, ge=1)
    every_minutes: float | None = Field(default=None, gt=0)
    on_preemption: bool = Field(default=True, description="Also when a pod is told to end (SIGTERM).")
    keep: int = Field(default=1, ge=1, description="How many full states stay on disk; the oldest go first.")
    keep_weights: int | None = Field(
        default=None, ge=1, description="How many checkpoints of weights (hf, adapter) stay; the oldest go first. None: all."
    )

    def of_full_states(self) -> dict[str, Any]:
        """By field: what the ranks are told, who write full states; weights are the backend's to write."""
        return self.model_dump(exclude={"keep_weights"})


WeightsKind = Literal["hf", "adapter"]
CheckpointKind = Literal["hf", "adapter", "full-state"]


class Checkpoint(Message):
    """One checkpoint that was verified (or found wanting) by reading it back."""

    uri: str = Field(
        max_length=MAX_URI, description="Where it lies: pvc://claim/path, s3://bucket/key, or an absolute path in the pod."
    )
    step: int = Field(ge=0, description="Optimizer steps that it holds, counted over the whole run.")
    epoch: int | None = Field(default=None, ge=0, description="Complete epochs that it holds.")
    bytes: int = Field(ge=0, description="Size on disk, the manifest not counted.")
    kind: CheckpointKind = Field(
        description="hf: a Hugging Face directory that `transformers` loads. adapter: what `peft` puts onto the base model. "
        "full-state: weights, optimizer, schedule and random state, from which the next attempt goes on."
    )
    verified: bool = Field(
        description="Every file was read back after the save: sizes, hashes, and but for full-state keys, shapes, no NaN."
    )
    time: datetime | None = Field(default=None, description="When it was verified.")


def apply_body_bytes(value: object) -> bytes:
    """JSON that an API server also reads as YAML, which it does with every server-side apply.

    Its YAML knows no surrogate pairs, as JSON escapes an emoji: those are written raw, everything else outside ASCII escaped.
    """
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"[\x7f-\uffff]", _escaped, text).encode()


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{0xFFFD if 0xD800 <= code <= 0xDFFF else code:04x}"


def uri_bytes(uri: str) -> int:
    """Bytes in the JSON that an API server stores, at most."""
    escaped = re.findall(re.sub(r"x{(\w+)}", r"u\1", ESCAPED), uri)
    return len(uri.encode("utf-8", "surrogatepass")) + 5 * len(escaped)


def newest(checkpoints: Sequence[Checkpoint]) -> tuple[Checkpoint, ...]:
    """As many as a status may list: at most MAX_CHECKPOINTS, whose URIs take at most MAX_URI_BYTES. The oldest are left out."""
    left, kept = MAX_URI_BYTES, list[Checkpoint]()
    for checkpoint in reversed(checkpoints[-MAX_CHECKPOINTS:]):
        left -= uri_bytes(checkpoint.uri)
        if left < 0:
            break
        kept.insert(0, checkpoint)
    return tuple(kept)


class TensorBoard(Message):
    """Event files."""

    log_dir: str = Field(description="An absolute directory in the pod.")


class MLflow(Message):
    """A run on a server."""

    tracking_uri: str | None = Field(default=None, description="None: MLFLOW_TRACKING_URI.")
    experiment: str
    run_name: str


class WeightsAndBiases(Message):
    """A run at Weights & Biases. WANDB_API_KEY and WANDB_MODE are in the environment."""

    project: str
    entity: str | None = None
    run_name: str


class Tracking(Message):
    """Where the metrics are sent beside the job's status; a block that is left out: not there."""

    tensorboard: TensorBoard | None = None
    mlflow: MLflow | None = None
    wandb: WeightsAndBiases | None = None


class Contract(Message):
    """One attempt, completely: the same document for every node; what differs by node is in the rendezvous variables."""

    version: Literal["v1"] = "v1"
    job: JobIdentity
    attempt: int = Field(ge=1)
    algorithm: str
    backend: str
    model: str = Field(description="An absolute directory in the pod, hf://org/name[@revision] or s3://bucket/key.")
    dataset: str = Field(description="An absolute file path in the pod, hf://org/name[@revision]/file.jsonl or s3://bucket/key.")
    dataset_format: Literal["messages", "processed", "pretraining"] = "messages"
    output: str = Field(
        description="The job's own directory in the pod; the attempt writes below attempt_dir only. With an output_uri of s3:// "
        "it is this pod's alone, and what is written there is uploaded."
    )
    output_uri: str = Field(
        description="The same directory as the user names it (pvc://..., s3://...): the prefix of every URI reported."
    )
    nodes: int = Field(default=1, ge=1)
    procs_per_node: int = Field(default=1, ge=1)
    device: Literal["gpu", "cpu"] = "gpu"
    training: dict[str, Any] = Field(
        default_factory=dict, description="The usage documents' parameters by their Python names; only those that the user set."
    )
    checkpoint: CheckpointPolicy = CheckpointPolicy()
    resume_from: tuple[str, ...] = Field(
        default=(),
        description="Full-state directories of earlier attempts, or their s3:// URIs, best first. The first that verifies is used.",
    )
    tracking: Tracking | None = None
    rendezvous_timeout_seconds: int = Field(
        default=600, ge=1, description="How long the nodes wait for the last of them, from when the first of them is ready."
    )
    hang_seconds: int | None = Field(
        default=None, ge=1, description="Seconds without a new step after which the attempt ends as Hang. Default: no limit."
    )
    grace_seconds: float = Field(default=30, ge=0, description="How long a pod may go on after SIGTERM (Kubernetes' default).")
    report: Literal["none", "api"] = Field(
        default="none", description="api: the master applies its reports to the job's status, with its pod's token."
    )
    earlier_checkpoints: tuple[Checkpoint, ...] = Field(
        default=(), description="What earlier attempts reported, oldest first: a report carries it on, or the list would lose it."
    )

    @property
    def attempt_dir(self) -> str:
        """Where this attempt writes everything. Never another attempt's: a lost node's containers run on."""
        return f"{self.output.rstrip('/')}/attempt-{self.attempt}"

    @property
    def attempt_uri(self) -> str:
        """attempt_dir as the user names it."""
        return f"{self.output_uri.rstrip('/')}/attempt-{self.attempt}"

    @property
    def rendezvous_id(self) -> str:
        """Unique by job and attempt: a straggler of an earlier attempt can never join this one."""
        return f"{self.job.uid}-{self.attempt}"


class Progress(Message):
    """Where the training stands. Monotonic in `step` within an attempt; losses that are not finite are left out."""

    step: int = Field(ge=0, description="Optimizer steps done, counted over the whole run (resumed ones included).")
    total_steps: int | None = Field(default=None, ge=0, description="Optimizer steps of the whole run: epochs x steps per epoch.")
    epoch: int | None = Field(default=None, ge=0, description="The current epoch, 0-based.")
    percent: float | None = Field(default=None, ge=0, le=100, description="100 x step / totalSteps.")
    loss: float | None = Field(default=None, description="Mean loss per token of the last step.")
    learning_rate: float | None = Field(default=None, description="Learning rate of the last step.")
    tokens_per_second: float | None = Field(default=None, description="Tokens a second over all ranks, last step.")
    samples_per_second: float | None = Field(default=None, description="Samples a second over all ranks, last step.")
    eta_seconds: int | None = Field(default=None, ge=0, description="Seconds until the last step at this attempt's pace.")
    updated_time: datetime | None = Field(default=None, description="When the step was logged.")
    losses: tuple[float, ...] | None = Field(
        default=None,
        max_length=MAX_LOSSES,
        description="The loss over this attempt's steps so far, for a sketch: the means of stretches of the same length, in order.",
    )
    stage: str | None = Field(
        default=None,
        max_length=MAX_STAGE,
        description="What the attempt does before its first step, for people; absent once it steps.",
    )
    ended: FailureClass | None = Field(
        default=None,
        description="The class of failure with which the trainer ended, in case that its pods are gone when the operator looks.",
    )


class Report(Message):
    """What the master's launcher publishes while it runs: the latest state, not a history."""

    attempt: int = Field(ge=1)
    progress: Progress | None = None
    checkpoints: tuple[Checkpoint, ...] = ()
    resumed_from: str | None = Field(default=None, description="URI of the full state from which this attempt went on.")


class Outcome(Message):
    """How the attempt ended, in the trainer's own words: the container's termination message."""

    reached_end: bool = Field(description="The last step was done, its loss is finite, and a new checkpoint was verified.")
    attempt: int = Field(ge=1)
    step: int = Field(default=0, ge=0)
    total_steps: int | None = Field(default=None, ge=0)
    checkpoint: Checkpoint | None = Field(default=None, description="The verified checkpoint of the last step's weights.")
    failure: FailureClass | None = Field(default=None, alias="class")
    message: str = ""
    exit_code: int = Field(default=0)
    resumed_from: str | None = Field(default=None, max_length=MAX_URI)
    log_tail: str | None = Field(default=None, description="The last lines of the log that hold the root error.")

    def to_message(self, limit: int = MAX_OUTCOME_BYTES) -> str:
        """The outcome in at most `limit` bytes: the log tail goes first, then the message is cut; the rest always fits."""
        for spare in ("log_tail", "message"):
            text = self.to_json()
            excess = len(text.encode()) - limit
            if excess <= 0:
                return text
            value = getattr(self, spare) or ""
            self = self.model_copy(update={spare: shorten(value, excess, keep_end=spare == "log_tail")})
        return self.to_json()


def shorten(text: str, excess: int, *, keep_end: bool) -> str | None:
    """`text` with at least `excess` encoded JSON bytes less; None where nothing useful would stay."""
    while text and excess > 0:
        cut = max(1, excess // 6)  # one character takes up to six bytes in JSON (\\uXXXX)
        removed, text = (text[:cut], text[cut:]) if keep_end else (text[-cut:], text[:-cut])
        excess -= len(json.dumps(removed)) - 2
    return text or None
