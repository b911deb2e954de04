"""python -m e2e.cluster.nodes: prints why no real node can run on this machine; nothing where one can."""

from __future__ import annotations

from e2e.cluster.nodes.cluster import why_not_here

if __name__ == "__main__":
    print(why_not_here(), end="")
