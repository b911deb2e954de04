"""Runs that are told to end, and what becomes of them when they are started again: the raw backends, then ours."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import raw_runs
from backend_runs import BACKENDS, Trained, free_port, left_behind, plan, train
from trap_records import Tell
from waiting import until

from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.checkpoints import Manifest, write_manifest
from kubetune_trainer.checkpoints.resume import Fit, choose
from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.launch.command import Launch
from kubetune_trainer.launch.run import launch_script
from kubetune_trainer.outcome import exit_code

pytestmark = pytest.mark.traps

PER_EPOCH = 48  # steps: one sample each
TOTAL = 2 * PER_EPOCH
ASKED = PER_EPOCH + 8  # within the second epoch
ENOUGH = 300.0  # seconds; a wait ends long before
BATCHES: dict[str, dict[str, Any]] = {
    "sft": {"num_epochs": 2, "effective_batch_size": 1},
    "osft": {"max_epochs": 2, "batch_size": 1},
}


def trigger(tmp_path: Path) -> dict[str, str]:
    """A trigger file of the test's own: the backends' default is one for the whole host."""
    return {"CHECKPOINT_TRIGGER_FILENAME": f"trap-{os.getpid()}-{tmp_path.name}"}


def interrupted(algorithm: str, model: Path, data: Path, tmp_path: Path, how: str) -> raw_runs.RawRun:
    """A raw run with on-demand checkpointing that is told to end in its second epoch, and ended by itself."""
    name = trigger(tmp_path)
    do = how if how == "SIGTERM" else f"/dev/shm/{name['CHECKPOINT_TRIGGER_FILENAME']}"
    run = raw_runs.run(
        algorithm,
        model,
        data,
        tmp_path / "raw",
        at_step=(ASKED, do),
        environment=name,
        on_demand_checkpointing=True,
        **BATCHES[algorithm],
    )
    assert PER_EPOCH < len(run.steps) < TOTAL, run.output[-3000:]
    assert len(run.states) >= 1
    return run


def again(algorithm: str, model: Path, data: Path, tmp_path: Path, **more: Any) -> raw_runs.RawRun:
    """The same call, at last undisturbed."""
    given = {"environment": trigger(tmp_path), "on_demand_checkpointing": True, **BATCHES[algorithm], **more}
    return raw_runs.run(algorithm, model, data, tmp_path / "raw", **given)


def ours_interrupted(algorithm: str, model: Path, tokens: Path, out: Path) -> tuple[Trained, TrainingError]:
    """Told to end in its second epoch, as SIGTERM tells a node."""
    run = plan(algorithm, model, tokens, out, num_epochs=2, effective_batch_size=1)
    backend = BACKENDS[algorithm]()
    stop, file = backend.stop_file(run), backend.metrics_file(run)
    assert stop is not None
    done = threading.Event()

    def tell_it() -> None:
        until(lambda: done.is_set() or (file.exists() and file.read_bytes().count(b"\n") > ASKED), "steps", seconds=ENOUGH)
        stop.touch()

    thread = threading.Thread(target=tell_it)
    thread.start()
    try:
        with pytest.raises(TrainingError) as ended:
            train(run)
    finally:
        done.set()
        thread.join()
    return left_behind(run), ended.value


def ours_resumed(algorithm: str, model: Path, tokens: Path, first: Trained, out: Path) -> list[int]:
    state = [c for c in first.found if c.kind == "full-state"][-1]
    resumed = train(plan(algorithm, model, tokens, out, num_epochs=2, effective_batch_size=1, resume_from=state.path))
    return [step.step for step in resumed.steps]


@pytest.mark.trap("sigterm")
@pytest.mark.trap("resume-mid-epoch")
def test_sft(tiny_model: Path, tiny_data: Path, tokens: Path, tmp_path: Path, tell: Tell) -> None:
    raw = interrupted("sft", tiny_model, tiny_data, tmp_path, "SIGTERM")
    assert raw.code == 0
    resumed = again("sft", tiny_model, tiny_data, tmp_path)
    assert (resumed.code, resumed.steps) == (0, [])

    first, error = ours_interrupted("sft", tiny_model, tokens, tmp_path / "one")
    last = first.steps[-1].step
    assert error.failure_class is FailureClass.PREEMPTED
    steps = ours_resumed("sft", tiny_model, tokens, first, tmp_path / "two")
    assert steps == list(range(last + 1, TOTAL + 1))
    tell(
        key="sigterm",
        raw=f"saves and exits with 0 in the middle of {TOTAL} steps, as if it had finished",
        ours=f"saves and ends as `{error.failure_class}`: the container's exit code is {exit_code(error.failure_class)}",
    )
    tell(
        key="resume-mid-epoch",
        raw="SFT: exit code 0, and not one of the remaining steps is trained",
        ours="SFT: goes on with the very next step, and trains all that remain",
    )


@pytest.mark.trap("trigger-file")
@pytest.mark.trap("resume-mid-epoch")
@pytest.mark.trap("world-size")
def test_osft(tiny_model: Path, tokens: Path, tmp_path: Path, tell: Tell) -> None:
    raw = interrupted("osft", tiny_model, tokens, tmp_path, "the trigger file")
    assert raw.code == 0
    other = again("osft", tiny_model, tokens, tmp_path, torchrun={"nproc_per_node": 2})
    resumed = again("osft", tiny_model, tokens, tmp_path)
    assert (resumed.code, resumed.steps) == (0, [])

    stray = Path("/dev/shm") / trigger(tmp_path)["CHECKPOINT_TRIGGER_FILENAME"]
    stray.touch()
    try:
        first, error = ours_interrupted("osft", tiny_model, tokens, tmp_path / "one")
    finally:
        stray.unlink(missing_ok=True)
    last = first.steps[-1].step
    assert last > ASKED  # the trigger file was there all along
    assert error.failure_class is FailureClass.PREEMPTED
    steps = ours_resumed("osft", tiny_model, tokens, first, tmp_path / "two")
    assert steps == list(range(last + 1, TOTAL + 1))
    tell(
        key="trigger-file",
        raw=f"OSFT saves and exits with 0 in the middle of {TOTAL} steps, without any signal",
        ours="no such file is looked at; a run is told by a file among its own logs",
    )
    tell(
        key="resume-mid-epoch",
        raw="OSFT: exit code 0, and not one of the remaining steps is trained",
        ours="OSFT: goes on with the very next step, and trains all that remain",
    )
    tell(
        key="world-size",
        raw=f"saved by one rank, taken up by two: exit code {other.code}, {len(other.steps)} steps",
        ours=refusal(first),
    )


def refusal(first: Trained) -> str:
    """What a resume on two ranks is told of a state that one rank saved."""
    state = [c for c in first.found if c.kind == "full-state"][-1]
    about = Manifest(
        kind="full-state",
        step=state.step,
        world_size=1,
        attempt=1,
        algorithm="osft",
        backend="mini-trainer",
        time=datetime.now(UTC),
    )
    write_manifest(state.path, about)
    choice = choose([str(state.path)], Fit("osft", 2, None, TOTAL))
    assert choice.path is None
    return f"not taken up: `{choice.rejected[0].problem}`"


@pytest.mark.trap("sigint")
def test_sigint_to_the_launcher_alone(tiny_model: Path, tiny_data: Path, tokens: Path, tmp_path: Path, tell: Tell) -> None:
    raw = raw_runs.start("sft", tiny_model, tiny_data, tmp_path / "raw", num_epochs=100_000)
    try:
        raw_alive = after_sigint(raw.process, lambda: bool(raw.steps))
    finally:
        raw.end_all()
    code = OURS.format(
        support=str(Path(raw_runs.__file__).parent), model=str(tiny_model), data=str(tokens), out=str(tmp_path / "ours")
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    file = BACKENDS["sft"]().metrics_file(plan("sft", tiny_model, tokens, tmp_path / "ours"))
    try:
        ours_alive = after_sigint(process, lambda: file.exists() and b"avg_loss" in file.read_bytes())
    finally:
        process.kill()
        process.wait()
    assert raw_alive > 0
    assert ours_alive == 0
    tell(
        raw=f"{raw_alive} of its processes still run {PATIENCE} s later (it waits for two minutes, and leaves an orphan)",
        ours="none does",
    )


PATIENCE = 20  # seconds

OURS = """
import signal, sys; sys.path.insert(0, {support!r})
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from backend_runs import plan, train
train(plan("sft", Path({model!r}), Path({data!r}), Path({out!r}), num_epochs=100_000))
"""


def after_sigint(process: subprocess.Popen[Any], trains: Any) -> int:
    """How many of its processes are there PATIENCE seconds after SIGINT, or none as soon as all are gone."""
    until(lambda: trains() or process.poll() is not None, "a step", seconds=ENOUGH)
    assert process.poll() is None
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(signal.SIGINT)
    reaper = threading.Thread(target=process.wait)
    reaper.start()
    _, alive = psutil.wait_procs(family, timeout=PATIENCE)
    for left in alive:
        left.kill()
    reaper.join()
    return len(alive)


@pytest.mark.trap("missing-node")
def test_the_second_node_never_comes(tiny_model: Path, tiny_data: Path, tmp_path: Path, tell: Tell) -> None:
    where = {"nnodes": 2, "node_rank": 0, "rdzv_id": "7", "master_addr": "127.0.0.1", "master_port": free_port()}
    raw = raw_runs.start("sft", tiny_model, tiny_data, tmp_path / "raw", torchrun=where)
    try:
        until(lambda: rendezvous_of(raw.process) or raw.process.poll() is not None, "torchrun", seconds=ENOUGH)
        with pytest.raises(subprocess.TimeoutExpired):
            raw.process.wait(PATIENCE)
        assert raw.steps == []
    finally:
        raw.end_all()
    script = tmp_path / "script.py"
    script.write_text("")
    alone = Torchrun(nnodes=2, endpoint=f"127.0.0.1:{free_port()}", join_timeout_seconds=2)
    with pytest.raises(TrainingError) as refused:
        launch_script(script, [], Launch(alone, tmp_path / "logs" / "node-0"))
    assert refused.value.failure_class is FailureClass.RENDEZVOUS_TIMEOUT
    tell(
        raw=f"waits, and says nothing ({PATIENCE} s watched)",
        ours=f"`{refused.value.failure_class}` after the deadline that was set: `{refused.value}`",
    )


def rendezvous_of(process: subprocess.Popen[Any]) -> bool:
    """Is torchrun there, waiting?"""
    return any("torchrun" in " ".join(child.cmdline()) for child in psutil.Process(process.pid).children())


@pytest.mark.trap("pod-environment")
def test_kubeflows_variables(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("PET_RDZV_ENDPOINT", f"127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("PET_NNODES", "2:4")
        where = {"master_addr": "127.0.0.1", "master_port": free_port()}
        raw = raw_runs.run("sft", tiny_model, tiny_data, tmp_path / "raw", torchrun=where)
        assert (raw.code, raw.steps) == (1, [])
        assert f"port: {taken.getsockname()[1]}" in raw.output
        script = tmp_path / "script.py"
        script.write_text("")
        launch_script(script, [], Launch(Torchrun(endpoint=f"127.0.0.1:{free_port()}"), tmp_path / "logs" / "node-0"))
    tell(
        raw="torchrun goes to the variable's address, and not to the master that the backend was given",
        ours="told everything explicitly, without the pod's variables",
    )
