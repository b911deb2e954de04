"""torchrun as a child that dies with its parent and leaves word of how its ranks ended (`python -m`)."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from kubetune_trainer.launch.command import LOG_DIR_ENV
from kubetune_trainer.launch.death import PARENT_ENV, die_with_parent
from kubetune_trainer.launch.evidence import AgentEvidence, RankEnd, oom_kills


def main(arguments: list[str]) -> None:
    """Runs torchrun; a failure is noted in the log directory and raised again, so that the exit code stays torchrun's."""
    die_with_parent(int(os.environ[PARENT_ENV]))
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    before = oom_kills()
    os.environ[PARENT_ENV] = str(os.getpid())
    try:
        run.main(arguments)
    except ChildFailedError as error:
        ends = tuple(RankEnd(rank, failure.exitcode) for rank, failure in sorted(error.failures.items()))
        note(AgentEvidence(time.time(), ends, oom_kills() - before, None))
        raise
    except Exception as error:
        note(AgentEvidence(time.time(), (), oom_kills() - before, f"{type(error).__name__}: {error}"))
        raise


def note(evidence: AgentEvidence) -> None:
    evidence.write(Path(os.environ[LOG_DIR_ENV]))


if __name__ == "__main__":
    main(sys.argv[1:])
