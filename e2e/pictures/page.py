"""The page of Grafana's components: built with npm's packages into the cache outside the clone, once for one content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from e2e.cluster.binaries import CACHE

SOURCES = Path(__file__).resolve().parent / "page"
PACKAGES = SOURCES / "package.json"
INSTALL = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
SCRIPT = "page.js"
LOADERS = (".woff=empty", ".ttf=empty", ".woff2=dataurl", ".svg=text", ".js=jsx")


def missing() -> str:
    """The programs that it takes and that are not here, and how to come by them; empty: all are there."""
    names = [name for name in ("node", "npm") if not shutil.which(name)]
    return f"Not on PATH: {', '.join(names)}; install Node.js 20 or later (https://nodejs.org)." if names else ""


def packages() -> dict[str, str]:
    """Each with its version."""
    return dict(json.loads(PACKAGES.read_text())["dependencies"])


def built() -> Path:
    """The bundle, made now if the cache lacks it: the packages for one package.json, the script for one content of all sources."""
    folder = CACHE / "npm" / digest(PACKAGES)
    target = folder / f"page-{digest(*sorted(SOURCES.iterdir()))}"
    if not (folder / "node_modules").exists():
        install(folder)
    if not target.exists():
        bundle(folder, target)
    return target / SCRIPT


def digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def install(folder: Path) -> None:
    """Into a folder beside, which gets its name at the end: two at once, or one that is ended, leave no half of it."""
    print(f"==> npm's packages for the page (once; kept in {folder})", file=sys.stderr, flush=True)
    began, scratch = time.monotonic(), folder.with_suffix(f".{os.getpid()}")
    scratch.mkdir(parents=True)
    shutil.copy(PACKAGES, scratch)
    subprocess.run(INSTALL, cwd=scratch, check=True)
    scratch.rename(folder)
    print(f"    {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def bundle(folder: Path, target: Path) -> None:
    """By esbuild; the sources are copied beside the packages, where they find them."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="sources-") as name:
        copy = Path(name)
        shutil.copytree(SOURCES, copy, dirs_exist_ok=True)
        command = [
            str(folder / "node_modules" / ".bin" / "esbuild"), str(copy / "main.jsx"), "--bundle", "--minify",
            "--log-level=warning", f"--outfile={copy / 'out' / SCRIPT}", '--define:process.env.NODE_ENV="production"',
            *(f"--loader:{each}" for each in LOADERS),
        ]  # fmt: skip
        subprocess.run(command, check=True)
        (copy / "out").rename(target)


def html(script: Path, shown: dict[str, Any]) -> str:
    """A file that asks nobody for anything."""
    data = json.dumps(shown).replace("</", "<\\/")
    style = script.with_suffix(".css").read_text() if script.with_suffix(".css").exists() else ""
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>kubetune</title><style>{style}</style></head>'
        f'<body><div id="page"></div><script>window.shown = {data}</script><script src="{script.as_uri()}"></script></body></html>'
    )
