"""Runs of the raw backends that end well by their own word, and what they left behind. Then ours."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import raw_runs
from backend_runs import Trained, free_port, plan, train, weights
from tiny import conversation
from trap_records import Tell

from kubetune_trainer import osft, sft
from kubetune_trainer.attempt_record import RECORD_NAME
from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.checkpoints.ledger import LEDGER_NAME
from kubetune_trainer.earlier import LOCK
from kubetune_trainer.errors import ConfigurationError, DataError

pytestmark = pytest.mark.traps
OSFT = {"unfreeze_rank_ratio": 0.3, "effective_batch_size": 8, "max_tokens_per_gpu": 512, "max_seq_len": 256, "learning_rate": 1e-3}
FULL_SHARD = {"sharding_strategy": "FULL_SHARD"}


@pytest.fixture(scope="module")
def raw_sft(tiny_model: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> raw_runs.RawRun:
    """One epoch of six steps, two mini-batches each."""
    run = raw_runs.run("sft", tiny_model, tiny_data, tmp_path_factory.mktemp("raw") / "out", max_batch_len=256)
    assert (run.code, len(run.steps)) == (0, 6), run.output[-3000:]
    return run


def empty_path(directory: Path) -> dict[str, str]:
    return {"PATH": str(directory / "nothing")}


def difference(a: Path, b: Path) -> float:
    """||a - b|| / ||a|| over all weights."""
    old, new = weights(a), weights(b)
    squares = sum(float((old[name] - new[name]).square().sum()) for name in old)
    return (squares / sum(float(old[name].square().sum()) for name in old)) ** 0.5


@pytest.mark.trap("no-torchrun")
def test_no_torchrun(
    tiny_model: Path, tiny_data: Path, tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell
) -> None:
    silent = raw_runs.run("sft", tiny_model, tiny_data, tmp_path / "sft", environment=empty_path(tmp_path))
    assert (silent.code, silent.steps, silent.checkpoints) == (0, [], [])
    loud = raw_runs.run("osft", tiny_model, tokens, tmp_path / "osft", environment=empty_path(tmp_path))
    assert loud.steps == []
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    ours = train(plan("sft", tiny_model, tokens, tmp_path / "ours", num_epochs=1))
    assert ours.found
    monkeypatch.undo()
    tell(
        raw=f"SFT: exit code 0, no step, no checkpoint; OSFT: exit code {loud.code}, no step",
        ours=f"started by the interpreter itself: {len(ours.steps)} of {len(ours.steps)} steps with an empty `PATH`",
    )


@pytest.mark.trap("nodes-of-one")
def test_two_nodes_of_one_device(
    raw_sft: raw_runs.RawRun, tiny_model: Path, tiny_data: Path, tokens: Path, tmp_path: Path, tell: Tell
) -> None:
    def raw(rank: int, port: int) -> raw_runs.RawRun:
        where = {"nnodes": 2, "node_rank": rank, "rdzv_id": "7", "master_addr": "127.0.0.1", "master_port": port}
        places = {"torchrun": where, "data_output_dir": str(tmp_path / f"data-{rank}")}
        return raw_runs.start("sft", tiny_model, tiny_data, tmp_path / "raw", max_batch_len=256, **places)

    port = free_port()
    nodes = [raw(rank, port) for rank in (0, 1)]
    assert [node.end().code for node in nodes] == [0, 0], nodes[0].output[-3000:]
    raw_apart = difference(raw_sft.checkpoints[-1], nodes[0].checkpoints[-1])
    one = train(plan("sft", tiny_model, tokens, tmp_path / "one", num_epochs=1))
    ours_apart = difference(one.final, ours_on_two_nodes(tiny_model, tokens, tmp_path / "two").final)
    assert ours_apart < 1e-3 < raw_apart
    tell(
        raw=f"both exit with 0; no gradient was exchanged: the weights are {raw_apart:.1%} away from one node's on the same batches",
        ours=f"FULL_SHARD: {ours_apart:.3%} away from one node's",
    )


NODE = """
import sys; sys.path.insert(0, {support!r})
from pathlib import Path
from backend_runs import plan, train
from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.checkpoints.ledger import LEDGER_NAME
from kubetune_trainer.earlier import LOCK
run = Torchrun(nnodes=2, node_rank={rank}, rdzv_id="two", endpoint={endpoint!r}, join_timeout_seconds=300)
train(plan("sft", Path({model!r}), Path({data!r}), Path({out!r}), torchrun=run, num_epochs=1))
"""


def ours_on_two_nodes(model: Path, tokens: Path, out: Path) -> Trained:
    from backend_runs import left_behind

    support, endpoint = str(Path(raw_runs.__file__).parent), f"127.0.0.1:{free_port()}"
    places = {"support": support, "endpoint": endpoint, "model": str(model), "data": str(tokens), "out": str(out)}
    nodes = [
        subprocess.Popen([sys.executable, "-c", NODE.format(rank=rank, **places)], stdout=subprocess.DEVNULL) for rank in (0, 1)
    ]
    assert [node.wait() for node in nodes] == [0, 0]
    return left_behind(plan("sft", model, tokens, out, num_epochs=1))


@pytest.mark.trap("shared-output")
@pytest.mark.trap("stray-state")
def test_a_second_run_into_the_same_directory(
    raw_sft: raw_runs.RawRun, tiny_model: Path, tiny_data: Path, tmp_path: Path, tell: Tell
) -> None:
    second = raw_runs.run("sft", tiny_model, tiny_data, raw_sft.out, learning_rate=5e-3)
    assert (second.code, second.steps) == (0, [])
    (raw_sft.out / "full_state" / "keep_me").mkdir()
    stray = raw_runs.run("sft", tiny_model, tiny_data, raw_sft.out)
    assert stray.code != 0
    assert "invalid literal for int" in stray.output
    (raw_sft.out / "full_state" / "keep_me").rmdir()

    def ours(rate: float) -> Any:
        places = {"model_path": str(tiny_model), "data_path": str(tiny_data), "ckpt_output_dir": str(tmp_path / "ours")}
        return sft(**places, effective_batch_size=8, learning_rate=rate, device="cpu")  # type: ignore[arg-type]  # words

    first = ours(1e-3)
    (tmp_path / "ours" / "full_state" / "keep_me").mkdir(parents=True)
    again = ours(5e-3)
    assert (first.step, again.step, len(again.losses)) == (6, 6, 6)
    tell(
        key="shared-output",
        raw="exit code 0 and not one step: it goes on from the first run's last full state",
        ours=f"all {again.step} steps; the first run is set aside (docs/library.md)",
    )
    tell(
        key="stray-state",
        raw="every rank fails: `ValueError: invalid literal for int() with base 10`",
        ours="trains; only whole states of this very call are looked at",
    )


@pytest.mark.trap("no-loss")
def test_every_label_masked(tiny_model: Path, tmp_path: Path, tell: Tell) -> None:
    questions = [{"messages": [*conversation(i)["messages"][:2], {"role": "user", "content": "And now?"}]} for i in range(8)]
    messages = written(tmp_path / "questions.jsonl", questions)
    masked = written(tmp_path / "masked.jsonl", [{"input_ids": [5] * 30, "labels": [-100] * 30, "len": 30}] * 8)
    raw = raw_runs.run("sft", tiny_model, messages, tmp_path / "sft")
    assert (raw.code, [p.name for p in raw.checkpoints]) == (0, ["samples_0"])
    assert math.isnan(raw.losses[-1])
    assert difference(raw.checkpoints[0], tiny_model) == 0
    other = raw_runs.run("osft", tiny_model, masked, tmp_path / "osft")
    assert (other.code, other.checkpoints) == (0, [])
    with pytest.raises(DataError) as refused:
        sft(str(tiny_model), str(messages), str(tmp_path / "a"), device="cpu")
    with pytest.raises(DataError):
        osft(str(tiny_model), str(masked), str(tmp_path / "b"), **OSFT, use_processed_dataset=True, device="cpu")
    tell(
        raw="SFT: exit code 0, loss NaN, a checkpoint `samples_0` that is the base model; OSFT: exit code 0, no checkpoint",
        ours=f"`DataError` before anything is launched: `{str(refused.value).replace(str(messages), messages.name)}`",
    )


@pytest.mark.trap("too-long")
def test_samples_longer_than_a_minibatch(tiny_model: Path, tiny_data: Path, tokens: Path, tmp_path: Path, tell: Tell) -> None:
    raw = raw_runs.run("osft", tiny_model, tokens, tmp_path / "raw", max_tokens_per_gpu=40)
    assert (raw.code, raw.checkpoints) == (0, [])
    with pytest.raises(ConfigurationError, match="max_tokens_per_gpu: 40") as refused:
        osft(str(tiny_model), str(tiny_data), str(tmp_path / "o"), **{**OSFT, "max_tokens_per_gpu": 40}, device="cpu")
    last = f"loss {raw.losses[-1]}" if raw.losses else "no step"
    tell(raw=f"exit code 0, {last}, no checkpoint", ours=f"`ValueError`: `{refused.value}`")


@pytest.mark.trap("no-checkpoint")
def test_no_checkpoint_at_all(tiny_model: Path, tiny_data: Path, tmp_path: Path, tell: Tell) -> None:
    raw = raw_runs.run("sft", tiny_model, tiny_data, tmp_path / "raw", checkpoint_at_epoch=False, save_samples=7)
    assert (raw.code, len(raw.steps), raw.checkpoints) == (0, 6, [])
    with pytest.raises(ConfigurationError, match="save_samples: 7") as refused:
        sft(str(tiny_model), str(tiny_data), str(tmp_path / "o"), checkpoint_at_epoch=False, save_samples=7, device="cpu")
    tell(raw="exit code 0, all steps, no checkpoint (`save_samples=7`, 48 samples)", ours=f"`ValueError`: `{refused.value}`")


@pytest.mark.trap("tied")
@pytest.mark.trap("computed-buffers")
def test_what_osft_saves(tiny_model: Path, tiny_tied_model: Path, tokens: Path, tmp_path: Path, tell: Tell) -> None:
    tied = raw_runs.run("osft", tiny_tied_model, tokens, tmp_path / "raw-tied")
    assert tied.code != 0
    assert "share memory" in tied.output
    assert [list(path.iterdir()) for path in tied.checkpoints] == [[]]
    untied = raw_runs.run("osft", tiny_model, tokens, tmp_path / "raw")
    assert untied.code == 0, untied.output[-3000:]
    extra = sorted(name for name in weights(untied.checkpoints[-1]) if "inv_freq" in name)
    ours = train(plan("osft", tiny_tied_model, tokens, tmp_path / "ours", num_epochs=1))
    saved = weights(ours.final)
    assert not {"lm_head.weight", *extra} & set(saved)
    tell(
        key="tied",
        raw="trains, then dies in the save: `Some tensors share memory`; left behind: an empty directory of a checkpoint",
        ours="saved without the alias, as transformers does; tied again when loaded",
    )
    assert extra
    tell(
        key="computed-buffers",
        raw=f"saved ({', '.join(f'`{name}`' for name in extra)}); transformers calls them unexpected",
        ours="left out",
    )


@pytest.mark.trap("validation-loss")
def test_the_validation_loss_of_two_ranks(tiny_model: Path, tiny_data: Path, tokens: Path, tmp_path: Path, tell: Tell) -> None:
    held_out = {"validation_split": 0.25, "validation_frequency": 1}
    both = {"nproc_per_node": 2}
    raw = raw_runs.run(
        "sft", tiny_model, tiny_data, tmp_path / "raw", torchrun=both, fsdp_options=FULL_SHARD, max_batch_len=4096, **held_out
    )
    assert raw.code == 0, raw.output[-3000:]
    run = plan(
        "sft", tiny_model, raw.out / "data" / "data.jsonl", tmp_path / "ours", torchrun=Torchrun(nproc_per_node=2), num_epochs=1
    )
    parameters = {**run.parameters, "effective_batch_size": 8, "warmup_steps": 0, "max_tokens_per_gpu": 4096}
    ours = train(replace(run, parameters=parameters, further=held_out))
    theirs, mine = validated(raw.lines), validated(raw_runs.metrics("sft", ours.run.output_dir))
    assert theirs["val_num_tokens"] == 2 * mine["val_num_tokens"]
    assert mine["val_loss"] == pytest.approx(2 * theirs["val_loss"], rel=1e-3)
    tell(
        raw=f"two ranks: {theirs['val_loss']:.3f} over {theirs['val_num_tokens']} tokens, of which there are {mine['val_num_tokens']}",
        ours=f"{mine['val_loss']:.3f} over {mine['val_num_tokens']} tokens",
    )


def validated(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """After the first step."""
    return next(line for line in lines if "val_loss" in line)


@pytest.mark.trap("lora")
def test_instructlabs_lora(tiny_model: Path, tiny_data: Path, tmp_path: Path, tell: Tell) -> None:
    raw = raw_runs.run("sft", tiny_model, tiny_data, tmp_path / "raw", lora={"rank": 4}, accelerate_full_state_at_epoch=False)
    assert raw.code != 0
    assert raw.checkpoints == []
    error = next(line.split("ImportError: ")[1] for line in raw.output.splitlines() if "ImportError: " in line)
    with pytest.raises(ConfigurationError, match="lora") as refused:
        sft(str(tiny_model), str(tiny_data), str(tmp_path / "o"), lora={"rank": 4}, device="cpu")
    tell(raw=f"`ImportError: {error.split(' (')[0]}`", ours=f"`ValueError`: `{refused.value}`; `lora_sft` is ours, by peft and trl")


@pytest.mark.trap("missing-data")
def test_data_that_are_not_there(tiny_model: Path, tmp_path: Path, tell: Tell) -> None:
    raw = raw_runs.run("osft", tiny_model, tmp_path / "none.jsonl", tmp_path / "raw")
    assert raw.code != 0
    with pytest.raises(ConfigurationError, match=r"none.jsonl' does not exist") as refused:
        osft(str(tiny_model), str(tmp_path / "none.jsonl"), str(tmp_path / "o"), **OSFT, device="cpu")
    # the ledger says why, the record for how long it was tried; nothing was begun
    assert {path.name for path in (tmp_path / "o").iterdir()} == {LOCK, LEDGER_NAME, RECORD_NAME}
    tell(
        raw=f"every rank is started and loads the model first; then `{last_exception(raw.output)}`",
        ours=f"`ValueError` before anything is launched: `{str(refused.value).replace(str(tmp_path), '')}`",
    )


def last_exception(output: str) -> str:
    """The class of the last one that a rank raised, as torch prints it."""
    return re.findall(r"^\[rank\d+\]:\s*(?:\w+\.)*(\w+Error): ", output, flags=re.MULTILINE)[-1]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
