"""The library: sft() and osft(), with the arguments of the usage documents."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from kubetune_trainer.backends.base import Backend, Torchrun
from kubetune_trainer.contract import CheckpointPolicy
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.parameters import PARAMETERS
from kubetune_trainer.registry import create_algorithm
from kubetune_trainer.validation import parameters_of, unknown_name

if TYPE_CHECKING:
    from kubetune_trainer.run import RunPlan, RunResult

Device = Literal["gpu", "cpu"]

PLACES: dict[str, type] = {"model_path": str, "data_path": str, "ckpt_output_dir": str}
"""The three arguments that say where everything is; required by every algorithm."""

NODES: dict[str, Any] = {"nproc_per_node": int, "nnodes": int, "node_rank": int, "rdzv_id": int, "rdzv_endpoint": str}
"""torchrun's; not given: this node alone, one process."""

ALIASES = {"osft": {"batch_size": "effective_batch_size"}}


class TrainingAlgorithm:
    """What SFTAlgorithm and OSFTAlgorithm share."""

    name: ClassVar[str]

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
        known = {*PLACES, *NODES, "device", *PARAMETERS[self.name].model_fields}
        for name in given:
            if name not in known:
                raise unknown_name("argument", name, known)
        for name in PLACES:
            if not given.get(name):
                raise ConfigurationError(name, given.get(name), "is missing", "give its path")
        elsewhere = {*PLACES, *NODES, "device"}
        parameters = parameters_of(self.name, {k: v for k, v in given.items() if k not in elsewhere})
        output_dir = Path(given["ckpt_output_dir"]).absolute()
        data_dir = getattr(parameters, "data_output_dir", None)
        return RunPlan(
            algorithm=self.name,
            backend=self.backend,
            model=given["model_path"],
            dataset=given["data_path"],
            dataset_format="processed" if getattr(parameters, "use_processed_dataset", None) else "messages",
            output_dir=output_dir,
            output_uri=str(output_dir),
            parameters=parameters,
            torchrun=torchrun_of(given),
            device=device_of(given.get("device")),
            checkpoint=CheckpointPolicy(every_epoch=getattr(parameters, "accelerate_full_state_at_epoch", None) is not False),
            data_dir=Path(data_dir).absolute() if data_dir else None,
        )

    def get_required_params(self) -> dict[str, Any]:
        """Argument name to type: the three places first, then the required parameters."""
        return {**PLACES, **self._fields(required=True)}

    def get_optional_params(self) -> dict[str, Any]:
        """Argument name to type."""
        return {**self._fields(required=False), **NODES, "device": str}

    def _fields(self, *, required: bool) -> dict[str, Any]:
        fields = PARAMETERS[self.name].model_fields
        return {name: plain_type(f.annotation) for name, f in fields.items() if f.is_required() == required}


class SFTAlgorithm(TrainingAlgorithm):
    """Supervised fine-tuning."""

    name: ClassVar[str] = "sft"


class OSFTAlgorithm(TrainingAlgorithm):
    """Orthogonal subspace fine-tuning (arXiv:2504.07097)."""

    name: ClassVar[str] = "osft"


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


def sft(  # noqa: PLR0913 - the usage document's arguments
    model_path: str,
    data_path: str,
    ckpt_output_dir: str,
    *,
    backend: str = "instructlab-training",
    num_epochs: int | None = None,
    effective_batch_size: int | None = None,
    learning_rate: float | None = None,
    max_seq_len: int | None = None,
    max_tokens_per_gpu: int | None = None,
    data_output_dir: str | None = None,
    save_samples: int | None = None,
    warmup_steps: int | None = None,
    accelerate_full_state_at_epoch: bool | None = None,
    checkpoint_at_epoch: bool | None = None,
    seed: int | None = None,
    use_liger: bool | None = None,
    nproc_per_node: int | None = None,
    nnodes: int | None = None,
    node_rank: int | None = None,
    rdzv_id: int | str | None = None,
    rdzv_endpoint: str | None = None,
    device: Device | None = None,
    **unknown: Any,
) -> RunResult:
    """Supervised fine-tuning of all weights. None is "not set".

    Args:
        model_path: Hugging Face model directory.
        data_path: JSONL file, a conversation ({"messages": [...]}) a line.
        ckpt_output_dir: where everything is written; checkpoints are in hf_format/ below it.
        backend: "instructlab-training".
        num_epochs: passes over the data. Default 1.
        effective_batch_size: samples an optimizer step, over all processes. Default 128.
        learning_rate: peak rate of AdamW. Default 2e-5.
        max_seq_len: tokens; longer samples are left out and counted. Default 4096, or what the model can take.
        max_tokens_per_gpu: tokens of a mini-batch on one GPU, at least max_seq_len. Default max_seq_len.
        data_output_dir: where the tokenised data set goes. Default: below ckpt_output_dir.
        save_samples: save a checkpoint at exact multiples of this many samples; 0 for never. Default 0.
        warmup_steps: steps over which the rate rises from 0. Default 0.
        accelerate_full_state_at_epoch: save the full training state between epochs. Default True.
        checkpoint_at_epoch: save a Hugging Face checkpoint at the end of each epoch. Default True.
        seed: of shuffling and dropout. Default 42.
        use_liger: Liger's kernels, GPU only. Default False.
        nproc_per_node: processes (GPUs) on this node. Default 1.
        nnodes: nodes. Default 1.
        node_rank: this node, from 0. Default 0.
        rdzv_id: the same on all nodes of one run.
        rdzv_endpoint: the first node's host:port; "" for a single node.
        device: "gpu" or "cpu". Default: a GPU if torch sees one.
        unknown: refused, with the nearest known name.

    Returns:
        kubetune_trainer.run.RunResult: the steps, losses, seconds by phase and the verified checkpoint.

    Raises:
        ConfigurationError: (a ValueError) an argument or the data must be changed; names it, its value and the remedy.
        TrainingError: the run failed or did not do all that it should have.

    """
    arguments = {**locals()}
    return call("sft", arguments)


