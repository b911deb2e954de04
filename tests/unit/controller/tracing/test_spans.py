"""The trace of a job, by the real loop against a cluster in memory: what is told, when, and that it is the same whoever tells it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from fake_cluster import NOW, UID, FakeCluster, at, checkpoint, failure, job, stamp, success
from loop import once
from workloads import admitted

from kubetune.cluster import RETRY
from kubetune.controller.tracing.span import Span, span_id, trace_id
from kubetune.controller.tracing.spans import spans
from kubetune_trainer.contract import FailureClass, Progress

OOM = failure(FailureClass.CUDA_OOM, message="CUDA out of memory", step=12)


class Story:
    """A job, stepped by hand; what an operator that traces would have sent."""

    def __init__(self, **spec: Any) -> None:
        self.cluster = FakeCluster(job(**spec))
        self.sent: list[Span] = []
        self.look(0)

    def look(self, second: float) -> list[Span]:
        """Until nothing is left to do at once; what was told meanwhile."""
        told: list[Span] = []
        while True:
            outcome = once(self.cluster, at(second))
            told += spans(outcome.written.observed, outcome.written.status) if outcome.written else ()
            if outcome.requeue_after != 0:
                self.sent += told
                return told

    def run(self, attempt: int, second: float, *, nodes: int = 1, scheduled: float | None = None) -> None:
        self.cluster.now = at(second)
        for name in self.cluster.run_pods(attempt, nodes):
            if scheduled is not None:
                condition = {"type": "PodScheduled", "status": "True", "lastTransitionTime": stamp(at(scheduled))}
                self.cluster.pod_objects[name]["status"]["conditions"] = [condition]
        self.look(second + 1)

    def end(self, attempt: int, second: float, code: int, outcome: Any, index: str = "master-0") -> None:
        self.cluster.now = at(second)
        self.cluster.end_pod(f"teach-sft-{attempt}-{index}", code, outcome)
        self.look(second + 1)

    def report(self, step: int, second: float, *saved: Any) -> None:
        progress = Progress(step=step, total_steps=30, updated_time=at(second)).model_dump(
            mode="json", by_alias=True, exclude_none=True
        )
        states = [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in saved]
        self.cluster.report(progress=progress, **({"checkpoints": states} if states else {}))

    def named(self, name: str) -> Span:
        (found,) = [each for each in self.sent if each.name == name]
        return found

    def parts(self, attempt: int) -> list[tuple[str, float, float]]:
        """The stages of an attempt, in seconds."""
        parent = span_id(UID, "attempt", attempt)
        return [(each.name, second(each.start), second(each.end)) for each in self.sent if each.parent_id == parent]


def second(moment: datetime) -> float:
    return (moment - NOW).total_seconds()


def trained() -> Story:
    """One attempt, from second 0 to 101."""
    story = Story()
    story.run(1, 20, scheduled=8)
    story.report(30, 95, checkpoint(15, kind="full-state", time=at(50)), checkpoint(30, time=at(99)))
    story.end(1, 100, 0, success())
    return story


def test_a_job_of_one_attempt_is_one_tree():
    story = trained()
    assert {each.trace_id for each in story.sent} == {trace_id(UID)}
    root, attempt = story.named("SFTJob"), story.named("attempt 1")
    assert (root.parent_id, attempt.parent_id) == (None, root.span_id)
    assert (second(root.start), second(root.end)) == (0, 101)
    assert (second(attempt.start), second(attempt.end)) == (0, 101)
    assert story.parts(1) == [("schedule", 0, 8), ("start", 8, 20), ("train", 20, 95), ("verify", 95, 100)]
    assert (root.status, attempt.status) == ("ok", "ok")


def test_the_trace_is_found_by_the_jobs_uid():
    assert f"{trained().sent[0].trace_id:032x}" == UID.replace("-", "")


def test_every_span_says_of_which_job_it_is():
    named = {"k8s.namespace.name": "default", "kubetune.job.kind": "SFTJob", "kubetune.job.name": "teach", "kubetune.job.uid": UID}
    assert all(named.items() <= dict(each.attributes).items() for each in trained().sent)


def test_the_job_says_how_it_ended_and_where_its_time_went():
    told = trained().named("SFTJob").attributes
    assert (told["kubetune.phase"], told["kubetune.attempts"], told["kubetune.restarts"]) == ("Succeeded", 1, 0)
    assert told["kubetune.checkpoint"] == success().checkpoint.uri
    assert (told["kubetune.goodput.queued_seconds"], told["kubetune.goodput.training_seconds"]) == (20, 81)
    assert "kubetune.failure.class" not in told


def test_checkpoints_are_moments_of_their_attempt():
    events = trained().named("attempt 1").events
    assert [(each.name, second(each.time), each.attributes["kubetune.step"]) for each in events] == [
        ("checkpoint", 50, 15),
        ("checkpoint", 99, 30),
    ]


def test_nothing_is_told_before_it_has_ended():
    story = Story()
    story.run(1, 20)
    story.look(60)
    assert story.sent == []


def test_each_span_is_told_once():
    story = trained()
    told = len(story.sent)
    for later in (102, 400, 9000):
        story.look(later)
    assert len(story.sent) == told == len({each.span_id for each in story.sent})


def retried() -> Story:
    """The first attempt fails at second 60 after it had saved, the second one reaches its end at 201."""
    story = Story()
    story.run(1, 5, scheduled=2)
    story.report(12, 50, checkpoint(10, kind="full-state", time=at(40)))
    story.end(1, 59, 1, OOM)
    story.look(61)
    story.look(75)
    story.run(2, 80, scheduled=78)
    story.end(2, 200, 0, success(2))
    return story


def test_a_retry_is_a_second_attempt_after_a_back_off():
    story = retried()
    first, pause, again = story.named("attempt 1"), story.named("back-off"), story.named("attempt 2")
    assert (first.status, first.message) == ("error", "CUDA out of memory")
    told = first.attributes
    assert (told["kubetune.reason"], told["kubetune.last_step"], told["kubetune.exit_code"]) == ("CudaOOM", 12, 1)
    assert (pause.start, pause.end) == (first.end, again.start)
    assert again.attributes["kubetune.resumed_from"] == checkpoint(10, kind="full-state").uri
    assert again.status == "ok"
    assert {first.parent_id, pause.parent_id, again.parent_id} == {story.named("SFTJob").span_id}
    assert story.named("SFTJob").attributes["kubetune.restarts"] == 1


def test_what_failed_trained_to_its_end_and_verified_nothing():
    assert retried().parts(1) == [("schedule", 0, 2), ("start", 2, 5), ("train", 5, 59)]


def test_the_first_attempt_is_told_when_it_ends_and_the_job_later():
    story = Story()
    story.run(1, 5)
    story.end(1, 59, 1, OOM)
    assert {each.name for each in story.sent} == {"attempt 1", "start", "train"}


def test_an_operator_that_was_started_anew_goes_on_with_the_same_trace():
    """Nothing is kept between two looks: each is by a reconcile of its own, of what the cluster has."""
    story = retried()
    again = retried()
    assert story.sent == again.sent
    ids = {each.span_id for each in story.sent}
    assert all(each.parent_id in ids for each in story.sent if each.parent_id)


def test_a_status_that_could_not_be_written_is_not_told_of():
    story = Story()
    story.run(1, 5)
    story.cluster.now = at(100)
    story.cluster.end_pod("teach-sft-1-master-0", 0, success())
    story.cluster.touch(story.cluster.job)
    from kubetune.cluster import ClusterError

    story.cluster.faults["write_status"] = [ClusterError("modified", status=409)]
    assert story.look(101) == []
    assert "SFTJob" in {each.name for each in story.look(102)}


def test_a_failed_job_says_why_where_and_as_what():
    story = Story(runPolicy={"backoffLimit": 0})
    story.run(1, 5)
    story.end(1, 59, 1, OOM)
    root = story.named("SFTJob")
    assert (root.status, root.message) == ("error", "CUDA out of memory")
    told = root.attributes
    assert (told["kubetune.failure.class"], told["k8s.node.name"]) == ("CudaOOM", "node-0")
    assert told["k8s.pod.name"] == "teach-sft-1-master-0"


def test_the_queues_time_comes_before_the_schedulers():
    story = Story(queueName="gpus")
    child = story.cluster.children["teach-sft-1"]
    story.cluster.kueue[child["metadata"]["uid"]] = admitted(at(40))
    child["spec"]["runPolicy"]["suspend"] = False
    story.run(1, 50, scheduled=44)
    story.end(1, 90, 0, success())
    assert story.parts(1) == [("queue", 0, 40), ("schedule", 40, 44), ("start", 44, 50), ("train", 50, 90)]
    assert story.named("attempt 1").attributes["kubetune.queued_seconds"] == 40
    assert story.named("SFTJob").attributes["kubetune.queue"] == "gpus"


def test_a_suspension_is_no_fault_and_the_time_in_it_has_its_name():
    story = Story()
    story.run(1, 5)
    story.cluster.change_spec(runPolicy={"suspend": True})
    for later in (30, 31, 32):
        story.look(later)
    story.cluster.change_spec(runPolicy={"suspend": False})
    story.look(500)
    story.run(2, 510)
    story.end(2, 600, 0, success(2))
    stopped, pause = story.named("attempt 1"), story.named("suspended")
    assert (stopped.status, stopped.attributes["kubetune.reason"]) == ("unset", "Suspended")
    assert (pause.start, second(pause.end)) == (stopped.end, 500)


def test_an_attempt_whose_pods_never_ran_was_starting_all_the_time():
    story = Story(nodes=2, runPolicy={"backoffLimit": 0, "activeDeadlineSeconds": 60})
    story.run(1, 5, nodes=2, scheduled=3)
    worker = story.cluster.pod_objects["teach-sft-1-worker-0"]["status"]
    worker["containerStatuses"][0]["state"] = {"waiting": {"reason": "ContainerCreating"}}
    story.look(61)
    assert story.parts(1) == [("schedule", 0, 3), ("start", 3, 61)]


def test_without_a_node_it_was_being_scheduled_all_the_time():
    story = Story(runPolicy={"backoffLimit": 0, "activeDeadlineSeconds": 60})
    story.look(61)
    assert story.parts(1) == [("schedule", 0, 61)]
    assert story.named("attempt 1").attributes["kubetune.reason"] == "DeadlineExceeded"


def test_of_pods_that_are_gone_the_status_tells_when_they_ran():
    story = Story()
    story.run(1, 20)
    story.cluster.remove_child("teach-sft-1")
    story.look(60)
    assert story.parts(1) == [("start", 0, 21), ("train", 21, 60)]


def test_nodes_whose_clocks_differ_make_no_stage_longer_than_its_attempt():
    story = Story()
    story.run(1, 20, scheduled=-3000)
    story.report(30, 95)
    story.cluster.now = at(9000)
    story.cluster.end_pod("teach-sft-1-master-0", 0, success())
    story.look(101)
    assert story.parts(1) == [("start", 0, 20), ("train", 20, 95), ("verify", 95, 101)]


def test_a_job_that_waited_for_its_first_attempt_was_pending():
    story = Story(resumeFrom={"jobRef": {"name": "before"}}, model=None)
    assert story.cluster.children == {}, "it waits for a job that is not there"
    upstream = job(name="before", uid="22222222-0000-4000-8000-000000000000")
    final = checkpoint(30).model_dump(mode="json", by_alias=True, exclude_none=True)
    upstream["status"] = {"phase": "Succeeded", "finalCheckpoint": final}
    story.cluster.jobs["SFTJob", "default", "before"] = upstream
    story.look(300)
    story.run(1, 310)
    story.end(1, 400, 0, success())
    pending = story.named("pending")
    assert (second(pending.start), second(pending.end)) == (0, 300)
    assert pending.parent_id == story.named("SFTJob").span_id


def test_a_job_that_is_tried_once_more_has_a_second_life_in_the_same_trace():
    story = Story(runPolicy={"backoffLimit": 0})
    story.run(1, 5)
    story.end(1, 59, 1, OOM)
    story.cluster.job["metadata"]["annotations"] = {RETRY: "1"}
    story.cluster.touch(story.cluster.job)
    story.look(1000)
    story.run(2, 1010)
    story.end(2, 1100, 0, success(2))
    first, again = story.named("SFTJob"), story.named("retry")
    assert (first.status, again.status) == ("error", "ok")
    assert again.parent_id == first.span_id
    assert (second(again.start), second(again.end)) == (1000, 1101)
    assert story.named("attempt 2").parent_id == again.span_id
    assert "back-off" not in {each.name for each in story.sent}, "nobody waited for the retry"
    assert len({each.span_id for each in story.sent}) == len(story.sent)


def test_a_clock_that_was_set_back_gives_no_span_that_ends_before_it_begins():
    story = Story()
    story.run(1, 20)
    story.cluster.end_pod("teach-sft-1-master-0", 0, success())
    story.look(-500)
    assert story.named("attempt 1").start <= story.named("attempt 1").end
    assert all(each.start <= each.end for each in story.sent)


@pytest.mark.parametrize("place", [("job",), ("attempt", 1), ("attempt", 1, "train"), ("attempt", 11), ("wait", 1)])
def test_an_id_is_of_64_bits_and_of_its_place_alone(place):
    others = [("attempt", 1, 1), ("attempt", 12), ("retry", 2)]
    assert 0 < span_id(UID, *place) < 2**64
    assert span_id(UID, *place) not in {span_id(UID, *other) for other in others}
    assert span_id(UID, *place) != span_id("22222222-0000-4000-8000-000000000000", *place)


def test_a_moment_is_kept_to_the_microsecond():
    from kubetune.controller.tracing.exporter import EPOCH, nanoseconds

    exact = NOW + timedelta(microseconds=432721)
    assert EPOCH + timedelta(microseconds=nanoseconds(exact) / 1000) == exact
    assert nanoseconds(exact) % 10**9 == 432721000
