"""What the backends' data processing does without a word. Nothing is trained, so that these run in `make unit`, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from instructlab.training.data_process import process_messages_into_input_ids
from tiny import conversation
from trap_records import Tell

from kubetune_trainer.data.survey import check_dataset
from kubetune_trainer.data.tokenise import DataRequest, tokenise
from kubetune_trainer.errors import ConfigurationError, DataError

LENGTH = 128


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def raw(source: Path, out: Path, model: Path) -> list[dict[str, Any]]:
    """The samples that the backend would train on."""
    process_messages_into_input_ids(str(source), str(out), LENGTH, str(model), 1)
    return [json.loads(line) for line in (out / "data.jsonl").read_text().splitlines()]


def ours(source: Path, out: Path, model: Path) -> Any:
    survey = check_dataset(source, "messages")
    return tokenise(DataRequest(source, survey, "messages", model, out, max_seq_len=LENGTH, max_tokens_per_gpu=512))


@pytest.mark.trap("role")
def test_a_misspelt_role(tiny_model: Path, tmp_path: Path, tell: Tell) -> None:
    misspelt = conversation(1)
    misspelt["messages"][2]["role"] = "asistant"
    source = write(tmp_path / "in.jsonl", [conversation(0), misspelt])
    right, wrong = raw(source, tmp_path / "raw", tiny_model)
    assert any(label != -100 for label in right["labels"])
    assert set(wrong["labels"]) == {-100}
    with pytest.raises(DataError, match=r"line 2: .*asistant") as refused:
        check_dataset(source, "messages")
    tell(
        raw="returns normally; every token of that sample is masked, so that nothing is learned from it",
        ours=f"`DataError` before anything is launched: {said(refused.value, source)}",
    )


@pytest.mark.trap("dropped")
def test_samples_that_are_left_out(tiny_model: Path, tmp_path: Path, tell: Tell) -> None:
    long = conversation(1)
    long["messages"][2]["content"] *= 20
    short = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    source = write(tmp_path / "in.jsonl", [conversation(0), long, short])
    assert len(raw(source, tmp_path / "raw", tiny_model)) == 1
    with pytest.raises(ConfigurationError) as refused:
        ours(write(tmp_path / "most.jsonl", [conversation(0), long, long]), tmp_path / "ours", tiny_model)
    few = write(tmp_path / "few.jsonl", [*(conversation(i) for i in range(6)), long, short])
    report = ours(few, tmp_path / "few", tiny_model)
    assert (report.rows, report.kept) == (8, 6)
    tell(
        raw="1 of 3 samples is trained on, and nothing says so",
        ours=f"counted and reported ({report.kept} of {report.rows} kept); where most are too long: `{refused.value}`",
    )


@pytest.mark.trap("data-race")
def test_two_nodes_that_tokenise_into_one_directory(tiny_model: Path, tiny_data: Path, tmp_path: Path, tell: Tell) -> None:
    """A reader that has the file open sees the other node's half-written one where it is written in place."""

    def file_changed_under_a_reader(make: Any, out: Path) -> bool:
        make(tiny_data, out, tiny_model)
        with (out / "data.jsonl").open() as reader:
            before = reader.fileno(), (out / "data.jsonl").stat().st_ino
            make(tiny_data, out, tiny_model)
            return (out / "data.jsonl").stat().st_ino == before[1]

    assert file_changed_under_a_reader(raw, tmp_path / "raw")
    assert not file_changed_under_a_reader(ours, tmp_path / "ours")
    tell(
        raw="`data.jsonl` is emptied and written anew in place, under the eyes of a node that already trains on it",
        ours="each node has a directory of its own, and a file is written aside and renamed: a reader keeps the whole one it has",
    )


def said(error: Exception, source: Path) -> str:
    return f"`{str(error).replace(str(source), source.name)}`"
