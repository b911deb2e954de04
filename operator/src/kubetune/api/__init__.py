"""The custom resources: models, validation, and the CRDs generated from them."""

from kubetune.api.base import API_VERSION, GROUP, VERSION, ApiModel
from kubetune.api.documents import load_documents
from kubetune.api.errors import FieldError, InvalidJob
from kubetune.api.job import KINDS, Job, OSFTJob, SFTJob
from kubetune.api.metadata import Metadata
from kubetune.api.parse import parse_job, parse_status
from kubetune.api.policies import Checkpointing, ResumeFrom, RunPolicy
from kubetune.api.spec import JobSpec, OSFTJobSpec, SFTJobSpec
from kubetune.api.status import Attempt, Condition, Failure, Goodput, JobStatus, Phase
from kubetune.api.template import PodTemplate

__all__ = [
    "API_VERSION",
    "GROUP",
    "KINDS",
    "VERSION",
    "ApiModel",
    "Attempt",
    "Checkpointing",
    "Condition",
    "Failure",
    "FieldError",
    "Goodput",
    "InvalidJob",
    "Job",
    "JobSpec",
    "JobStatus",
    "Metadata",
    "OSFTJob",
    "OSFTJobSpec",
    "Phase",
    "PodTemplate",
    "ResumeFrom",
    "RunPolicy",
    "SFTJob",
    "SFTJobSpec",
    "load_documents",
    "parse_job",
    "parse_status",
]
