"""All backends, really training the tiny model on the CPU."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch
from backend_runs import BACKENDS, EPOCHS, RATIO, STEPS_PER_EPOCH, Trained, plan, train, weights
from osft_math import measure
from transformers import AutoModelForCausalLM

from kubetune.report.sources import read_material
from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.contract import CheckpointPolicy, FailureClass
from kubetune_trainer.errors import TrainingError

pytestmark = pytest.mark.train
TOTAL = EPOCHS * STEPS_PER_EPOCH


def again(base: Trained, out: Path, **changes: object) -> Trained:
    run = base.run
    return train(plan(run.algorithm, run.model_dir, run.data_file, out, **changes))  # type: ignore[arg-type]  # plan's own


def distance(a: Path, b: Path) -> float:
    """||a - b|| / ||a|| over all weights."""
    old, new = weights(a), weights(b)
    assert old.keys() == new.keys()
    squares = sum(float((old[k] - new[k]).square().sum()) for k in old)
    return (squares / sum(float(old[k].square().sum()) for k in old)) ** 0.5


def test_every_step_is_logged_and_the_model_learns(base: Trained) -> None:
    assert (
        [s.step for s in base.steps]
        == list(range(1, TOTAL + 1))
        == list(range(1, (BACKENDS[base.run.algorithm]().total_steps(base.run) or 0) + 1))
    )
    assert [s.epoch for s in base.steps] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert {s.steps_per_epoch for s in base.steps} == {STEPS_PER_EPOCH}
    assert [s.samples_seen for s in base.steps][:4] == [20, 40, 48, 68]
    assert base.losses[TOTAL] < base.losses[1] - 0.3
    assert all(s.tokens_per_second and s.samples_per_second and s.time and s.time.tzinfo for s in base.steps)


def test_the_report_reads_the_same_figures_without_the_backend(base: Trained) -> None:
    steps = read_material(base.run.output_dir).runs["."]
    assert [(s.step, s.loss, s.learning_rate, s.samples_per_second, s.epoch, s.steps_per_epoch, s.time) for s in steps] == [
        (s.step, s.loss, s.learning_rate, s.samples_per_second, s.epoch, s.steps_per_epoch, s.time) for s in base.steps
    ]


def test_the_checkpoints_say_which_step_they_hold(base: Trained) -> None:
    states = [(c.step, c.epoch) for c in base.found if c.kind == "full-state"]
    assert states == [
        (2, 0),
        (3, 1),
        (4, 1),
        (6, 2),
        (8, 2),
    ]  # every 2 steps and epoch ends; nothing is left to do after the last step
    hf = [(c.step, c.epoch) for c in base.found if c.kind == "hf"]
    assert hf == ([(3, 1), (6, 2), (9, 3)] if base.run.algorithm == "sft" else [(9, 3)])
    assert not (base.run.output_dir / ".saving").exists()


def test_the_checkpoint_opens_in_plain_transformers_with_every_weight(base: Trained) -> None:
    model, info = AutoModelForCausalLM.from_pretrained(base.final, dtype=torch.float32, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["mismatched_keys"]
    head, embedding = model.lm_head.weight, model.get_input_embeddings().weight
    assert (head.data_ptr() == embedding.data_ptr()) == (base.run.algorithm == "osft")  # the tied one is tied again
    ids = [torch.tensor([json.loads(line)["input_ids"]]) for line in base.run.data_file.read_text().splitlines()[:8]]
    with torch.no_grad():
        loss = sum(float(model(input_ids=i, labels=i).loss) for i in ids) / len(ids)
    assert loss == pytest.approx(base.losses[TOTAL], abs=0.15)  # the loss that was logged is this model's


@pytest.mark.parametrize("step", [STEPS_PER_EPOCH, STEPS_PER_EPOCH + 1], ids=["epoch-end", "mid-epoch"])
def test_a_resumed_run_is_the_undisturbed_one(base: Trained, step: int, tmp_path: Path) -> None:
    state = base.state(step)
    before = {p: p.stat().st_mtime_ns for p in state.rglob("*")}
    resumed = again(base, tmp_path / "run", resume_from=state)
    assert resumed.losses == {s: loss for s, loss in base.losses.items() if s > step}
    assert [s.learning_rate for s in resumed.steps] == [s.learning_rate for s in base.steps[step:]]
    assert [s.samples_seen for s in resumed.steps] == [s.samples_seen for s in base.steps[step:]]
    assert resumed.found[-1].step == TOTAL
    old, new = weights(base.final), weights(resumed.final)
    assert old.keys() == new.keys()
    assert all(torch.equal(old[k], new[k]) for k in old)
    assert {p: p.stat().st_mtime_ns for p in state.rglob("*")} == before  # the other attempt's directory is never written to
    assert [c.step for c in resumed.found if c.kind == "full-state"] == [2 * STEPS_PER_EPOCH]  # keep=1


def test_two_processes_train_what_one_does(base: Trained, tmp_path: Path) -> None:
    """Mini-batches of 260 tokens pack into counts that differ by rank: without even_minibatches SFT hangs here."""
    policy = CheckpointPolicy(every_epoch=False, every_minutes=1e-9, keep=99)  # always late
    both = again(base, tmp_path / "run", torchrun=Torchrun(nproc_per_node=2), checkpoint=policy)
    assert both.losses == pytest.approx(base.losses, rel=1e-3)
    assert distance(base.final, both.final) < 1e-3
    assert [c.step for c in both.found if c.kind == "full-state"] == list(range(1, TOTAL))


def test_osft_leaves_the_frozen_directions_alone(osft_run: Trained) -> None:
    rows = measure(osft_run.run.model_dir, osft_run.final, RATIO)
    assert len(rows) == 14
    assert max(max(row.left, row.right) for row in rows) < 1.1e-6
    assert all(row.rank <= row.trained for row in rows)
    assert min(row.moved for row in rows) > 1e-3  # it did train


def test_plain_sft_does_not(sft_run: Trained) -> None:
    rows = measure(sft_run.run.model_dir, sft_run.final, RATIO)
    assert min(max(row.left, row.right) for row in rows) > 1e-2
    assert all(row.rank > row.trained for row in rows)


def test_a_worker_killed_in_mid_run_is_named_and_leaves_a_whole_state(sft_run: Trained, tmp_path: Path) -> None:
    twice, undisturbed = Torchrun(nproc_per_node=2), sft_run.run
    run = plan("sft", undisturbed.model_dir, undisturbed.data_file, tmp_path / "run", torchrun=twice, num_epochs=10_000)
    failed: list[BaseException] = []

    def go() -> None:
        try:
            train(run)
        except TrainingError as error:
            failed.append(error)

    thread = threading.Thread(target=go)
    thread.start()
    backend = BACKENDS["sft"]()
    until(lambda: any(c.kind == "full-state" for c in backend.found(run, [])) or not thread.is_alive())
    victims = [p for p in psutil.Process().children(recursive=True) if rank_of(p) == "1"]
    assert victims
    min(victims, key=lambda p: p.create_time()).kill()  # the rank itself came before its data loaders
    thread.join()
    assert [str(error) for error in failed] == ["rank 1 was killed by signal 9 (exit code 137)"]
    assert not [p for p in psutil.Process().children(recursive=True) if rank_of(p)]
    state = [c for c in backend.found(run, []) if c.kind == "full-state"][-1]
    assert state.step == state.epoch * STEPS_PER_EPOCH


def rank_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("RANK")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def until(true: object, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]  # a function
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_exception_of_a_worker_is_the_error(osft_run: Trained, tmp_path: Path) -> None:
    model = shutil.copytree(osft_run.run.model_dir, tmp_path / "model")
    (model / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(TrainingError, match=r"rank 0: \w*Safetensor\w*: ") as caught:
        train(plan("osft", model, osft_run.run.data_file, tmp_path / "run"))
    assert caught.value.failure_class is FailureClass.BACKEND_ERROR
    assert "from_pretrained" in (caught.value.log_tail or "")
