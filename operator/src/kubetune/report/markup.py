"""Small pieces of HTML. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape


def section(title: str, *body: str) -> str:
    """Empty where there is nothing in it."""
    inside = "".join(body)
    return f"<section><h2>{escape(title)}</h2>{inside}</section>" if inside else ""


@dataclass(frozen=True)
class Column:
    """`number`: aligned to the right; `long`: its text may be broken anywhere, that of others nowhere."""

    name: str
    number: bool = False
    long: bool = False

    @property
    def kind(self) -> str:
        return "num" if self.number else "path" if self.long else ""


def table(head: Sequence[Column], rows: Iterable[Sequence[str]], kind: str = "stack") -> str:
    """`rows` are HTML. On a narrow screen each becomes a list if the table is a `stack`, and else it can be moved sideways."""
    lines = "".join(f"<tr>{''.join(cell(column, text) for column, text in zip(head, row, strict=True))}</tr>" for row in rows)
    if not lines:
        return ""
    heads = "".join(f'<th class="{column.kind}">{escape(column.name)}</th>' for column in head)
    return f'<div class="wide"><table class="{kind}"><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>'


def cell(column: Column, content: str) -> str:
    return f'<td data-l="{escape(column.name)}" class="{column.kind}">{content}</td>'


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """Two columns of text; rows without a value are left out."""
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="path">{escape(value)}</td></tr>' for name, value in rows if value
    )
    return f'<table class="figures left"><tbody>{body}</tbody></table>' if body else ""


def tiles(rows: Iterable[tuple[str, str]]) -> str:
    """The key figures."""
    body = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in rows if value)
    return f'<dl class="tiles">{body}</dl>'


def moment(time: datetime | None) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if time else ""


def figure(value: float | None) -> str:
    """As it was logged, to six digits; NaN and infinities too."""
    return "" if value is None else f"{value:.6g}"
