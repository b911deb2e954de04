"""The contract out of the environment, and errors back in the words of whoever wrote the resource. Imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from kubetune_trainer.contract import CONTRACT_ENV, Contract
from kubetune_trainer.errors import ConfigurationError

RESOURCE_NAMES = {
    "model_path": "model.uri",
    "data_path": "dataset.uri",
    "ckpt_output_dir": "output.uri",
    "nproc_per_node": "procsPerNode",
    "tensorboard_log_dir": "tracking.tensorboard",
    "mlflow_tracking_uri": "tracking.mlflow",
    "wandb_project": "tracking.wandb",
}
"""The library's names whose place in the resource is not just the same name in camelCase."""


def contract_of(environment: Mapping[str, str]) -> Contract:
    """The contract that the operator handed over.

    Raises:
        ConfigurationError: it is missing or not valid; names the first field that is wrong.

    """
    document = environment.get(CONTRACT_ENV)
    if not document:
        raise ConfigurationError(CONTRACT_ENV, document, "is not set", "the operator sets it; by hand, give the contract as JSON")
    try:
        return Contract.model_validate_json(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join([CONTRACT_ENV, *(str(part) for part in first["loc"])])
        value = first["input"] if isinstance(first["input"], str | int | float | bool | None) else type(first["input"]).__name__
        raise ConfigurationError(field, value, first["msg"], "operator and trainer image must be of one version") from error


def in_resource_terms(error: ConfigurationError, parameters: Iterable[str]) -> str:
    """The error's text with the resource's names in place of the library's: its reader wrote YAML."""
    names = {name: to_camel(name) for name in parameters} | RESOURCE_NAMES
    pattern = re.compile(rf"\b({'|'.join(names)})\b")

    def translated(text: str) -> str:
        return pattern.sub(lambda match: names[match[1]], text)

    return str(ConfigurationError(translated(error.field), error.value, translated(error.problem), translated(error.remedy)))
