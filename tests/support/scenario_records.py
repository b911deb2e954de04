"""What became of jobs on real nodes, gathered over a run of `make e2e` and written into docs/scenarios.md (`--write-scenarios FILE`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

TellScenario = Callable[["Scenario"], None]
ROW, RUN = "scenario", "recorded-run"
CACHE = "kubetune/scenarios"
BEGIN, END = "<!-- scenarios: begin -->\n", "<!-- scenarios: end -->\n"
RUN_BEGIN, RUN_END = "<!-- run: begin -->\n", "<!-- run: end -->\n"
HEAD = (
    "| Scenario | What was done | What the status said | Attempts | Steps lost | Seconds to the next step | Test |\n"
    "|---|---|---|---|---|---|---|\n"
)
FILES = ("test_training.py", "test_pod_faults.py", "test_node_faults.py", "test_refusals.py")
"""In the order of the page."""

LONGEST = 420
NAMESPACE = re.compile(r"\be2e-[0-9a-f]{10}\b")


@dataclass(frozen=True)
class Scenario:
    """One row. `said`: in the status's own words. `lost`: steps that had to be done again. `seconds`: from the fault to the next step."""

    name: str
    done: str
    said: str
    attempts: int
    lost: int | None = None  # None: there was nothing to lose
    seconds: float | None = None  # None: no step was to follow, or none was held up


@pytest.fixture
def tell_scenario(request: pytest.FixtureRequest) -> TellScenario:
    """Notes the row of the test."""
    return lambda scenario: request.node.user_properties.append((ROW, asdict(scenario)))


@pytest.fixture
def tell_run(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Notes the text of one run, as the page is to have it."""
    return lambda text: request.node.user_properties.append((RUN, text))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-scenarios", type=Path, help="write what became of the jobs of tests/e2e into this file")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--write-scenarios") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Page(config.getoption("--write-scenarios"), config.cache))


class Page:
    """What earlier runs saw counts until `--cache-clear`, so that one scenario can be repeated."""

    def __init__(self, file: Path, cache: Any) -> None:
        self.file, self.cache = file, cache
        self.seen: dict[str, list[list[Any]]] = cache.get(CACHE, {})  # (property, value) by the test's name

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call":
            return
        told = [list(each) for each in report.user_properties if each[0] in (ROW, RUN)]
        self.seen[report.nodeid] = told if report.passed else []
        self.cache.set(CACHE, self.seen)  # at once: a run that is killed has shown what it has shown

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        told = [(test, kind, value) for test, pairs in self.seen.items() for kind, value in pairs]
        scenarios = [(test, Scenario(**value)) for test, kind, value in told if kind == ROW]
        runs = [value for _, kind, value in told if kind == RUN]
        page = between(self.file.read_text(), BEGIN, END, table(scenarios))
        self.file.write_text(between(page, RUN_BEGIN, RUN_END, runs[-1]) if runs else page)
        terminalreporter.write_line(f"wrote {self.file}: {len(scenarios)} scenarios")


def between(page: str, begin: str, end: str, text: str) -> str:
    """The page with that text between the two marks."""
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{text}{end}{after}"


def table(scenarios: Sequence[tuple[str, Scenario]]) -> str:
    """In Markdown, in the order of the files, and of each file's tests as they ran."""
    return HEAD + "".join(rows(scenarios))


def rows(scenarios: Sequence[tuple[str, Scenario]]) -> Iterable[str]:
    for test, scenario in sorted(scenarios, key=lambda told: FILES.index(Path(told[0].partition("::")[0]).name)):
        lost = "" if scenario.lost is None else str(scenario.lost)
        seconds = "" if scenario.seconds is None else f"{scenario.seconds:.0f}"
        where = f"`{test.removeprefix('tests/e2e/').partition('[')[0]}`"
        cells = (scenario.name, scenario.done, words(scenario.said), str(scenario.attempts), lost, seconds, where)
        yield f"| {' | '.join(cells)} |\n"


def words(said: str) -> str:
    """The status's own, on one line, of bounded length, without the namespace that a run draws."""
    said = NAMESPACE.sub("…", said).replace("|", "\\|").replace("\n", " ")
    return said if len(said) <= LONGEST else said[:LONGEST].rstrip() + " …"
