"""Each way in which Kubernetes shows a failure, and the class it becomes."""

from dataclasses import replace

import pytest
from fake_cluster import NOW, at, failure
from observations import SETTINGS, first_attempt

from kubetune.controller.child import Child
from kubetune.controller.diagnose import diagnose, settled
from kubetune.controller.pods import PodState
from kubetune_trainer.contract import FailureClass as F
from kubetune_trainer.contract import Progress

CHILD = Child(name="teach-sft-1", uid="child", number=1, owned=True)
RUNNING = PodState(name="m", uid="m", master=True, index=0, phase="Running", running=True, created=NOW, started=NOW, node="node-0")
WORKER = replace(RUNNING, name="w", uid="w", master=False, node="node-1")


def ended(pod: PodState, code: int | None, second: float = 10, **facts) -> PodState:
    finished = None if code is None else at(second)
    return replace(pod, running=False, exit_code=code, finished=finished, phase="Succeeded" if code == 0 else "Failed", **facts)


def judge(*pods: PodState, child: Child | None = CHILD, now: float = 20):
    observed = replace(first_attempt(), pods=pods, child=child)
    return diagnose(observed, SETTINGS, at(now))


def test_a_healthy_gang_has_no_failure():
    assert judge(RUNNING, WORKER) is None
    assert judge() is None, "nor has one whose pods are being created"


@pytest.mark.parametrize(
    ("facts", "kind", "reason"),
    [
        ({"exit_code": 137, "exit_reason": "OOMKilled"}, F.HOST_OOM, "OOMKilled"),
        ({"exit_code": 137, "exit_reason": "Error"}, F.NODE_LOST, "Killed"),
        ({"exit_code": 143, "exit_reason": "Error"}, F.PREEMPTED, "Terminated"),
        ({"exit_code": 2, "exit_reason": "Error"}, F.USER_ERROR, "ExitCode2"),
        ({"exit_code": 1, "exit_reason": "Error"}, F.BACKEND_ERROR, "Error"),
        ({"exit_code": 134, "exit_reason": "Error"}, F.BACKEND_ERROR, "Error"),
        ({"phase": "Failed", "reason": "NodeLost"}, F.NODE_LOST, "NodeLost"),
        ({"phase": "Failed"}, F.NODE_LOST, "PodLost"),
        ({"deletion": at(40)}, F.NODE_LOST, "PodDeleted"),
        ({"deletion": at(40), "disruption": "DeletionByTaintManager"}, F.NODE_LOST, "DeletionByTaintManager"),
        ({"deletion": at(40), "disruption": "PreemptionByScheduler"}, F.PREEMPTED, "PreemptionByScheduler"),
        ({"exit_code": 137, "disruption": "EvictionByEvictionAPI"}, F.PREEMPTED, "EvictionByEvictionAPI"),
        ({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}, F.HOST_OOM, "Evicted"),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on resource: ephemeral-storage"}, F.DISK_FULL, "Evicted"),
        ({"phase": "Failed", "reason": "Evicted", "message": "drained"}, F.PREEMPTED, "Evicted"),
    ],
)
def test_what_kubernetes_saw_of_a_pod_without_an_outcome(facts, kind, reason):
    found = judge(RUNNING, replace(WORKER, **facts))
    assert (found.failure_class, found.reason) == (kind, reason)
    assert (found.pod, found.node, found.exit_code) == ("w", "node-1", facts.get("exit_code"))
    assert found.message.startswith("w: ")


@pytest.mark.parametrize("kind", list(F))
def test_the_trainers_own_class_wins_over_the_exit_code(kind):
    said = failure(kind, message="loss is nan").model_copy(update={"log_tail": "Traceback"})
    found = judge(ended(RUNNING, 137, outcome=said, exit_reason="Error"))
    assert (found.failure_class, found.message, found.log_tail) == (kind, "loss is nan", "Traceback")


def test_an_outcome_of_another_attempt_is_not_believed():
    found = judge(ended(RUNNING, 1, outcome=failure(F.USER_ERROR, attempt=2)))
    assert found.failure_class is F.BACKEND_ERROR


def test_a_trainer_that_only_lost_another_node_leaves_the_word_to_that_nodes_pod():
    master = ended(RUNNING, 1, 10, outcome=failure(F.NODE_LOST, message="node 1 (w) is gone"))
    assert not settled(replace(first_attempt(), pods=(master, WORKER)), judge(master, WORKER), SETTINGS, at(11))
    killed = ended(WORKER, 137, 10.5, exit_reason="OOMKilled")
    assert judge(master, killed).failure_class is F.HOST_OOM
    silent = replace(WORKER, phase="Failed", reason="NodeLost", running=False)
    assert settled(replace(first_attempt(), pods=(silent, RUNNING)), judge(RUNNING, silent), SETTINGS, at(11))


