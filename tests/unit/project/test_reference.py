"""The reference says all that the code knows. That the pages are up to date is tests/unit/api/test_generate.py's to say."""

from __future__ import annotations

import re
from pathlib import Path

import click
import messages
import pytest
import reference_crd
import reference_pages
import reference_sdk
import variables

from kubetune import client
from kubetune.cli.app import kubetune
from kubetune.controller.__main__ import parser
from kubetune_trainer.contract import CLASS_MEANINGS, EXIT_MEANINGS, ExitCode, FailureClass

ROOT = Path(__file__).resolve().parents[3]
TEMPLATE = (ROOT / "scripts" / "troubleshooting.in.md").read_text()


def test_every_failure_class_has_its_part_with_a_message() -> None:
    parts = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEMPLATE, flags=re.MULTILINE | re.DOTALL))
    assert [kind.value for kind in FailureClass if "<!-- SAID " not in parts.get(kind.value, "")] == []
    assert set(CLASS_MEANINGS) == set(FailureClass)
    assert set(EXIT_MEANINGS) == set(ExitCode)


def test_every_message_is_on_the_page() -> None:
    assert sorted(re.findall(r"<!-- SAID (.*) -->", TEMPLATE)) == sorted(messages.SAID)


@pytest.mark.parametrize("name", messages.SAID)
def test_a_message_is_one_line_and_the_same_each_time(name: str) -> None:
    said = messages.SAID[name]()
    assert said
    assert "\n" not in said
    assert said == messages.SAID[name]()
    assert str(ROOT) not in said


def test_every_variable_that_the_code_reads_is_in_a_table() -> None:
    assert variables.read_by_the_code() <= variables.known()
    assert variables.known() - variables.read_by_the_code() == set(variables.data_variables())


def test_every_option_is_on_its_page() -> None:
    options = {name for action in parser()._actions for name in action.option_strings} - {"-h", "--help"}
    assert options - set(re.findall(r"`(--[\w-]+)`", reference_pages.operator_options())) == set()


def test_the_operators_page_is_the_same_whatever_is_set_here(monkeypatch: pytest.MonkeyPatch) -> None:
    page = reference_pages.operator_options()
    monkeypatch.setenv("KUBETUNE_TRAINER_IMAGE", "mine:1")
    assert reference_pages.operator_options() == page


def test_every_public_name_of_the_client_is_on_its_page() -> None:
    page = reference_sdk.page()
    missing = [name for name in client.__all__ if name not in page]
    missing += [name for kind in (client.Client, client.JobHandle) for name in reference_sdk.public(kind) if name not in page]
    assert missing == []
    assert "def wait" not in page
    assert "wait(\n    job: Named,\n    *,\n    timeout: float | None = None," in page


def test_every_command_and_option_is_on_its_page() -> None:
    page = reference_pages.cli()
    for name, command in kubetune.commands.items():
        assert f"## kubetune {name}\n" in page
        assert [o for p in command.params if isinstance(p, click.Option) and not p.hidden for o in p.opts if o not in page] == []


def test_commands_below_commands_are_shown_and_hidden_ones_are_not() -> None:
    group = click.Group(
        "top", commands=[click.Group("deep", commands=[click.Command("leaf")]), click.Command("secret", hidden=True)]
    )
    assert [name for name, _ in reference_pages.helps(group, "top")] == ["top", "top deep", "top deep leaf"]


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"minimum": 1, "maximum": 2147483647}, "from 1"),
        ({"minimum": 0, "exclusiveMinimum": True, "maximum": 1}, "above 0, at most 1"),
        ({"maxLength": 9, "type": "string"}, "at most 9 characters"),
        ({"minItems": 1, "maxItems": 64}, "1 to 64 items"),
        ({"enum": ["a", "b"], "maxLength": 1}, "`a`, `b`"),
        ({"pattern": "^/a|b", "maxLength": 3}, r"at most 3 characters; must match `^/a\|b`"),
        ({"format": "date-time", "maxLength": 64}, ""),
        ({}, ""),
    ],
)
def test_the_bounds_of_a_field(field: dict[str, object], said: str) -> None:
    assert reference_crd.bounds(field) == said


def test_a_field_with_its_default_and_without() -> None:
    field = {"type": "integer", "description": "Nodes. Default: 1.", "minimum": 1}
    assert reference_crd.row("nodes", field, required=False) == ("`nodes`", "integer", "1", "from 1", "Nodes.")
    assert reference_crd.row("nodes", {"type": "object"}, required=True) == ("`nodes`", "object", "**required**", "", "")
