"""The election as values: `now` is passed in, and jumps."""

import pytest

from kubetune.controller import lease
from kubetune.controller.lease import Record, Step, Times, View

TIMES = Times()
MINE, THEIRS = Record("7", "me"), Record("7", "them")
NOW = 1000.0


@pytest.mark.parametrize(
    ("view", "now", "step"),
    [
        (View(), NOW, Step.ACQUIRE),
        (View(Record("1", None), NOW), NOW, Step.ACQUIRE),
        (View(THEIRS, NOW), NOW, Step.WAIT),
        (View(THEIRS, NOW), NOW + 9.9, Step.WAIT),
        (View(THEIRS, NOW), NOW + 10.0, Step.ACQUIRE),
        (View(Record("7", "them", 40.0), NOW), NOW + 39.0, Step.WAIT),
        (View(MINE, NOW), NOW, Step.ACQUIRE),
        (View(MINE, NOW, NOW + 7.5), NOW + 7.4, Step.RENEW),
        (View(MINE, NOW, NOW + 7.5), NOW + 7.5, Step.LOST),
        (View(THEIRS, NOW, NOW + 7.5), NOW, Step.LOST),
        (View(None, NOW, NOW + 7.5), NOW, Step.LOST),
    ],
)
def test_the_next_step(view, now, step):
    assert lease.next_step(view, "me", now) is step


def test_a_clock_that_jumps_forward_ends_a_tenure_at_once():
    held = lease.granted(MINE, NOW, NOW + 0.1, TIMES)
    assert lease.next_step(held, "me", NOW + 1) is Step.RENEW
    assert lease.next_step(held, "me", NOW + 86400) is Step.LOST


def test_the_wall_clocks_in_the_lease_mean_nothing():
    """A holder whose clock is a day behind is respected, and one whose clock is a day ahead is not respected longer."""
    for moment in ("1999-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"):
        manifest = {"metadata": {"resourceVersion": "3"}, "spec": {"holderIdentity": "them", "renewTime": moment}}
        view = lease.seen(View(), lease.record_of(manifest), NOW)
        assert lease.next_step(view, "me", NOW + 9) is Step.WAIT
        assert lease.next_step(view, "me", NOW + 10) is Step.ACQUIRE


def test_each_renewal_begins_the_time_anew_and_a_mere_look_does_not():
    view = lease.seen(View(), THEIRS, NOW)
    view = lease.seen(view, THEIRS, NOW + 6)
    assert lease.next_step(view, "me", NOW + 10) is Step.ACQUIRE
    view = lease.seen(view, Record("8", "them"), NOW + 6)
    assert lease.next_step(view, "me", NOW + 15) is Step.WAIT


def test_the_old_leader_has_stopped_before_the_new_one_may_start():
    """However late the renewal is granted, and however early the candidate sees it."""
    for slow in (0.0, 1.0, 4.0):
        held = lease.granted(MINE, asked=NOW, now=NOW + slow, times=TIMES)
        candidate = lease.seen(View(), Record("7", "other"), NOW)
        assert held.held_until is not None
        assert lease.next_step(candidate, "me", held.held_until) is Step.WAIT
        assert lease.next_step(candidate, "me", held.held_until + TIMES.margin) is Step.ACQUIRE


def test_takeover_after_a_kill_is_within_fifteen_seconds():
    """The candidate sees the last renewal one look late, and wakes up when the Lease ends."""
    now = NOW + TIMES.look
    view = lease.seen(View(), THEIRS, now)
    while lease.next_step(view, "me", now) is not Step.ACQUIRE:
        now += lease.pause(view, TIMES, now)
        view = lease.seen(view, THEIRS, now)
    assert now - NOW == pytest.approx(12.0, abs=0.1)


def test_a_leader_renews_in_time_for_two_more_tries():
    held = lease.granted(MINE, NOW, NOW, TIMES)
    assert lease.pause(held, TIMES, NOW) == 2.0
    assert lease.pause(held, TIMES, NOW + 7.0) == 0.5
    assert lease.pause(held, TIMES, NOW + 8.0) == 0.0


def test_a_lease_is_claimed_on_top_of_the_version_that_was_read():
    first = lease.claim(None, "name", "ns", "me", "T1", TIMES)
    assert first["metadata"] == {"name": "name", "namespace": "ns"}
    assert first["spec"] == {
        "holderIdentity": "me", "leaseDurationSeconds": 10, "acquireTime": "T1", "renewTime": "T1", "leaseTransitions": 0,
    }  # fmt: skip
    stored = {**first, "metadata": {**first["metadata"], "resourceVersion": "5", "labels": {"kept": "yes"}}}
    renewed = lease.claim(lease.record_of(stored), "name", "ns", "me", "T2", TIMES)
    assert renewed["metadata"] == stored["metadata"]
    assert (renewed["spec"]["acquireTime"], renewed["spec"]["renewTime"]) == ("T1", "T2")
    taken = lease.claim(lease.record_of(stored), "name", "ns", "them", "T3", TIMES)
    assert (taken["spec"]["acquireTime"], taken["spec"]["leaseTransitions"]) == ("T3", 1)
    released = lease.release(lease.record_of(taken))
    assert lease.record_of(released).holder is None
    assert lease.record_of(released).version == "5"
