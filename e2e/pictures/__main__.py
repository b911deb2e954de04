"""python -m e2e.pictures [--minutes M] [--again]: see docs/observability.md"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path

from e2e.cluster import processes
from e2e.cluster.control_plane import LOOPBACK
from e2e.dashboard import prometheus, stage
from e2e.dashboard.prometheus import Prometheus
from e2e.dashboard.questions import ALERTS, DASHBOARD, ROOT
from e2e.pictures import page, scene
from e2e.pictures.asked import Asked, Json, Window, row_of, rows, variables

sys.path.insert(0, str(ROOT / "tests" / "support"))

from browser import Scheme, find_chromium, take

KEPT = ROOT / ".kubetune" / "dashboard-pictures"
"""What Prometheus has scraped, so that the pictures can be drawn anew without another scene."""

SCRAPE_SECONDS = 5
NAMES = {"Fleet": "dashboard-fleet", "One job": "dashboard-job", "Operator health": "dashboard-operator"}
CHOSEN = {"One job": {"namespace": scene.FREE, "name": scene.LONGEST}}
"""What is chosen at the top, by row; all else says All."""

ABOVE = 92
"""Pixels of what lies above the grid."""

UNTIL_DRAWN = "--virtual-time-budget=10000"
"""The page draws once its font is there: Chromium waits until no timer is left, or these milliseconds of the page's clock."""


def main() -> int:
    given = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    if lacking := missing():
        print(f"==> dashboard-pictures is skipped. {lacking}")
        return 0
    script = page.built()
    if not given.again:
        record(given.minutes)
    for name, scheme, shown in drawn():
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "page.html"
            file.write_text(page.html(script, shown))
            size = (shown["width"], shown["height"] + ABOVE)
            take(str(find_chromium()), file, given.into / f"{name}-{scheme}.png", size, scheme, UNTIL_DRAWN)
    return 0


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m e2e.pictures", description="Pictures of Grafana's dashboard for docs/.")
    add = parser.add_argument
    add("--minutes", type=float, default=scene.LENGTH, help=f"how long the scene takes ({scene.LENGTH:.0f})")
    add("--again", action="store_true", help=f"draw what was scraped before ({KEPT.relative_to(ROOT)})")
    add("--into", type=Path, default=ROOT / "docs" / "images", help="where the pictures go (docs/images)")
    return parser.parse_args()


def missing() -> str:
    """What this machine lacks, and where it is to be had."""
    debian = {"prometheus": shutil.which(prometheus.NAME), "chromium": find_chromium()}
    packages = " ".join(name for name, found in debian.items() if not found)
    install = f"Debian's packages are missing: apt-get install --no-install-recommends {packages}." if packages else ""
    return " ".join(filter(None, (install, page.missing())))


def record(minutes: float) -> None:
    """The scene, before the eyes of a Prometheus that keeps what it has scraped."""
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True)
    with (
        tempfile.TemporaryDirectory(prefix="kubetune-pictures-") as name,
        stage.cluster(Path(name) / "cluster", scene.NODES, with_kueue=True, players=tuple(scene.PLAYERS.values())) as plane,
    ):
        scene.prepare(plane)
        ports = {replica: stage.start_operator(plane, replica, scene.PACE) for replica in stage.REPLICAS}
        with scraping([f"{LOOPBACK}:{port}" for port in ports.values()]):
            begin = time.time()
            scene.play(plane, ports, minutes)
            window = {"begin": int(begin), "end": int(time.time()), "scrape": SCRAPE_SECONDS}
        (KEPT / "window.json").write_text(json.dumps(window))


@contextmanager
def scraping(targets: Sequence[str]) -> Iterator[Prometheus]:
    """Prometheus on what is kept; without targets it only answers."""
    try:
        yield prometheus.run(KEPT, targets, ALERTS, SCRAPE_SECONDS)
    finally:
        processes.stop(KEPT, prometheus.NAME)


def drawn() -> Iterator[tuple[str, Scheme, Json]]:
    """Each picture: its name, its colours, and what the page is to show."""
    window = Window(**json.loads((KEPT / "window.json").read_text()))
    dashboard = json.loads(DASHBOARD.read_text())
    schemes: tuple[Scheme, ...] = ("light", "dark")
    with scraping(()) as answering:
        pages = [
            row_of(title, panels, window, CHOSEN.get(title, {}), partial(answer, answering)) for title, panels in rows(dashboard)
        ]
    for shown, scheme in product(pages, schemes):
        top = variables(dashboard, CHOSEN.get(shown["title"], {}))
        yield NAMES[shown["title"]], scheme, {**shown, "variables": top, "dark": scheme == "dark"}


def answer(prometheus: Prometheus, question: Asked) -> list[Json]:
    if question.instant:
        found = prometheus.get("query", query=question.expr, time=str(question.end))
    else:
        found = prometheus.get(
            "query_range", query=question.expr, start=str(question.begin), end=str(question.end), step=str(question.step)
        )
    return list(found["result"])


if __name__ == "__main__":
    sys.exit(main())
