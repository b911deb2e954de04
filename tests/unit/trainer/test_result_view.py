from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from kubetune_trainer.contract import Checkpoint, FailureClass, Outcome
from kubetune_trainer.plan import RunResult
from kubetune_trainer.units import size

HF = Checkpoint(uri="/o/hf_format/samples_<80>", step=10, epoch=2, bytes=517965, kind="hf", verified=True)

RESULT = RunResult(
    reached_end=True,
    step=10,
    total_steps=10,
    checkpoint=HF,
    checkpoints=(HF.model_copy(update={"kind": "full-state", "step": 5}), HF),
    losses=(5.0, math.nan, 2.5, 0.125),
    seconds={"preflight": 0.51, "train": 12.3456},
    resumed_from=None,
    output_dir=Path("/o"),
    outcome=Outcome(reached_end=True, attempt=1, step=10),
)


def test_a_terminal_shows_a_title_and_a_line_each():
    assert repr(RESULT) == str(RESULT)
    assert repr(RESULT).splitlines() == [
        "Training reached its end: step 10 of 10",
        "  checkpoint:      /o/hf_format/samples_<80> (verified, 518.0 kB)",
        "  loss:            5 at first, 0.125 at the end",
        "  seconds:         preflight 0.5, train 12.3",
        "  all checkpoints: full-state of step 5, hf of step 10",
    ]


def test_a_notebook_shows_the_same_and_the_curve():
    html = RESULT._repr_html_()
    root = ET.fromstring(html)  # well-formed: every name and path is escaped
    cells = [cell.text for cell in root.iter("td")]
    assert cells[0] == "/o/hf_format/samples_<80> (verified, 518.0 kB)"
    points = next(root.iter("polyline")).attrib["points"].split()
    assert points == ["0.0,0.0", "160.0,24.6", "240.0,48.0"]  # the step without a loss is left out, not moved
    assert "<svg" not in dataclasses.replace(RESULT, losses=(math.nan, 1.0))._repr_html_()


def test_a_failed_runs_result_says_why():
    outcome = Outcome(reached_end=False, attempt=1, step=3, failure=FailureClass.CUDA_OOM, message="rank 0: out of memory")
    failed = dataclasses.replace(
        RESULT,
        reached_end=False,
        step=3,
        total_steps=None,
        checkpoint=None,
        checkpoints=(),
        losses=(),
        resumed_from="/s",
        outcome=outcome,
    )
    assert repr(failed).splitlines() == [
        "Training did not reach its end: step 3 of an unknown number",
        "  seconds:         preflight 0.5, train 12.3",
        "  resumed from:    /s",
        "  failure:         CudaOOM: rank 0: out of memory",
    ]


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (5.4e8, "540.0 MB"), (3e9, "3.0 GB")]
)
def test_sizes(count: int, text: str):
    assert size(count) == text
