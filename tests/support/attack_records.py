"""What the API server said to each attack, gathered over all processes of a run and written into docs/security.md (`--write-attacks FILE`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Refused = Callable[[str, str, Exception], None]
PROPERTY = "attack"
BEGIN, END = "<!-- attacks: begin -->", "<!-- attacks: end -->"
HEAD = "| Who | What is tried | Refused with |\n|---|---|---|\n"
NAMES = re.compile(r"\b(?:lab|test|ha)-[0-9a-f]{6,}\S*?(?=[/:\"',\s])|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


@pytest.fixture
def refused(request: pytest.FixtureRequest) -> Refused:
    """Notes who was refused what, and the error."""

    def note(who: str, what: str, error: Exception) -> None:
        request.node.user_properties.append((PROPERTY, [who, what, str(error)]))

    return note


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-attacks", type=Path, help="write what the tests of rights saw refused into this file")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--write-attacks") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Page(config.getoption("--write-attacks")))


class Page:
    """Lives in the process that hears of all tests."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.seen: list[list[str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.seen += [value for name, value in report.user_properties if name == PROPERTY]  # type: ignore[misc]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        text = self.file.read_text()
        before, rest = text.split(BEGIN)
        _, after = rest.split(END)
        rows = "".join(f"| {who} | {what} | {words(said)} |\n" for who, what, said in sorted(self.seen))
        self.file.write_text(f"{before}{BEGIN}\n{HEAD}{rows}{END}{after}")
        terminalreporter.write_line(f"wrote {self.file}: {len(self.seen)} attacks, all refused")


def words(said: str) -> str:
    """The server's own, without the request that it repeats and the names that a run draws."""
    said = NAMES.sub("…", said).replace("|", "\\|").replace("\n", " ")
    return said if len(said) <= 330 else said[:330].rstrip() + " …"
