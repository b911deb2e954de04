"""A job of the embedded cluster whose epochs are long enough to be disturbed in the second one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from runs import Workspace, wait_for

ROWS, BATCH, EPOCHS = 240, 4, 3
STEPS = ROWS // BATCH


def long_job(workspace: Workspace, data: Path, kind: str, nodes: int = 1) -> dict[str, Any]:
    training = {"numEpochs": EPOCHS, "effectiveBatchSize": BATCH}
    return workspace.job(kind, dataset={"uri": str(data)}, nodes=nodes, training=training)


def in_second_epoch(workspace: Workspace, kind: str) -> dict[str, Any] | None:
    """The stored job once the first epoch's state is verified and the second epoch is under way."""
    stored = workspace.stored(kind)
    status = stored.get("status", {})
    saved = [c for c in status.get("checkpoints", []) if c["kind"] == "full-state" and c["verified"]]
    return stored if saved and status.get("progress", {}).get("step", 0) > STEPS else None


def reach_second_epoch(workspace: Workspace, process: subprocess.Popen[str], kind: str) -> dict[str, Any]:
    stored = wait_for(lambda: in_second_epoch(workspace, kind), process)
    assert stored["status"]["progress"]["step"] < EPOCHS * STEPS, "the run was over before it could be disturbed"
    return stored


def newest_state(stored: dict[str, Any]) -> dict[str, Any]:
    """The full state from which the next attempt goes on."""
    states = [c for c in stored["status"]["checkpoints"] if c["kind"] == "full-state" and c["verified"]]
    return max(states, key=lambda c: c["step"])
