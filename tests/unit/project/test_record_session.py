"""The recorder of terminal sessions: a real shell on a real pseudo-terminal, and what a screen makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from record_session import STEPS, Step, record
from screen import Screen

from kubetune.cli.app import kubetune


@pytest.mark.parametrize(
    ("fed", "text"),
    [
        ("a\r\nb", "a\nb"),
        ("10 %\r100 %", "100 %"),
        ("long line\r\x1b[2Kshort", "short"),
        ("one\r\ntwo\x1b[1A\r\x1b[2KONE\r\n", "ONE\ntwo"),
        ("\x1b[31mred\x1b[0m \x1b[?25lhidden\x1b[?25h", "red hidden"),
        ("\x1b]0;title\x07a\tb\b\x1b[Kc", "a       c"),
        ("abc\x1b[2Dx\x1b[1Gy\x1b[1Cz\x1b[1B!", "yxz\n   !"),
        ("a\r\nb\r\nc\x1b[2A\x1b[J", "a"),
    ],
)
def test_what_stands_on_the_screen(fed: str, text: str) -> None:
    screen = Screen()
    screen.feed(fed)
    assert screen.text == text


@pytest.mark.parametrize("fed", ["\x1b[5;5H", "\x1b(B", "\x1b[1K"])
def test_what_it_does_not_know_it_refuses(fed: str) -> None:
    with pytest.raises(ValueError, match="not known to this screen"):
        Screen().feed(fed)


def test_a_session_is_recorded_as_it_happens(tmp_path: Path) -> None:
    steps = (
        Step("cd / && cd - > /dev/null; echo $((6 * 7))"),
        Step("read -p 'Name: ' name; echo hello $name", (("Name", "you"),)),
        Step("printf '10 %%\\r100 %%\\n'; test -t 1 && stty size | cut -d' ' -f2"),
        Step("(exit 3)", code=3),
    )
    assert record(tmp_path, steps, 60).splitlines() == [
        "$ cd / && cd - > /dev/null; echo $((6 * 7))",
        "42",
        "$ read -p 'Name: ' name; echo hello $name",
        "Name: you",
        "hello you",
        "$ printf '10 %%\\r100 %%\\n'; test -t 1 && stty size | cut -d' ' -f2",
        "100 %",
        "130",
        "$ (exit 3)",
    ]


def test_a_command_that_fails_ends_the_recording(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"\$ false\nended with 1, not 0"):
        record(tmp_path, (Step("false"),), 60)


def test_it_types_commands_that_there_are() -> None:
    typed = [step.typed.split()[1] for step in STEPS if step.typed.startswith("kubetune ")]
    assert typed
    assert set(typed) <= set(kubetune.commands)
