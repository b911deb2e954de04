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
