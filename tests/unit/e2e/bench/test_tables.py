from __future__ import annotations

from dataclasses import replace

from e2e.bench.burst import Burst
from e2e.bench.records import Record, keep, kept, newest
from e2e.bench.rest import Rest
from e2e.bench.tables import markdown, tables

WRITES = {"kubetune": {"objects": 1.0, "status": 2.0, "events": 1.0}, "nobody": {"objects": 0.01, "status": 0.0, "events": 0.0}}
OURS = Burst("kubetune", 100, 1.0, 2.0, 11.0, 22.0, {"kubetune": 3.0}, {"kubetune": 120}, WRITES, {"kubetune patch x 409": 3})  # type: ignore[arg-type] # literals
WRITES_OF_OTHERS = {"a": {"objects": 2.0, "status": 0.0, "events": 0.0}}
BARE = replace(OURS, workload="PyTorchJob", children=None, pods=10.0, done=20.0, cpu={}, peak={}, writes=WRITES_OF_OTHERS)  # type: ignore[arg-type] # literals
RUN = "2026-11-28T12:00:00+00:00"
REST = Rest(10_000, 4.5, 60.0, 50.0, 0.25, 180, 170)


def rows(title: str, *bursts: Burst) -> list[tuple[str, ...]]:
    return [row for table in tables([record(each) for each in bursts]) if table.title == title for row in table.rows]


def record(measured: Burst | Rest, run: str = RUN) -> Record:
    return Record(run, (1.5, 2.0, 3.0), measured)


def test_times_and_refused_writes():
    assert rows("Time, from the first create", OURS) == [("100", "kubetune", "1.0", "2.0", "11.0", "22.0", "3")]


def test_ratios_are_to_the_bare_pytorchjobs_of_the_same_size():

    assert rows("Ratio to bare PyTorchJobs", OURS, BARE) == [("100", "kubetune", "1.10", "1.10", "2.00")]
    assert rows("Ratio to bare PyTorchJobs", OURS, replace(BARE, jobs=500)) == []


def test_who_writes_next_to_nothing_is_left_out():
    assert rows("API writes a job", OURS) == [("100", "kubetune", "kubetune", "1.00", "2.00", "1.00", "4.00")]


def test_cpu_is_given_a_job():
    assert rows("The operators", OURS) == [("100", "kubetune", "kubetune", "3.0", "30", "120")]


def test_markdown_has_a_table_for_all_that_was_measured_and_for_nothing_else():
    text = markdown(tables([record(REST)]))
    assert text.count("## ") == 2
    assert "| 10000 | 4.5 | 60.0 | 50.0 | 0.25 | 180 | 170 |\n" in text


def test_it_is_said_when_each_was_measured():
    assert rows("When", OURS) == [("100", "kubetune", RUN, "1.5, 2.0, 3.0")]


def test_what_was_measured_outlives_the_process(tmp_path):
    file = tmp_path / "bench" / "records.jsonl"
    assert kept(file) == []
    for each in (record(OURS), record(REST)):
        keep(file, each)
    assert kept(file) == [record(OURS), record(REST)]


def test_of_each_size_the_fullest_run_counts_and_of_two_the_later():
    half, older, later = record(OURS, "c"), [record(OURS, "a"), record(BARE, "a")], [record(OURS, "b"), record(BARE, "b")]
    other = record(replace(OURS, jobs=500), "a")
    assert newest([*older, *later, half, other, record(REST, "a"), record(REST, "b")]) == [*later, other, record(REST, "b")]
