"""The example notebook, executed by a Jupyter kernel as a user does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from tiny import write_messages

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples/notebook/train.ipynb"

pytestmark = pytest.mark.train


def outputs(cell: Any) -> str:
    """All that a cell shows, as text and HTML."""
    shown = [output.get("text") or "".join(map(str, output.get("data", {}).values())) for output in cell.outputs]
    return "\n".join(shown)


def test_every_cell_runs_and_shows_what_it_says(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    volume = tmp_path / ".kubetune/volumes/tiny"  # the model that other tests use, too: nothing is made twice
    shutil.copytree(tiny_model, volume / "tiny-llama")
    write_messages(volume / "train.jsonl")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    _, submitted, waited, status, losses, checkpoint, listed = [outputs(c) for c in notebook.cells if c.cell_type == "code"]
    assert "sftjob/from-a-notebook" in submitted
    assert "<table" in waited
    assert "Succeeded" in waited
    assert "Succeeded 12 12 ['Succeeded']" in status
    first, last = losses.split()[-3], losses.split()[-1]
    assert float(last) < float(first), "it learned"
    assert "True" in checkpoint
    assert "model.safetensors" in checkpoint
    assert "from-a-notebook" in listed
