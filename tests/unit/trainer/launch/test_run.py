"""launch_training with a stand-in for the backend's module and cheap worker scripts: the real torchrun, no training."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from backend_runs import free_port
from memory_groups import memory_group

from kubetune_trainer.backends.base import Patience, Torchrun
from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.launch import watch
from kubetune_trainer.launch.command import Launch
from kubetune_trainer.launch.evidence import RankError
from kubetune_trainer.launch.run import launch_script, launch_training

pytestmark = pytest.mark.train

HOST = re.escape(socket.gethostname())


def backend(script: Path, log: Path) -> tuple[types.ModuleType, Callable[[], None]]:
    """A module that calls StreamablePopen as both backends do, and its run_training."""
    module = types.ModuleType("backend")
    module.StreamablePopen = subprocess.Popen  # type: ignore[attr-defined]  # must never be called

    def run_training() -> None:
        process = module.StreamablePopen(str(log), ["torchrun", "--standalone", str(script), "--flag"])
        try:
            process.listen()
        finally:  # whatever was raised, as in the real ones
            if process.poll():
                raise RuntimeError("Suffered a failure during distributed training.")

    return module, run_training


def script(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "worker_script.py"
    path.write_text(f"import os, sys, json, time, signal\nrank = int(os.environ['RANK'])\n{text}\n")
    return path


def start(
    tmp_path: Path, text: str, torchrun: Torchrun | None = None, patience: Patience | None = None, **environment: str
) -> None:
    module, run_training = backend(script(tmp_path, text), tmp_path / "full.log")
    original = module.StreamablePopen
    launch = Launch(
        torchrun or Torchrun(nproc_per_node=2),
        tmp_path / "logs" / "node-0",
        environment=environment,
        metrics_file=Path(environment.get("METRICS", "") + "0"),
        patience=patience,
    )
    try:
        launch_training(module, run_training, launch)
    finally:
        assert module.StreamablePopen is original


@pytest.fixture(autouse=True)
def _no_process_stays() -> Iterator[None]:
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    yield
    assert {p.pid for p in psutil.Process().children(recursive=True)} <= before


def test_the_script_runs_on_every_rank_whatever_the_pod_and_the_path_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PATH": "/nowhere",
        "PET_NNODES": "2:4",
        "PET_RDZV_ENDPOINT": "x:1",
        "MASTER_ADDR": "x",
        "RANK": "7",
    }.items():
        monkeypatch.setenv(name, value)
    note = "json.dump([sys.argv, os.environ['WORLD_SIZE'], __name__], open(os.path.join(os.environ['OUT'], f'{rank}.json'), 'w'))"
    start(tmp_path, f"{note}; print('said by', rank)", OUT=str(tmp_path))
    argv = [str(tmp_path / "worker_script.py"), "--flag"]
    assert [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)] == [[argv, "2", "__main__"]] * 2
    assert "said by 1" in (tmp_path / "full.log").read_text()


def test_a_script_of_ours_is_run_and_judged_in_the_same_way(tmp_path: Path) -> None:
    launch, order = Launch(Torchrun(nproc_per_node=2), tmp_path / "logs" / "node-0", environment={"OUT": str(tmp_path)}), []
    text = "json.dump(sys.argv[1:], open(os.path.join(os.environ['OUT'], f'{rank}.json'), 'w')); print('said by', rank)"
    launch_script(script(tmp_path, text), ["--flag", "{}"], launch, prepare=lambda: order.append(launch.log_dir.is_dir()))
    assert order == [True]
    assert [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)] == [["--flag", "{}"]] * 2
    assert "said by 1" in (launch.log_dir / "torchrun.log").read_text()
    with pytest.raises(TrainingError, match="rank 1: RuntimeError: CUDA out of memory") as caught:
        launch_script(script(tmp_path, "if rank: raise RuntimeError('CUDA out of memory')\ntime.sleep(600)"), [], launch)
    assert caught.value.failure_class is FailureClass.CUDA_OOM


def test_the_rank_that_failed_first_is_named_with_its_class_and_traceback(tmp_path: Path) -> None:
    text = "if rank: raise RuntimeError('CUDA out of memory. Tried to allocate 2 GiB')\ntime.sleep(600)"
    with pytest.raises(TrainingError, match="rank 1: RuntimeError: CUDA out of memory") as caught:
        start(tmp_path, text)
    assert caught.value.failure_class is FailureClass.CUDA_OOM
    assert "worker_script.py" in (caught.value.log_tail or "")


def test_a_killed_rank_ends_the_run_and_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"rank 1 was killed by signal 9 \(exit code 137\)"):
        start(tmp_path, "if rank: os.kill(os.getpid(), signal.SIGKILL)\ntime.sleep(600)")


def test_an_exit_code_without_an_exception_fails_too(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="rank 0: SystemExit: 5"):
        start(tmp_path, "sys.exit(5)", Torchrun())


def test_before_all_nodes_are_there_nothing_is_started_or_written(tmp_path: Path) -> None:
    run = Torchrun(nnodes=2, endpoint=f"127.0.0.1:{free_port()}", join_timeout_seconds=1)
    with pytest.raises(TrainingError, match=r"node 1 did not come .* within 1 s; there were node 0$") as caught:
        start(tmp_path, "pass", run)
    assert caught.value.failure_class is FailureClass.RENDEZVOUS_TIMEOUT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["worker_script.py"]


DRIVER = """
import sys; sys.path[:0] = {paths!r}
from pathlib import Path
from test_launch_run import Torchrun, start
start(Path({tmp!r}), {text!r}, {torchrun!r}, **{environment!r})
"""


def start_elsewhere(
    tmp_path: Path,
    text: str,
    torchrun: Torchrun | None = None,
    enter: Callable[[], None] | None = None,
    **environment: str,
) -> subprocess.Popen[str]:
    """As start(), in a process of its own, which calls `enter` first."""
    modules = tmp_path / "modules"
    modules.mkdir(parents=True)
    (modules / "test_launch_run.py").symlink_to(__file__)
    paths = [str(modules), str(Path(__file__).parents[3] / "support")]
    code = DRIVER.format(paths=paths, tmp=str(tmp_path), text=text, torchrun=torchrun, environment=environment)
    command = [sys.executable, "-c", code]
    # PLW1509: unsafe beside threads that hold locks, and this writes one file
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=enter)  # noqa: PLW1509


FAMILY = """
open(os.path.join(os.environ['OUT'], str(os.getpid())), 'w')
if not os.fork():  # as a loader of data
    open(os.path.join(os.environ['OUT'], str(os.getpid())), 'w')
