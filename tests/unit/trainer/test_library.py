"""The library with the real backends, beyond the usage documents' examples."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from backend_runs import weights
from instructlab.training.callbacks import TrainerCallback
from waiting import until

from kubetune_trainer import osft, sft
from kubetune_trainer.errors import ConfigurationError

pytestmark = pytest.mark.train


class Noter(TrainerCallback):
    """Its source alone travels to the workers: nothing in it may need what is outside."""

    def on_train_end(self, context):
        import pathlib

        (pathlib.Path(context.output_dir) / "noted").write_text(str(context.step))


@pytest.fixture
def places(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> dict[str, str]:
    return {
        "model_path": str(tiny_model),
        "data_path": str(tiny_data),
        "ckpt_output_dir": str(tmp_path / "out"),
        "device": "cpu",
    }


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_further_arguments_reach_instructlab_training(places: dict[str, str], tmp_path: Path) -> None:
    result = sft(
        **places,  # type: ignore[arg-type]  # device is one of two words
        effective_batch_size=16,
        adamw_betas=(0.8, 0.9),
        validation_split=0.25,
        validation_frequency=1,
        callbacks=[Noter()],
    )
    assert (result.reached_end, result.total_steps) == (True, 3)  # 36 samples: a quarter is held back
    logged = lines(tmp_path / "out" / "training_params_and_metrics_global0.jsonl")
    assert any(line.get("adamw_beta1") == 0.8 or "0.8" in json.dumps(line) for line in logged if "avg_loss" not in line)
    assert any("val_loss" in line for line in logged)
    until((tmp_path / "out" / "noted").exists, "the callback's note")


def test_further_arguments_reach_mini_trainer(places: dict[str, str], tmp_path: Path) -> None:
    arguments: dict[str, Any] = {
        **places,
        "unfreeze_rank_ratio": 0.3,
        "effective_batch_size": 16,
        "max_tokens_per_gpu": 1024,
        "max_seq_len": 256,
        "learning_rate": 1e-3,
    }
    with pytest.raises(ConfigurationError, match=r"validation_split: .* is refused by mini-trainer: .*no validation trigger"):
        osft(**arguments, validation_split=0.25)
    result = osft(**arguments, validation_split=0.25, validate_at_epoch=True, save_dtype="bfloat16")
    assert (result.reached_end, result.total_steps) == (True, 3)
    assert result.checkpoint is not None
    assert {tensor.dtype for tensor in weights(Path(result.checkpoint.uri)).values()} == {torch.bfloat16}


WHOLE_RUN = 1500  # seconds; it takes ten of a machine that does nothing else

CALL = "import json, sys; from kubetune_trainer import sft; sft(**json.loads(sys.argv[1]))"


@pytest.mark.timeout(2 * WHOLE_RUN)
def test_a_call_killed_in_mid_run_is_gone_on_with_by_the_same_call(
    places: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    call = {**places, "num_epochs": 12, "effective_batch_size": 24, "learning_rate": 1e-3}
    saved = tmp_path / "out" / "full_state"
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-c", CALL, json.dumps(call)], stdout=log, stderr=log)
        try:
            until(
                lambda: [*saved.glob("*/kubetune-manifest.json")] or process.poll() is not None, "a full state", seconds=WHOLE_RUN
            )
            assert process.poll() is None, (tmp_path / "log").read_text()[-3000:]
        finally:
            process.kill()  # SIGKILL: nothing of ours can tidy up
            process.wait()

    result = sft(**call)  # type: ignore[arg-type]  # as written above
    assert "holds an unfinished run of this same call: it is gone on with" in caplog.text
    assert result.resumed_from is not None
    assert Path(result.resumed_from).is_relative_to(tmp_path / "out" / "previous-1" / "full_state")
    assert (result.reached_end, result.step, result.total_steps) == (True, 24, 24)
    assert len(result.losses) == 24 - int(result.resumed_from.rpartition("_")[2])
