"""The library's algorithms: from the usage documents' arguments to a validated run. `documented` holds sft() and osft()."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import types
import typing
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, ParamSpec, TypeVar

from kubetune_trainer.backends.base import Backend, Torchrun
from kubetune_trainer.backends.further import Further, TakesFurther
from kubetune_trainer.contract import CheckpointPolicy
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.parameters import OSFTParameters, SFTParameters, TrainingParameters
from kubetune_trainer.registry import create_algorithm
from kubetune_trainer.storage.location import SCHEME
from kubetune_trainer.tracking.chosen import ARGUMENTS as TRACKING
from kubetune_trainer.tracking.chosen import tracking_of
from kubetune_trainer.validation import parameters_of, unknown_name

if TYPE_CHECKING:
    from kubetune_trainer.checkpoints import Verifier
    from kubetune_trainer.run import RunPlan, RunResult
    from kubetune_trainer.storage.output import OutputStore

Device = Literal["gpu", "cpu"]

PLACES: dict[str, type] = {"model_path": str, "data_path": str, "ckpt_output_dir": str}
"""The three arguments that say where everything is; required by every algorithm."""

NODES: dict[str, Any] = {"nproc_per_node": int, "nnodes": int, "node_rank": int, "rdzv_id": int, "rdzv_endpoint": str}
"""torchrun's; not given: this node alone, one process."""

ALIASES = {"osft": {"batch_size": "effective_batch_size"}}


logger = logging.getLogger(__name__)

Parameters = TypeVar("Parameters", bound=TrainingParameters)
P = ParamSpec("P")
R = TypeVar("R")


def missing_is_none(function: Callable[P, R]) -> Callable[P, R]:
    """Lets the validation speak of a required argument that is not given, instead of Python's TypeError."""
    signature = inspect.signature(function)
    kinds = inspect.Parameter
    required = [name for name, p in signature.parameters.items() if p.default is kinds.empty and p.kind is not kinds.VAR_KEYWORD]

    @functools.wraps(function)
    def called(*positional: P.args, **named: P.kwargs) -> R:
        given = signature.bind_partial(*positional, **named).arguments
        named.update({name: None for name in required if name not in given})
        return function(*positional, **named)

    return called


def call(algorithm: str, arguments: dict[str, Any]) -> RunResult:
    """`arguments` are a function's own locals: the backend is taken out, and what is beside its parameters put among them."""
    backend, further = arguments.pop("backend"), arguments.pop("further")
    result: RunResult = create_algorithm(algorithm, backend).train(**arguments, **further)
    return result


class TrainingAlgorithm:
    """What all algorithms share: one is a subclass that says its name and the class of its parameters."""

    name: ClassVar[str]
    parameters: ClassVar[type[TrainingParameters]]

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def train(self, **arguments: Any) -> RunResult:
        """Trains with the arguments of the function of the same name; blocking.

        Raises:
            ConfigurationError: (a ValueError) an argument or the data must be changed; names it, its value and the remedy.
            TrainingError: the run failed or did not do all that it should have.

        """
        from kubetune_trainer.run import run_training

        return run_training(self.plan(arguments))

    def plan(self, arguments: Mapping[str, Any]) -> RunPlan:
        """The validated run; raises ConfigurationError as train()."""
        from kubetune_trainer.run import RunPlan

        given = without_aliases(self.name, {k: v for k, v in arguments.items() if v is not None})
        fields = self.parameters.model_fields
        known = {*PLACES, *NODES, *TRACKING, "device", *fields}
        further = further_arguments(self.backend, {k: v for k, v in given.items() if k not in known}, known)
        model, dataset, output = (place(given, name) for name in PLACES)
        device = device_of(given.get("device"))
        parameters = without_liger(parameters_of(self.parameters, {k: v for k, v in given.items() if k in fields}), device)
        torchrun = torchrun_of(given)
        store = output_store(output, torchrun)
        output_dir = store.local if store else Path(output).expanduser().absolute()
        data_dir = getattr(parameters, "data_output_dir", None)
        return RunPlan(
            algorithm=self.name,
            backend=self.backend,
            model=model,
            dataset=dataset,
            dataset_format="processed" if getattr(parameters, "use_processed_dataset", None) else "messages",
            output_dir=output_dir,
            output_uri=store.root.uri if store else str(output_dir),
            parameters=parameters,
            further=further,
            torchrun=torchrun,
            device=device,
            checkpoint=CheckpointPolicy(every_epoch=getattr(parameters, "accelerate_full_state_at_epoch", None) is not False),
            data_dir=Path(data_dir).absolute() if data_dir else None,
            verifiers=self.verifiers(),
            store=store,
            tracking=tracking_of(given, output_dir, os.environ),
        )

    def verifiers(self) -> Mapping[str, Verifier]:
        """How each kind of checkpoint that holds weights is read back."""
        from kubetune_trainer.plan import plain_verifiers

        return plain_verifiers()

    def get_required_params(self) -> dict[str, Any]:
        """Argument name to type: the three places first, then the required parameters."""
        return {**PLACES, **self._fields(required=True)}

    def get_optional_params(self) -> dict[str, Any]:
        """Argument name to type."""
        return {**self._fields(required=False), **NODES, "device": str, **dict.fromkeys(TRACKING, str)}

    def _fields(self, *, required: bool) -> dict[str, Any]:
        fields = self.parameters.model_fields
        return {name: plain_type(f.annotation) for name, f in fields.items() if f.is_required() == required}


