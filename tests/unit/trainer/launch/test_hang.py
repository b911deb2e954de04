"""From stacks to words."""

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.launch.hang import hang_error, what_stands
from kubetune_trainer.launch.stacks import RankStack, frames_of

C10D = "/site/torch/distributed/distributed_c10d.py"
WRAPPER = f"{C10D}:88 in wrapper"
OWN = "/site/instructlab/training/main_ds.py:400 in train"


def stack(rank: int, *frames: str, state: str = "sleeping") -> RankStack:
    return RankStack(rank, rank // 2, 100 + rank, state, [*frames, OWN])


def waits(rank: int, function: str = "all_reduce") -> RankStack:
    return stack(rank, f"{C10D}:7 in {function}", WRAPPER)


def test_a_rank_that_cannot_run_is_named_before_all_that_wait_for_it():
    said = what_stands([waits(0), stack(1, state="stopped"), waits(2)])
    assert said.startswith("rank 1 (node 0, process 101) does not move: its process is stopped, rank 0 waits in all_reduce")
    assert "different" not in said


def test_a_rank_that_the_others_wait_for_is_named_with_its_place():
    said = what_stands([waits(0), stack(3, "/site/torch/utils/data/dataloader.py:9 in _next_data")])
    assert said.startswith(
        f"rank 3 (node 1) is at /site/torch/utils/data/dataloader.py:9 in _next_data, called from {OWN}, rank 0 waits"
    )


def test_collectives_that_do_not_match_are_told():
    said = what_stands([waits(0, "all_gather_into_tensor"), waits(1)])
    assert said == "the ranks wait in different collectives, rank 0 waits in all_gather_into_tensor, rank 1 waits in all_reduce"
    assert what_stands([waits(0), waits(1)]) == "rank 0 waits in all_reduce, rank 1 waits in all_reduce"


def test_a_rank_without_a_stack_and_a_run_without_ranks():
    assert what_stands([RankStack(0, 0, 1, "running", [])]) == "rank 0 (node 0) is at a place that it did not tell"
    assert what_stands([]) == "no rank was running"


def test_the_tail_ends_with_the_rank_that_others_wait_for():
    error = hang_error([stack(0, "/a.py:1 in stuck"), waits(1), waits(2)], 61.4, "/logs")
    assert error.failure_class is FailureClass.HANG
    assert str(error).startswith("no new step for 61 s; rank 0 (node 0) is at /a.py:1 in stuck")
    assert str(error).endswith("; the stacks of 3 ranks are in /logs")
    lines = (error.log_tail or "").splitlines()
    assert [line for line in lines if line.startswith("rank ")] == [
        "rank 1 (sleeping):",
        "rank 2 (sleeping):",
        "rank 0 (sleeping):",
    ]
    assert lines[-2:] == ["/a.py:1 in stuck", OWN]


TEXT = """Thread 0x1 (most recent call first):
  File "/lib/threading.py", line 982 in run

Current thread 0x2 (most recent call first):
  File "/a.py", line 3 in step
  File "/site/kubetune_trainer/launch/worker.py", line 55 in main
"""


def test_the_frames_are_those_of_the_thread_that_trains():
    expected = ["/a.py:3 in step", "/site/kubetune_trainer/launch/worker.py:55 in main"]
    assert frames_of(TEXT) == expected
    assert frames_of(TEXT.replace("kubetune_trainer", "deep")) == [expected[0], expected[1].replace("kubetune_trainer", "deep")]
    assert frames_of("") == []
