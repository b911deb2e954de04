"""What the data check warns of and refuses, and where tokenised data are kept: parameters, each with its variable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.validation import unknown_name

PREFIX = "KUBETUNE_DATA_"
OFF = "off"
GIB = 2**30

Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class DataSettings(BaseModel):
    """Limits in per cent. Each is a variable as well: KUBETUNE_DATA_ and its name in capitals (a job: spec.template.envFrom)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    warn_dropped_percent: Percent = Field(1, description="Warn if max_seq_len leaves out more than this share of the samples.")
    refuse_dropped_percent: Percent = Field(50, description="Refuse above this share of samples left out; 100: never.")
    warn_duplicate_percent: Percent = Field(1, description="Warn if more than this share of the rows repeats an earlier one.")
    refuse_duplicate_percent: Percent = Field(100, description="Refuse above this share of repeated rows; 100: never.")
    warn_loss_percent: Percent = Field(1, description="Warn if less than this share of the tokens is counted in the loss.")
    refuse_loss_percent: Percent = Field(0, description="Refuse below this share of tokens in the loss.")
    errors_shown: int = Field(10, ge=1, le=1000, description="How many bad rows are told; the others are counted.")
    cache: str | None = Field(
        None, description="Directory for tokenised data that jobs may share, or off. Default: below the job's own output directory."
    )
    cache_gib: float = Field(50, gt=0, description="Size of that directory in GiB above which the least recently used data go.")

    @property
    def cache_bytes(self) -> int:
        """cache_gib in bytes."""
        return int(self.cache_gib * GIB)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The defaults with what the environment sets.

        Raises:
            ConfigurationError: a variable that begins with KUBETUNE_DATA_ does not exist or has a bad value.

        """
        given = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
        known = [PREFIX + name.upper() for name in cls.model_fields]
        for name in given:
            if name not in cls.model_fields:
                raise unknown_name("variable", PREFIX + name.upper(), known)
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = PREFIX + str(first["loc"][0]).upper()
            raise ConfigurationError(name, first["input"], f"is wrong ({first['msg']})", "see docs/data.md") from error
