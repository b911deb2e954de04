import importlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kubetune_trainer.plugins import written_metrics

MODULES = ("instructlab.training.async_logger", "mini_trainer.async_structured_logger")
LINE = {"step": 2, "epoch": 1, "steps_per_epoch": 1, "loss": 0.5, "lr": 1e-5, "tokens_per_second": 3.0}


@pytest.fixture(params=MODULES)
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    logger = importlib.import_module(request.param).AsyncStructuredLogger
    for name in ("log_sync", "_write_logs_to_file"):
        monkeypatch.setattr(logger, name, getattr(logger, name))
    return str(request.param)


@contextmanager
def logger_whose_thread_is_late(module: str, file: Path) -> Iterator[Any]:
    logger = importlib.import_module(module).AsyncStructuredLogger(str(file))
    go_on = threading.Event()
    logger.loop.call_soon_threadsafe(go_on.wait)
    yield logger
    go_on.set()


def test_the_raw_backend_goes_on_before_its_line_is_written(module: str, tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    with logger_whose_thread_is_late(module, file) as logger:
        logger.log_sync(dict(LINE))
        assert not file.exists()  # a process that ended now would have lost it


def test_ours_goes_on_when_the_line_is_written(module: str, tmp_path: Path) -> None:
    file = tmp_path / "new" / "metrics.jsonl"
    written_metrics.install(module=module)
    with logger_whose_thread_is_late(module, file) as logger:
        logger.log_sync(dict(LINE))
        assert [json.loads(line)["step"] for line in file.read_text().splitlines()] == [2]


def test_the_line_is_written_once(module: str, tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    written_metrics.install(module=module)
    with logger_whose_thread_is_late(module, file) as logger:
        logger.log_sync(dict(LINE))
    theirs = threading.Event()
    logger.loop.call_soon_threadsafe(lambda: logger.loop.call_soon(theirs.set))  # behind what the backend handed over
    assert theirs.wait(60)
    assert [set(json.loads(line)) for line in file.read_text().splitlines()] == [{*LINE, "timestamp"}]


def test_a_value_that_json_does_not_know_costs_no_line(tmp_path: Path) -> None:
    written_metrics.append(tmp_path / "metrics.jsonl", {"step": 1, "where": tmp_path})
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["where"] == str(tmp_path)
