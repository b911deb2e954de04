"""What the backends' own arguments let pass. Nothing is trained, so that these run in `make unit`, too."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from instructlab.training import sampler
from instructlab.training.config import TrainingArgs as SFTArgs
from mini_trainer.training_types import TrainingArgs as OSFTArgs
from raw_runs import osft_arguments, sft_arguments
from trap_records import Tell

from kubetune_trainer import osft, sft
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.plugins import even_minibatches, written_metrics

HERE = Path("/nowhere")


def osft_call(**changed: Any) -> dict[str, Any]:
    given = {
        "unfreeze_rank_ratio": 0.3,
        "effective_batch_size": 8,
        "max_tokens_per_gpu": 64,
        "max_seq_len": 64,
        "learning_rate": 1e-4,
    }
    return {"model_path": "/m", "data_path": "/d", "ckpt_output_dir": "/o", **given, **changed}


@pytest.mark.trap("ratio")
def test_a_ratio_beyond_one(tell: Tell) -> None:
    taken = OSFTArgs(**osft_arguments(HERE, HERE, HERE) | {"osft_unfreeze_rank_ratio": 2.0})
    assert taken.osft_unfreeze_rank_ratio == 2.0
    with pytest.raises(ConfigurationError, match=r"unfreeze_rank_ratio: 2\.0 is refused") as refused:
        osft(**osft_call(unfreeze_rank_ratio=2.0))
    tell(raw="2.0 is taken", ours=f"`ValueError`: `{refused.value}`")


@pytest.mark.trap("unknown-name")
def test_a_misspelt_argument(tell: Tell) -> None:
    taken = SFTArgs(**sft_arguments(HERE, HERE, HERE), num_epoch=7)
    assert taken.num_epochs == 1
    with pytest.raises(ConfigurationError, match="did you mean num_epochs") as refused:
        sft("/m", "/d", "/o", num_epoch=7)
    tell(raw="SFT's `TrainingArgs(num_epoch=7)` trains one epoch", ours=f"`ValueError`: `{refused.value}`")


@pytest.mark.trap("uneven-ranks")
def test_ranks_that_get_unequally_many_minibatches(monkeypatch: pytest.MonkeyPatch, tell: Tell) -> None:
    """The ranks' collectives then no longer meet: tests/traps/test_results.py sees two such ranks train."""

    def counts() -> list[int]:
        return [len(sampler.batch_lengths_to_minibatches_padded([43] * 16, 260, 2, rank)) for rank in (0, 1)]

    monkeypatch.setattr(sampler, "batch_lengths_to_minibatches_padded", sampler.batch_lengths_to_minibatches_padded)
    raw = counts()
    even_minibatches.install()
    ours = counts()
    assert raw[0] != raw[1]
    assert ours[0] == ours[1]
    tell(
        raw=f"16 samples of 43 tokens, 260 a mini-batch: {raw[0]} and {raw[1]} mini-batches on two ranks, whose collectives no longer "
        "meet (a hang, which is not waited for here)",
        ours=f"{ours[0]} on both, the last one empty",
    )


@pytest.mark.trap("last-line")
@pytest.mark.parametrize("module", ["instructlab.training.async_logger", "mini_trainer.async_structured_logger"])
def test_the_last_line_of_the_metrics(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell) -> None:
    logger = importlib.import_module(module).AsyncStructuredLogger
    for name in ("log_sync", "_write_logs_to_file"):
        monkeypatch.setattr(logger, name, getattr(logger, name))
    line = {"step": 2, "epoch": 1, "steps_per_epoch": 1, "loss": 0.5, "lr": 1e-5, "tokens_per_second": 3.0}

    @contextmanager
    def late(file: Path) -> Iterator[Any]:
        """A logger whose thread has not come to its turn yet."""
        made, go_on = logger(str(file)), threading.Event()
        made.loop.call_soon_threadsafe(go_on.wait)
        yield made
        go_on.set()

    with late(tmp_path / "raw.jsonl") as raw:
        raw.log_sync(dict(line))
        assert not (tmp_path / "raw.jsonl").exists()
    written_metrics.install(module=module)
    with late(tmp_path / "ours.jsonl") as ours:
        ours.log_sync(dict(line))
        assert json.loads((tmp_path / "ours.jsonl").read_text())["step"] == 2
    tell(
        raw="not written when training goes on: a process that ends now loses it, and the run looks unfinished",
        ours="written before training goes on",
    )
