"""Which rank failed first, and of what: the cause, told from its consequences on the other ranks and nodes."""

from __future__ import annotations

import re
import time
from pathlib import Path

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.launch.command import Launch
from kubetune_trainer.launch.evidence import AgentEvidence, RankEnd, RankError

TAIL_LINES = 40
NODES_SECONDS = 5.0  # how long the other nodes may take to write down what this node only saw the consequence of

CLASSES: tuple[tuple[str, FailureClass], ...] = (
    (r"^Preempted: ", FailureClass.PREEMPTED),  # by its name: the plug-ins' exception
    (r"CUDA out of memory|OutOfMemoryError|CUDA error: out of memory", FailureClass.CUDA_OOM),
    (r"No space left on device|Errno 28\b|Disk quota exceeded", FailureClass.DISK_FULL),
    (r"\bMemoryError\b|DefaultCPUAllocator: can't allocate|Cannot allocate memory|Errno 12\b", FailureClass.HOST_OOM),
    (
        r"waiting for clients|client socket has timed out|Rendezvous\w*Error|addresses .* cannot be retrieved|Connection timed out",
        FailureClass.RENDEZVOUS_TIMEOUT,
    ),
)
"""The first pattern found in the root exception decides; everything else is BackendError."""

CONSEQUENCE = re.compile(
    r"Connection (closed|reset) by peer|Broken pipe|remote process exited|DistBackendError|DistNetworkError|Socket closed|"
    r"Timed out waiting \d+ms for (recv|send)|failed to recv|application timeout caused pair closure",
    re.IGNORECASE,
)
"""What ranks say when another one is gone."""


def classify(text: str) -> FailureClass:
    """The class of a root exception, by its text."""
    return next((found for pattern, found in CLASSES if re.search(pattern, text)), FailureClass.BACKEND_ERROR)


def diagnose(launch: Launch, exit_code: int | None) -> TrainingError:
    """The error to raise for a run whose torchrun ended with `exit_code`."""
    found = root_cause(launch.log_dir)
    if launch.torchrun.nnodes > 1 and (found is None or is_consequence(found)):
        found = elsewhere(launch) or found
    return found or TrainingError(
        FailureClass.BACKEND_ERROR,
        f"torchrun ended with {exit_code} and left no word of why",
        log_tail=tail_of_logs(launch.log_dir),
    )


def root_cause(log_dir: Path) -> TrainingError | None:
    """What one node's evidence says: a rank's own exception, a killed rank, torchrun's failure, a consequence; in this order."""
    agent, errors = AgentEvidence.read(log_dir), RankError.read_all(log_dir)
    own = [error for error in errors if not CONSEQUENCE.search(error.message)]
    killed = [end for end in agent.ends if end.exit_code < 0] if agent else []
    if own:
        return from_exception(own[0])
    if agent and killed:
        return from_signal(killed[0], agent, log_dir)
    if agent and agent.error:
        return TrainingError(classify(agent.error), f"torchrun failed: {agent.error}", log_tail=agent.error)
    if errors:
        return from_exception(errors[0])
    if agent and agent.ends:
        end = agent.ends[0]
        tail = tail_of_logs(log_dir)
        return TrainingError(classify(tail or ""), f"rank {end.rank} ended with exit code {end.exit_code}", log_tail=tail)
    return None


def is_consequence(error: TrainingError) -> bool:
    return CONSEQUENCE.search(str(error)) is not None


def elsewhere(launch: Launch) -> TrainingError | None:
    """The root cause on another node, where the nodes' log directories lie side by side on shared storage."""
    deadline = time.monotonic() + NODES_SECONDS
    while True:
        others = [d for d in sorted(launch.log_dir.parent.glob("node-*")) if d != launch.log_dir]
        for found in filter(None, map(root_cause, others)):
            if not is_consequence(found):
                return found
        if time.monotonic() > deadline:
            return None
        time.sleep(0.1)


def from_exception(error: RankError) -> TrainingError:
    failure = classify(error.message)
    lines = error.traceback.rstrip().splitlines()[-TAIL_LINES:] if failure is not FailureClass.PREEMPTED else ()
    return TrainingError(failure, f"rank {error.rank}: {error.message}", log_tail="\n".join(lines) or None)


def from_signal(end: RankEnd, agent: AgentEvidence, log_dir: Path) -> TrainingError:
    """SIGKILL is the kernel's way to end a process for memory, but not the only sender: only its own count says so."""
    what = f"rank {end.rank} was killed by signal {-end.exit_code} (exit code {128 - end.exit_code})"
    if end.exit_code == -9 and agent.oom_kills:
        return TrainingError(
            FailureClass.HOST_OOM, f"{what}: the container's memory limit was reached", log_tail=tail_of_logs(log_dir)
        )
    return TrainingError(FailureClass.BACKEND_ERROR, what, log_tail=tail_of_logs(log_dir))


def tail_of_logs(log_dir: Path) -> str | None:
    """The last lines of the node's ranks, in the order of the ranks."""
    parts = []
    for path in sorted(log_dir.glob("*/attempt_0/*/stderr.log")):
        lines = path.read_text(errors="replace").rstrip().splitlines()[-TAIL_LINES:]
        parts += [f"[local rank {path.parent.name}] {line}" for line in lines]
    return "\n".join(parts[-TAIL_LINES:]) or None
