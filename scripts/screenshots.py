"""Pictures of the report for docs/, by a headless Chromium: `make screenshots`, and then look at them.

`python scripts/screenshots.py --full DIR` writes the whole page in light and dark, wide and narrow, to look at.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from browser import Scheme, find_chromium, measure, take  # noqa: E402

from kubetune.report.page import page  # noqa: E402
from kubetune.report.sources import read_material  # noqa: E402
from kubetune.report.story import story_of  # noqa: E402

RECORDED = ROOT / "tests" / "unit" / "report" / "recorded"
SHOWN: dict[str, tuple[Scheme, int, int]] = {
    "report-light": ("light", 1200, 1480),
    "report-dark": ("dark", 1200, 1480),
    "report-narrow": ("dark", 400, 1900),
}
"""Colours, width and height of the pictures in docs/images; the page is longer."""


def main(arguments: list[str]) -> int:
    chromium = find_chromium()
    if chromium is None:
        sys.exit("there is no Chromium here; on Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "report.html"
        file.write_text(recorded_page())
        if arguments[:1] == ["--full"]:
            whole(chromium, file, Path(arguments[1]))
        else:
            for name, (scheme, width, height) in SHOWN.items():
                take(chromium, file, ROOT / "docs" / "images" / f"{name}.png", (width, height), scheme)
    return 0


def recorded_page() -> str:
    """Of the run that the tests read, as on the day when it was made."""
    job = json.loads((RECORDED / "resources" / "osftjob" / "default" / "teach.json").read_text())
    story = story_of(read_material(next((RECORDED / "volumes" / "runs").iterdir()), job))
    return page(story, "0.1.0", story.timeline.end if story.timeline else datetime.now(UTC)).replace(str(ROOT) + "/", "")


def whole(chromium: str, file: Path, directory: Path) -> None:
    schemes: tuple[Scheme, ...] = ("light", "dark")
    for width in (1200, 400):
        height = measure(chromium, file, "document.documentElement.scrollHeight", (width, 1000))
        for scheme in schemes:
            take(chromium, file, directory / f"report-{scheme}-{width}.png", (width, height), scheme)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
