"""What each process leaves in the node's log directory when it fails, so that the cause can be told from its consequences."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from kubetune_trainer.disk import says_full

AGENT_FILE = "agent.json"

UNSAVED_FILE = "unsaved.jsonl"
"""The full states that could not be written, a line each (plugins.saving)."""

RESERVE_FILE = ".reserve"
RESERVE_BYTES = 1 << 18
"""Given up when the disk is full, so that there is room to say so: a traceback or two."""

STOP_FILE = "save-and-end"
"""Made by a node that was told to end: its ranks look for it at each step."""


STAGE_FILE = "stage"
"""What the first rank does before its first step, for people; there only where it says so."""


def write_stage(log_dir: Path, text: str) -> None:
    """Replaced as a whole; a disk that is full then is no reason to end."""
    scratch = log_dir / f".{STAGE_FILE}.writing"
    with contextlib.suppress(OSError):
        scratch.write_text(text)
        scratch.replace(log_dir / STAGE_FILE)


def read_stage(log_dir: Path) -> str | None:
    try:
        return (log_dir / STAGE_FILE).read_text()
    except OSError:
        return None


@dataclass(frozen=True)
class RankEnd:
    """A rank that failed; a negative exit code is the signal that killed it."""

    rank: int
    exit_code: int


@dataclass(frozen=True)
class AgentEvidence:
    """What torchrun on this node saw."""

    time: float
    ends: tuple[RankEnd, ...]
    error: str | None  # torchrun's own failure, for instance a rendezvous that nobody joined

    def write(self, log_dir: Path) -> None:
        write_json(log_dir / AGENT_FILE, asdict(self))

    @classmethod
    def read(cls, log_dir: Path) -> AgentEvidence | None:
        path = log_dir / AGENT_FILE
        if not path.exists():
            return None
        found = json.loads(path.read_text())
        return cls(**found | {"ends": tuple(RankEnd(**end) for end in found["ends"])})


@dataclass(frozen=True)
class RankError:
    """The exception that ended a rank."""

    time: float
    rank: int
    message: str
    traceback: str

    def write(self, log_dir: Path) -> None:
        write_json(log_dir / f"rank-{self.rank}.json", asdict(self))

    @classmethod
    def read_all(cls, log_dir: Path) -> list[RankError]:
        """Those of one node, in the order in which they happened."""
        errors = [cls(**json.loads(path.read_text())) for path in log_dir.glob("rank-*.json")]
        return sorted(errors, key=lambda error: error.time)


def write_json(path: Path, value: dict[str, object]) -> None:
    """Written aside and renamed: another node may read it at any time. On a full disk the reserve makes room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_text(json.dumps(value))
    except OSError as error:
        if not says_full(error):
            raise
        path.with_name(RESERVE_FILE).unlink(missing_ok=True)
        scratch.write_text(json.dumps(value))
    scratch.replace(path)


def set_aside(log_dir: Path) -> None:
    """Writes the reserve; the bytes are no zeros, which some file systems would not store."""
    (log_dir / RESERVE_FILE).write_bytes(os.urandom(RESERVE_BYTES))


def oom_kills(cgroups: Path = Path("/sys/fs/cgroup"), mine: Path = Path("/proc/self/cgroup")) -> int:
    """How often the kernel killed for memory in this process's control group; 0 where that is not told.

    cgroup v2 has it in memory.events, v1 in memory/memory.oom_control (kernel.org: Memory Resource Controller). A container
    sees its own group as the root, unless it shares the host's cgroup namespace.
    """
    groups = [line.split(":", 2)[1:] for line in mine.read_text().splitlines()]
    for controllers, path in groups:
        root, name = (cgroups / "memory", "memory.oom_control") if controllers == "memory" else (cgroups, "memory.events")
        for file in (root / path.lstrip("/") / name, root / name):
            if controllers in ("", "memory") and file.exists():
                return int(dict(line.split() for line in file.read_text().splitlines()).get("oom_kill", 0))
    return 0
