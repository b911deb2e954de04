"""A job for people: text for a terminal, HTML for a notebook. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

from kubetune.api import Phase
from kubetune.client.columns import NAMESPACE, Column, Row, columns, curve_of, number, percent_of, phase_of, row_of
from kubetune.client.targets import typed_name
from kubetune.cluster import Manifest

COLOURS = {Phase.SUCCEEDED: "#43a047", Phase.FAILED: "#e53935", Phase.RUNNING: "#1e88e5"}
"""Of the phase's word, to be read on a light and on a dark page; the others take the page's own colour."""

LEFT = "style='text-align:left;padding-right:1em'"
TABLE = "<table style='color:inherit'>"  # which tables do by themselves only where the page is in standards mode


def title_of(row: Row) -> str:
    return f"{typed_name(row.job['kind'], row.job['metadata']['name'])} in {row.job['metadata'].get('namespace', 'default')}"


def rows_of(row: Row) -> list[tuple[str, str]]:
    """What is told, by name; only what there is."""
    status, failure = row.status, row.status.failure
    held = next((c for c in status.conditions if c.type == "Running" and c.status != "True"), None)
    final = status.final_checkpoint
    rows = {
        "phase": phase_of(row),
        "progress": percent_of(row),
        "loss": curve_of(row) or number(row.progress.loss, ".4g"),
        "checkpoint": f"{final.uri} (verified)" if final else "",
        "failure": f"{failure.failure_class.value}: {failure.message}" if failure and status.phase is Phase.FAILED else "",
        "waits": held.message if held and status.phase and not status.phase.finished else "",
        "attempts": str(status.attempts[-1].number) if len(status.attempts) > 1 else "",
    }
    return [(name, text) for name, text in rows.items() if text]


def text_of_job(job: Manifest) -> str:
    """A title and a line each."""
    row = row_of(job)
    return "\n".join([title_of(row), *(f"  {name + ':':<12} {text}" for name, text in rows_of(row))])


def html_of_job(job: Manifest) -> str:
    """The same as a table, with a bar for the progress."""
    row = row_of(job)
    cells = "".join(
        f"<tr><th {LEFT}>{escape(name)}</th><td {LEFT}>{coloured(row, text) if name == 'phase' else escape(text)}</td></tr>"
        for name, text in rows_of(row)
    )
    return f"<div><strong>{escape(title_of(row))}</strong>{bar(row)}{TABLE}{cells}</table></div>"


def html_of_jobs(jobs: Sequence[Manifest], now: datetime | None = None) -> str:
    """A row each; the namespace where there are several."""
    rows = [row_of(job, now) for job in jobs]
    if not rows:
        return "<div>no jobs</div>"
    shown = columns(namespaces=len({NAMESPACE.text(row) for row in rows}) > 1)
    head = "".join(f"<th {LEFT}>{escape(heading(column))}</th>" for column in shown)
    return f"{TABLE}<thead><tr>{head}</tr></thead><tbody>{''.join(table_row(row, shown) for row in rows)}</tbody></table>"


def heading(column: Column) -> str:
    return column.title if column.title == "ETA" else column.title.capitalize()


def table_row(row: Row, shown: Sequence[Column]) -> str:
    cells = ((column.title, column.text(row)) for column in shown)
    texts = (coloured(row, text) if title == "PHASE" else escape(text) for title, text in cells)
    return f"<tr>{''.join(f'<td {LEFT}>{text}</td>' for text in texts)}</tr>"


def coloured(row: Row, text: str) -> str:
    colour = COLOURS.get(row.status.phase) if row.status.phase else None
    return f"<span style='color:{colour};font-weight:bold'>{escape(text)}</span>" if colour else escape(text)


def bar(row: Row) -> str:
    """Of the steps done; nothing before the first."""
    progress = row.status.progress
    if progress is None or not progress.total_steps:
        return ""
    return f"<div><progress value='{progress.step}' max='{progress.total_steps}' style='width:240px'></progress></div>"
