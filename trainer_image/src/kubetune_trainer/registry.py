"""Which algorithms there are and which backends run them: found by entry points, or registered in this process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from kubetune_trainer.backends.base import Backend
from kubetune_trainer.discovery import ALGORITHMS, BACKENDS, OWN, Plugin, installed, installed_algorithms
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.parameters import TrainingParameters
from kubetune_trainer.validation import unknown_name

if TYPE_CHECKING:
    from kubetune_trainer.checkpoints import Verifier

logger = logging.getLogger(__name__)


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
    """Algorithms by name, each with its backends; the first backend is the default.

    Installed ones come by the entry points kubetune.algorithms and kubetune.backends (docs/extending.md); what register() adds
    holds for this process and goes before them.
    """

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
        """Names: ours, other installed ones, those registered in this process. Not loaded: one of them may yet prove broken."""
        return [*(name for name in installed_algorithms() if name not in cls._algorithms), *cls._algorithms]

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
            ValueError: there is no such algorithm, or it cannot be loaded.

        """
        if name in cls._algorithms:
            return cls._algorithms[name]
        return cast("type[Algorithm]", cls._plugin(name).load())

    @classmethod
    def backends(cls, algorithm: str) -> dict[str, Callable[[], Backend]]:
        """What makes each backend of the algorithm, by name. One that cannot be loaded is left out, with a warning.

        Those of the algorithm's own distribution come first, so that installing another changes no default.

        Raises:
            ValueError: there is no such algorithm.

        """
        if algorithm in cls._algorithms:
            return cls._backends[algorithm]
        home = cls._plugin(algorithm).distribution
        found = {p: backend for p in installed(BACKENDS).values() if (backend := loaded(p)) and backend.algorithm == algorithm}
        return {p.name: found[p] for p in sorted(found, key=lambda p: (p.distribution != home, p.name))}

    @classmethod
    def _plugin(cls, name: str) -> Plugin:
        found = installed(ALGORITHMS)
        if name in found:
            return found[name]
        if not any(plugin.distribution == OWN for plugin in found.values()):
            problem = "is not known: the entry points of kubetune itself are not installed"
            raise ConfigurationError("algorithm", name, problem, "install kubetune (in a clone: make setup), also after an update")
        raise unknown_name("algorithm", name, cls.list_algorithms())


def loaded(plugin: Plugin) -> Any:
    """The class, or None where it is broken: its algorithm is then not known, and others' need not suffer."""
    try:
        return plugin.load()
    except ConfigurationError as error:
        logger.warning("%s", error)
        return None


def get_backend(algorithm: str, name: str | None = None) -> Backend:
    """A new instance of that backend of that algorithm; None: the algorithm's default.

    Raises:
        ValueError: there is no such algorithm or backend (ConfigurationError: names the nearest, or all known ones), or it
            cannot be loaded.

    """
    backends = AlgorithmRegistry.backends(algorithm)
    if name is None and not backends:
        raise ConfigurationError("algorithm", algorithm, "has no backend that can be loaded", "see the warnings, or install one")
    chosen = next(iter(backends)) if name is None else name
    if chosen not in backends:
        if (plugin := installed(BACKENDS).get(chosen)) is not None:
            plugin.load()  # a broken one says what is wrong with it
        raise unknown_name("backend", chosen, backends)
    return backends[chosen]()


def create_algorithm(algorithm_name: str, backend_name: str | None = None) -> Algorithm:
    """An instance to train with.

    Raises:
        ValueError: as get_backend.

    """
    return AlgorithmRegistry.get_algorithm(algorithm_name)(get_backend(algorithm_name, backend_name))
