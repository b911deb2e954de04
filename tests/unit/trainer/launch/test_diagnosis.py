from pathlib import Path

import pytest

from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.contract import FailureClass
from kubetune_trainer.launch.command import Launch
from kubetune_trainer.launch.diagnosis import classify, diagnose
from kubetune_trainer.launch.evidence import AgentEvidence, RankEnd, RankError, oom_kills

LOST = "RuntimeError: [gloo/transport/tcp/pair.cc:525] Connection closed by peer [127.0.0.1]:3"


def launch(tmp_path: Path, nodes: int = 1, rank: int = 0) -> Launch:
    return Launch(Torchrun(nnodes=nodes, node_rank=rank, endpoint="m:1" if nodes > 1 else None), tmp_path / f"node-{rank}")


def ended(log_dir: Path, *ends: tuple[int, int], error: str | None = None) -> None:
    AgentEvidence(9.0, tuple(RankEnd(*end) for end in ends), error).write(log_dir)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", FailureClass.CUDA_OOM),
        ("OSError: [Errno 28] No space left on device", FailureClass.DISK_FULL),
        (
            "RuntimeError: [enforce fail at inline_container.cc] . PytorchStreamWriter failed: No space left on device",
            FailureClass.DISK_FULL,
        ),
        ("RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes", FailureClass.HOST_OOM),
        ("DistStoreError: Timed out after 3 seconds waiting for clients. 1/2 clients joined.", FailureClass.RENDEZVOUS_TIMEOUT),
        ("DistNetworkError: The client socket has timed out after 60000ms", FailureClass.RENDEZVOUS_TIMEOUT),
        ("ValueError: unexpected", FailureClass.BACKEND_ERROR),
    ],
)
def test_the_root_exception_decides_the_class(text: str, expected: FailureClass) -> None:
    assert classify(text) is expected


def test_the_first_ranks_own_exception_is_the_cause_not_what_the_others_say_of_it(tmp_path: Path) -> None:
    it = launch(tmp_path)
    RankError(1.0, 0, LOST, "lost").write(it.log_dir)  # clocks and polling: a consequence may be written first
    RankError(2.0, 1, "OutOfMemoryError: CUDA out of memory", "\n".join(f"line {i}" for i in range(100))).write(it.log_dir)
    RankError(3.0, 2, "ValueError: later", "later").write(it.log_dir)
    ended(it.log_dir, (0, 1), (1, 1), (2, 1))
    error = diagnose(it, 1)
    assert error.failure_class is FailureClass.CUDA_OOM
    assert str(error).startswith("rank 1: OutOfMemoryError")
    assert error.log_tail is not None
    assert error.log_tail.splitlines()[-1] == "line 99"
    assert len(error.log_tail.splitlines()) == 40


def test_a_killed_rank_outweighs_the_consequences_and_names_signal_and_exit_code(tmp_path: Path) -> None:
    it = launch(tmp_path)
    RankError(1.0, 0, LOST, "lost").write(it.log_dir)
    ended(it.log_dir, (0, 1), (1, -9))
    error = diagnose(it, 1)
    assert error.failure_class is FailureClass.BACKEND_ERROR
    assert str(error) == "rank 1 was killed by signal 9 (exit code 137)"


def test_a_rank_killed_for_memory_is_told_by_the_kernels_own_count(tmp_path: Path) -> None:
    it = launch(tmp_path)
    ended(it.log_dir, (1, -9))
    assert diagnose(it, 1, oom_kills=1).failure_class is FailureClass.HOST_OOM
    assert diagnose(it, 1, oom_kills=0).failure_class is FailureClass.BACKEND_ERROR


def test_a_loader_of_data_killed_for_memory_is_told_by_the_kernels_own_count(tmp_path: Path) -> None:
    it = launch(tmp_path)
    RankError(1.0, 0, "RuntimeError: DataLoader worker (pid 7) is killed by signal: Killed. ", "tb").write(it.log_dir)
    ended(it.log_dir, (0, 1))
    assert diagnose(it, 1, oom_kills=1).failure_class is FailureClass.HOST_OOM
    assert diagnose(it, 1, oom_kills=0).failure_class is FailureClass.BACKEND_ERROR


def test_a_torchrun_that_was_killed_itself_is_told(tmp_path: Path) -> None:
    it = launch(tmp_path)
    assert str(diagnose(it, -9)) == "torchrun was killed by signal 9 (exit code 137)"
    assert diagnose(it, -9, oom_kills=1).failure_class is FailureClass.HOST_OOM


@pytest.mark.parametrize("asked", [False, True])
def test_a_signal_to_every_process_of_a_node_that_is_told_to_end_is_no_failure(tmp_path: Path, asked: bool) -> None:
    expected = FailureClass.PREEMPTED if asked else FailureClass.BACKEND_ERROR
    for number, evidence in enumerate(
        (
            lambda d: ended(d, (0, -15)),
            lambda d: ended(d, (0, -2)),
            lambda d: ended(d, error="SignalException: Process 7 got signal: 15"),
            lambda d: RankError(1.0, 0, "KeyboardInterrupt: ", "tb").write(d),
        )
    ):
        it = Launch(Torchrun(), tmp_path / str(number))
        evidence(it.log_dir)
        if asked:
            (it.log_dir / "save-and-end").touch()
        assert diagnose(it, 1).failure_class is expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [("KeyboardInterrupt: ", "torchrun failed: SignalException: "), ("ValueError: bad row", "rank 1: ValueError: bad row")],
)
def test_ranks_that_torchrun_interrupted_are_not_the_cause(tmp_path: Path, message: str, expected: str) -> None:
    it = launch(tmp_path)
    RankError(1.0, 1, message, "tb").write(it.log_dir)
    ended(it.log_dir, error="SignalException: Process 7 got signal: 2")
    assert str(diagnose(it, 1)).startswith(expected)


def test_the_kernels_count_of_memory_kills_is_read_where_there_is_one(tmp_path: Path) -> None:
    mine = tmp_path / "cgroup"
    mine.write_text("0::/\n")
    assert oom_kills(tmp_path / "none", mine) == 0
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 2\noom_kill 2\noom_group_kill 0\n")
    assert oom_kills(tmp_path / "two", mine) == 2
    mine.write_text("4:memory:/pods/a\n1:cpu:/\n0::/\n")
    (tmp_path / "one" / "memory" / "pods" / "a").mkdir(parents=True)
    (tmp_path / "one" / "memory" / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n")
    assert oom_kills(tmp_path / "one", mine) == 5  # a container's own group is its root
    (tmp_path / "one" / "memory" / "pods" / "a" / "memory.oom_control").write_text("oom_kill 3\n")
    assert oom_kills(tmp_path / "one", mine) == 3


def test_torchruns_own_failure_is_told(tmp_path: Path) -> None:
    it = launch(tmp_path)
    ended(it.log_dir, error="DistStoreError: Timed out after 3 seconds waiting for clients. 1/2 clients joined.")
    error = diagnose(it, 1)
    assert error.failure_class is FailureClass.RENDEZVOUS_TIMEOUT
    assert "1/2 clients joined" in str(error)


def test_without_any_evidence_the_exit_code_and_the_logs_are_told(tmp_path: Path) -> None:
    it = launch(tmp_path)
    log = it.log_dir / "none_x" / "attempt_0" / "0" / "stderr.log"
    log.parent.mkdir(parents=True)
    log.write_text("Segmentation fault\n")
    error = diagnose(it, 1)
    assert error.failure_class is FailureClass.BACKEND_ERROR
    assert "ended with 1" in str(error)
    assert error.log_tail == "[local rank 0] Segmentation fault"