def test_who_failed_first_says_why():
    worker = ended(WORKER, 1, 10, outcome=failure(F.CUDA_OOM))
    master = ended(RUNNING, 1, 12, outcome=failure(F.RENDEZVOUS_TIMEOUT))
    found = judge(master, worker)
    assert (found.failure_class, found.pod) == (F.CUDA_OOM, "w")
    earlier = replace(master, finished=at(8), outcome=failure(F.DISK_FULL))
    assert judge(earlier, worker).pod == "m"


@pytest.mark.parametrize("vague", [F.BACKEND_ERROR, F.RENDEZVOUS_TIMEOUT])
def test_a_follower_that_died_first_does_not_hide_the_root_cause(vague):
    worker = ended(WORKER, 1, 10, outcome=failure(vague))
    master = ended(RUNNING, 1, 12, outcome=failure(F.CUDA_OOM))
    assert judge(master, worker).failure_class is F.CUDA_OOM
    assert judge(ended(RUNNING, 1, 12, outcome=failure(F.RENDEZVOUS_TIMEOUT)), worker).failure_class is vague


def test_a_kill_is_not_explained_away_by_who_followed():
    assert judge(ended(RUNNING, 1, 12, outcome=failure(F.DISK_FULL)), ended(WORKER, 137, 10)).failure_class is F.NODE_LOST


def test_a_vague_failure_waits_for_the_rest_of_the_gang_a_moment():
    worker = ended(WORKER, 1, 10)
    observed = replace(first_attempt(), pods=(RUNNING, worker), child=CHILD)
    found = judge(RUNNING, worker)
    assert not settled(observed, found, SETTINGS, at(12))
    assert settled(observed, found, SETTINGS, at(13))
    assert settled(replace(observed, pods=(ended(RUNNING, 1, 11), worker)), found, SETTINGS, at(11))
    clear = judge(RUNNING, ended(WORKER, 1, 10, outcome=failure(F.CUDA_OOM)))
    assert settled(observed, clear, SETTINGS, at(10))


def waiting(reason: str) -> PodState:
    return replace(RUNNING, running=False, phase="Pending", waiting_reason=reason, waiting_message="manifest unknown")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("ImagePullBackOff", F.IMAGE_PULL),
        ("ErrImagePull", F.IMAGE_PULL),
        ("CreateContainerConfigError", F.USER_ERROR),
    ],
)
def test_a_container_that_cannot_start_gets_its_grace(reason, kind):
    assert judge(waiting(reason), now=119) is None
    found = judge(waiting(reason), now=120)
    assert (found.failure_class, found.reason) == (kind, reason)
    assert "manifest unknown" in found.message


def test_an_image_that_no_registry_can_mend_fails_at_once():
    assert judge(waiting("InvalidImageName"), now=1).failure_class is F.IMAGE_PULL


def test_a_long_wait_of_another_kind_is_no_failure():
    assert judge(waiting("SomethingNew"), now=10_000) is None
    assert judge(replace(RUNNING, running=False, phase="Pending", unschedulable="no nodes"), now=10_000) is None


@pytest.mark.parametrize("child", [None, replace(CHILD, deleting=True)])
def test_a_child_that_is_gone_or_going_is_lost(child):
    found = judge(RUNNING, child=child)
    assert found.failure_class is F.CHILD_LOST
    assert "teach-sft-1" in found.message
    assert judge(ended(RUNNING, 143, outcome=failure(F.PREEMPTED)), child=child).failure_class is F.CHILD_LOST


def test_a_lost_childs_pods_are_believed_if_they_failed_for_a_reason_of_their_own():
    assert judge(ended(RUNNING, 2, outcome=failure(F.DATA_ERROR)), child=None).failure_class is F.DATA_ERROR


def test_a_failed_child_without_failed_pods_lost_them():
    found = judge(child=replace(CHILD, failed=True, message="1 Worker replica(s) failed"))
    assert (found.failure_class, found.reason) == (F.NODE_LOST, "PodLost")
    assert "1 Worker" in found.message


@pytest.mark.parametrize(("minute", "kind"), [(1, F.PREEMPTED), (-1, F.NODE_LOST)])
def test_pods_that_are_gone_have_failed_as_the_trainer_said_last_in_this_attempt(minute, kind):
    observed = replace(first_attempt(), child=replace(CHILD, failed=True, message="1 Master replica(s) failed"))
    progress = Progress(step=14, updated_time=at(60 * minute), ended=F.PREEMPTED)
    status = observed.status.model_copy(update={"progress": progress})
    found = diagnose(replace(observed, status=status), SETTINGS, at(90))
    assert found.failure_class is kind
    assert ("after step 14: Preempted" in found.message) == (kind is F.PREEMPTED)


def test_exit_code_0_with_a_class_keeps_the_class():
    said = failure(F.NON_FINITE_LOSS)
    assert judge(ended(RUNNING, 0, outcome=said)).failure_class is F.NON_FINITE_LOSS


def test_a_worker_that_is_done_first_is_no_failure():
    assert judge(RUNNING, ended(WORKER, 0)) is None


def test_messages_are_cut_to_what_the_status_holds():
    found = judge(ended(RUNNING, 1, outcome=failure(F.BACKEND_ERROR, message="\n" * 5000)))
    assert len(found.message) <= 2048
