"""The part of metav1.ObjectMeta that kubetune reads."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from kubetune.api.base import ApiModel

MAX_NAME = 40
"""Children are called <name>-osft-<attempt>-worker-<i>: with four digits for the attempt and three for the worker that is
22 characters more, and a pod's host name ends at 63."""

NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""DNS-1035 label (RFC 1035): a Service of the training operator bears the name, so it may not start with a digit."""

NAMESPACE_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
"""DNS-1123 label: what the API server takes for a namespace."""

SERVER_FIELDS = ("selfLink", "generateName", "deletionGracePeriodSeconds", "managedFields")
"""ObjectMeta's remaining fields: known, so no typing error, but of no use here."""


class Metadata(ApiModel):
    """Who the job is. What an API server adds beyond these fields is ignored."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True, frozen=True)

    name: str = Field(description="Name of the job: lower-case letters, digits and '-', at most 40 characters.")
    namespace: str = Field(
        default="default",
        max_length=63,
        pattern=NAMESPACE_PATTERN,
        description="Namespace of the job and of everything made for it.",
    )
    uid: str = Field(default="", description="Set by the API server; empty in a file.")
    generation: int = Field(default=1, description="Counts changes of the spec; set by the API server.")
    resource_version: str | None = Field(default=None, description="Version of the stored object, for optimistic locking.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels of the job.")
    annotations: dict[str, str] = Field(default_factory=dict, description="Annotations of the job.")
    creation_timestamp: datetime | None = Field(default=None, description="When the job was created.")
    deletion_timestamp: datetime | None = Field(default=None, description="When its deletion was asked for.")
    finalizers: list[str] = Field(default_factory=list, description="What must be done before it may go.")
    owner_references: list[dict[str, Any]] = Field(default_factory=list, description="Whose part the job is.")
