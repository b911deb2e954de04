"""Tokenising by the backend's own function, with a count of what it would have dropped without a word."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny import conversation, write_messages

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.data.tokenise import SHORTEST, DataRequest, tokenise
from kubetune_trainer.errors import ConfigurationError, DataError


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def short() -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


def long(times: int) -> dict[str, Any]:
    row = conversation(1)
    row["messages"][2]["content"] *= times
    return row


@pytest.fixture
def request_of(tiny_model: Path, tmp_path: Path) -> Any:
    def make(source: Path, data_format: str = "messages", **more: Any) -> DataRequest:
        given = {"max_seq_len": 128, "max_tokens_per_gpu": 512, **more}
        return DataRequest(source, data_format, tiny_model, tmp_path / "out", **given)

    return make


def test_messages_are_tokenised_as_the_backend_does(request_of: Any, tmp_path: Path, tiny_model: Path, capfd: Any):
    from instructlab.training.data_process import process_messages_into_input_ids

    source = write(tmp_path / "in.jsonl", [conversation(0), {**conversation(1), "unmask": True}, conversation(2)])
    report = tokenise(request_of(source))
    told = capfd.readouterr()
    process_messages_into_input_ids(str(source), str(tmp_path / "theirs"), 128, str(tiny_model), 1)

    ours, theirs = rows_of(report.file), rows_of(tmp_path / "theirs" / "data.jsonl")
    assert [{key: row[key] for key in ("input_ids", "labels", "len")} for row in theirs] == ours
    assert (report.rows, report.kept, report.dropped_long, report.dropped_short) == (3, 3, 0, 0)
    assert report.tokens == sum(row["len"] for row in theirs)
    assert report.longest == max(row["len"] for row in theirs)
    assert report.tokens_in_loss == sum(label != -100 for row in theirs for label in row["labels"][1:])
    assert told.out == ""  # the backend prints samples there
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["data.jsonl"]  # no scratch, no cache


def test_both_ends_are_counted_and_said(request_of: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    source = write(tmp_path / "in.jsonl", [conversation(0), short(), long(8), long(12), conversation(2)])
    with caplog.at_level(logging.INFO):
        report = tokenise(request_of(source, max_seq_len=64))

    assert (report.rows, report.kept, report.dropped_long, report.dropped_short) == (5, 2, 2, 1)
    assert len(rows_of(report.file)) == 2
    assert "max_seq_len 64 keeps samples of up to 63 tokens: 2 are left out" in caplog.text
    assert f"1 samples are left out: shorter than {SHORTEST} tokens" in caplog.text


def test_a_sample_of_exactly_max_seq_len_is_left_out(request_of: Any, tmp_path: Path):
    """The backend keeps lengths below max_seq_len only; what is said of it must be true to the token."""
    source = write(tmp_path / "in.jsonl", [conversation(0)])
    length = tokenise(request_of(source)).longest

    assert tokenise(request_of(source, max_seq_len=length + 1)).kept == 1
    with pytest.raises(DataError) as caught:
        tokenise(request_of(source, max_seq_len=length))
    assert caught.value.field == "max_seq_len"
    assert caught.value.value == length
    assert f"{length - 1} tokens is the longest kept" in caught.value.problem


def test_every_sample_too_long(request_of: Any, tmp_path: Path):
    source = write(tmp_path / "in.jsonl", [long(2), long(9), short()])
    with pytest.raises(DataError) as caught:
        tokenise(request_of(source, max_seq_len=25))

    lengths = sorted(row["len"] for row in rows_of(tokenise(request_of(source, max_seq_len=400)).file))
    assert f"2 of 3 are longer than that, {lengths[0]} to {lengths[1]} tokens" in str(caught.value)
    assert f"raise max_seq_len above {lengths[0]} (above {lengths[1]} keeps them all)" in caught.value.remedy
    assert caught.value.failure_class is FailureClass.DATA_ERROR


def test_every_sample_too_short(request_of: Any, tmp_path: Path):
    with pytest.raises(DataError, match=f"no sample of at least {SHORTEST} tokens in its 3 rows"):
        tokenise(request_of(write(tmp_path / "in.jsonl", [short()] * 3)))


def test_gpu_too_small_for_the_longest_sample_kept(request_of: Any, tmp_path: Path):
    source = write(tmp_path / "in.jsonl", [conversation(0), long(3)])
    longest = tokenise(request_of(source)).longest

    assert tokenise(request_of(source, max_tokens_per_gpu=longest)).kept == 2
    with pytest.raises(ConfigurationError) as caught:
        tokenise(request_of(source, max_tokens_per_gpu=longest - 1))
    assert not isinstance(caught.value, DataError)
    assert (caught.value.field, caught.value.value) == ("max_tokens_per_gpu", longest - 1)
    assert str(longest) in caught.value.remedy


def test_unmask_puts_the_users_words_in_the_loss(request_of: Any, tiny_data: Path):
    masked, unmasked = (tokenise(request_of(tiny_data, unmask=flag)) for flag in (False, True))

    assert masked.tokens == unmasked.tokens
    assert unmasked.tokens_in_loss > masked.tokens_in_loss > 0


def test_a_template_that_prints_no_answer(request_of: Any, tmp_path: Path, tiny_model: Path):
    """Every label is masked then: the backend would train to NaN."""
    import shutil

    model = tmp_path / "mute"
    shutil.copytree(tiny_model, model)
    template = "{% for m in messages %}{% if m['role'] != 'assistant' %}{{ m['content'] * 3 }}{% endif %}{% endfor %}"
    (model / "chat_template.jinja").write_text(template)
    request = replace(request_of(write_messages(tmp_path / "in.jsonl", 3)), model_dir=model)

    with pytest.raises(DataError, match="every label of theirs is masked"):
        tokenise(request)


def test_a_template_that_refuses(request_of: Any, tmp_path: Path, tiny_model: Path):
    import shutil

    model = tmp_path / "strict"
    shutil.copytree(tiny_model, model)
    (model / "chat_template.jinja").write_text("{{ raise_exception('roles must alternate') }}")
    request = replace(request_of(write_messages(tmp_path / "in.jsonl", 3)), model_dir=model)

    with pytest.raises(DataError, match="roles must alternate"):
        tokenise(request)


def test_other_columns_of_mixed_types_do_no_harm(request_of: Any, tmp_path: Path):
    """Arrow, the backend's reader, fails on them."""
    rows = [{**conversation(0), "id": 1}, {**conversation(1), "id": "b"}, {**conversation(2), "id": None, "meta": {"x": [1]}}]

    assert tokenise(request_of(write(tmp_path / "in.jsonl", rows))).kept == 3


