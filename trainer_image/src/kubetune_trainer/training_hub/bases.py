"""What a script's own algorithms and backends derive from in training_hub."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class Algorithm(ABC):
    """An algorithm that a script registers; made with an instance of its backend."""

    @abstractmethod
    def train(self, **kwargs: Any) -> Any:
        """Trains; blocking."""

    @abstractmethod
    def get_required_params(self) -> dict[str, Any]:
        """Argument name to type."""

    @abstractmethod
    def get_optional_params(self) -> dict[str, Any]:
        """Argument name to type."""


class Backend(ABC):
    """A backend of such an algorithm. sft() and osft() need one of ours (kubetune_trainer.backends.base), which can be judged."""

    @abstractmethod
    def execute_training(self, algorithm_params: dict[str, Any]) -> Any:
        """Trains with the algorithm's arguments; blocking."""
