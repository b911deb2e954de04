"""`kubetune top`: all jobs as a table that renews itself."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kubetune.api import Phase
from kubetune.cli.connecting import client_of, exit_code
from kubetune.cli.listing import COLOURS
from kubetune.client import Client, ClientError, NoClusterError, UnavailableError
from kubetune.client.columns import NAMESPACE, Column, Row, columns, percent_of, row_of

AT_WORK = (Phase.RUNNING, Phase.STARTING, Phase.RESTARTING)
ORDER = (*AT_WORK, Phase.QUEUED, Phase.PENDING, Phase.SUSPENDED, Phase.FAILED, Phase.SUCCEEDED)
LEFT_OUT = ("REASON", "CURVE", "CHECKPOINT")
BAR_WIDTH = 16


def show_top(*, all_namespaces: bool, every: float, **where: Any) -> int:
    """The exit code. Raises UserError."""

    def act() -> int:
        client, console = client_of(**where), Console()
        rows = look(client, all_namespaces=all_namespaces)
        if not sys.stdout.isatty():
            console.width = max(console.width, 160)  # a pipe has no edge
            console.print(picture(rows, datetime.now(UTC)))
            return 0
        with Live(picture(rows, datetime.now(UTC)), console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(every)
                live.update(renewed(client, rows, all_namespaces=all_namespaces), refresh=True)

    return exit_code(act)


def look(client: Client, *, all_namespaces: bool) -> list[Row]:
    now = datetime.now(UTC)
    return [row_of(job.manifest, now) for job in client.list(all_namespaces=all_namespaces)]


def renewed(client: Client, rows: list[Row], *, all_namespaces: bool) -> Group:
    """What is there now; while the cluster is away what was there, and since when. `rows` is brought up to date."""
    try:
        rows[:] = look(client, all_namespaces=all_namespaces)
    except (NoClusterError, UnavailableError) as error:
        return picture(rows, datetime.now(UTC), error)
    return picture(rows, datetime.now(UTC))


def picture(rows: Sequence[Row], now: datetime, error: ClientError | None = None) -> Group:
    """What runs comes first; a line of sums above it."""
    shown = [c for c in columns(wide=True, namespaces=len({NAMESPACE.text(row) for row in rows}) > 1) if c.title not in LEFT_OUT]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in shown:
        table.add_column(column.title, justify="right" if column.right else "left", no_wrap=True)
    for row in sorted(rows, key=lambda row: (place(row), row.job["metadata"]["name"])):
        table.add_row(*(cell(row, column) for column in shown))
    trouble = [Text(str(error), style="red")] if error else []
    return Group(Text(sums(rows, now)), *trouble, Text(), table if rows else Text("There is no job."))


def place(row: Row) -> int:
    return ORDER.index(row.status.phase or Phase.PENDING)


def sums(rows: Iterable[Row], now: datetime) -> str:
    """How many in which phase, on how many nodes they train, and how fast."""
    rows = list(rows)
    counts = Counter(row.status.phase or Phase.PENDING for row in rows)
    running = [row for row in rows if row.status.phase is Phase.RUNNING]
    nodes = sum(row.job["spec"].get("nodes", 1) for row in running)
    pace = sum(row.progress.tokens_per_second or 0 for row in running)
    phases = ", ".join(f"{counts[phase]} {phase.value}" for phase in ORDER if counts[phase]) or "no jobs"
    work = f" · {nodes} {'nodes' if nodes > 1 else 'node'} at work" + (f", {pace:,.0f} tokens/s" if pace else "") if running else ""
    return f"{now.astimezone():%H:%M:%S}  {phases}{work}"


def cell(row: Row, column: Column) -> Text | Table:
    text = column.text(row)
    if column.title == "PHASE":
        return Text(text, style=COLOURS.get(row.status.phase, "") if row.status.phase else "")
    if column.title == "PROGRESS" and row.progress.total_steps and not row.progress.stage:
        grid = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=row.progress.total_steps, completed=row.progress.step, width=BAR_WIDTH)
        grid.add_row(bar, Text(percent_of(row)))
        return grid
    return Text(text)
