"""What each rank really put through the model, batch by batch: an interrupted run's is the undisturbed one's.

With what makes that hard: two ranks, dropout in attention, several mini-batches a step, an epoch's last batch that is short.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from backend_runs import STEPS_PER_EPOCH, Trained, plan, train, weights

from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.contract import CheckpointPolicy

pytestmark = pytest.mark.train
EPOCHS, RESUMED = 2, STEPS_PER_EPOCH + 1
PLACE = "KUBETUNE_TEST_ORDER"
STEP = "step"


def recorder(algorithm: str) -> Any:
    """A callback, made on every rank before it trains; its source alone travels. One line a forward pass, one a step."""
    if algorithm == "sft":
        from instructlab.training.callbacks import TrainerCallback
    else:
        from mini_trainer.callbacks import TrainerCallback

    class Recorder(TrainerCallback):
        def __init__(self):
            import functools
            import hashlib
            import os
            import pathlib

            import torch
            from torch.optim.optimizer import register_optimizer_step_post_hook

            rank, place = os.environ.get("RANK"), os.environ["KUBETUNE_TEST_ORDER"]
            if rank is None:  # the launcher's own
                return

            def note(line):
                with (pathlib.Path(place) / f"rank-{rank}").open("a") as file:
                    file.write(line + "\n")

            embed = torch.nn.Embedding.forward  # of the model's own forward the backends keep copies

            @functools.wraps(embed)
            def embed_and_note(self, tokens):
                note(hashlib.sha256(tokens.cpu().numpy().tobytes()).hexdigest())
                return embed(self, tokens)

            torch.nn.Embedding.forward = embed_and_note
            register_optimizer_step_post_hook(lambda *_: note("step"))

    return Recorder()


def with_dropout(model: Path, target: Path) -> Path:
    shutil.copytree(model, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | {"attention_dropout": 0.1}))
    return target


def by_step(order: Path) -> list[list[list[str]]]:
    """Of each rank, the batches of each of its steps."""
    ranks = [file.read_text().split(f"{STEP}\n") for file in sorted(order.iterdir())]
    return [[step.splitlines() for step in rank[:-1]] for rank in ranks]


@pytest.mark.parametrize("algorithm", ["sft", "osft"])
def test_no_batch_is_trained_twice_or_left_out(
    algorithm: str, models: dict[str, Path], tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = with_dropout(models[algorithm], tmp_path / "model")
    policy = CheckpointPolicy(every_epoch=False, every_steps=RESUMED, keep=9)

    def go(name: str, resume_from: Path | None = None) -> tuple[Trained, list[list[list[str]]]]:
        order = tmp_path / f"{name}-order"
        order.mkdir()
        monkeypatch.setenv(PLACE, str(order))
        changes: dict[str, Any] = {"num_epochs": EPOCHS, "max_seq_len": 130, "max_tokens_per_gpu": 130, "resume_from": resume_from}
        run = plan(algorithm, model, tokens, tmp_path / name, torchrun=Torchrun(nproc_per_node=2), checkpoint=policy, **changes)
        return train(replace(run, further={"callbacks": [recorder(algorithm)]})), by_step(order)

    whole, order = go("whole")
    assert [len(rank) for rank in order] == [EPOCHS * STEPS_PER_EPOCH] * 2
    assert all(len(step) > 1 for rank in order for step in rank[:STEPS_PER_EPOCH])
    assert order[0] != order[1]
    assert order[0][0] != order[0][STEPS_PER_EPOCH]  # another order in the second epoch

    resumed, rest = go("resumed", whole.state(RESUMED))
    assert rest == [rank[RESUMED:] for rank in order]
    assert resumed.losses == {step: loss for step, loss in whole.losses.items() if step > RESUMED}
    old, new = weights(whole.final), weights(resumed.final)
    assert all(torch.equal(old[name], new[name]) for name in old)
