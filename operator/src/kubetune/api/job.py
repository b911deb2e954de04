"""The two kinds."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from kubetune.api.base import API_VERSION, ApiModel
from kubetune.api.metadata import Metadata
from kubetune.api.spec import DatasetFormat, JobSpec, OSFTJobSpec, SFTJobSpec
from kubetune.api.status import JobStatus
from kubetune_trainer.parameters import PARAMETERS, TrainingParameters


class Job(ApiModel):
    """A fine-tuning job, of either kind."""

    algorithm: ClassVar[str]
    default_backend: ClassVar[str]

    api_version: str = API_VERSION
    kind: str
    metadata: Metadata
    spec: JobSpec
    status: JobStatus = Field(default_factory=JobStatus, description="What is known of the job; written by kubetune.")

    @classmethod
    def parameters(cls) -> type[TrainingParameters]:
        """The model of the kind's spec.training."""
        return PARAMETERS[cls.algorithm]

    @property
    def backend(self) -> str:
        """Name of the training library, the kind's default filled in."""
        return self.spec.backend or self.default_backend

    @property
    def dataset_format(self) -> DatasetFormat:
        """dataset.format, or what training.useProcessedDataset says, or messages."""
        if self.spec.dataset.format is not None:
            return self.spec.dataset.format
        return "processed" if getattr(self.spec.training, "use_processed_dataset", None) else "messages"

    def to_dict(self) -> dict[str, Any]:
        """As in YAML: only what was set, so that no default appears in it."""
        given = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True, exclude={"status"})
        head = {"apiVersion": self.api_version, "kind": self.kind}
        return {**head, **given, **({"status": self.status.to_dict()} if "status" in self.model_fields_set else {})}


class SFTJob(Job):
    """SFTJob fine-tunes a language model on examples (supervised fine-tuning, instructlab-training)."""

    algorithm: ClassVar[str] = "sft"
    default_backend: ClassVar[str] = "instructlab-training"

    api_version: Literal["kubetune.dev/v1alpha1"] = "kubetune.dev/v1alpha1"
    kind: Literal["SFTJob"] = "SFTJob"
    spec: SFTJobSpec = Field(description="What is trained, and how.")


class OSFTJob(Job):
    """OSFTJob fine-tunes a language model in the subspace it uses least (OSFT, arXiv:2504.07097, mini-trainer)."""

    algorithm: ClassVar[str] = "osft"
    default_backend: ClassVar[str] = "mini-trainer"

    api_version: Literal["kubetune.dev/v1alpha1"] = "kubetune.dev/v1alpha1"
    kind: Literal["OSFTJob"] = "OSFTJob"
    spec: OSFTJobSpec = Field(description="What is trained, and how.")


KINDS: dict[str, type[Job]] = {"SFTJob": SFTJob, "OSFTJob": OSFTJob}
