"""Fixtures that every test may use."""

import os
from collections.abc import Iterator

import pytest

pytest_plugins = ("attack_records", "scenario_records", "tiny_fixtures", "trap_records", "workspaces")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what is rendered now into tests/golden")


@pytest.fixture(autouse=True)
def _one_environment() -> Iterator[None]:
    """`datasets` (map in several processes) puts a copy in the place of os.environ: a library that holds the first one, as OpenTelemetry
    does, would not see in the same process what later tests set.
    """
    first = os.environ
    yield
    if os.environ is not first:
        os.environ = first  # noqa: B003 - the object, not its content
