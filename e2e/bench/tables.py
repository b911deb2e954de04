"""The results as tables: rich on the terminal, Markdown in docs/benchmarks.md. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from e2e.bench.audit import PARTS
from e2e.bench.burst import Burst
from e2e.bench.records import Record
from e2e.bench.rest import Rest
from e2e.bench.workloads import KUBETUNE, PYTORCHJOB

MENTIONED = 0.05
"""Who writes less a job is left out."""


@dataclass(frozen=True)
class Table:
    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(records: Sequence[Record]) -> list[Table]:
    bursts = [r.measured for r in records if isinstance(r.measured, Burst)]
    rests = [r.measured for r in records if isinstance(r.measured, Rest)]
    found = [times(bursts), ratios(bursts), programs(bursts), writes(bursts), at_rest(rests), runs(records)]
    return [table for table in found if table.rows]


def runs(records: Iterable[Record]) -> Table:
    """When each was measured, and how busy the machine was when it was done."""
    rows = [
        (
            str(r.measured.jobs),
            r.measured.workload if isinstance(r.measured, Burst) else "at rest",
            r.run,
            ", ".join(f"{each:.1f}" for each in r.load),
        )
        for r in records
    ]
    return Table("When", ("jobs", "as", "run that began at", "load averages at its end (1, 5, 15 min)"), tuple(rows))


def times(bursts: Iterable[Burst]) -> Table:
    heads = ("jobs", "as", "all accepted s", "all children s", "all pods s", "all Succeeded s", "refused writes")
    rows = [
        (
            str(b.jobs),
            b.workload,
            number(b.accepted),
            number(b.children),
            number(b.pods),
            number(b.done),
            str(sum(b.refused.values())),
        )
        for b in bursts
    ]
    return Table("Time, from the first create", heads, tuple(rows))


def ratios(bursts: Sequence[Burst]) -> Table:
    """Of each form of the work to the bare PyTorchJobs of the same size."""
    bare = {b.jobs: b for b in bursts if b.workload == PYTORCHJOB}
    rows = []
    for b in bursts:
        other = bare.get(b.jobs)
        if other and b is not other:
            shares = (b.pods / other.pods, b.done / other.done, total(b) / total(other))
            rows.append((str(b.jobs), b.workload, *(f"{share:.2f}" for share in shares)))
    return Table("Ratio to bare PyTorchJobs", ("jobs", "as", "all pods", "all Succeeded", "API writes, all users"), tuple(rows))


def total(burst: Burst) -> float:
    return sum(sum(parts.values()) for parts in burst.writes.values())


def programs(bursts: Iterable[Burst]) -> Table:
    heads = ("jobs", "as", "program", "CPU s", "CPU ms a job", "peak resident MiB")
    rows = [
        (str(b.jobs), b.workload, name, number(cpu), f"{cpu / b.jobs * 1000:.0f}", str(b.peak[name]))
        for b in bursts
        for name, cpu in b.cpu.items()
    ]
    return Table("The operators", heads, tuple(rows))


def writes(bursts: Iterable[Burst]) -> Table:
    """Kubetune always; of the others those who matter."""
    rows = []
    for b in bursts:
        for user, parts in b.writes.items():
            everything = sum(parts.values())
            if everything >= MENTIONED or user == KUBETUNE:
                rows.append((str(b.jobs), b.workload, user, *(f"{parts[part]:.2f}" for part in PARTS), f"{everything:.2f}"))
    return Table("API writes a job", ("jobs", "as", "by", *PARTS, "all"), tuple(rows))


def at_rest(rests: Iterable[Rest]) -> Table:
    heads = (
        "finished jobs",
        "first decision s",
        "all looked at s",
        "CPU s until then",
        "CPU s a minute at rest",
        "peak MiB",
        "MiB",
    )
    rows = [
        (
            str(r.jobs),
            number(r.first),
            number(r.settled),
            number(r.settling_cpu),
            f"{r.cpu_a_minute:.2f}",
            str(r.peak),
            str(r.resident),
        )
        for r in rests
    ]
    return Table("After a restart on finished jobs", heads, tuple(rows))


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def markdown(found: Iterable[Table]) -> str:
    return "\n".join(f"## {table.title}\n\n{_markdown(table)}" for table in found)


def _markdown(table: Table) -> str:
    lines = (table.heads, ("---",) * len(table.heads), *table.rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
