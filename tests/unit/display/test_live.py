from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from kubetune.display.live import Bar, Lines
from kubetune.display.news import Line

START = "2026-01-01T00:00:00Z"


def job(phase: str, progress: dict[str, Any] | None = None, attempts: int = 1) -> dict[str, Any]:
    made = [{"number": n + 1, "pyTorchJob": f"a-sft-{n + 1}", "started": START} for n in range(attempts)]
    status = {"phase": phase, "attempts": made, **({"progress": progress} if progress else {})}
    return {"kind": "SFTJob", "metadata": {"name": "a", "namespace": "default"}, "status": status}


def on_terminal() -> tuple[Bar, io.StringIO]:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, color_system=None)
    return Bar(lambda uri: uri, lambda name: f"/logs/{name}", console), screen


def last_frame(bar: Bar, screen: io.StringIO) -> str:
    screen.truncate(0)
    bar._progress.refresh()
    return screen.getvalue()


def test_before_the_first_step_the_bar_says_what_is_being_done() -> None:
    bar, screen = on_terminal()
    with bar:
        bar.show(job("Running"))
        assert "attempt 1 started; its log: /logs/a-sft-1" in screen.getvalue()
        frame = last_frame(bar, screen)
    assert "a Starting" in frame
    assert "checking the data, loading the model" in frame


def test_before_the_first_step_the_trainers_own_word_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    doing = {"step": 4, "totalSteps": 18, "stage": "computing SVD 12 of 210"}
    bar, screen = on_terminal()
    with bar:
        bar.show(job("Running", doing, attempts=2))
        (task,) = bar._progress.tasks
        assert task.fields["note"] == "computing SVD 12 of 210"
        assert (task.fields["progress"], task.completed) == (None, 0)
        assert "a Starting (attempt 2)" in last_frame(bar, screen)
    lines = Lines(lambda uri: uri, lambda name: f"/logs/{name}")
    with lines:
        lines.show(job("Running", doing))
        lines.show(job("Running", {**doing, "stage": "computing SVD 13 of 210"}))
    assert capsys.readouterr().err.splitlines()[-1].endswith(" computing SVD 12 of 210"), "a log needs no line for each"


def test_a_running_job_shows_step_loss_pace_and_time_left() -> None:
    bar, screen = on_terminal()
    with bar:
        bar.show(
            job("Running", {"step": 3, "totalSteps": 18, "loss": 5.6471, "tokensPerSecond": 1034.4, "etaSeconds": 75}, attempts=2)
        )
        frame = last_frame(bar, screen)
    for part in ("a Training (attempt 2)", "3/18", "loss 5.647", "1,034 tokens/s", "ETA 1:15"):
        assert part in frame


def test_after_the_last_step_the_bar_says_that_the_checkpoint_is_read_back() -> None:
    bar, screen = on_terminal()
    with bar:
        bar.show(job("Running", {"step": 18, "totalSteps": 18}))
        frame = last_frame(bar, screen)
    assert "a Verifying" in frame


def test_saved_states_are_a_figure_and_not_a_line_each() -> None:
    bar, screen = on_terminal()
    running = job("Running", {"step": 7, "totalSteps": 18})
    states = [{"uri": f"pvc://runs/{n}", "step": n, "bytes": 1, "kind": "full-state", "verified": True} for n in (3, 6)]
    running["status"]["checkpoints"] = states
    with bar:
        bar.show(running)
        assert "training state" not in screen.getvalue()
        frame = last_frame(bar, screen)
    assert "7/18  saved at 6" in frame


def test_a_restart_shows_no_stale_figures() -> None:
    bar, screen = on_terminal()
    progress = {"step": 3, "totalSteps": 18, "loss": 5.6}
    with bar:
        bar.show(job("Running", progress))
        bar.show(job("Restarting", progress))
        frame = last_frame(bar, screen)
    assert "Waiting to start again" in frame
    assert "loss" not in frame


def test_a_second_attempt_does_not_show_the_firsts_figures() -> None:
    bar, screen = on_terminal()
    with bar:
        bar.show(job("Running", {"step": 3, "totalSteps": 18, "loss": 5.6, "updatedTime": "2025-12-31T23:59:59Z"}, attempts=2))
        frame = last_frame(bar, screen)
    assert "a Starting (attempt 2)" in frame
    assert "3/18" not in frame


def test_markup_in_messages_is_text() -> None:
    bar, screen = on_terminal()
    with bar:
        bar.say(Line("wrong: [/bold] [red]x", "bad"))
    assert "wrong: [/bold] [red]x" in screen.getvalue()


def test_elsewhere_each_change_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(lambda uri: uri, lambda name: f"/logs/{name}")
    with lines:
        lines.show(job("Starting"))
        lines.show(job("Running", {"step": 1, "totalSteps": 9}))
        lines.show(job("Running", {"step": 1, "totalSteps": 9}))
        lines.show(job("Running", {"step": 2, "totalSteps": 9}))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.split(" ", 1)[1] for line in captured.err.splitlines()] == [
        "attempt 1 started; its log: /logs/a-sft-1",
        "Starting",
        "Running",
        "step 1/9",
        "step 2/9",
    ]


def test_what_is_known_is_no_news(capsys: pytest.CaptureFixture[str]) -> None:
    bar, screen = on_terminal()
    lines = Lines(lambda uri: uri, lambda name: f"/logs/{name}")
    for display in (bar, lines):
        display.know(job("Failed"))
        with display:
            display.show(job("Starting", attempts=2))
    for seen in (screen.getvalue(), capsys.readouterr().err):
        assert "attempt 2 started" in seen
        assert "attempt 1 started" not in seen
