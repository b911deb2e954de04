"""What both backends share: the step axis, file names and the launch."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kubetune_trainer.backends.base import BackendRun, FoundCheckpoint
from kubetune_trainer.contract import CheckpointKind
from kubetune_trainer.launch.command import Launch
from kubetune_trainer.launch.evidence import STOP_FILE
from kubetune_trainer.plugins.ranks import NODE_OUTPUT_ENV
from kubetune_trainer.plugins.saving import STATE_FILE

log = logging.getLogger(__name__)

DEFAULT_EPOCHS = 1  # both backends'


def node_log_dir(run: BackendRun) -> Path:
    """Rank logs of this node. Beside those of the other nodes, so that the master can tell what ended another node."""
    return run.output_dir / "logs" / f"node-{run.torchrun.node_rank}"


def launch(run: BackendRun, metrics_file: Path, environment: Mapping[str, str] | None = None, **more: Any) -> Launch:
    """`environment`: beside what the plug-ins that save must know. `more`: Launch's own fields."""
    environment = {**(environment or {}), **({NODE_OUTPUT_ENV: "1"} if run.node_output else {})}
    return Launch(
        run.torchrun,
        node_log_dir(run),
        run.device,
        environment=environment,
        metrics_file=metrics_file,
        patience=run.patience,
        **more,
    )


def stop_file(run: BackendRun) -> Path | None:
    return node_log_dir(run) / STOP_FILE if run.checkpoint.on_preemption else None


def total_steps(run: BackendRun) -> int | None:
    """Both samplers cut each epoch's samples into batches of effective_batch_size and keep the short last one.

    None where the backend holds some of the samples back for validation: its own count then tells.
    """
    if run.further.get("validation_split"):
        return None
    with run.data_file.open("rb") as lines:
        samples = sum(1 for line in lines if line.strip())
    epochs, batch = run.parameters.get("num_epochs", DEFAULT_EPOCHS), run.parameters["effective_batch_size"]
    return int(epochs * -(-samples // batch))


def renamed(parameters: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The given ones of `names`, by the backend's names."""
    return {theirs: parameters[ours] for ours, theirs in names.items() if parameters.get(ours) is not None}


def uses_flash_attention(run: BackendRun) -> bool:
    """Both backends want flash_attn on a GPU; where it is not installed they pad (instructlab) or use sdpa (mini-trainer)."""
    return run.device == "gpu" and find_spec("flash_attn") is not None


def warn_without_flash_attention(run: BackendRun) -> None:
    if run.device == "gpu" and not uses_flash_attention(run):
        log.warning("flash_attn is not installed: training works without it, but slower and with more memory")


def callbacks(run: BackendRun, listener: Any) -> list[Any]:
    """The caller's, after our `listener`."""
    return [listener, *(run.further.get("callbacks") or [])]


def timestamp(value: Any) -> datetime | None:
    """The backends log local time without a zone."""
    return datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else None


def found_checkpoints(run: BackendRun, states: str) -> list[FoundCheckpoint]:
    """The whole ones: each says itself what it holds, in a file that is written last. `states`: the full states' directory."""
    found = [c for path in listed(run.output_dir / "hf_format") if (c := found_checkpoint(path, "hf"))]
    found += [c for path in listed(run.output_dir / states) if (c := found_checkpoint(path, "full-state"))]
    return sorted(found, key=lambda c: (c.step, c.kind))


def listed(directory: Path) -> list[Path]:
    """Hidden ones are not checkpoints any more, or not yet: a state that the ranks remove still has its mark for a moment."""
    return sorted(directory.glob("[!.]*"))


def found_checkpoint(path: Path, kind: CheckpointKind) -> FoundCheckpoint | None:
    """None for a directory that is not whole (yet), or gone meanwhile: older full states are removed while others look."""
    try:
        state = json.loads((path / STATE_FILE).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return FoundCheckpoint(path, kind, state["step"], state["epoch"], state.get("seconds"))
