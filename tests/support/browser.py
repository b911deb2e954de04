"""A headless Chromium, where there is one: what a page looks like, and what it measures."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Literal

from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND")
SCHEMES = {"dark": 0, "light": 1}
"""Of Blink's preferredColorScheme."""

Scheme = Literal["light", "dark"]


def find_chromium() -> str | None:
    """Its program."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def run(chromium: str, page: Path, size: tuple[int, int], scheme: Scheme, *options: str) -> str:
    """What it prints. It gets a profile of its own, and no network."""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        look = f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}"
        window = f"--window-size={size[0]},{size[1]}"
        command = [chromium, *OPTIONS, f"--user-data-dir={profile}", look, window, *options, page.resolve().as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def screenshot(chromium: str, page: Path, target: Path, size: tuple[int, int], scheme: Scheme, *options: str) -> None:
    run(chromium, page, size, scheme, f"--screenshot={target}", *options)


def take(chromium: str, page: Path, target: Path, size: tuple[int, int], scheme: Scheme, *options: str) -> None:
    """A picture for docs/: as small as it can be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    screenshot(chromium, page, target, size, scheme, *options)
    with Image.open(target) as picture:
        opaque = picture.convert("RGB")  # a palette would be smaller, and lose the light lines
    opaque.save(target, optimize=True)
    print(f"{target} ({target.stat().st_size / 1000:.0f} kB)")


def measure(chromium: str, page: Path, script: str, size: tuple[int, int], scheme: Scheme = "light") -> Any:
    """What the expression gives in the page, by JSON. The page is in a frame: a window is never narrower than 500 pixels."""
    told = f"<script>parent.document.title = 'told:' + JSON.stringify({script})</script></body>"
    inside = html.escape(page.read_text().replace("</body>", told))
    frame = f'<iframe srcdoc="{inside}" style="border:0;width:{size[0]}px;height:{size[1]}px"></iframe>'
    with tempfile.TemporaryDirectory() as scratch:
        outside = Path(scratch) / "frame.html"
        outside.write_text(f'<!DOCTYPE html><meta charset="utf-8"><title>nothing</title>{frame}')
        printed = run(chromium, outside, (max(500, size[0] + 50), size[1]), scheme, "--dump-dom")
    found = re.search(r"<title>told:(.*?)</title>", printed, re.DOTALL)
    if found is None:
        raise ValueError(f"the page said nothing: {printed[:500]}")
    return json.loads(html.unescape(found[1]))
