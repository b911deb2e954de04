"""Which algorithms there are and which backends run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from kubetune_trainer.backends.base import Backend
from kubetune_trainer.parameters import TrainingParameters
from kubetune_trainer.validation import unknown_name

if TYPE_CHECKING:
    from kubetune_trainer.checkpoints import Verifier


class Algorithm(Protocol):
    """What AlgorithmRegistry holds: a class made with a backend. kubetune_trainer.api.TrainingAlgorithm is one to derive from."""

    parameters: ClassVar[type[TrainingParameters]]
    backend: Backend

    def __init__(self, backend: Backend) -> None: ...

    def train(self, **arguments: Any) -> Any:
        """Trains; blocking. Returns a kubetune_trainer.run.RunResult."""

    def verifiers(self) -> Mapping[str, Verifier]:
        """By kind of checkpoint ("hf", "adapter"), what reads it back."""

    def get_required_params(self) -> dict[str, Any]:
        """Argument name to type."""

    def get_optional_params(self) -> dict[str, Any]:
        """Argument name to type."""


class AlgorithmRegistry:
    """Algorithms by name, each with its backends; the first one registered is the default."""

    _algorithms: ClassVar[dict[str, type[Algorithm]]] = {}
    _backends: ClassVar[dict[str, dict[str, Callable[[], Backend]]]] = {}

    @classmethod
    def register(cls, name: str, algorithm: type[Algorithm], backends: dict[str, Callable[[], Backend]]) -> None:
        """Adds an algorithm, or replaces the one of that name. `backends`: name to what makes one; the first is the default.

        Raises:
            ValueError: no backend.

        """
        if not backends:
            raise ValueError(f"algorithm {name!r} has no backend: give at least one")
        cls._algorithms[name], cls._backends[name] = algorithm, dict(backends)

    @classmethod
    def register_algorithm(cls, name: str, algorithm_class: type[Algorithm]) -> None:
        """Adds an algorithm, which can be used once it has a backend; or replaces the class of one, which keeps its backends."""
        backends = cls.backends(name) if name in cls.list_algorithms() else {}
        cls._algorithms[name], cls._backends[name] = algorithm_class, backends

    @classmethod
    def register_backend(cls, algorithm_name: str, backend_name: str, backend_class: Callable[[], Backend]) -> None:
        """Adds a backend to an algorithm, after those that it has, or replaces the one of that name.

        Raises:
            ValueError: there is no such algorithm.

        """
        backends = {**cls.backends(algorithm_name), backend_name: backend_class}
        cls.register(algorithm_name, cls.get_algorithm(algorithm_name), backends)

    @classmethod
    def list_algorithms(cls) -> list[str]:
        """Names, in the order of registration."""
        register_own()
        return list(cls._algorithms)

    @classmethod
    def list_backends(cls, algorithm_name: str) -> list[str]:
        """Names, the default first.

        Raises:
            ValueError: there is no such algorithm.

        """
        return list(cls.backends(algorithm_name))

    @classmethod
    def get_algorithm(cls, name: str) -> type[Algorithm]:
        """The class.

        Raises:
            ValueError: there is no such algorithm.

        """
        cls.backends(name)
        return cls._algorithms[name]

    @classmethod
    def backends(cls, algorithm: str) -> dict[str, Callable[[], Backend]]:
        """What makes each backend of the algorithm, by name; ValueError for an unknown algorithm."""
        register_own()
        if algorithm not in cls._backends:
            raise unknown_name("algorithm", algorithm, cls._backends)
        return cls._backends[algorithm]


def get_backend(algorithm: str, name: str | None = None) -> Backend:
    """A new instance of that backend of that algorithm; None: the algorithm's default.

    Raises:
        ValueError: there is no such algorithm or backend (ConfigurationError: names the nearest, or all known ones).

    """
    backends = AlgorithmRegistry.backends(algorithm)
    chosen = next(iter(backends), "") if name is None else name
    if chosen not in backends:
        raise unknown_name("backend", chosen, backends)
    return backends[chosen]()


def create_algorithm(algorithm_name: str, backend_name: str | None = None) -> Algorithm:
    """An instance to train with.

    Raises:
        ValueError: as get_backend.

    """
    return AlgorithmRegistry.get_algorithm(algorithm_name)(get_backend(algorithm_name, backend_name))


def register_own() -> None:
    """Registers ours at the first use: importing the registry must not import what they need."""
    if "sft" in AlgorithmRegistry._algorithms:  # noqa: SLF001 - its own module
        return
    from kubetune_trainer.api import OSFTAlgorithm, SFTAlgorithm
    from kubetune_trainer.backends.instructlab_training import InstructLabTraining
    from kubetune_trainer.backends.mini_trainer import MiniTrainer

    AlgorithmRegistry.register("sft", SFTAlgorithm, {InstructLabTraining.name: InstructLabTraining})
    AlgorithmRegistry.register("osft", OSFTAlgorithm, {MiniTrainer.name: MiniTrainer})