def test_processed_data_pass_through(request_of: Any, tmp_path: Path):
    rows = [{"input_ids": [5] * n, "labels": [-100] + [5] * (n - 1), "more": "x"} for n in (3, 64, 65)]
    report = tokenise(request_of(write(tmp_path / "in.jsonl", rows), "processed", max_seq_len=64))

    assert [set(row) for row in rows_of(report.file)] == [{"input_ids", "labels", "len"}] * 2
    assert [row["len"] for row in rows_of(report.file)] == [3, 64]  # the user's own tokens: no lower limit, the upper one included
    assert (report.rows, report.kept, report.dropped_long, report.dropped_short) == (3, 2, 1, 0)
    assert report.tokens_in_loss == 2 + 63


def test_processed_data_of_another_tokenizer(request_of: Any, tmp_path: Path):
    rows = [{"input_ids": [5, 6], "labels": [5, 6]}, {"input_ids": [5, 400], "labels": [5, 400]}]
    source = write(tmp_path / "in.jsonl", rows)

    assert tokenise(request_of(source, "processed", vocab_size=401)).kept == 2
    with pytest.raises(DataError, match="line 2: token 400 is beyond the model's vocabulary of 400"):
        tokenise(request_of(source, "processed", vocab_size=400))


def test_processed_data_masked_after_the_cut(request_of: Any, tmp_path: Path):
    """The only sample that would teach something is too long."""
    rows = [{"input_ids": [5] * 4, "labels": [-100] * 4}, {"input_ids": [5] * 99, "labels": [5] * 99}]
    with pytest.raises(DataError, match="every label of theirs is masked"):
        tokenise(request_of(write(tmp_path / "in.jsonl", rows), "processed", max_seq_len=50))


def test_a_large_data_set_is_shared_among_processes(request_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from kubetune_trainer.data import tokenise as module

    source = write_messages(tmp_path / "in.jsonl", 48)
    alone = tokenise(request_of(source)).file.read_text()
    monkeypatch.setattr(module, "ROWS_PER_PROCESS", 24)
    monkeypatch.setattr(module.os, "cpu_count", lambda: 2)

    assert tokenise(request_of(source)).file.read_text() == alone


def test_documents_are_cut_into_pieces(request_of: Any, tmp_path: Path, tiny_model: Path):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    text = "The ball number 9 is white. " * 20
    tokens = [*tokenizer.encode(text), tokenizer.eos_token_id]
    report = tokenise(
        request_of(write(tmp_path / "in.jsonl", [{"document": text}, {"document": ""}]), "pretraining", max_seq_len=50)
    )

    rows = rows_of(report.file)
    assert [token for row in rows for token in row["input_ids"]] == tokens
    assert all(row["labels"] == row["input_ids"] and row["len"] <= 50 for row in rows)
    assert report.rows == 2


def test_an_earlier_file_is_replaced_and_only_then(request_of: Any, tmp_path: Path):
    source = write(tmp_path / "in.jsonl", [conversation(0)])
    target = tmp_path / "out" / "data.jsonl"
    target.parent.mkdir()
    target.write_text("earlier")
    with pytest.raises(DataError):
        tokenise(request_of(source, max_seq_len=25))

    assert target.read_text() == "earlier"
    assert [path.name for path in target.parent.iterdir()] == ["data.jsonl"]
    tokenise(request_of(source))
    assert len(rows_of(target)) == 1


def test_directory_that_cannot_be_written(request_of: Any, tmp_path: Path, tiny_data: Path):
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(ConfigurationError, match="cannot be written") as caught:
        tokenise(request_of(tiny_data))
    assert caught.value.field == "data_output_dir"


def test_the_home_directory_is_not_needed(request_of: Any, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A container may have none: the reader's cache goes beside the data."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", Path("/proc/nowhere"))
    assert tokenise(request_of(tiny_data)).kept == 48
    assert Path("/proc/nowhere") == datasets.config.HF_DATASETS_CACHE