time.sleep(600)
"""


def test_no_process_outlives_a_launcher_that_was_killed(tmp_path: Path) -> None:
    out = tmp_path / "pids"
    out.mkdir()
    driver = start_elsewhere(tmp_path, FAMILY, OUT=str(out))
    try:
        until(lambda: len(list(out.iterdir())) == 4)
        family = psutil.Process(driver.pid).children(recursive=True)
        assert len(family) >= 5  # torchrun, two ranks, and a child of each
    finally:
        driver.kill()
        driver.communicate()
    until(lambda: not any(gone_or_not(p) for p in family))


def test_a_rank_that_the_kernel_kills_at_the_memory_limit_is_told_as_that(tmp_path: Path) -> None:
    text = "if rank: held = bytearray(3 << 30)\ntime.sleep(600)"
    with memory_group(1 << 30) as enter:
        other = start_elsewhere(tmp_path, text, enter=enter)
        try:
            _, said = other.communicate(timeout=300)
        finally:
            other.kill()
    assert "TrainingError: rank 1 was killed by signal 9 (exit code 137): the container's memory limit was reached" in said


def two_nodes(seconds: int = 120) -> tuple[Torchrun, Torchrun]:
    first = Torchrun(nnodes=2, endpoint=f"127.0.0.1:{free_port()}", join_timeout_seconds=seconds)
    return first, replace(first, node_rank=1)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ranks of these tests would never notice by themselves."""
    monkeypatch.setattr(watch, "LINGER_SECONDS", 0.5)


@pytest.mark.usefixtures("impatient")
def test_the_cause_on_another_node_ends_this_one_in_seconds_and_is_what_it_says(tmp_path: Path) -> None:
    """Its rank sleeps; the other one's raises torch's own exception."""
    text = "import torch\nif rank: raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB')\ntime.sleep(600)"
    here, there = two_nodes()
    other = start_elsewhere(tmp_path / "other", text, there)
    try:
        with pytest.raises(TrainingError, match=rf"^node 1 \({HOST}\): rank 1: OutOfMemoryError: CUDA out of memory") as caught:
            start(tmp_path, text, here)
        _, said = other.communicate(timeout=120)
    finally:
        other.kill()
    assert caught.value.failure_class is FailureClass.CUDA_OOM
    assert "worker_script.py" in (caught.value.log_tail or "")
    assert "TrainingError: rank 1: OutOfMemoryError" in said


