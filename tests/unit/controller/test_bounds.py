import json

import pytest
from fake_cluster import NOW, checkpoint
from hypothesis import given
from hypothesis import strategies as st

from kubetune.api.status import Attempt, Failure, JobStatus
from kubetune.controller.bounds import MAX_STATUS_BYTES, bounded, clip, clip_front, size, status_bytes
from kubetune_trainer.contract import FailureClass

TEXTS = st.text(max_size=300)


@given(TEXTS, st.integers(10, 200))
def test_a_clipped_text_fits_and_keeps_its_beginning(text, limit):
    cut = clip(text, limit)
    assert size(cut) <= limit
    assert cut == text or (cut.endswith("...") and text.startswith(cut[:-3]))


@given(TEXTS, st.integers(0, 200))
def test_a_clipped_log_fits_and_keeps_its_end(text, limit):
    cut = clip_front(text, limit)
    assert size(cut) <= limit
    assert text.endswith(cut)
    longer = text[len(text) - len(cut) - 1 :] if len(cut) < len(text) else None
    assert longer is None or size(longer) > limit, "no more is cut than must be"


def test_size_is_that_of_the_stored_json():
    assert size("a\nb") == 4
    assert size("ä") == 2
    assert size("\x1b") == 6


def full(attempts: int, message: int) -> JobStatus:
    tries = tuple(
        Attempt(number=n, py_torch_job="x" * 60, started=NOW, reason="BackendError", message="m" * message, resumed_from="u" * 1000)
        for n in range(1, attempts + 1)
    )
    failure = Failure(failure_class=FailureClass.BACKEND_ERROR, reason="Error", message="m", log_tail="l" * 8192)
    return JobStatus(attempts=tries, failure=failure, checkpoints=(checkpoint(),))


def test_a_status_within_bounds_is_left_alone():
    status = full(3, 100)
    assert bounded(status) is status


@pytest.mark.parametrize(("limit", "tail", "message"), [(68_000, False, True), (30_000, False, False), (9_000, False, False)])
def test_what_goes_first(limit, tail, message):
    cut = bounded(full(20, 2000), limit)
    assert status_bytes(cut) < limit
    assert (cut.failure.log_tail is not None) == tail
    assert (cut.attempts[-1].message is not None) == message
    assert cut.attempts[-1].number == 20, "the count goes on from here"
    assert cut.checkpoints == (checkpoint(),)


def test_the_limit_is_that_of_the_document():
    assert MAX_STATUS_BYTES == 65536
    assert status_bytes(full(1, 10)) == len(json.dumps(full(1, 10).to_dict(), ensure_ascii=False).encode())
