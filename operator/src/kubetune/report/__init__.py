"""What a run left on disk, for people: a page, a line in the terminal, its checkpoints. `sources` reads; the rest is pure."""

from kubetune.report.sketch import curve, sketch

__all__ = ["curve", "sketch"]
