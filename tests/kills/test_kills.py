"""Each process of a running training is signalled in turn: what ends it is told, nothing stays, and nothing is called a success."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from backend_runs import free_port
from signalled import Attempt
from tiny import write_messages
from waiting import until

from kubetune_trainer.checkpoints import check_manifest
from kubetune_trainer.contract import FailureClass, Report
from kubetune_trainer.launch.evidence import STOP_FILE

pytestmark = pytest.mark.kills

Make = Callable[..., Attempt]
HOST = re.escape(socket.gethostname())
KILL, TERM, INT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
LOADERS = {"loader_workers": {"count": 1}}


@pytest.fixture
def attempt(tmp_path: Path, tiny_model: Path) -> Iterator[Make]:
    """Starts one, of thousands of steps on two ranks unless told otherwise."""
    started: list[Attempt] = []
    data = write_messages(tmp_path / "data.jsonl")

    def make(
        name: str = "node-0", *, environment: dict[str, str] | None = None, without: tuple[str, ...] = (), **more: Any
    ) -> Attempt:
        contract = {
            "job": {"kind": "SFTJob", "namespace": "n", "name": "j", "uid": "u-1", "specHash": "a" * 64},
            "attempt": 1,
            "algorithm": "sft",
            "backend": "instructlab-training",
            "model": str(tiny_model),
            "dataset": str(data),
            "output": str(tmp_path / "job"),
            "outputUri": "pvc://runs/job",
            "device": "cpu",
            "procsPerNode": 2,
            "graceSeconds": 600,
            "training": {"num_epochs": 5000, "effective_batch_size": 8, "learning_rate": 1e-3, "max_seq_len": 128},
        } | more
        started.append(Attempt(tmp_path / name, contract, environment or {}, LOADERS, without).start())
        return started[-1]

    yield make
    for each in started:
        each.close()


# who is signalled, how, and the exit code, class and words of the outcome; None: it has no time for one
SIGNALS: list[tuple[str, signal.Signals, int, FailureClass | None, str]] = [
    ("entrypoint", KILL, -9, None, ""),
    ("entrypoint", TERM, 143, FailureClass.PREEMPTED, r"asked to end \(SIGTERM\) at step \d+"),
    ("entrypoint", INT, 143, FailureClass.PREEMPTED, r"asked to end \(SIGTERM\) at step \d+"),
    ("torchrun", KILL, 1, FailureClass.BACKEND_ERROR, r"torchrun was killed by signal 9"),
    ("torchrun", TERM, 1, FailureClass.BACKEND_ERROR, r"torchrun failed: SignalException: .* got signal: 15"),
    ("torchrun", INT, 1, FailureClass.BACKEND_ERROR, r"torchrun failed: SignalException: .* got signal: 2"),
    ("rank", KILL, 1, FailureClass.BACKEND_ERROR, r"rank 1 was killed by signal 9"),
    ("rank", TERM, 1, FailureClass.BACKEND_ERROR, r"rank 1 was killed by signal 15"),
    ("rank", INT, 1, FailureClass.BACKEND_ERROR, r"rank 1: KeyboardInterrupt"),
    ("loader", KILL, 1, FailureClass.BACKEND_ERROR, r"rank 1: RuntimeError: DataLoader worker .* is killed by signal: Killed"),
    ("loader", TERM, 1, FailureClass.BACKEND_ERROR, r"rank 1: RuntimeError: DataLoader worker .* is killed by signal: Terminated"),
    ("loader", INT, 1, FailureClass.BACKEND_ERROR, r"rank 1: RuntimeError: DataLoader worker .* exited unexpectedly"),
]


@pytest.mark.parametrize(
    ("role", "number", "code", "failure", "says"), SIGNALS, ids=[f"{role}-{number.name}" for role, number, *_ in SIGNALS]
)
def test_each_process_in_turn(
    role: str, number: signal.Signals, code: int, failure: FailureClass | None, says: str, attempt: Make
) -> None:
    run = attempt()
    run.trains()
    roles = run.roles()
    assert set(roles) == {"entrypoint", "torchrun", "rank", "loader"}
    roles[role].send_signal(number)

    assert run.ended() == code, run.log
    run.nothing_stays()
    if failure is None:
        assert run.outcome is None
        return
    assert run.outcome is not None
    assert (run.outcome.reached_end, run.outcome.failure, run.outcome.exit_code) == (False, failure, code)
    assert re.search(says, run.outcome.message, re.DOTALL), run.outcome.message


@pytest.mark.parametrize("second", [True, False], ids=["a-second-SIGTERM", "a-grace-too-short"])
def test_without_the_time_to_save_the_last_good_checkpoint_is_told(second: bool, attempt: Make) -> None:
    """One rank stands still, so that no save can ever be done."""
    run = attempt(graceSeconds=600 if second else 6)
    run.trains(step=10)  # the first epoch's state is at step 6
    report = Report.model_validate_json((run.directory / "report.json").read_text())
    states = [c for c in report.checkpoints if c.kind == "full-state" and c.verified]
    run.roles()["rank"].send_signal(signal.SIGSTOP)
    run.process.send_signal(TERM)
    if second:
        asked = run.directory.parent / "job" / "attempt-1" / "logs" / "node-0" / STOP_FILE
        until(asked.exists, "the first SIGTERM's effect: two that are pending at once are one", seconds=30)
        run.process.send_signal(TERM)

    assert run.ended(seconds=60) == 143, run.log
    run.nothing_stays()
    assert run.outcome is not None
    assert run.outcome.failure is FailureClass.PREEMPTED
    told = re.search(r"the last verified checkpoint is pvc://runs/job/(attempt-1/\S+) \(step (\d+)\)", run.outcome.message)
    assert told, run.outcome.message
    assert int(told[2]) >= (states[-1].step if states else 6)
    assert check_manifest(run.directory.parent / "job" / told[1]) == []
    stacks = list((run.directory.parent / "job" / "attempt-1" / "logs" / "node-0").glob("stacks-rank-0-*"))
    assert stacks, "where the ranks stood"
    assert stacks[0].read_text()


def test_a_rank_that_stands_still_is_named_as_a_hang(attempt: Make) -> None:
    run = attempt(hangSeconds=60)
    run.trains()
    stopped = run.roles()["rank"]
    stopped.send_signal(signal.SIGSTOP)

    assert run.ended(seconds=180) == 1, run.log
    run.nothing_stays()
    assert run.outcome is not None
    assert run.outcome.failure is FailureClass.HANG
    named = (
        rf"no new step for \d+ s; rank 1 \(node 0, process {stopped.pid}\) does not move: its process is stopped, rank 0 waits in "
    )
    assert re.match(named, run.outcome.message), run.outcome.message
    tail = run.outcome.log_tail or ""
    assert "rank 1 (stopped):" in tail
    assert re.search(r"rank 0 \(\w+\):\n(/\S+\.py:\d+ in \w+\n)+", tail), tail


def test_ranks_that_wait_in_different_collectives_are_a_hang(attempt: Make, tmp_path: Path) -> None:
    """Trap: two ranks, no flash attention, mini-batches whose number differs by rank, and our repair left out."""
    data = write_messages(tmp_path / "sixteen.jsonl", rows=16)  # of 43 tokens each
    training = {"num_epochs": 50, "effective_batch_size": 16, "learning_rate": 1e-3, "max_seq_len": 128, "max_tokens_per_gpu": 260}
    run = attempt(hangSeconds=90, dataset=str(data), training=training, without=("even_minibatches",))

    assert run.ended(seconds=300) == 1, run.log
    run.nothing_stays()
    assert run.outcome is not None
    assert run.outcome.failure is FailureClass.HANG, run.outcome.message
    assert "rank 0 waits in" in run.outcome.message
    assert "rank 1 waits in" in run.outcome.message


def test_kill_9_of_the_second_nodes_entrypoint_is_a_lost_node_in_seconds(attempt: Make) -> None:
    pod = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    one, two = (attempt(f"node-{r}", environment={**pod, "PET_NODE_RANK": str(r)}, nodes=2, procsPerNode=1) for r in (0, 1))
    one.trains()
    two.process.kill()

    assert two.ended() == -9
    assert one.ended(seconds=60) == 1, one.log
    one.nothing_stays()
    two.nothing_stays()
    assert one.outcome is not None
    assert one.outcome.failure is FailureClass.NODE_LOST, one.outcome.message
    assert re.match(rf"node 1 \({HOST}\) is gone", one.outcome.message)
