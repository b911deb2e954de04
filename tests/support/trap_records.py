"""What the tests of traps saw, gathered over all processes of a run and written as docs/traps.md (`--write-traps FILE`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from trap_table import KEYS, TRAPS, Trap

Tell = Callable[..., None]
PROPERTY = "trap"
CACHE = "kubetune/traps"
NOT_SEEN = "not seen in the run that wrote this page"
HEAD = """# Traps of the training backends

What instructlab-training 0.16.2 and mini-trainer 0.9.0 do when they are called as their own documentation says, and what kubetune does.
`make traps` runs the tests of `tests/traps` (on the CPU; the raw backends get it in place of CUDA and are otherwise as installed) and writes this
page from what they saw.

| | Trap | Raw backend | kubetune | Test |
|---|---|---|---|---|
"""


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Notes what was seen of the test's trap: `raw` and `ours`, one sentence each. `case`: where several tests show one trap."""

    def note(*, raw: str, ours: str, key: str | None = None) -> None:
        keys = [mark.args[0] for mark in request.node.iter_markers("trap")]
        (chosen,) = [k for k in keys if key in (None, k)]
        assert chosen in KEYS
        request.node.user_properties.append((PROPERTY, {"key": chosen, "raw": raw, "ours": ours}))

    return note


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-traps", type=Path, help="write what the tests of traps saw into this file")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "trap(key): shows this trap of a backend (tests/support/trap_table.py), and what we do")
    if config.getoption("--write-traps") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Page(config.getoption("--write-traps"), config.cache))


class Page:
    """Lives in the process that hears of all tests. What earlier runs saw counts until `--cache-clear`, so that one test can be repeated."""

    def __init__(self, file: Path, cache: Any) -> None:
        self.file, self.cache = file, cache
        self.seen: dict[str, list[dict[str, str]]] = cache.get(CACHE, {})  # by the test's name

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            told = [value for name, value in report.user_properties if name == PROPERTY]
            self.seen[report.nodeid] = told if report.passed else []  # type: ignore[assignment]  # a property may be anything
            self.cache.set(CACHE, self.seen)  # at once: a run that is killed has shown what it has shown

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        by_trap: dict[str, list[dict[str, str]]] = {}
        for test, told in self.seen.items():
            for one in told:
                by_trap.setdefault(one["key"], []).append({**one, "test": test})
        self.file.write_text(HEAD + "".join(rows(by_trap)))
        terminalreporter.write_line(f"wrote {self.file}: {len(TRAPS)} traps")
        missing = [trap.key for trap in TRAPS if not trap.unseen and trap.key not in by_trap]
        if missing:
            terminalreporter.write_line(f"{NOT_SEEN}: {', '.join(missing)}", red=True)


def rows(seen: dict[str, list[dict[str, str]]]) -> Iterable[str]:
    for number, trap in enumerate(TRAPS, 1):
        found = sorted(seen.get(trap.key, []), key=lambda one: one["test"])
        yield row(number, trap, found)


def row(number: int, trap: Trap, found: list[dict[str, str]]) -> str:
    """Several sightings of one trap are told one after the other."""
    if trap.unseen:
        return f"| {number} | {trap.text} | not shown here: {trap.unseen} | | |\n"
    if not found:
        return f"| {number} | {trap.text} | {NOT_SEEN} (`make traps`) | | |\n"
    raw, ours = ("; ".join(dict.fromkeys(one[side] for one in found)) for side in ("raw", "ours"))
    tests = ", ".join(dict.fromkeys(f"`{one['test'].partition('[')[0].removeprefix('tests/traps/')}`" for one in found))
    return f"| {number} | {trap.text} | {raw} | {ours} | {tests} |\n"