@pytest.mark.usefixtures("impatient")
def test_a_node_whose_launcher_was_killed_is_named_and_the_others_end_in_seconds(tmp_path: Path) -> None:
    out = tmp_path / "pids"
    out.mkdir()
    here, there = two_nodes()
    other = start_elsewhere(tmp_path / "other", FAMILY, there, OUT=str(out))
    families: list[psutil.Process] = []

    def kill() -> None:
        until(lambda: len(list(out.iterdir())) == 4)
        families.extend(psutil.Process(other.pid).children(recursive=True))
        other.kill()

    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(kill)
        with pytest.raises(
            TrainingError, match=rf"^node 1 \({HOST}\) is gone: its connection closed without a last word"
        ) as caught:
            start(tmp_path, FAMILY, here, OUT=str(out))
        killed.result()
    other.communicate()
    assert caught.value.failure_class is FailureClass.NODE_LOST
    assert len(families) >= 3
    until(lambda: not any(gone_or_not(p) for p in families))


STOPPED = """
import torch
from torch import distributed
distributed.init_process_group("gloo")
with open(os.environ["METRICS"] + str(rank), "w") as metrics:
    metrics.write("step 1")
if rank:
    os.kill(os.getpid(), signal.SIGSTOP)
distributed.all_reduce(torch.ones(1))
"""


@pytest.mark.usefixtures("impatient")
def test_where_nothing_moves_the_stopped_rank_is_named_and_the_stacks_of_all_are_kept(tmp_path: Path) -> None:
    metrics, (here, there) = str(tmp_path / "metrics-"), two_nodes()
    other = start_elsewhere(tmp_path / "other", STOPPED, there, METRICS=metrics)
    patience = Patience(3, time.monotonic() + 120)  # the first step may take longer than the others
    try:
        with pytest.raises(TrainingError) as caught:
            start(tmp_path, STOPPED, here, patience, METRICS=metrics)
        _, said = other.communicate(timeout=120)
    finally:
        other.kill()
    message, tail = str(caught.value), caught.value.log_tail or ""
    assert caught.value.failure_class is FailureClass.HANG
    assert re.match(r"no new step for [34] s; rank 1 \(node 1, process \d+\) does not move: its process is stopped", message)
    assert "rank 0 waits in all_reduce" in message
    assert f"the stacks of 2 ranks are in {tmp_path / 'logs'}" in message
    assert re.search(r"worker_script.py:\d+ in <module>", tail)
    (file,) = (tmp_path / "logs" / "node-0").glob("stacks-rank-0-*")
    assert "in all_reduce" in file.read_text()
    assert re.search(rf"TrainingError: node 0 \({HOST}\): no new step for", said)


def test_a_signal_handlers_exception_ends_every_process_at_once_and_leaves_word_of_where_they_stood(tmp_path: Path) -> None:
    class Interrupted(BaseException):
        pass

    def handler(_number: int, _frame: object) -> None:
        raise Interrupted

    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(Interrupted):
            start(tmp_path, "os.kill(int(os.environ['DRIVER']), signal.SIGUSR1); time.sleep(600)", DRIVER=str(os.getpid()))
    finally:
        signal.signal(signal.SIGUSR1, previous)
    files = list((tmp_path / "logs" / "node-0").glob("stacks-rank-*"))
    assert files
    assert any("worker_script.py" in file.read_text() for file in files)


def gone_or_not(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def until(true: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_backend_that_starts_nothing_is_a_failure(tmp_path: Path) -> None:
    module, _ = backend(tmp_path / "x.py", tmp_path / "log")
    with pytest.raises(TrainingError, match="without starting a process"):
        launch_training(module, lambda: None, Launch(Torchrun(), tmp_path / "logs"))


def test_what_an_earlier_run_noted_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    RankError(1.0, 5, "ValueError: long ago", "").write(tmp_path / "logs" / "node-0")
    with pytest.raises(TrainingError, match="rank 0: SystemExit: 3"):
        start(tmp_path, "sys.exit(3)", Torchrun())
