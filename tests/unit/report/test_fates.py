from datetime import UTC, datetime

from kubetune.report.fates import fates, of_status
from kubetune_trainer.checkpoints.last_good import Good, LastGood
from kubetune_trainer.checkpoints.ledger import Entry
from kubetune_trainer.contract import Checkpoint

NOW = datetime(2026, 11, 28, tzinfo=UTC)
STATE = "attempt-1/full_state/epoch_1"


def entry(event, checkpoint=STATE, attempt=1, **fields):
    return Entry(time=NOW, attempt=attempt, event=event, checkpoint=checkpoint, **fields)


def saved(checkpoint=STATE, step=8, **fields):
    return entry("saved", checkpoint, kind="full-state", step=step, bytes=10, manifest_sha256="ab", **fields)


def test_saved_resumed_and_removed():
    (fate,) = fates([saved(), entry("resumed", attempt=2), entry("removed", attempt=2, reason="a newer one is kept")])
    assert (fate.state, fate.step, fate.resumed_by, fate.reason) == ("removed", 8, (2,), "a newer one is kept")
    assert not fate.kept


def test_quarantined_after_it_was_verified_and_without_ever():
    known, unknown = fates(
        [saved(), entry("quarantined", reason="a bit"), entry("quarantined", "attempt-1/hf_format/x", reason="torn")]
    )
    assert (known.state, known.reason, known.step) == ("quarantined", "a bit", 8)
    assert (unknown.state, unknown.reason) == ("quarantined", "torn")


def test_a_path_that_is_written_again_is_another_checkpoint():
    first, second = fates([saved(), entry("removed", reason="old"), saved(step=9)])
    assert (first.state, second.state, second.step) == ("removed", "verified", 9)


def test_one_that_does_not_fit_stays_and_says_why():
    (fate,) = fates([saved(), entry("refused", attempt=2, reason="another number of ranks")])
    assert fate.kept
    assert fate.reason == "refused by attempt 2: another number of ranks"


def test_lines_of_no_checkpoint_and_of_leftovers_make_none():
    assert (
        fates(
            [entry("attempt", None), entry("removed", "quarantine/x"), entry("resumed", "s3://elsewhere/x"), entry("ended", None)]
        )
        == []
    )


def test_the_pointer_marks_what_is_still_there():
    good = Good(path=STATE, kind="full-state", step=8, attempt=1, time=NOW, manifest_sha256="ab")
    pointer = LastGood(attempt=1, full_state=good)
    assert [fate.last_good for fate in fates([saved(), saved("other", 9)], pointer)] == [True, False]
    assert [fate.last_good for fate in fates([saved(), entry("removed")], pointer)] == [False]


def test_what_a_status_tells():
    listed = [Checkpoint(uri="pvc://runs/a", step=3, bytes=5, kind="hf", verified=ok) for ok in (True, False)]
    assert [(fate.path, fate.state) for fate in of_status(listed)] == [
        ("pvc://runs/a", "verified"),
        ("pvc://runs/a", "not verified"),
    ]
