"""What was measured is kept at once, a line each, so that a run that breaks off loses nothing; the page is made of the newest."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from e2e.bench.burst import Burst
from e2e.bench.rest import Rest


@dataclass(frozen=True)
class Record:
    """`run`: when the process that measured it began (ISO 8601); `load`: the load averages when it was done."""

    run: str
    load: tuple[float, float, float]
    measured: Burst | Rest


def keep(file: Path, record: Record) -> None:
    """Appends it."""
    kind = "burst" if isinstance(record.measured, Burst) else "rest"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lines:
        lines.write(json.dumps({"run": record.run, "load": record.load, kind: asdict(record.measured)}) + "\n")


def kept(file: Path) -> list[Record]:
    """Oldest first; none without the file."""
    return [_record(json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


def _record(line: dict[str, object]) -> Record:
    measured = Burst(**line["burst"]) if "burst" in line else Rest(**line["rest"])  # type: ignore[arg-type] # as it was written
    return Record(str(line["run"]), tuple(line["load"]), measured)  # type: ignore[arg-type]


def newest(records: Iterable[Record]) -> list[Record]:
    """Of each number of jobs the run that measured most forms of the work, the later of two: ratios are within a run. Pure."""
    runs: dict[tuple[bool, int], dict[str, list[Record]]] = {}
    for record in records:
        size = (isinstance(record.measured, Rest), record.measured.jobs)
        runs.setdefault(size, {}).setdefault(record.run, []).append(record)
    chosen = (max(of_size.items(), key=lambda item: (len(item[1]), item[0]))[1] for _, of_size in sorted(runs.items()))
    return [record for records_of_run in chosen for record in records_of_run]
