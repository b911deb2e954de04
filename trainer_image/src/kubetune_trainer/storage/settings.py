"""What of the environment decides how an object store is used. Credentials, region and endpoint are botocore's own variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kubetune_trainer.errors import ConfigurationError

CACHE_ENV = "KUBETUNE_STORE_CACHE"
PATIENCE_ENV = "KUBETUNE_STORE_PATIENCE_SECONDS"
PART_ENV = "KUBETUNE_STORE_PART_MIB"

MIB = 2**20
MIN_PART_MIB = 5
"""S3's own limit for every part but the last."""


@dataclass(frozen=True)
class StoreSettings:
    """Defaults: downloads below ~/.cache/kubetune/store, ten minutes, parts of 16 MiB."""

    cache: Path  # downloads, and where the library's runs write before they upload
    patience_seconds: float = 600.0  # how long a store that cannot be reached is waited for, before and after training
    part_bytes: int = 16 * MIB

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> StoreSettings:
        """The settings of this process.

        Raises:
            ConfigurationError: a variable is no number, or out of range.

        """
        given = environment.get(CACHE_ENV)
        cache = Path(given).expanduser() if given else Path.home() / ".cache" / "kubetune" / "store"
        patience = _number(environment, PATIENCE_ENV, 600, least=0)
        return cls(cache.absolute(), patience, int(_number(environment, PART_ENV, 16, least=MIN_PART_MIB)) * MIB)


def _number(environment: Mapping[str, str], name: str, default: float, *, least: float) -> float:
    text = environment.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not value >= least or value == float("inf"):
        raise ConfigurationError(name, text, f"is no number from {least}", f"leave it out for {default}")
    return value
