"""What operator and trainer say to each other fits the wires it goes over."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kubetune_trainer.contract import (
    MAX_OUTCOME_BYTES,
    NOT_RETRYABLE,
    Checkpoint,
    Contract,
    FailureClass,
    JobIdentity,
    Outcome,
    Progress,
    apply_body_bytes,
    newest,
    shorten,
    uri_bytes,
)

JOB = {"kind": "OSFTJob", "namespace": "n", "name": "j", "uid": "u-1", "specHash": "h"}
SMALLEST = {
    "job": JOB,
    "attempt": 3,
    "algorithm": "osft",
    "backend": "mini-trainer",
    "model": "/m",
    "dataset": "/d",
    "output": "/runs/n-j-u/",
    "outputUri": "pvc://runs/n-j-u",
}


def test_the_smallest_contract():
    contract = Contract.model_validate_json(json.dumps(SMALLEST))

    assert contract.job == JobIdentity(kind="OSFTJob", namespace="n", name="j", uid="u-1", spec_hash="h")
    assert (contract.nodes, contract.procs_per_node, contract.device, contract.checkpoint.keep) == (1, 1, "gpu", 1)
    assert contract.attempt_dir == "/runs/n-j-u/attempt-3"
    assert contract.attempt_uri == "pvc://runs/n-j-u/attempt-3"
    assert contract.rendezvous_id == "u-1-3"


def test_round_trip_is_byte_stable():
    contract = Contract.model_validate(SMALLEST | {"training": {"num_epochs": 2, "a": 1}, "resumeFrom": ["/a", "/b"]})
    text = contract.to_json()

    assert Contract.model_validate_json(text) == contract
    assert Contract.model_validate_json(text).to_json() == text
    assert " " not in text


@pytest.mark.parametrize(
    "change", [{"attempt": 0}, {"extra": 1}, {"version": "v2"}, {"nodes": 0}, {"device": "tpu"}, {"model": None}]
)
def test_refused(change: dict[str, Any]):
    with pytest.raises(ValidationError):
        Contract.model_validate(SMALLEST | change)


def test_progress_holds_no_nan():
    with pytest.raises(ValueError, match="JSON"):
        Progress(step=1, loss=float("nan")).to_json()


def test_only_the_users_faults_and_the_deadline_are_final():
    assert {FailureClass.USER_ERROR, FailureClass.DATA_ERROR, FailureClass.DEADLINE_EXCEEDED} == NOT_RETRYABLE
    assert [f for f in FailureClass if not f.retryable] == [f for f in FailureClass if f in NOT_RETRYABLE]


CHECKPOINT = Checkpoint(uri="pvc://runs/" + "x" * 300, step=10, bytes=1, kind="hf", verified=True)


@given(message=st.text(max_size=9000), tail=st.none() | st.text(max_size=9000))
def test_an_outcome_always_fits_the_termination_message(message: str, tail: str | None):
    outcome = Outcome(
        reached_end=False, attempt=1, failure=FailureClass.CUDA_OOM, message=message, log_tail=tail, checkpoint=CHECKPOINT
    )
    text = outcome.to_message()

    assert len(text.encode()) <= MAX_OUTCOME_BYTES
    back = Outcome.model_validate_json(text)
    assert message.startswith(back.message)
    assert (tail or "").endswith(back.log_tail or "")
    assert (back.failure, back.checkpoint, back.attempt) == (FailureClass.CUDA_OOM, CHECKPOINT, 1)


def test_an_outcome_that_fits_is_whole_and_the_tail_goes_first():
    whole = Outcome(reached_end=False, attempt=1, message="why", log_tail="line")
    assert Outcome.model_validate_json(whole.to_message()) == whole

    cut = Outcome.model_validate_json(
        Outcome(reached_end=False, attempt=1, message="why " * 100, log_tail="ab" * 5000).to_message()
    )
    assert cut.message == "why " * 100
    assert cut.log_tail
    assert len(cut.to_message().encode()) > MAX_OUTCOME_BYTES - 200  # as much of it as there is room for


@given(text=st.text(min_size=1, max_size=400), excess=st.integers(0, 3000), keep_end=st.booleans())
def test_shorten(text: str, excess: int, keep_end: bool):
    short = shorten(text, excess, keep_end=keep_end)

    def size(value: str) -> int:
        return len(json.dumps(value))

    if short is None:
        assert size(text) - 2 <= excess + 12 * len(text)
    else:
        assert size(text) - size(short) >= excess
        assert text.endswith(short) if keep_end else text.startswith(short)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_applied_is_the_same_in_json(text):
    assert json.loads(apply_body_bytes({text: [text]})) == {text: [text]}


@pytest.mark.parametrize(
    ("text", "written"), [("🤗", "🤗"), ("é", "\\u00e9"), ("\x7f\x85\u2028", "\\u007f\\u0085\\u2028"), ("\ud83e", "\\ufffd")]
)
def test_what_is_applied_is_read_as_yaml(text, written):
    """No surrogate pairs, no raw control character, no line break in disguise."""
    assert apply_body_bytes(text).decode() == f'"{written}"'


def test_the_newest_checkpoints_are_those_that_fit():
    def saved(step: int, uri: str) -> Checkpoint:
        return Checkpoint(uri=uri, step=step, bytes=1, kind="hf", verified=True)

    assert [c.step for c in newest([saved(n, "/o") for n in range(50)])] == list(range(30, 50))
    assert [c.step for c in newest([saved(n, "x" * 1000) for n in range(50)])] == list(range(34, 50))
    assert [c.step for c in newest([saved(n, "<" * 1000) for n in range(50)])] == [48, 49]
    assert uri_bytes("é<\n\\") == 2 + 3 * 6
