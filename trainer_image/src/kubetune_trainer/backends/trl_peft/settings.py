"""What the backend tells the script that runs on every rank, as one JSON argument."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from kubetune_trainer.contract import CheckpointPolicy


class Settings(BaseModel):
    """One run on one node. Every path absolute."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model_dir: str
    data_file: str
    output_dir: str
    metrics_file: str  # the node's own
    cache_dir: str  # the node's own: the data set as Arrow makes it
    parameters: dict[str, Any]  # LoRASFTParameters.filled, target_modules resolved
    samples: int  # in the data file
    minibatch: int  # samples of one forward pass on one rank, at most
    checkpoint: CheckpointPolicy
    cpu: bool
    flash_attention: bool
    resume_from: str | None = None
