"""Histories that must be acquitted, and those that must be condemned, each for what it is."""

from collections.abc import Callable
from typing import Any

import pytest
from chaos_history import JOB, Story, good, reached_end

from e2e.chaos.history import Action
from e2e.chaos.judge import CHECKS, judge


def checks(story: Story, **facts: Any) -> set[str]:
    return {finding.check for finding in judge(story.history(**facts))}


def deleted_in_the_middle() -> Story:
    story = Story().job().starts(1).did("delete job", "teach").gone(JOB)
    return story.gone("teach-sft-1").gone("teach-sft-1-master-0")


def suspended_and_resumed() -> Story:
    story = Story().job().starts(1).did("suspend", "teach").pod(1, phase="Failed", code=143).gone("teach-sft-1")
    return story.gone("teach-sft-1-master-0").ends(1, "Suspended").job("Suspended").event("Suspended").starts(2).succeeds(2)


def at_its_limit() -> Story:
    return Story().job().starts(1).fails(1, phase="Failed", limit=0, failure="CudaOOM").event("Failed")


def a_bad_spec() -> Story:
    return Story().job().starts(1).fails(1, "UserError", phase="Failed", failure="UserError").event("Failed")


def child_deleted_by_hand() -> Story:
    story = Story().job().starts(1).did("delete child", "teach-sft-1").gone("teach-sft-1").gone("teach-sft-1-master-0")
    return story.ends(1, "ChildLost").job("Restarting").event("AttemptFailed", "attempt 1: ChildLost: gone").starts(2).succeeds(2)


def child_deleted_before_anybody_knew_of_it() -> Story:
    story = Story().job().child(1, uid="first").did("delete child", "teach-sft-1")
    return story.gone("first").starts(1).succeeds(1)


def events_lost_with_their_writer() -> Story:
    story = Story().job().starts(1).pod(1, phase="Succeeded", code=0, says=reached_end(1)).child(1, "Succeeded")
    return story.ends(1, "Succeeded").job("Succeeded").did("SIGKILL", "red")


def events_lost_with_the_lease() -> Story:
    story = events_lost_with_their_writer()
    story.actions = [a for a in story.actions if a.what != "SIGKILL"]
    return story.lease("red", time=story.time).lease("blue", time=story.time + 9)


@pytest.mark.parametrize(
    "story",
    [
        good,
        deleted_in_the_middle,
        suspended_and_resumed,
        at_its_limit,
        a_bad_spec,
        child_deleted_by_hand,
        child_deleted_before_anybody_knew_of_it,
        events_lost_with_their_writer,
        events_lost_with_the_lease,
    ],
)
def test_what_is_well_is_acquitted(story: Callable[[], Story]):
    assert judge(story().history()) == []


def never_ends() -> Story:
    return Story().job().starts(1)


def vanishes() -> Story:
    return Story().job().gone(JOB)


def two_gangs() -> Story:
    """The first attempt's worker runs on while the second attempt starts."""
    return Story().job().starts(1).pod(1, "worker").fails(1).starts(2).gone("teach-sft-1-worker-0").succeeds(2)


def two_pytorchjobs() -> Story:
    story = Story().job().starts(1).child(1, uid="twin").gone("twin")
    return story.succeeds(1)


def succeeded_unproved(says: Any, code: int = 0) -> Story:
    story = Story().job().starts(1).pod(1, phase="Succeeded", code=code, says=says).child(1, "Succeeded")
    return story.ends(1, "Succeeded").job("Succeeded").event("Succeeded")


def unlisted_child() -> Story:
    return good().child(3, "Failed").gone("teach-sft-3")


def listed_without_a_child() -> Story:
    story = good()
    story.records = [r for r in story.records if r.name != "teach-sft-1"]
    return story


def made_twice() -> Story:
    """Nobody deleted it: the operator lost sight of it and made another one."""
    return Story().job().starts(1).gone("teach-sft-1").child(1, uid="again").succeeds(1).child(1, "Succeeded", uid="again")


def gap_in_the_numbers() -> Story:
    story = good()
    story.records[-2].object["status"]["attempts"][1]["number"] = 3
    return story


def restarts_forgotten() -> Story:
    story = good()
    story.records[-2].object["status"]["restarts"] = 0
    return story


def beyond_the_limit() -> Story:
    story = good()
    story.records[-2].object["spec"]["runPolicy"]["backoffLimit"] = 0
    return story


def gave_up_too_soon() -> Story:
    return Story().job().starts(1).fails(1, phase="Failed", limit=3, failure="CudaOOM").event("Failed")


def failed_for_nothing() -> Story:
    story = Story().job().starts(1).gone("teach-sft-1").gone("teach-sft-1-master-0").ends(1, "NodeLost").job("Restarting")
    return story.event("AttemptFailed", "attempt 1: NodeLost: x").starts(2).succeeds(2)


