"""Documents become the blocks that both backends' own pretraining would train on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny import conversation, make_tokenizer

from kubetune_trainer.data import parallel
from kubetune_trainer.data.documents import from_documents
from kubetune_trainer.data.survey import check_dataset
from kubetune_trainer.data.tokenise import DataRequest, tokenise
from kubetune_trainer.errors import ConfigurationError

TEXTS = [" ".join(m["content"] for m in conversation(i)["messages"]) * (i % 3) for i in range(40)]  # every third is empty
BLOCK = 64


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"document": text, "id": i}) + "\n" for i, text in enumerate(TEXTS)))
    return path


def blocks(source: Path, model: Path, block: int = BLOCK) -> list[dict[str, Any]]:
    return [json.loads(made.text) for made in from_documents(source, model, check_dataset(source, "pretraining"), block)]


@pytest.mark.parametrize("backend", ["instructlab.training.sampler", "mini_trainer.sampler"])
def test_blocks_are_the_backends(source: Path, tmp_path: Path, tiny_model: Path, backend: str):
    from importlib import import_module

    from instructlab.training.data_process import process_documents_for_pretraining

    process_documents_for_pretraining(str(source), str(tmp_path / "theirs"), str(tiny_model), None)
    data = import_module(backend).PretrainingBlockDataset.from_jsonl_file(str(tmp_path / "theirs" / "data.jsonl"), BLOCK, 0)
    theirs = [{key: data[i][key].tolist() for key in ("input_ids", "labels")} for i in range(len(data))]
    mine = blocks(source, tiny_model)

    assert len(mine) == len(theirs) > 10
    assert [{"input_ids": row["input_ids"], "labels": row["labels"]} for row in mine[:-1]] == theirs[:-1]
    last = mine[-1]["len"]
    assert 1 < last < BLOCK  # the last block: without the backend's masked padding
    assert mine[-1]["input_ids"] == mine[-1]["labels"] == theirs[-1]["input_ids"][:last]
    assert theirs[-1]["labels"][last:] == [-100] * (BLOCK - last)
    assert [sum(label != -100 for label in row["labels"][1:]) for row in mine] == [
        data[i]["num_loss_counted_tokens"] for i in range(len(data))
    ]


def test_blocks_are_the_same_from_several_processes(source: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    alone = blocks(source, tiny_model)
    monkeypatch.setattr(parallel, "ROWS_PER_PROCESS", 10)
    monkeypatch.setattr(parallel.os, "sched_getaffinity", lambda pid: {0, 1})

    assert blocks(source, tiny_model) == alone


def test_the_report(source: Path, tmp_path: Path, tiny_model: Path):
    survey = check_dataset(source, "pretraining")
    report = tokenise(DataRequest(source, survey, "pretraining", tiny_model, tmp_path / "out", BLOCK, BLOCK))
    rows = blocks(source, tiny_model)

    assert (report.rows, report.kept, report.longest) == (40, len(rows), BLOCK)
    assert report.tokens == sum(row["len"] for row in rows)
    assert report.tokens_in_loss == report.tokens - report.kept
    assert (report.dropped_long, report.dropped_short) == (0, 0)
    assert report.duplicates == 0


def test_a_tokenizer_without_an_end_is_refused(source: Path, tmp_path: Path):
    from instructlab.training.data_process import process_documents_for_pretraining

    tokenizer = make_tokenizer(chat_template=False)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="EOS"):
        process_documents_for_pretraining(str(source), str(tmp_path / "theirs"), str(tmp_path / "model"), None)
    with pytest.raises(ConfigurationError, match="without an end-of-sequence token"):
        blocks(source, tmp_path / "model")
