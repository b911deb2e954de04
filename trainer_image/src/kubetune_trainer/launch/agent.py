"""torchrun as a child that dies with its parent and leaves word of how its ranks ended (`python -m`)."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kubetune_trainer.launch.command import LOG_DIR_ENV
from kubetune_trainer.launch.death import PARENT_ENV, die_with_parent
from kubetune_trainer.launch.evidence import AgentEvidence, RankEnd

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure


def main(arguments: list[str]) -> None:
    """Runs torchrun; a failure is noted in the log directory and raised again, so that the exit code stays torchrun's."""
    die_with_parent(int(os.environ[PARENT_ENV]))
    gc.disable()  # to collect nothing is a third of what torch's import and this process's end cost
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    gc.freeze()  # modules stay, and need not be taken apart at the end
    gc.enable()
    os.environ[PARENT_ENV] = str(os.getpid())
    try:
        run.main(arguments)
    except ChildFailedError as error:
        note(AgentEvidence(time.time(), ends_of(error.failures), None))
        raise
    except Exception as error:
        note(AgentEvidence(time.time(), (), f"{type(error).__name__}: {error}"))
        raise


def ends_of(failures: Mapping[int, ProcessFailure]) -> tuple[RankEnd, ...]:
    """The first to fail first. torchrun ends the others by SIGTERM within the same second, and lists them after it."""
    ordered = sorted(failures.items(), key=lambda item: (item[1].timestamp, item[1].exitcode == -signal.SIGTERM))
    return tuple(RankEnd(rank, failure.exitcode) for rank, failure in ordered)


def note(evidence: AgentEvidence) -> None:
    evidence.write(Path(os.environ[LOG_DIR_ENV]))


if __name__ == "__main__":
    main(sys.argv[1:])
