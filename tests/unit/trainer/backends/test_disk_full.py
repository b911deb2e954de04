"""Both backends on a disk that is too small for a second full state."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from backend_runs import EPOCHS, STEPS_PER_EPOCH, Trained, plan, train, weights
from small_disk import small_disk

from kubetune_trainer.backends.common import node_log_dir
from kubetune_trainer.contract import CheckpointPolicy
from kubetune_trainer.disk import size_below
from kubetune_trainer.plugins.saving import STAGE, read_unsaved

pytestmark = pytest.mark.train


@pytest.mark.parametrize("algorithm", ["sft", "osft"])
def test_training_goes_on_where_a_full_state_finds_no_room(algorithm: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Each save is tried; one has room; the weights are those of the run with all the room that it wants."""
    base: Trained = request.getfixturevalue(f"{algorithm}_run")
    state, final = size_below(base.state(2)), size_below(base.final)
    checkpoints = (EPOCHS if algorithm == "sft" else 1) * final
    with small_disk(tmp_path / "run", int(1.9 * state) + checkpoints + (1 << 20)) as out:
        policy = CheckpointPolicy(every_steps=2, keep=9)
        run = base.run
        small = train(plan(algorithm, run.model_dir, run.data_file, out, checkpoint=policy))
        unsaved, states = read_unsaved(node_log_dir(small.run)), [c.step for c in small.found if c.kind == "full-state"]
        tried = sorted([u.step for u in unsaved] + states)
        assert tried == [2, 3, 4, 6, 8]
        assert 1 <= len(states) < len(tried)
        assert all(u.free < u.needed or "Error" in u.reason for u in unsaved)
        assert not (out / STAGE).exists()
        assert small.steps[-1].step == EPOCHS * STEPS_PER_EPOCH
        old, new = weights(base.final), weights(small.final)
    assert all(torch.equal(old[name], new[name]) for name in old)
