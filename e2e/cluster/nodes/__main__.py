"""python -m e2e.cluster.nodes [--built]: prints why no real node can run on this machine; nothing where one can.

With --built the images must be there, too: to build them takes ten minutes.
"""

from __future__ import annotations

import sys

from e2e.cluster.nodes.cluster import why_not_here
from e2e.images.builder import LAYOUT
from e2e.images.catalogue import FOR_TESTS


def why_not_now() -> str:
    """Which images of this content are not built; empty: none."""
    missing = [image.name for image in FOR_TESTS if LAYOUT.find(image.key) is None]
    return f"{', '.join(missing)} of this content are not built: make images" if missing else ""


if __name__ == "__main__":
    print(why_not_here() or ("--built" in sys.argv and why_not_now()) or "", end="")
