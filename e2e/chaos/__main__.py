"""A run of the chaos: prints its table, ends with exit code 1 if anything is condemned."""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import shutil
import sys
from pathlib import Path

from e2e.chaos.history import History, from_lines, to_lines
from e2e.chaos.judge import judge
from e2e.chaos.report import table, written_into
from e2e.chaos.run import Options, run
from e2e.cluster.__main__ import ROOT, down

FOLDER = ROOT / ".kubetune" / "chaos"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="for how long the faults last")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**6), help="of everything random; default: drawn, and printed"
    )
    parser.add_argument("--settle", type=float, default=600, help="seconds within which all must have come to rest afterwards")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="logs and the history, which stay")
    parser.add_argument("--report", type=Path, help="a file into which the table is written between its marks")
    parser.add_argument("--again", action="store_true", help="judge the last run's history again, and run nothing")
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    folder = given.folder.resolve()
    kept = folder / "history.jsonl"
    history = from_lines(kept.read_text().splitlines()) if given.again else recorded(given, folder, kept)
    findings = judge(history)
    text = table(history, findings)
    print(text)
    if given.report:
        given.report.write_text(written_into(given.report.read_text(), text))
    return 1 if findings else 0


def recorded(given: argparse.Namespace, folder: Path, kept: Path) -> History:
    """Of a new run; it stays in the file `kept`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(
        f"==> chaos: {given.minutes:g} minutes, {given.jobs} jobs, seed {given.seed}; logs in {folder}", file=sys.stderr, flush=True
    )
    try:
        history = asyncio.run(run(Options(60 * given.minutes, given.jobs, given.seed, folder, given.settle)))
    finally:
        down(folder / "cluster")
    kept.write_text("".join(line + "\n" for line in to_lines(history)))
    return history


if __name__ == "__main__":
    sys.exit(main())
