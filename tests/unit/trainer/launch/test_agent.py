from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from kubetune_trainer.launch.agent import ends_of
from kubetune_trainer.launch.evidence import RankEnd


def failure(exit_code: int, second: int) -> ProcessFailure:
    ended = ProcessFailure(local_rank=0, pid=1, exitcode=exit_code, error_file="/nowhere")
    ended.timestamp = second
    return ended


def test_the_rank_that_torchrun_ended_itself_comes_after_the_one_that_failed() -> None:
    assert ends_of({0: failure(-15, 5), 1: failure(-9, 5)}) == (RankEnd(1, -9), RankEnd(0, -15))
    assert ends_of({1: failure(-15, 5), 0: failure(-15, 5)}) == (RankEnd(1, -15), RankEnd(0, -15)), "as torchrun saw them"


def test_the_earlier_failure_comes_first() -> None:
    assert ends_of({0: failure(-9, 6), 1: failure(1, 5)}) == (RankEnd(1, 1), RankEnd(0, -9))
