"""Against backends made up here: nothing of the installed ones is known by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, Field, model_validator

from kubetune_trainer.api import further_arguments
from kubetune_trainer.backends.further import Further, further_of, is_read, refusals
from kubetune_trainer.errors import ConfigurationError


@dataclass
class Plain:
    batch_size: int
    learning_rate: float
    momentum: float | None = None
    declared_only: float = 0.0
    resume: str | None = None


class Model(BaseModel):
    batch_size: int
    learning_rate: float
    momentum: float | None = Field(default=None, gt=0)
    declared_only: float = 0.0
    resume: str | None = None

    @model_validator(mode="after")
    def _together(self) -> Model:
        if self.momentum and self.resume:
            raise ValueError("momentum and resume exclude each other")
        return self


def run_training(_torchrun: object, train_args: Any) -> None:
    print(train_args.batch_size, train_args.learning_rate, train_args.momentum, train_args.resume)


def run_with_all_at_once(_torchrun: object, train_args: Any) -> None:
    print(vars(train_args))


def further(training_args: type, run: Callable[..., None] = run_training) -> Further:
    return further_of(
        "mine", training_args, run, {"effective_batch_size": "batch_size", "learning_rate": "learning_rate"}, {"resume": "do not"}
    )


@pytest.mark.parametrize("kind", [Plain, Model])
def test_what_the_backend_declares_and_reads_can_be_given(kind: type) -> None:
    found = further(kind)
    assert set(found.names) == {"learning_rate", "momentum"}
    assert found.check("momentum", "0.5") == 0.5
    assert found.check("momentum", None) is None
    for name, value, message in (
        ("batch_size", 3, "batch_size: 3 cannot be handed to mine; use effective_batch_size"),
        ("resume", "x", "resume: 'x' cannot be handed to mine; do not"),
        ("momentum", "much", "momentum: 'much' is refused: Input should be a valid number.*; see momentum in mine's TrainingArgs"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            found.check(name, value)


def test_a_models_constraints_hold() -> None:
    with pytest.raises(ConfigurationError, match="momentum: -1 is refused: Input should be greater than 0"):
        further(Model).check("momentum", -1)


def test_what_is_declared_and_never_read_is_not_known() -> None:
    assert "declared_only" not in further(Plain).types
    assert is_read("momentum", run_training)
    assert not is_read("declared_only", run_training)
    assert "declared_only" in further(Plain, run_with_all_at_once).types  # it may read all of them


class Taking:
    name = "mine"

    def further(self) -> Further:
        return further(Plain)


def test_unknown_names_with_the_nearest_of_both() -> None:
    known = {"num_epochs"}
    assert further_arguments(Taking(), {"momentum": 1}, known) == {"momentum": 1.0}  # type: ignore[arg-type]  # enough of a backend
    for name, near in (("momentun", "momentum"), ("num_epoch", "num_epochs")):
        with pytest.raises(ConfigurationError, match=rf"argument: '{name}' is not known; did you mean {near}\?"):
            further_arguments(Taking(), {name: 1}, known)  # type: ignore[arg-type]  # as above


def test_a_backend_that_takes_none() -> None:
    class Bare:
        name = "bare"

    assert further_arguments(Bare(), {}, set()) == {}  # type: ignore[arg-type]  # as above
    with pytest.raises(ConfigurationError, match="argument: 'momentum' is not known; known: a, b"):
        further_arguments(Bare(), {"momentum": 1}, {"a", "b"})  # type: ignore[arg-type]  # as above


def test_what_the_backend_says_against_several_names_them() -> None:
    given = {"momentum": 0.5, "resume": "x"}
    message = r"momentum, resume: \[0.5, 'x'\] is refused by mine: momentum and resume exclude each other; change these"
    with pytest.raises(ConfigurationError, match=message), refusals("mine", given):
        Model(batch_size=1, learning_rate=1, **given)
    with pytest.raises(ConfigurationError, match="is refused by mine: no trigger"), refusals("mine", given):
        raise ValueError("no trigger")
    with pytest.raises(ConfigurationError, match=r"^field: 1 is wrong; mend it$"), refusals("mine", given):
        raise ConfigurationError("field", 1, "is wrong", "mend it")
    with pytest.raises(ZeroDivisionError), refusals("mine", given):
        raise ZeroDivisionError
    with pytest.raises(ValueError, match=r"^a fault of the backend's own$"), refusals("mine", {}):
        raise ValueError("a fault of the backend's own")
