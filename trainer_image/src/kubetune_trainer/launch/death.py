"""No orphans: a process that dies with its parent, whatever kills the parent (Linux)."""

from __future__ import annotations

import ctypes
import os
import signal

PARENT_ENV = "KUBETUNE_PARENT_PID"
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int | None = None) -> None:
    """Asks the kernel to kill this process once its parent is gone (prctl(2), PR_SET_PDEATHSIG).

    `parent`: the pid that started this process; where it is no longer the parent, it died before the request and this
    process ends at once. The kernel means the THREAD that started this process: it must stay until the process ends.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def forked_children_die_too() -> None:
    """What this process forks from now on (loaders of data), and what they fork, dies with its parent as well.

    A fork clears the request. Loaders look for their parent themselves, but only every five seconds, and not while they are busy.
    """
    parent = [os.getpid()]

    def remember() -> None:
        parent[0] = os.getpid()

    os.register_at_fork(before=remember, after_in_child=lambda: die_with_parent(parent[0]))
