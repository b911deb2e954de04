"""Sessions of the documents are typed by a test, or say which test or make target does the same; their jobs are valid."""

from __future__ import annotations

from pathlib import Path

import documented
import pytest
import yaml
from documented import Block, Command, agrees, blocks, elsewhere, exists, pages, parse, type_out

from kubetune.api import parse_job

ROOT = documented.ROOT
SESSIONS = [block for page in pages() for block in blocks(page) if block.is_session]
OFFLINE = sorted({block.page for block in SESSIONS if block.mark == "run"})


def test_there_are_sessions_and_some_are_typed() -> None:
    assert len(SESSIONS) > 20
    assert len(OFFLINE) > 5


@pytest.mark.parametrize("block", SESSIONS, ids=str)
def test_a_session_says_what_becomes_of_it(block: Block) -> None:
    assert block.language == "console", "so that it is told what is typed and what comes of it"
    assert block.commands
    if block.mark in ("run", "run: train"):
        return
    told = elsewhere(block.mark)
    assert told, f"{block}: neither <!-- run -->, <!-- run: train --> nor <!-- elsewhere: WHAT: WHERE --> is above it"
    assert told[0] in documented.NEEDS
    assert [where for where in told[1].split(", ") if not exists(where)] == []


@pytest.mark.parametrize("page", OFFLINE)
def test_what_needs_nothing_does_what_the_page_says(page: str, tmp_path: Path) -> None:
    sessions = [block for block in SESSIONS if block.page == page and block.mark == "run"]
    assert type_out(sessions, tmp_path) == []


def test_the_jobs_of_the_documents_are_valid() -> None:
    found = 0
    for block in (block for page in pages() for block in blocks(page) if block.language == "yaml"):
        for document in yaml.safe_load_all(block.text):
            if isinstance(document, dict) and str(document.get("apiVersion", "")).startswith("kubetune.dev/"):
                parse_job(document)
                found += 1
    assert found > 5


def test_a_session_is_read_as_it_is_typed() -> None:
    first, second = parse("$ a \\\n  b\nout\n\n$ c\n")
    assert (first, second) == (Command("a \\\n  b", ("out", "")), Command("c"))
    with pytest.raises(ValueError, match="begins with a command"):
        list(parse("out\n"))


@pytest.mark.parametrize(
    ("said", "told", "same"),
    [
        (["step 3/18, loss 4.8"], ["step 17/18, loss 5.77"], True),
        (["saved in default-a-94e75eb5/x"], ["saved in default-a-00000000/x"], True),
        (["a", "b", "c"], ["a", "...", "c"], True),
        (["a", "c"], ["a", "...", "c"], True),
        (["run it: /tmp/x/python now"], ["run it: ...python now"], True),
        (["Failed"], ["Succeeded"], False),
        (["a", "b"], ["a"], False),
        ([], ["a"], False),
    ],
)
def test_what_is_told_and_what_came(said: list[str], told: list[str], same: bool) -> None:
    assert agrees(said, told) is same


def test_a_command_that_fails_or_says_something_else_is_found(tmp_path: Path) -> None:
    session = Block("README.md", 7, "console", "run", "$ true\n$ echo a\nb\n$ false\n$ x=1; exit 3\n$ echo $x\n")
    other, failed, ended = type_out([session], tmp_path)
    assert other.startswith("README.md:7: $ echo a\nsaid:\na")
    assert failed.startswith("README.md:7: $ false\nended with 1")
    assert "the shell ended before" in ended


def test_a_code_that_is_asked_for_is_no_failure(tmp_path: Path) -> None:
    assert type_out([Block("README.md", 1, "console", "run", "$ (exit 2)\n$ echo $?\n2\n")], tmp_path) == []


@pytest.mark.parametrize(
    "where", ["make no-such-target", "tests/none.py", "tests/unit/project/test_documented_commands.py::test_none"]
)
def test_what_is_not_there_is_found(where: str) -> None:
    assert not exists(where)


def test_what_is_there_is_found() -> None:
    assert exists("make docs")
    assert exists("tests/unit/project/test_documented_commands.py::test_what_is_there_is_found")
