"""Compute resources of one node's trainer container."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from kubetune.api.base import ApiModel

QUANTITY = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$"
"""Kubernetes' resource.Quantity, without a sign: a request cannot be negative."""

NO_QUANTITY = "not a quantity; write a number and its unit without a space, for instance 64Gi or 500m"
"""Said by a rule: of a pattern the API server would show nothing but the regular expression."""

WHOLE = r"^[1-9][0-9]{0,3}$"
"""GPUs of a container: a whole number, at least one."""


def checked_quantity(value: Any) -> int | str:
    """A quantity as it was written. A fraction must be text: the API server takes whole numbers and text only."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and len(value) <= 32 and re.fullmatch(QUANTITY, value):
        return value
    raise PydanticCustomError("quantity", "not a quantity")


Quantity = Annotated[
    int | str,
    PlainValidator(checked_quantity),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "maxLength": 32,
            "x-kubernetes-validations": [{"rule": f"string(self).matches(r'{QUANTITY}')", "message": NO_QUANTITY}],
        }
    ),
]
Quantities = Annotated[dict[str, Quantity], Field(max_length=16)]


class Resources(ApiModel):
    """As core/v1 ResourceRequirements, of each node's trainer container."""

    limits: Quantities | None = Field(
        default=None,
        description="Most that the container may use, by resource name, for instance nvidia.com/gpu: 8. "
        "Default: one GPU a process (device gpu); nothing else is limited.",
    )
    requests: Quantities | None = Field(
        default=None, description="What a node must have free for the container, by resource name. Default: the limits."
    )


def is_gpu(resource: str) -> bool:
    """Whether a resource's name stands for GPUs: whole ones of any vendor, and NVIDIA's MIG slices."""
    return resource.endswith("/gpu") or resource.startswith("nvidia.com/mig-")


def gpus(limits: Mapping[str, Any]) -> int | None:
    """GPUs in such limits, all kinds together; None if they name none. Counts that are no number are left out."""
    counts = [str(value) for name, value in limits.items() if is_gpu(name)]
    return sum(int(count) for count in counts if count.isdecimal()) if counts else None
