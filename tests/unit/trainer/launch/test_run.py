"""launch_training with a stand-in for the backend's module and cheap worker scripts: the real torchrun, no training."""

import json
import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from backend_runs import free_port

from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.launch.command import Launch
from kubetune_trainer.launch.evidence import RankError
from kubetune_trainer.launch.run import launch_script, launch_training

pytestmark = pytest.mark.train


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


def start(tmp_path: Path, text: str, torchrun: Torchrun | None = None, **environment: str) -> None:
    module, run_training = backend(script(tmp_path, text), tmp_path / "full.log")
    original = module.StreamablePopen
    launch = Launch(torchrun or Torchrun(nproc_per_node=2), tmp_path / "logs" / "node-0", environment=environment)
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


def test_a_master_does_not_wait_for_a_missing_node_for_ever(tmp_path: Path) -> None:
    run = Torchrun(nnodes=2, endpoint=f"127.0.0.1:{free_port()}", join_timeout_seconds=2)
    with pytest.raises(TrainingError, match="1/2 clients joined") as caught:
        start(tmp_path, "pass", run)
    assert caught.value.failure_class is FailureClass.RENDEZVOUS_TIMEOUT


def test_a_signal_handlers_exception_ends_every_process_at_once(tmp_path: Path) -> None:
    class Preempted(BaseException):
        pass

    def handler(_number: int, _frame: object) -> None:
        raise Preempted

    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(Preempted):
            start(
                tmp_path, "os.kill(int(os.environ['DRIVER']), signal.SIGUSR1); time.sleep(600)", Torchrun(), DRIVER=str(os.getpid())
            )
    finally:
        signal.signal(signal.SIGUSR1, previous)


DRIVER = """
import sys; sys.path[:0] = {paths!r}
from pathlib import Path
from test_launch_run import start
start(Path({tmp!r}), "open(os.path.join(os.environ['OUT'], str(os.getpid())), 'w'); time.sleep(600)", OUT={out!r})
"""


def test_no_process_outlives_a_launcher_that_was_killed(tmp_path: Path) -> None:
    out, modules = tmp_path / "pids", tmp_path / "modules"
    out.mkdir()
    modules.mkdir()
    (modules / "test_launch_run.py").symlink_to(__file__)
    support = str(Path(__file__).parents[3] / "support")
    code = DRIVER.format(paths=[str(modules), support], tmp=str(tmp_path), out=str(out))
    driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    try:
        until(lambda: len(list(out.iterdir())) == 2)
        family = psutil.Process(driver.pid).children(recursive=True)
        assert len(family) >= 3  # torchrun and two ranks
    finally:
        driver.kill()
        driver.wait()
    until(lambda: not any(gone_or_not(p) for p in family))


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
