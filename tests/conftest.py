"""Fixtures that every test may use."""

import pytest

pytest_plugins = ("attack_records", "scenario_records", "tiny_fixtures", "trap_records")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what is rendered now into tests/golden")
