"""A backend's own arguments beyond those of the usage documents, as its TrainingArgs declares them.

Nothing is listed here by name: a new version's new argument can be given at once, and a removed one is refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Annotated, Any, Protocol, runtime_checkable

from pydantic import TypeAdapter, ValidationError

from kubetune_trainer.errors import ConfigurationError


@dataclasses.dataclass(frozen=True)
class Further:
    """What a caller may hand through to one backend."""

    backend: str
    types: Mapping[str, Any]  # argument to type, with its constraints
    taken: Mapping[str, str]  # argument of the backend that kubetune sets itself: what to do instead

    @property
    def names(self) -> Collection[str]:
        return self.types.keys() - self.taken.keys()

    def check(self, name: str, value: object) -> Any:
        """The value as the backend's type for it.

        Raises:
            ConfigurationError: kubetune sets that argument itself, or the value is none of its type.

        """
        if name in self.taken:
            raise ConfigurationError(name, value, f"cannot be handed to {self.backend}", self.taken[name])
        try:
            return TypeAdapter(self.types[name]).validate_python(value)
        except ValidationError as error:
            problem = f"is refused: {error.errors(include_url=False)[0]['msg']}"
            raise ConfigurationError(name, value, problem, f"see {name} in {self.backend}'s TrainingArgs") from None


@runtime_checkable
class TakesFurther(Protocol):
    """A backend to which more than the documented arguments can be handed."""

    def further(self) -> Further:
        """What can be; imports the backend."""


def further_of(
    backend: str, training_args: type, run_training: Callable[..., None], names: Mapping[str, str], taken: Mapping[str, str]
) -> Further:
    """Reads the backend's own declaration.

    Args:
        backend: its name.
        training_args: its dataclass or pydantic model of arguments.
        run_training: what reads them.
        names: the usage document's names to the backend's.
        taken: see Further; those of `names` need not be among them.

    """
    types = {name: kind for name, kind in types_of(training_args).items() if is_read(name, run_training)}
    renamed = {theirs: f"use {ours}" for ours, theirs in names.items() if theirs != ours}
    return Further(backend, types, {**renamed, **taken})


def types_of(training_args: type) -> dict[str, Any]:
    if dataclasses.is_dataclass(training_args):
        hints = typing.get_type_hints(training_args)
        return {field.name: hints[field.name] for field in dataclasses.fields(training_args)}
    fields = training_args.model_fields  # type: ignore[attr-defined]  # pydantic's
    return {name: Annotated[field.annotation, None, *field.metadata] for name, field in fields.items()}  # None: one is needed


def is_read(name: str, run_training: Callable[..., None]) -> bool:
    """Whether the backend hands the argument on to its workers.

    mini-trainer 0.9.0 declares beta1, beta2, eps and weight_decay and never looks at them. An attribute that a function
    reads is among its code's names; one that hands everything on at once reads not even the learning rate.
    """
    read = run_training.__code__.co_names
    return name in read or "learning_rate" not in read


@contextlib.contextmanager
def refusals(backend: str, further: Mapping[str, Any]) -> Iterator[None]:
    """Within it, what the backend says against the arguments as a whole is a ConfigurationError that names them."""
    try:
        yield
    except ConfigurationError:
        raise
    except (ValueError, TypeError) as error:
        if not further:
            raise
        text = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else str(error)
        problem = f"is refused by {backend}: {text.removeprefix('Value error, ')}"
        remedy = "change these arguments or leave them out"
        raise ConfigurationError(", ".join(further), list(further.values()), problem, remedy) from error
