"""A result for people: text for a terminal, HTML for a notebook. Pure."""

from __future__ import annotations

from html import escape
from math import isfinite
from typing import TYPE_CHECKING

from kubetune_trainer.units import size

if TYPE_CHECKING:
    from kubetune_trainer.plan import RunResult

WIDTH, HEIGHT = 240, 48  # of the loss curve, in CSS pixels


def rows_of(result: RunResult) -> list[tuple[str, str]]:
    """What is told, by name; only what there is."""
    losses = [loss for loss in result.losses if isfinite(loss)]
    checkpoint = result.checkpoint
    rows = {
        "checkpoint": f"{checkpoint.uri} (verified, {size(checkpoint.bytes)})" if checkpoint else "",
        "loss": f"{losses[0]:.4g} at first, {losses[-1]:.4g} at the end" if losses else "",
        "data": str(result.data or ""),
        "seconds": ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in result.seconds.items()),
        "resumed from": result.resumed_from or "",
        "failure": "" if result.reached_end or result.outcome is None else f"{result.outcome.failure}: {result.outcome.message}",
        "all checkpoints": ", ".join(f"{c.kind} of step {c.step}" for c in result.checkpoints) if result.checkpoints else "",
    }
    return [(name, text) for name, text in rows.items() if text]


def title_of(result: RunResult) -> str:
    how = "reached its end" if result.reached_end else "did not reach its end"
    return f"Training {how}: step {result.step} of {result.total_steps if result.total_steps is not None else 'an unknown number'}"


def text_of(result: RunResult) -> str:
    """A title and a line each."""
    return "\n".join([title_of(result), *(f"  {name + ':':<16} {text}" for name, text in rows_of(result))])


def html_of(result: RunResult) -> str:
    """The same as a table, with the curve of the losses."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>{escape(text)}</td></tr>"
        for name, text in rows_of(result)
    )
    return f"<div><strong>{escape(title_of(result))}</strong>{curve(result.losses)}<table>{rows}</table></div>"


def curve(losses: tuple[float, ...]) -> str:
    """An SVG polyline over the steps, the lowest loss at the bottom; nothing where two points are not there."""
    points = [(step, loss) for step, loss in enumerate(losses) if isfinite(loss)]
    if len(points) < 2:
        return ""
    low, high = min(loss for _, loss in points), max(loss for _, loss in points)
    across, up = WIDTH / (len(losses) - 1), HEIGHT / ((high - low) or 1.0)
    path = " ".join(f"{step * across:.1f},{HEIGHT - (loss - low) * up:.1f}" for step, loss in points)
    box = f"viewBox='-2 -2 {WIDTH + 4} {HEIGHT + 4}' width='{WIDTH}' height='{HEIGHT}'"
    return f"<div><svg {box} role='img' aria-label='loss'><polyline points='{path}' fill='none' stroke='currentColor'/></svg></div>"
