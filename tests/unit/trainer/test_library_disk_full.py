"""SFT by the real backend on a disk that holds the weights, and no full state."""

from __future__ import annotations

from pathlib import Path

import pytest
from instructlab.training.callbacks import TrainerCallback
from small_disk import small_disk

from kubetune_trainer import sft
from kubetune_trainer.checkpoints import check_manifest
from kubetune_trainer.checkpoints.ledger import read_ledger

pytestmark = pytest.mark.train

PER_EPOCH, EPOCHS = 2, 3
SIZE = 2 << 20  # the weights of three epochs, half a MB each, and logs; a full state is 1.5 MB


class Optimist(TrainerCallback):
    """From the second epoch on a shortage is no longer foreseen: the save itself runs out of space, in torch's own writer."""

    def on_epoch_begin(self, context):
        from kubetune_trainer.plugins import periodic_save_sft

        if context.epoch > 0:
            periodic_save_sft.bytes_of = lambda model, optimizer: 0


def test_the_run_goes_on_without_full_states_and_the_ledger_says_so(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "out", SIZE) as disk:
        result = sft(
            str(tiny_model),
            str(tiny_data),
            str(disk),
            num_epochs=EPOCHS,
            effective_batch_size=24,
            learning_rate=1e-3,
            device="cpu",
            data_output_dir=str(tmp_path / "data"),
            callbacks=[Optimist()],
        )

        assert (result.reached_end, result.step, len(result.losses)) == (True, PER_EPOCH * EPOCHS, PER_EPOCH * EPOCHS)
        assert result.checkpoint is not None
        assert check_manifest(Path(result.checkpoint.uri)) == []
        foreseen, found_out = read_ledger(disk).of("save-failed")
        assert (foreseen.step, found_out.step) == (PER_EPOCH, 2 * PER_EPOCH)
        assert foreseen.reason == "too little space for it"
        assert foreseen.bytes is not None
        assert foreseen.free_bytes is not None
        assert foreseen.bytes > foreseen.free_bytes
        assert "Error" in (found_out.reason or "")
        assert result.outcome is not None
        assert "not saved: " in result.outcome.message
        assert not (disk / ".saving").exists()
        assert not any((disk / "full_state").glob("*"))
