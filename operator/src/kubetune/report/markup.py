"""Small pieces of HTML. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape

NUMBER = ' class="num"'


def section(title: str, *body: str) -> str:
    """Empty where there is nothing in it."""
    inside = "".join(body)
    return f"<section><h2>{escape(title)}</h2>{inside}</section>" if inside else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """`rows` are HTML; columns of `numbers` are aligned to the right. On a narrow screen each row becomes a list."""
    lines = list(rows)
    if not lines:
        return ""
    heads = "".join(f"<th{NUMBER if i in numbers else ''}>{escape(text)}</th>" for i, text in enumerate(head))
    body = "".join(f"<tr>{''.join(cell(head[i], text, i in numbers) for i, text in enumerate(row))}</tr>" for row in lines)
    return f'<div class="wide"><table class="stack"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def cell(label: str, content: str, number: bool) -> str:
    kind = NUMBER if number else ' class="path"' if len(content) > 40 else ""
    return f'<td data-l="{escape(label)}"{kind}>{content}</td>'


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
