"""Where the embedded cluster keeps what it knows: one directory, readable by people."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class JobLockedError(RuntimeError):
    """Another `kubetune run` holds this job of this state directory."""


@dataclass(frozen=True)
class StateDir:
    """The layout of a state directory."""

    root: Path

    @classmethod
    def create(cls, root: Path) -> StateDir:
        """Makes the directory with a .gitignore of its own: checkpoints do not belong into a repository."""
        state = cls(root.expanduser().absolute())
        for path in (state.resources, state.pods, state.volumes, state.configmaps, state.locks):
            path.mkdir(parents=True, exist_ok=True)
        ignore = state.root / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        return state

    @property
    def resources(self) -> Path:
        """One JSON file an object: <kind>/<namespace>/<name>.json."""
        return self.root / "resources"

    @property
    def pods(self) -> Path:
        """One directory a pod: its log, its working directory, its termination message."""
        return self.root / "pods"

    @property
    def volumes(self) -> Path:
        """One directory (or link) a PersistentVolumeClaim."""
        return self.root / "volumes"

    @property
    def outputs(self) -> Path:
        """What jobs with an output of s3:// write before it is uploaded: <namespace>-<name>-<uid8>/node-<rank>/attempt-<number>."""
        return self.root / "outputs"

    @property
    def configmaps(self) -> Path:
        """<name>/<key> of every ConfigMap."""
        return self.root / "configmaps"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    def driven(self, kind: str, namespace: str, name: str) -> bool:
        """Whether some process holds the job now. Only looks."""
        try:
            with (self.locks / f"{kind.lower()}.{namespace}.{name}").open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return False

    @contextmanager
    def lock(self, kind: str, namespace: str, name: str) -> Iterator[None]:
        """Holds the job for this process; the kernel lets go of it however the process ends.

        Raises:
            JobLockedError: another process holds it.

        """
        path = self.locks / f"{kind.lower()}.{namespace}.{name}"
        with path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise JobLockedError(file.read().strip() or "an unknown process") from None
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield


def write_atomically(path: Path, text: str) -> None:
    """Readers see the old text or the new one, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    spare = path.with_name(f".{path.name}.{os.getpid()}")
    with spare.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    spare.replace(path)
