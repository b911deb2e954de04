"""What both backends share: the step axis, file names and the launch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kubetune_trainer.backends.base import BackendRun, FoundCheckpoint, StepMetrics
from kubetune_trainer.plugins.saving import STATE_FILE

DEFAULT_EPOCHS = 1  # both backends'


def node_log_dir(run: BackendRun) -> Path:
    """Rank logs of this node. Beside those of the other nodes, so that the master can tell what ended another node."""
    return run.output_dir / "logs" / f"node-{run.torchrun.node_rank}"


def total_steps(run: BackendRun) -> int:
    """Both samplers cut each epoch's samples into batches of effective_batch_size and keep the short last one."""
    with run.data_file.open("rb") as lines:
        samples = sum(1 for line in lines if line.strip())
    return run.parameters.get("num_epochs", DEFAULT_EPOCHS) * -(-samples // run.parameters["effective_batch_size"])


def renamed(parameters: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The given ones of `names`, by the backend's names."""
    return {theirs: parameters[ours] for ours, theirs in names.items() if parameters.get(ours) is not None}


def uses_flash_attention(run: BackendRun) -> bool:
    """Both backends want flash_attn on a GPU; where it is not installed they pad (instructlab) or use sdpa (mini-trainer)."""
    return run.device == "gpu" and find_spec("flash_attn") is not None


def timestamp(value: Any) -> datetime | None:
    """The backends log local time without a zone."""
    return datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else None


def found_checkpoints(home: Path, states: Path, pattern: re.Pattern[str], steps: list[StepMetrics]) -> list[FoundCheckpoint]:
    """Hugging Face directories beneath `home` whose samples count is on the step axis, and full states beneath `states`."""
    found = [c for path in listed(home) if (c := hf_checkpoint(path, pattern, steps))]
    found += [c for path in listed(states) if (c := full_state(path))]
    return sorted(found, key=lambda c: (c.step, c.kind))


def listed(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


def hf_checkpoint(path: Path, pattern: re.Pattern[str], steps: list[StepMetrics]) -> FoundCheckpoint | None:
    """None for another name, and for a samples count whose step is not logged (yet)."""
    match = pattern.fullmatch(path.name)
    at = [s for s in steps if match and s.samples_seen == float(match[1])]
    if not at:
        return None
    return FoundCheckpoint(path, "hf", at[-1].step, complete_epochs(at[-1]))


def complete_epochs(step: StepMetrics) -> int:
    return step.step // step.steps_per_epoch


def full_state(path: Path) -> FoundCheckpoint | None:
    """A full state says itself what it holds, in a file that is there before the directory gets its name."""
    note = path / STATE_FILE
    if not note.is_file():
        return None
    state = json.loads(note.read_text())
    return FoundCheckpoint(path, "full-state", state["step"], state["epoch"])
