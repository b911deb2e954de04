"""python -m e2e.bench [--jobs N ...] [--rest N] [--write FILE] [--gather]: see docs/benchmarks.md"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from e2e.bench.burst import Burst, burst
from e2e.bench.programs import ROOT, control
from e2e.bench.records import Record, keep, kept, newest
from e2e.bench.rest import Rest, rest
from e2e.bench.tables import markdown, tables
from e2e.bench.workloads import WORKLOADS
from e2e.cluster import binaries, operators

SECONDS = "5s"
STEADY_SECONDS = 10.0
"""After the start: an operator that has led for less than five trusts nothing that it has not read (docs/adr/0010)."""

CRDS = "manifests/base/crds"
RECORDS = ROOT / ".kubetune" / "bench" / "records.jsonl"
INTRODUCTION = ROOT / "e2e" / "bench" / "introduction.md"


def main() -> int:
    given = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    run = datetime.now(UTC).isoformat(timespec="seconds")
    records: list[Record] = []

    def done(measured: Burst | Rest) -> None:
        records.append(Record(run, os.getloadavg(), measured))
        keep(RECORDS, records[-1])

    for jobs in () if given.gather else given.jobs:
        for name in given.only:
            say(f"{jobs} jobs as {name}")
            workload = WORKLOADS[name]
            with control(pods=2 * jobs) as bench:
                bench.start(*reversed(workload.programs))
                time.sleep(STEADY_SECONDS)
                measured = burst(bench, workload, jobs, SECONDS, given.limit)
            done(measured)
            say(f"all Succeeded after {measured.done:.1f} s")
    for jobs in () if given.gather else given.rest:
        say(f"{jobs} finished jobs at rest")
        with control() as bench:
            crds = binaries.module_dir("training-operator", operators.TRAINING_MODULE) / CRDS
            operators.apply_crds(bench.plane, operators.crds_of(crds))
            done(rest(bench, jobs, given.rest_seconds))
    show(records)
    if given.write:
        write(given.write, newest(kept(RECORDS)))
    return 0


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m e2e.bench", description="What a burst of jobs costs, beside Kubeflow's operators."
    )
    add = parser.add_argument
    add("--jobs", type=int, nargs="*", default=[100, 500, 1000], help="created at once")
    add("--only", nargs="*", choices=list(WORKLOADS), default=list(WORKLOADS), help="forms of the work")
    add("--rest", type=int, nargs="*", default=[10_000], help="finished jobs that an operator finds when it starts")
    add("--rest-seconds", type=float, default=330.0, help="for which it is watched then: more than one sweep")
    add("--limit", type=float, default=1800.0, help="seconds after which a burst has failed")
    add("--write", type=Path, help="Markdown file to write, of the newest run that measured most of each size")
    add("--gather", action="store_true", help="measure nothing; with --write: of the runs that are on record")
    return parser.parse_args()


def say(text: str) -> None:
    print(f"==> {datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def show(records: list[Record]) -> None:
    console = Console()
    for table in tables(records):
        shown = RichTable(title=table.title, title_justify="left")
        for head in table.heads:
            shown.add_column(head, justify="right" if head not in ("as", "by", "program") else "left")
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)


def write(file: Path, records: list[Record]) -> None:
    """The introduction, where it was measured, the tables."""
    where = f"Measured on {os.cpu_count()} cores ({platform.machine()}, Linux {platform.release()})."
    file.write_text(f"{INTRODUCTION.read_text()}\n{where}\n\n" + markdown(tables(records)))
    say(f"written: {file}")


if __name__ == "__main__":
    sys.exit(main())