def suspended_for_nothing() -> Story:
    story = suspended_and_resumed()
    story.actions = [a for a in story.actions if a.what != "suspend"]
    return story


def history_rewritten() -> Story:
    story = good().job("Succeeded")
    story.records[-1].object["status"]["attempts"][0]["reason"] = "HostOOM"
    return story


def attempt_vanished() -> Story:
    return Story().job().starts(1).fails(1).job("Restarting", attempts=[]).starts(2).succeeds(2)


def came_back_to_life() -> Story:
    return good().job("Running").job("Succeeded")


def succeeded_without_an_end() -> Story:
    story = good()
    del story.records[-2].object["status"]["attempts"][1]["ended"]
    return story


def child_left() -> Story:
    story = good()
    story.records = [r for r in story.records if not (r.name == "teach-sft-1" and r.deleted)]
    return story


def pod_runs_on() -> Story:
    return good().pod(2, "worker")


def outlived() -> Story:
    story = deleted_in_the_middle()
    del story.records[-1]
    return story


def told_twice() -> Story:
    return good().event("AttemptFailed", "attempt 1: CudaOOM: it broke, in other words")


def counted_up() -> Story:
    story = good()
    story.records[-1].object["count"] = 2
    return story


def never_told() -> Story:
    story = good()
    del story.records[-1]
    return story


def told_too_late_to_be_excused() -> Story:
    return never_told().did("SIGKILL", "red", time=1000.0)


def never_told_by_a_leader() -> Story:
    """Its Lease was renewed all the time."""
    story = never_told()
    for second in range(0, 40, 2):
        story.lease("red", time=float(second))
    return story


@pytest.mark.parametrize(
    ("story", "check"),
    [
        (never_ends, "lost"),
        (vanishes, "lost"),
        (two_gangs, "run twice at once"),
        (two_pytorchjobs, "run twice at once"),
        (lambda: succeeded_unproved(None), "Succeeded falsely"),
        (lambda: succeeded_unproved(reached_end(1), code=1), "Succeeded falsely"),
        (lambda: succeeded_unproved(reached_end(2)), "Succeeded falsely"),
        (lambda: succeeded_unproved({**reached_end(1), "reachedEnd": False}), "Succeeded falsely"),
        (lambda: succeeded_unproved({**reached_end(1), "checkpoint": {"verified": False}}), "Succeeded falsely"),
        (unlisted_child, "attempt unaccounted"),
        (listed_without_a_child, "attempt unaccounted"),
        (made_twice, "attempt unaccounted"),
        (gap_in_the_numbers, "restarts miscounted"),
        (restarts_forgotten, "restarts miscounted"),
        (beyond_the_limit, "restarts miscounted"),
        (gave_up_too_soon, "restarts miscounted"),
        (failed_for_nothing, "failed without a cause"),
        (suspended_for_nothing, "failed without a cause"),
        (history_rewritten, "transition lost or undone"),
        (attempt_vanished, "transition lost or undone"),
        (came_back_to_life, "transition lost or undone"),
        (succeeded_without_an_end, "transition lost or undone"),
        (child_left, "orphan"),
        (pod_runs_on, "orphan"),
        (outlived, "orphan"),
        (told_twice, "event doubled"),
        (counted_up, "event doubled"),
        (never_told, "event lost"),
        (never_told_by_a_leader, "event lost"),
        (told_too_late_to_be_excused, "event lost"),
    ],
)
def test_what_must_not_be_is_condemned(story: Callable[[], Story], check: str):
    assert check in checks(story())


def test_every_check_condemns_something():
    marks = test_what_must_not_be_is_condemned.pytestmark
    assert {check for _, check in marks[0].args[1]} == set(CHECKS)


def test_a_job_that_never_came_to_be_is_lost():
    assert checks(good(), planned=["teach", "other"]) == {"lost"}


def test_a_bug_in_the_operators_log_is_condemned():
    assert checks(good(), bugs=["KeyError"]) == {"bug in the log"}


def test_the_list_of_attempts_is_bounded():
    """Only the last twenty are listed; all had their child."""
    story = Story().job()
    for number in range(1, 25):
        story.starts(number).fails(number)
    story.starts(25).succeeds(25)
    for record in story.records:
        if record.kind == "SFTJob":
            record.object["status"]["attempts"] = record.object["status"]["attempts"][-20:]
            record.object["spec"]["runPolicy"]["backoffLimit"] = 30
    assert judge(story.history()) == []
    story.actions.append(Action(0.0, "nothing"))
    story.records[-2].object["status"]["attempts"] = story.records[-2].object["status"]["attempts"][-19:]
    assert checks(story) >= {"restarts miscounted"}
