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
from kubetune_trainer.data import conversations, parallel
from kubetune_trainer.data.report import REPORT_NAME, SHORTEST, DataReport
from kubetune_trainer.data.settings import DataSettings
from kubetune_trainer.data.survey import check_dataset
from kubetune_trainer.data.tokenise import DataRequest, tokenise
from kubetune_trainer.errors import ConfigurationError, DataError

LENIENT = DataSettings(refuse_dropped_percent=100)


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
        given = {"max_seq_len": 128, "max_tokens_per_gpu": 512, "settings": LENIENT, **more}
        survey = check_dataset(source, data_format, unmask=given.get("unmask", False))
        return DataRequest(source, survey, data_format, tiny_model, tmp_path / "out", **given)

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
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"data.jsonl", REPORT_NAME}  # no scratch, no cache
    saved = json.loads((tmp_path / "out" / REPORT_NAME).read_text())
    assert DataReport.from_dict(saved) == report
    assert saved["loss_percent"] == pytest.approx(100 * report.tokens_in_loss / report.tokens, abs=0.001)


def test_both_ends_are_counted_and_said(request_of: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    source = write(tmp_path / "in.jsonl", [conversation(0), short(), long(8), long(12), conversation(2)])
    with caplog.at_level(logging.INFO):
        report = tokenise(request_of(source, max_seq_len=64))

    assert (report.rows, report.kept, report.dropped_long, report.dropped_short) == (5, 2, 2, 1)
    assert len(rows_of(report.file)) == 2
    assert report.dropped_percent == 40
    assert "5 rows give 2 samples" in caplog.text
    assert "left out: 2 too long (40.0 %), 1 too short" in caplog.text
    assert f"max_seq_len 64 leaves out 2 samples (40.0 %), {report.dropped_from} to {report.dropped_to} tokens long" in caplog.text
    assert 64 <= report.dropped_from < report.dropped_to
    assert "1 samples are left out: too short" in caplog.text
    with pytest.raises(DataError, match=r"KUBETUNE_DATA_REFUSE_DROPPED_PERCENT \(39\)") as caught:
        tokenise(request_of(source, max_seq_len=64, settings=DataSettings(refuse_dropped_percent=39)))
    assert (caught.value.field, caught.value.value) == ("max_seq_len", 64)


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
    assert (
        f"leaves no sample of 3 rows: 24 tokens is the longest kept, and 2 are longer than that, {lengths[0]} to {lengths[1]} tokens"
        in str(caught.value)
    )
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


def test_processed_data_masked_after_the_cut(request_of: Any, tmp_path: Path):
    """The only sample that would teach something is too long."""
    rows = [{"input_ids": [5] * 4, "labels": [-100] * 4}, {"input_ids": [5] * 99, "labels": [5] * 99}]
    with pytest.raises(DataError, match="every label of theirs is masked"):
        tokenise(request_of(write(tmp_path / "in.jsonl", rows), "processed", max_seq_len=50))


def test_a_large_data_set_is_shared_among_processes(request_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = write_messages(tmp_path / "in.jsonl", 48)
    alone = tokenise(request_of(source)).file.read_text()
    monkeypatch.setattr(parallel, "ROWS_PER_PROCESS", 24)
    monkeypatch.setattr(parallel.os, "sched_getaffinity", lambda pid: {0, 1})

    assert tokenise(request_of(source)).file.read_text() == alone


def test_an_earlier_file_is_replaced_and_only_then(request_of: Any, tmp_path: Path):
    source = write(tmp_path / "in.jsonl", [conversation(0)])
    target = tmp_path / "out" / "data.jsonl"
    target.parent.mkdir()
    target.write_text("earlier")
    with pytest.raises(DataError):
        tokenise(request_of(source, max_seq_len=25))

    assert target.read_text() == "earlier"
    assert [path.name for path in target.parent.iterdir()] == ["data.jsonl"]
    with pytest.raises(ConfigurationError):  # tokenised, and refused afterwards
        tokenise(request_of(source, max_tokens_per_gpu=25))
    assert target.read_text() == "earlier"
    tokenise(request_of(source))
    assert len(rows_of(target)) == 1


def test_too_little_in_the_loss(request_of: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    rows = [{"input_ids": [5] * 100, "labels": [-100] * 98 + [5, 5]}]
    source = write(tmp_path / "in.jsonl", rows)

    tokenise(request_of(source, "processed", settings=DataSettings(warn_loss_percent=3)))
    assert "only 2.00 % of the tokens are counted in the loss" in caplog.text
    with pytest.raises(DataError, match=r"2.00 % of its tokens in the loss.*KUBETUNE_DATA_REFUSE_LOSS_PERCENT \(2.5\)"):
        tokenise(request_of(source, "processed", settings=DataSettings(refuse_loss_percent=2.5)))


def test_both_backends_read_processed_data_as_they_would_have_read_the_users(request_of: Any, tmp_path: Path):
    from mini_trainer.sampler import JsonlDataset

    rows = [{"input_ids": [5, 6, 7 + i], "labels": [-100, 6, 7 + i], "len": 3, "attention_mask": [1] * 3} for i in range(4)]
    source = write(tmp_path / "in.jsonl", rows)
    ours = JsonlDataset(str(tokenise(request_of(source, "processed")).file))
    theirs = JsonlDataset(str(source))

    for key in ("input_ids", "labels", "len", "num_loss_counted_tokens"):
        assert [list_of(ours[i][key]) for i in range(4)] == [list_of(theirs[i][key]) for i in range(4)]


def list_of(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def test_duplicates_are_reported(request_of: Any, tmp_path: Path):
    report = tokenise(request_of(write(tmp_path / "in.jsonl", [conversation(0), conversation(1), conversation(0)])))

    assert (report.duplicates, report.duplicates_exact) == (1, True)
    assert "1 rows repeat an earlier one (33.3 %)" in str(report)


def test_data_are_tokenised_once(
    request_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    source = write(tmp_path / "in.jsonl", [conversation(0), conversation(1), conversation(0)])
    cache = {"cache_dir": tmp_path / "cache"}
    first = tokenise(request_of(source, **cache))
    monkeypatch.setattr(conversations, "conversation", None)  # whoever tokenises again fails
    with caplog.at_level(logging.INFO):
        second = tokenise(replace(request_of(source, **cache), directory=tmp_path / "other"))

    assert (first.reused, second.reused) == (False, True)
    assert replace(second, file=first.file, reused=False) == first
    assert second.file == tmp_path / "other" / "data.jsonl"
    assert second.file.read_text() == first.file.read_text()
    assert "tokenised before: taken from" in caplog.text
    with pytest.raises(ConfigurationError):  # what is refused of the data is refused of reused data
        tokenise(request_of(source, max_tokens_per_gpu=25, **cache))


# what is changed about a request whose data are in the cache
CHANGES: list[tuple[str, Any]] = [
    ("the rows", lambda request, path: write(path, [conversation(2)])),
    ("the length", lambda request, path: {"max_seq_len": 127}),
    ("the masking", lambda request, path: {"unmask": True}),
]


@pytest.mark.parametrize("change", [case[1] for case in CHANGES], ids=[case[0] for case in CHANGES])
def test_other_inputs_are_tokenised_anew(request_of: Any, tmp_path: Path, change: Any):
    source = write(tmp_path / "in.jsonl", [conversation(0), conversation(1)])
    cache = {"cache_dir": tmp_path / "cache"}
    request = request_of(source, **cache)
    tokenise(request)
    changed = change(request, source)

    assert not tokenise(request_of(source, **cache, **(changed if isinstance(changed, dict) else {}))).reused


def test_nothing_useless_is_kept(request_of: Any, tmp_path: Path):
    source = write(tmp_path / "in.jsonl", [conversation(0)])
    with pytest.raises(DataError):
        tokenise(request_of(source, max_seq_len=25, cache_dir=tmp_path / "cache"))
    assert [path for path in (tmp_path / "cache").iterdir() if not path.name.startswith(".")] == []


def test_directory_that_cannot_be_written(request_of: Any, tmp_path: Path, tiny_data: Path):
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(ConfigurationError, match="cannot be written") as caught:
        tokenise(request_of(tiny_data))
    assert caught.value.field == "data_output_dir"
