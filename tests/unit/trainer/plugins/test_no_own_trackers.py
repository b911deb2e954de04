from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.launch.command import Launch, worker_environment

LOADED = """
import sys
from kubetune_trainer.plugins import install
install({{**{others!r}, "no_own_trackers": {{"module": {module!r}}}}})
loaded = [name for name in ("mlflow", "wandb") if name in sys.modules]
import wandb
print(loaded, hasattr(wandb, "init"))
"""


@pytest.mark.parametrize(
    ("module", "others"), [("instructlab.training", {"loader_workers": {"count": 0}}), ("mini_trainer", {"tied_embeddings": {}})]
)
def test_a_rank_loads_no_tracker_and_a_callback_still_can(module: str, others: dict[str, object]) -> None:
    """Whatever other plug-in imports the backend, too."""
    script = LOADED.format(module=module, others=others)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[] True"


def test_the_ranks_are_not_told_where_to_log() -> None:
    """With these set the backends would log by themselves, and fail with the server."""
    given = {"MLFLOW_TRACKING_URI": "http://m", "MLFLOW_EXPERIMENT_NAME": "e", "WANDB_PROJECT": "p", "WANDB_API_KEY": "k"}
    environment = worker_environment(given, Launch(Torchrun(), Path("/logs")), cores=2)
    assert {name for name in environment if name.startswith(("MLFLOW", "WANDB"))} == {"WANDB_API_KEY"}
