from dataclasses import replace

import pytest
from fake_cluster import NOW, at, checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st
from observations import first_attempt

from kubetune.api.status import MAX_ATTEMPTS, MAX_LOG_TAIL, MAX_NAME, MAX_REASON, Attempt, Failure, JobStatus, Phase
from kubetune.controller.bounds import MAX_OWN_BYTES, MAX_STATUS_BYTES, bounded, clip, clip_front, json_bytes, own_bytes, size
from kubetune.controller.decision import AttemptEnd, Decision
from kubetune.controller.status import next_status
from kubetune_trainer.api_report import apply_body
from kubetune_trainer.contract import MAX_CHECKPOINTS, MAX_LOSSES, MAX_STAGE, MAX_URI, FailureClass, JobIdentity, Progress, Report

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
    assert size("<&>") == 18, "Go writes them for HTML"
    assert size("\u2028") == 6


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


@pytest.mark.parametrize(("limit", "tail", "message"), [(66_000, False, True), (30_000, False, False), (9_000, False, False)])
def test_what_goes_first(limit, tail, message):
    cut = bounded(full(20, 2000), limit)
    assert own_bytes(cut) < limit
    assert (cut.failure.log_tail is not None) == tail
    assert (cut.attempts[-1].message is not None) == message
    assert cut.attempts[-1].number == 20, "the count goes on from here"
    assert cut.checkpoints == (checkpoint(),)


SHORT = st.sampled_from(["a", "<", "\x01", "é", "𝄞", "\u2028", '"', "\\"])


def texts(most: int) -> st.SearchStrategy[str]:
    """Of one character over and over up to the longest, which is the worst for the size, or of anything."""
    return st.one_of(st.builds(lambda c, n: c * n, SHORT, st.sampled_from([0, most // 2, most])), st.text(max_size=50))


CHECKPOINTS = st.lists(texts(MAX_URI), max_size=40).map(
    lambda uris: tuple(
        checkpoint(2**62 + n, time=NOW).model_copy(update={"uri": f"{n}{uri}"[:MAX_URI]}) for n, uri in enumerate(uris)
    )
)
ATTEMPTS = st.lists(st.tuples(texts(MAX_URI), texts(300), texts(MAX_REASON)), min_size=1, max_size=MAX_ATTEMPTS).map(
    lambda tries: tuple(
        Attempt(
            number=n, py_torch_job="x" * MAX_NAME, started=NOW, ended=NOW, reason=reason, message=clip(message, 300),
            resumed_from=origin, exit_code=2**31, last_step=2**62,
        )
        for n, (origin, message, reason) in enumerate(tries, 1)
    )
)  # fmt: skip
FAILURES = st.builds(
    lambda message, tail, reason, pod: Failure(
        failure_class=FailureClass.RENDEZVOUS_TIMEOUT, reason=clip(reason, MAX_REASON), message=clip(message, 2048), pod=pod, node=pod,
        log_tail=clip_front(tail, MAX_LOG_TAIL),
    ),
    texts(2048), texts(MAX_LOG_TAIL), texts(200), st.just("p" * MAX_NAME),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(ATTEMPTS, FAILURES, CHECKPOINTS, texts(MAX_URI), texts(20_000), texts(20_000), st.sampled_from(Phase))
def test_no_status_is_too_large_whatever_was_said(attempts, failure, checkpoints, uri, reason, message, phase):
    """The operator's part and the trainer's, each as it is written, at their worst at once."""
    observed = first_attempt()
    live = attempts[-1].model_copy(update={"ended": None})
    final = checkpoint(2**62, time=NOW).model_copy(update={"uri": uri})
    before = observed.status.model_copy(update={"attempts": (*attempts[:-1], live), "final_checkpoint": final})
    observed = replace(observed, status=before, attempt=live)
    end = AttemptEnd("BackendError", message, resumed_from=uri, last_step=2**62)
    decision = Decision(phase, reason, message, ended=end, failure=failure, stalled=True)
    own = next_status(observed, decision, at(9))
    assert own_bytes(own) < MAX_OWN_BYTES
    assert own.attempts[-1].number == live.number, "the count goes on from here"
    numbers = dict.fromkeys(set(Progress.model_fields) - {"percent", "updated_time", "stage", "losses", "ended"}, 2**62)
    progress = Progress(
        **numbers,
        percent=99.99,
        updated_time=NOW,
        stage="𝄞" * MAX_STAGE,
        losses=(-2.2250738585072014e-308,) * MAX_LOSSES,
        ended=max(FailureClass, key=len),
    )
    job = JobIdentity(kind="SFTJob", namespace="default", name="teach", uid="u", spec_hash="0")
    trainers = apply_body(job, Report(attempt=1, progress=progress, checkpoints=checkpoints))["status"]
    whole = own.to_dict() | trainers
    assert json_bytes(whole) < MAX_STATUS_BYTES
    if checkpoints:
        kept = trainers["checkpoints"]
        assert [each["uri"] for each in kept] == [each.uri for each in checkpoints[-len(kept) :]], "the newest stay"
        assert len(kept) <= MAX_CHECKPOINTS
