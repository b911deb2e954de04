"""What came of a race, kept beside its checkpoints, so that a page can be written from several runs of the marathon."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from e2e.marathon.race import Race

NAME = "race.json"
BEGIN, END = "<!-- marathon -->\n", "<!-- /marathon -->"


@dataclass(frozen=True)
class Record:
    """One row of the table, and its ledger."""

    name: str
    steps: int
    disturbances: tuple[str, ...]
    equal: int
    tensors: int
    losses_equal: bool
    won: bool
    seconds: tuple[float, float]  # undisturbed, disturbed
    kills: str
    seed: int
    ledger: str

    def write(self, folder: Path) -> None:
        (folder / self.name / NAME).write_text(json.dumps(asdict(self), indent=1) + "\n")


def record_of(race: Race, seed: int) -> Record:
    return Record(
        name=race.case.name,
        steps=race.steps,
        disturbances=race.disturbances,
        equal=race.equal,
        tensors=race.tensors,
        losses_equal=race.losses_equal,
        won=race.won,
        seconds=race.seconds,
        kills=",".join(race.kills),
        seed=seed,
        ledger=race.ledger,
    )


def read_records(folder: Path, names: Sequence[str]) -> list[Record]:
    """Those that there are, in the order of the names."""
    files = [file for name in names if (file := folder / name / NAME).exists()]
    return [read(file) for file in files]


def read(file: Path) -> Record:
    told = json.loads(file.read_text())
    return Record(**told | {name: tuple(told[name]) for name in ("disturbances", "seconds")})


def table(records: Sequence[Record]) -> str:
    """One row a model, in Markdown."""
    head = (
        "| model | steps | what was done to it | attempts | weights bit-equal | losses equal | undisturbed, disturbed "
        "| kills, seed |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(map(row, records))


def row(record: Record) -> str:
    return (
        f"| {record.name} | {record.steps} | {'; '.join(record.disturbances[:-1])} | {len(record.disturbances)} "
        f"| {record.equal} of {record.tensors} tensors | {'all' if record.losses_equal else 'NO'} "
        f"| {record.seconds[0]:.0f} s, {record.seconds[1]:.0f} s | {record.kills}, {record.seed} |"
    )


def written_into(page: str, records: Sequence[Record]) -> str:
    """The page with the table and the first one's ledger between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    ledger = f"The ledger of {records[0].name}:\n\n```\n{records[0].ledger}\n```"
    return f"{before}{BEGIN}{table(records)}\n\n{ledger}\n{END}{after}"
