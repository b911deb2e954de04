"""Which rank of this node failed first, and of what: the cause, told from its consequences on the other ranks."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.launch.command import Launch
from kubetune_trainer.launch.evidence import STOP_FILE, AgentEvidence, RankError

TAIL_LINES = 40

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

SIGNALLED = "SignalException"
"""torchrun's word for a signal to itself, which it hands on to its ranks."""

INTERRUPTED = re.compile(r"KeyboardInterrupt\b")

KILLED_LOADER = re.compile(r"DataLoader worker .*(killed by signal|exited unexpectedly)", re.DOTALL)


def classify(text: str) -> FailureClass:
    """The class of a root exception, by its text."""
    return next((found for pattern, found in CLASSES if re.search(pattern, text)), FailureClass.BACKEND_ERROR)


def diagnose(launch: Launch, exit_code: int | None, oom_kills: int = 0) -> TrainingError:
    """The error of a run whose torchrun ended with `exit_code` on this node.

    `oom_kills`: how many processes of this container the kernel killed for memory meanwhile.
    """
    found = root_cause(launch.log_dir, oom_kills)
    if found is None and exit_code is not None and exit_code < 0:
        found = from_signal("torchrun", exit_code, launch.log_dir, oom_kills)
    return found or TrainingError(
        FailureClass.BACKEND_ERROR,
        f"torchrun ended with {exit_code} and left no word of why",
        log_tail=tail_of_logs(launch.log_dir),
    )


def root_cause(log_dir: Path, oom_kills: int) -> TrainingError | None:
    """What one node's evidence says: a rank's own exception, a killed rank, torchrun's failure, a consequence; in this order."""
    agent, errors = AgentEvidence.read(log_dir), RankError.read_all(log_dir)
    signalled = agent is not None and (agent.error or "").startswith(SIGNALLED)
    own = [error for error in errors if not (CONSEQUENCE.search(error.message) or (signalled and INTERRUPTED.match(error.message)))]
    killed = [end for end in agent.ends if end.exit_code < 0] if agent else []
    if own:
        return from_exception(own[0], log_dir, oom_kills)
    if killed:
        return from_signal(f"rank {killed[0].rank}", killed[0].exit_code, log_dir, oom_kills)
    if agent and agent.error:
        return from_agent(agent.error, log_dir)
    if errors:
        return from_exception(errors[0], log_dir, oom_kills)
    if agent and agent.ends:
        end = agent.ends[0]
        tail = tail_of_logs(log_dir)
        return TrainingError(classify(tail or ""), f"rank {end.rank} ended with exit code {end.exit_code}", log_tail=tail)
    return None


def is_consequence(error: TrainingError) -> bool:
    return CONSEQUENCE.search(str(error)) is not None


def from_exception(error: RankError, log_dir: Path, oom_kills: int) -> TrainingError:
    failure = classify(error.message)
    if oom_kills and KILLED_LOADER.search(error.message):
        failure = FailureClass.HOST_OOM
    elif was_asked_to_end(log_dir) and error.message.startswith("KeyboardInterrupt"):
        failure = FailureClass.PREEMPTED
    lines = error.traceback.rstrip().splitlines()[-TAIL_LINES:] if failure is not FailureClass.PREEMPTED else ()
    return TrainingError(failure, f"rank {error.rank}: {error.message}", log_tail="\n".join(lines) or None)


def from_signal(who: str, exit_code: int, log_dir: Path, oom_kills: int) -> TrainingError:
    """SIGKILL is the kernel's way to end a process for memory, but not the only sender: only its own count says so.

    SIGTERM to every process of a node that was told to end is no failure of the rank that it hits first.
    """
    what = f"{who} was killed by signal {-exit_code} (exit code {128 - exit_code})"
    if exit_code == -signal.SIGKILL and oom_kills:
        limit = f"{what}: the container's memory limit was reached; raise resources.limits.memory"
        return TrainingError(FailureClass.HOST_OOM, limit, log_tail=tail_of_logs(log_dir))
    if exit_code in (-signal.SIGTERM, -signal.SIGINT) and was_asked_to_end(log_dir):
        return TrainingError(FailureClass.PREEMPTED, what)
    return TrainingError(FailureClass.BACKEND_ERROR, what, log_tail=tail_of_logs(log_dir))


def from_agent(error: str, log_dir: Path) -> TrainingError:
    """Torchrun's own failure."""
    asked = error.startswith(SIGNALLED) and was_asked_to_end(log_dir)
    failure = FailureClass.PREEMPTED if asked else classify(error)
    return TrainingError(failure, f"torchrun failed: {error}", log_tail=None if asked else error)


def was_asked_to_end(log_dir: Path) -> bool:
    return (log_dir / STOP_FILE).exists()


def tail_of_logs(log_dir: Path) -> str | None:
    """The last lines of the node's ranks, in the order of the ranks."""
    parts = []
    for path in sorted(log_dir.glob("*/attempt_0/*/stderr.log")):
        lines = path.read_text(errors="replace").rstrip().splitlines()[-TAIL_LINES:]
        parts += [f"[local rank {path.parent.name}] {line}" for line in lines]
    return "\n".join(parts[-TAIL_LINES:]) or None
