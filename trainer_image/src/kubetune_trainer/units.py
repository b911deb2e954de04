"""Figures for people. Pure."""

from __future__ import annotations


def size(count: int) -> str:
    """Bytes in the largest unit of which there is at least one."""
    for power, unit in ((3, "GB"), (2, "MB"), (1, "kB")):
        if count >= 1000**power:
            return f"{count / 1000**power:.1f} {unit}"
    return f"{count} bytes"
