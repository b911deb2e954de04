"""What is said of a job that waits in a queue."""

import pytest
from fake_cluster import at
from workloads import NO_ROOM, PREEMPTED, admitted, evicted, pending, workload

from kubetune.cluster import Queueing
from kubetune.controller.queueing import QueueState, ordinal, queue_state, waiting


def said(seen: Queueing) -> tuple[str, str]:
    return waiting(queue_state("gpus", seen))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, "1st"),
        (2, "2nd"),
        (3, "3rd"),
        (4, "4th"),
        (11, "11th"),
        (12, "12th"),
        (13, "13th"),
        (20, "20th"),
        (21, "beyond the 20th"),
    ],
)
def test_places_are_counted_as_people_do(number, text):
    assert ordinal(number) == text


def test_its_place_and_what_holds_it():
    assert said(pending(positionInLocalQueue=2, positionInClusterQueue=2)) == ("Pending", f"3rd in queue gpus; {NO_ROOM}")


def test_a_cluster_queue_that_others_share():
    _, message = said(pending(positionInLocalQueue=0, positionInClusterQueue=4))
    assert message.startswith("1st in queue gpus (5th in its ClusterQueue); ")


def test_where_kueue_tells_no_place():
    assert said(pending()) == ("Pending", f"waits in queue gpus; {NO_ROOM}")


@pytest.mark.parametrize(
    ("problem", "remedy"),
    [
        ("LocalQueue gpus doesn't exist", "kubectl get localqueues"),
        ("ClusterQueue big doesn't exist", "point LocalQueue gpus to another one"),
        ("ClusterQueue big is inactive", "kubectl describe localqueue gpus"),
        ("LocalQueue gpus is inactive", "kubectl describe localqueue gpus"),
    ],
)
def test_what_does_not_pass_by_waiting_comes_with_a_remedy(problem, remedy):
    reason, message = said(pending(problem, "Inadmissible"))
    assert reason == "Inadmissible"
    assert problem in message
    assert remedy in message


@pytest.mark.parametrize(
    ("seen", "reason", "text"),
    [
        (Queueing(installed=False), "KueueMissing", "this cluster has no Kueue; install"),
        (Queueing(), "Queued", "waits for Kueue to put it into queue gpus"),
        (workload(), "Queued", "waits in queue gpus"),
        (evicted(at(0), "Deactivated", "by an admin", active=False), "WorkloadDeactivated", "was deactivated: by an admin; "),
    ],
)
def test_what_else_may_be_the_matter(seen, reason, text):
    assert said(seen)[0] == reason
    assert text in said(seen)[1]


def test_a_suspended_child_without_a_queue_and_a_kueue_that_does_not_answer():
    assert "names no queue" in waiting(None)[1]
    assert "connection refused" in waiting(QueueState("gpus", problem="connection refused"))[1]


def test_an_eviction_is_over_once_it_is_admitted_again():
    gone = queue_state("gpus", evicted(at(5)))
    assert (gone.evicted, gone.evicted_reason, gone.evicted_message, gone.admitted) == (at(5), "Preempted", PREEMPTED, None)
    back = queue_state("gpus", admitted(at(9)))
    assert (back.evicted, back.admitted) == (None, at(9))