def osft(  # noqa: PLR0913 - the usage document's arguments
    model_path: str,
    data_path: str,
    ckpt_output_dir: str,
    *,
    unfreeze_rank_ratio: float,
    max_tokens_per_gpu: int,
    max_seq_len: int,
    learning_rate: float,
    effective_batch_size: int | None = None,
    batch_size: int | None = None,
    backend: str = "mini-trainer",
    num_epochs: int | None = None,
    warmup_steps: int | None = None,
    seed: int | None = None,
    target_patterns: list[str] | None = None,
    use_processed_dataset: bool | None = None,
    unmask_messages: bool | None = None,
    use_liger: bool | None = None,
    osft_memory_efficient_init: bool | None = None,
    lr_scheduler: str | None = None,
    lr_scheduler_kwargs: dict[str, Any] | None = None,
    checkpoint_at_epoch: bool | None = None,
    save_final_checkpoint: bool | None = None,
    nproc_per_node: int | None = None,
    nnodes: int | None = None,
    node_rank: int | None = None,
    rdzv_id: int | str | None = None,
    rdzv_endpoint: str | None = None,
    device: Device | None = None,
    **unknown: Any,
) -> RunResult:
    """Orthogonal subspace fine-tuning (arXiv:2504.07097): trains the directions of the smallest singular values. None is "not set".

    Args:
        model_path: Hugging Face model directory.
        data_path: JSONL file, a conversation ({"messages": [...]}) a line, or tokenised samples (use_processed_dataset).
        ckpt_output_dir: where everything is written; checkpoints are in hf_format/ below it.
        unfreeze_rank_ratio: share of each matrix's singular directions that is trained, 0 to 1; seldom more than 0.5.
        max_tokens_per_gpu: tokens of a mini-batch on one GPU.
        max_seq_len: tokens; longer samples are left out and counted.
        learning_rate: peak rate of AdamW.
        effective_batch_size: samples an optimizer step, over all processes. Required, by this name or the next.
        batch_size: another name of effective_batch_size; both are refused.
        backend: "mini-trainer".
        num_epochs: passes over the data. Default 1.
        warmup_steps: steps over which the rate rises from 0. Default 0.
        seed: of shuffling and dropout. Default 42.
        target_patterns: substrings of the names of the matrices to decompose. Default: the backend's for the model.
        use_processed_dataset: the data is tokenised: input_ids and labels a line. Default False.
        unmask_messages: count all but system messages in the loss. Default False: assistant turns only.
        use_liger: Liger's kernels, GPU only. Default False.
        osft_memory_efficient_init: accepted, warned of and ignored: the backend always does it.
        lr_scheduler: transformers' name of the schedule. Default "cosine".
        lr_scheduler_kwargs: its further arguments. Default none.
        checkpoint_at_epoch: save a Hugging Face checkpoint at the end of each epoch. Default False.
        save_final_checkpoint: save one after the last step. Default True.
        nproc_per_node: processes (GPUs) on this node. Default 1.
        nnodes: nodes. Default 1.
        node_rank: this node, from 0. Default 0.
        rdzv_id: the same on all nodes of one run.
        rdzv_endpoint: the first node's host:port; "" for a single node.
        device: "gpu" or "cpu". Default: a GPU if torch sees one.
        unknown: refused, with the nearest known name.

    Returns:
        kubetune_trainer.run.RunResult: the steps, losses, seconds by phase and the verified checkpoint.

    Raises:
        ConfigurationError: (a ValueError) an argument or the data must be changed; names it, its value and the remedy.
        TrainingError: the run failed or did not do all that it should have.

    """
    arguments = {**locals()}
    return call("osft", arguments)


def call(algorithm: str, arguments: dict[str, Any]) -> RunResult:
    """`arguments` are a function's own locals: the backend is taken out, and what it does not know is put beside the rest."""
    backend, unknown = arguments.pop("backend"), arguments.pop("unknown")
    result: RunResult = create_algorithm(algorithm, backend).train(**arguments, **unknown)
    return result
