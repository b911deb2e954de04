"""What proves a checkpoint: reading it back, and a manifest written last.

Those that need torch are imported when they are first used: ledger, manifest and last-good pointer stay free of it, for the
operator's half reads them as well.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kubetune_trainer.checkpoints.manifest import Manifest, check_manifest, read_manifest, write_manifest

if TYPE_CHECKING:
    from kubetune_trainer.checkpoints.verify import Verifier, verify_hf
    from kubetune_trainer.checkpoints.weights import has_weights

__all__ = ["Manifest", "Verifier", "check_manifest", "has_weights", "read_manifest", "verify_hf", "write_manifest"]

HOMES = {"Verifier": "verify", "verify_hf": "verify", "has_weights": "weights"}


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
