"""The operator's process, from kopf's start to its end within a bound."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence

import kopf
from kopf._cogs.structs.references import Insights  # what kopf.run(insights=...) takes; kopf gives it no public name

from kubetune.controller.handlers import Shared
from kubetune.controller.operator_settings import OperatorSettings

logger = logging.getLogger(__name__)

ENDING_SECONDS = 4.5
"""From the moment that the operator is to end. kopf waits five seconds for tasks that are left, cancels them, and waits again."""


def run_operator(settings: OperatorSettings) -> None:
    """Runs until SIGTERM or SIGINT, and ends the process: exit code 1 if the operator failed by itself.

    Raises what kopf raises where it cannot start.
    """
    namespaces: Sequence[str] = settings.namespaces
    insights = Insights()
    memo = Shared(settings=settings, insights=insights)
    memo.ending = threading.Timer(ENDING_SECONDS, give_up_waiting, [memo])
    memo.ending.daemon = True
    try:
        kopf.run(clusterwide=not namespaces, namespaces=list(namespaces), standalone=True, insights=insights, memo=memo)
    finally:
        memo.ending.cancel()
    end(memo)


def give_up_waiting(memo: Shared) -> None:
    """What of ours was to end has ended, or is left; what kopf still waits for writes nothing."""
    logger.warning("ends without waiting for the rest any longer (%g s)", ENDING_SECONDS)
    end(memo)


def end(memo: Shared) -> None:
    """Does not return. Python would wait for threads, as long as a dead API server lets them wait."""
    task = memo.get("task")
    if not memo.get("drained"):
        logger.warning("ended with requests under way")
    failed = bool(task and task.done() and not task.cancelled() and task.exception())
    logging.shutdown()
    os._exit(1 if failed else 0)
