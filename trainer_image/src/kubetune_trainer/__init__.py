"""Fine-tuning by instructlab-training and mini-trainer, with the truth about every run.

The names below are imported when they are first used: `import kubetune_trainer.contract` must stay free of torch. Every other
installed algorithm is a function here as well, by its name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubetune_trainer.documented import osft, sft
    from kubetune_trainer.errors import ConfigurationError, TrainingError
    from kubetune_trainer.plan import RunResult
    from kubetune_trainer.registry import AlgorithmRegistry, create_algorithm

__all__ = ["AlgorithmRegistry", "ConfigurationError", "RunResult", "TrainingError", "create_algorithm", "osft", "sft"]

HOMES = {
    "sft": "documented",
    "osft": "documented",
    "create_algorithm": "registry",
    "AlgorithmRegistry": "registry",
    "ConfigurationError": "errors",
    "TrainingError": "errors",
    "RunResult": "plan",
}


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
    if not name.startswith("_") and name in import_module(f"{__name__}.discovery").installed_algorithms():
        return import_module(f"{__name__}.installed").function_of(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
