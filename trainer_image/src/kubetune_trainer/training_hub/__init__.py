"""training_hub's public names, for scripts written for it: `python -m kubetune_trainer.training_hub script.py`.

The names and their arguments are those of the usage documents and of training_hub's own __init__; what kubetune does not have
(its memory estimators, its other algorithms) is not here, so that importing it fails at once.
"""

from __future__ import annotations

from typing import Any

import kubetune_trainer
from kubetune_trainer.api import OSFTAlgorithm, SFTAlgorithm
from kubetune_trainer.backends.instructlab_training import InstructLabTraining as InstructLabTrainingSFTBackend
from kubetune_trainer.backends.mini_trainer import MiniTrainer as MiniTrainerOSFTBackend
from kubetune_trainer.documented import osft, sft
from kubetune_trainer.registry import AlgorithmRegistry, create_algorithm
from kubetune_trainer.training_hub.bases import Algorithm, Backend

__all__ = [
    "Algorithm",
    "AlgorithmRegistry",
    "Backend",
    "InstructLabTrainingSFTBackend",
    "MiniTrainerOSFTBackend",
    "OSFTAlgorithm",
    "SFTAlgorithm",
    "create_algorithm",
    "osft",
    "sft",
]


def __getattr__(name: str) -> Any:
    """Another installed algorithm's function."""
    if name.startswith("_"):
        raise AttributeError(name)
    return getattr(kubetune_trainer, name)
