"""What `wait(progress=True)` shows: a bar at a terminal, a table that renews itself in a notebook, else a line at each change."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from kubetune.client.targets import typed_name
from kubetune.client.view import html_of_job
from kubetune.cluster import Manifest


class Shown(Protocol):
    """Is told the job whenever it was looked at."""

    def show(self, job: Manifest) -> None: ...


class Silent(nullcontext[Shown]):
    """Shows nothing."""

    def __init__(self) -> None:
        super().__init__(self)

    def show(self, job: Manifest) -> None:
        """Nothing."""


def display(job: Manifest) -> AbstractContextManager[Shown]:
    """What fits where this runs."""
    if in_notebook():
        return NotebookTable()
    from kubetune.display.live import Bar, Lines  # rich and click, where they are used

    kind: Any = Bar if sys.stderr.isatty() else Lines
    name, namespace = typed_name(job["kind"], job["metadata"]["name"]), job["metadata"].get("namespace", "default")
    where = f"{name} -n {namespace}" if namespace != "default" else name
    shown: AbstractContextManager[Shown] = kind(str, lambda child: f"kubetune logs {where} --attempt {child.rpartition('-')[2]}")
    return shown


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this; nothing is imported for the question."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and getattr(shell, "kernel", None) is not None


class NotebookTable(nullcontext[Shown]):
    """The job's table, in place of the one before."""

    def __init__(self) -> None:
        super().__init__(self)
        self._handle: Any = None
        self._html = ""

    def show(self, job: Manifest) -> None:
        from IPython.display import HTML, display

        html = html_of_job(job)
        if html == self._html:
            return
        self._html = html
        if self._handle is None:
            self._handle = display(HTML(html), display_id=True)
        else:
            self._handle.update(HTML(html))