class SFTAlgorithm(TrainingAlgorithm):
    """Supervised fine-tuning."""

    name: ClassVar[str] = "sft"
    parameters: ClassVar[type[TrainingParameters]] = SFTParameters


class OSFTAlgorithm(TrainingAlgorithm):
    """Orthogonal subspace fine-tuning (arXiv:2504.07097)."""

    name: ClassVar[str] = "osft"
    parameters: ClassVar[type[TrainingParameters]] = OSFTParameters


def without_aliases(algorithm: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` by the usage document's names.

    Raises:
        ConfigurationError: an alias and its name are both given.

    """
    aliases = ALIASES.get(algorithm, {})
    for alias, name in aliases.items():
        if alias in given and name in given:
            raise ConfigurationError(alias, given[alias], f"says the same as {name} ({given[name]!r})", "give only one of them")
    return {aliases.get(name, name): value for name, value in given.items()}


def further_arguments(backend: Backend, unknown: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """What is no argument of ours, as arguments of the backend's own.

    Raises:
        ConfigurationError: a name that neither knows, or one that cannot be handed through, or a value of the wrong type.

    """
    if not unknown:
        return {}
    further = backend.further() if isinstance(backend, TakesFurther) else Further(backend.name, {}, {})
    for name in unknown:
        if name not in further.types and name not in further.taken:
            raise unknown_name("argument", name, {*known, *further.names})
    return {name: further.check(name, value) for name, value in unknown.items()}


def place(given: Mapping[str, Any], name: str) -> str:
    """A path as text.

    Raises:
        ConfigurationError: missing, or no path.

    """
    value = given.get(name)
    if value is None or value == "":
        raise ConfigurationError(name, value, "is missing", "give its path")
    if not isinstance(value, str | os.PathLike):
        raise ConfigurationError(name, value, "is no path", "give it as a string")
    return os.fspath(value)


def torchrun_of(given: Mapping[str, Any]) -> Torchrun:
    """Who takes part, from torchrun's own argument names.

    Raises:
        ConfigurationError: a number out of range, or several nodes without the master's host:port.

    """
    nodes, rank = number(given, "nnodes", 1, 1), number(given, "node_rank", 0, 0)
    endpoint = given.get("rdzv_endpoint") or None
    if rank >= nodes:
        raise ConfigurationError("node_rank", rank, f"is not below nnodes ({nodes})", f"use 0 to {nodes - 1}")
    if nodes > 1 and endpoint is None:
        raise ConfigurationError("rdzv_endpoint", "", "is missing for several nodes", "give the first node's host:port")
    if endpoint is not None and not is_endpoint(endpoint):
        raise ConfigurationError("rdzv_endpoint", endpoint, "is not host:port", "give the first node's name and a free port of it")
    return Torchrun(
        nproc_per_node=number(given, "nproc_per_node", 1, 1),
        nnodes=nodes,
        node_rank=rank,
        rdzv_id=str(given.get("rdzv_id", 0)),
        endpoint=endpoint if nodes > 1 else None,
    )


def output_store(output: str, torchrun: Torchrun) -> OutputStore | None:
    """Of ckpt_output_dir="s3://bucket/key"; None for a directory.

    Raises:
        ConfigurationError: no such form, or several nodes.

    """
    if not output.startswith(SCHEME):
        return None
    from kubetune_trainer.storage.runs import run_of_its_own
    from kubetune_trainer.storage.settings import StoreSettings

    return run_of_its_own(output, torchrun, StoreSettings.from_environment(os.environ), datetime.now(UTC))


def number(given: Mapping[str, Any], name: str, default: int, least: int) -> int:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(name, value, f"is no whole number from {least}", f"leave it out for {default}")
    return value


def is_endpoint(text: object) -> bool:
    host, colon, port = str(text).rpartition(":")
    return bool(host and colon and port.isdigit() and 0 < int(port) < 65536)


def device_of(device: object) -> Device:
    """The given one; None: a GPU if torch sees one, else the CPU.

    Raises:
        ConfigurationError: another word.

    """
    if device is None:
        import torch

        return "gpu" if torch.cuda.is_available() else "cpu"
    if device == "gpu" or device == "cpu":  # noqa: PLR1714 - mypy narrows this form
        return device
    raise ConfigurationError("device", device, "is not known", 'use "gpu" or "cpu"')


def without_liger(parameters: Parameters, device: Device) -> Parameters:
    """Liger's kernels only make a GPU faster: a script that asks for them still runs where there is none, and is told so."""
    if device == "gpu" or not parameters.use_liger:
        return parameters
    logger.warning("use_liger has no effect on the CPU: Liger's kernels need a GPU")
    return parameters.model_copy(update={"use_liger": None})


def plain_type(annotation: Any) -> Any:
    """The type a user would write: without None, bounds and the list of allowed words (Annotated, Optional, Literal)."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return plain_type(arguments[0])
    if origin is Literal:
        return type(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return plain_type(next(a for a in arguments if a is not type(None)))
    return list[plain_type(arguments[0])] if origin is list else annotation  # type: ignore[misc]  # made at run time
