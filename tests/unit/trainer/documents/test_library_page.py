"""The examples of docs/library.md, in their order and in one namespace, as somebody would type them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[4] / "docs" / "library.md"

pytestmark = pytest.mark.train


@pytest.fixture
def _here(tiny_tied_model: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(tiny_tied_model, tmp_path / "models" / "base")
    (tmp_path / "data").mkdir()
    shutil.copy(tiny_data, tmp_path / "data" / "train.jsonl")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_here")
def test_every_example_does_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == PAGE.read_text().count("```") // 2 == 6
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    said = capsys.readouterr().out
    for comment in re.findall(r"print\(error\) +# (.*)", "".join(blocks)):
        assert f"{comment}\n" in said
    assert (names["result"].step, names["adapted"].step) == (3, 2)
    assert names["adapted"].checkpoint.uri.startswith(str(Path.cwd() / "runs" / "second"))
    assert "Training reached its end: step 3 of 3\n" in said
    assert "sft ['instructlab-training'] ['model_path', 'data_path', 'ckpt_output_dir']\n" in said
