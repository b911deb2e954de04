"""Keeps a backend from loading mlflow and wandb: kubetune feeds the trackers, from outside the ranks.

Both backends import them where they are installed, tracked or not: five seconds of each start, and memory on every rank.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

PRIVATE_NAMES = ("instructlab.training.logger:wandb", "mini_trainer.mlflow_wrapper:mlflow")
TRACKERS = ("mlflow", "wandb")


def install(*, module: str) -> None:
    """Imports the backend's module that would load them; what the caller's callbacks import later is theirs."""
    import_without_trackers(module)


def import_without_trackers(module: str) -> ModuleType:
    """The module, imported as if mlflow and wandb were not installed. Once it is loaded this only hands it out."""
    with hidden(TRACKERS):
        return importlib.import_module(module)


@contextlib.contextmanager
def hidden(names: tuple[str, ...]) -> Iterator[None]:
    """Modules that are not loaded yet raise ImportError meanwhile (None in sys.modules: the import system's own rule)."""
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]  # documented in importlib, not in the type
    try:
        yield
    finally:
        for name in absent:
            if sys.modules.get(name) is None:
                sys.modules.pop(name, None)
