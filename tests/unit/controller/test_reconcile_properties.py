"""Whatever happens in whatever order, faults and crashes included: what must always hold."""

import asyncio
import json

from fake_cluster import FakeCluster, at, checkpoint, failure, job, success
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kubetune.cluster import ClusterError
from kubetune.controller.bounds import MAX_STATUS_BYTES
from kubetune.controller.reconcile import Outcome, reconcile
from kubetune.controller.settings import ControllerSettings
from kubetune.render import RenderSettings
from kubetune_trainer.contract import FailureClass

SETTINGS = ControllerSettings(render=RenderSettings(image="trainer:1"), hold_retries=True)
NODES, LIMIT = 2, 1
FINAL = ("Succeeded", "Failed")

OPERATIONS = st.one_of(
    st.tuples(st.just("start"), st.sampled_from([None, "write_status", "apply_pytorchjob"])),
    st.tuples(st.just("start and end"), st.sampled_from(["verified", "unverified", "stale", "none"])),
    st.tuples(st.just("start and fail"), st.sampled_from([137, 143])),
    st.tuples(st.just("wait"), st.sampled_from([1, 11, 25, 400])),
    st.tuples(st.just("run"), st.none()),
    st.tuples(st.just("end well"), st.sampled_from(["verified", "unverified", "stale", "none"])),
    st.tuples(
        st.just("fail"),
        st.tuples(st.integers(0, NODES - 1), st.sampled_from([1, 2, 137, 143]), st.sampled_from([None, *FailureClass])),
    ),
    st.tuples(st.just("lose child"), st.none()),
    st.tuples(st.just("lose pod"), st.integers(0, NODES - 1)),
    st.tuples(st.just("suspend"), st.booleans()),
    st.tuples(st.just("respec"), st.sampled_from([3, 5])),
    st.tuples(st.just("break spec"), st.none()),
    st.tuples(st.just("save"), st.integers(1, 40)),
    st.tuples(
        st.just("fault"),
        st.sampled_from(
            ["write_status", "apply_pytorchjob", "release_pytorchjob", "delete_pytorchjob", "pods", "get_job", "event"]
        ),
    ),
    st.tuples(st.just("conflict"), st.none()),
)


class World:
    """A cluster, a clock, and what was truthfully reported."""

    def __init__(self) -> None:
        self.cluster = FakeCluster(job(nodes=NODES, runPolicy={"backoffLimit": LIMIT}))
        self.second = 0.0
        self.reached: set[int] = set()

    def pods(self) -> list[str]:
        return [name for name, pod in self.cluster.pod_objects.items() if pod["status"]["phase"] == "Running"]

    def attempt(self) -> int:
        return max((int(name.rsplit("-", 1)[1]) for name in self.cluster.children), default=0)

    def play(self, what: str, detail) -> None:
        self.cluster.now = at(self.second)
        getattr(self, what.replace(" ", "_"))(detail)

    def wait(self, seconds) -> None:
        self.second += seconds

    def start(self, fault) -> None:
        """A whole gang runs, if the controller has asked for one."""
        self.cluster.faults = {fault: [ClusterError("the operator was killed")]} if fault else {}
        self.once()
        self.run(None)
        self.once()

    def run(self, _) -> None:
        """The training operator takes note of one that is suspended, and makes pods for one that is not."""
        if self.held():
            self.cluster.acknowledge(self.attempt())
            self.once()
        if self.attempt() and not self.held() and not self.cluster.pod_objects:
            self.cluster.run_pods(self.attempt(), NODES)

    def held(self) -> bool:
        return any(child["spec"]["runPolicy"].get("suspend") for child in self.cluster.children.values())

    def start_and_end(self, how) -> None:
        self.start(None)
        self.end_well(how)
        self.once()

    def start_and_fail(self, code) -> None:
        self.start(None)
        self.fail((0, code, None))
        self.once()
        self.once()
        self.second += 400

    def lose_child(self, _) -> None:
        if self.cluster.children:
            self.cluster.remove_child(next(iter(self.cluster.children)))

    def lose_pod(self, index) -> None:
        if index < len(self.pods()):
            self.cluster.graceful = True
            self.cluster.take_pod(self.pods()[index])
            self.cluster.graceful = False

    def suspend(self, wanted) -> None:
        self.cluster.change_spec(runPolicy={"backoffLimit": LIMIT, "suspend": wanted})

    def respec(self, epochs) -> None:
        self.cluster.change_spec(training={"numEpochs": epochs})

    def break_spec(self, _) -> None:
        self.cluster.change_spec(training={"numEpoch": 3})

    def save(self, step) -> None:
        saved = checkpoint(step, kind="full-state", time=at(self.second), attempt=self.attempt() or 1)
        self.cluster.report(checkpoints=[saved.model_dump(mode="json", by_alias=True, exclude_none=True)])

    def fault(self, method) -> None:
        self.cluster.faults.setdefault(method, []).append(ClusterError("the cluster does not answer"))

    def conflict(self, _) -> None:
        self.cluster.faults.setdefault("write_status", []).append(ClusterError("conflict", status=409))

    def end_well(self, how: str) -> None:
        masters = [name for name in self.pods() if name.endswith("master-0")]
        if not masters:
            return
        number = int(masters[0].split("-")[2])
        said = {
            "verified": success(number),
            "unverified": success(number).model_copy(update={"checkpoint": checkpoint(verified=False)}),
            "stale": success(number + 1),
            "none": None,
        }[how]
        self.cluster.end_pod(masters[0], 0, said)
        if how == "verified":
            self.reached.add(number)

    def fail(self, how) -> None:
        (index, code, kind), pods = how, self.pods()
        if index < len(pods):
            number = int(pods[index].split("-")[2])
            self.cluster.end_pod(pods[index], code, failure(kind, number, "x" * 3000) if kind else "no json " * 400)

    def once(self) -> Outcome:
        self.cluster.now = at(self.second)
        return asyncio.run(reconcile(self.cluster, "SFTJob", "default", "teach", at(self.second), SETTINGS))


def check(world: World, before: dict) -> None:
    status, children = world.cluster.status, world.cluster.children
    numbers = [attempt["number"] for attempt in status.get("attempts", [])]
    assert numbers == list(range(1, len(numbers) + 1)), "attempts are counted without a gap, none twice"
    followed = [a.get("reason") for a in status.get("attempts", [])[:-1]]
    assert status.get("restarts", 0) == len([reason for reason in followed if reason not in ("Suspended", "Preempted")])
    assert status.get("restarts", 0) <= LIMIT
    assert len(children) <= 1, "never two gangs"
    assert len(json.dumps(status).encode()) < MAX_STATUS_BYTES
    if status.get("phase") == "Succeeded":
        assert numbers[-1] in world.reached, "never Succeeded without reachedEnd"
        assert status["finalCheckpoint"]["verified"]
    if before.get("phase") in FINAL and before.get("attempts"):
        assert status["phase"] == before["phase"]
        assert status["completionTime"] == before["completionTime"]
        assert status["attempts"] == before["attempts"]
    check_conditions(before, status)
    check_events(world.cluster)


def check_events(cluster: FakeCluster) -> None:
    """Every transition that the status records was told, and none twice: the names are the API server's to compare."""
    told = cluster.event_names
    assert len(set(told)) == len(told)
    for attempt in cluster.status.get("attempts", []):
        at_attempt = f"attempt {attempt['number']}"
        started_again = ("Restarted", at_attempt) in told or ("Resumed", at_attempt) in told
        assert started_again == (attempt["number"] > 1)
        if attempt.get("reason") not in (None, "Succeeded", "Suspended"):
            assert ("AttemptFailed", at_attempt) in told
    if cluster.status.get("phase") in (*FINAL, "Suspended"):
        assert cluster.status["phase"] in [reason for reason, _ in told]


def check_conditions(before: dict, after: dict) -> None:
    old = {c["type"]: c for c in before.get("conditions", [])}
    for condition in after.get("conditions", []):
        earlier = old.get(condition["type"])
        if earlier and earlier["status"] == condition["status"]:
            assert condition["lastTransitionTime"] == earlier["lastTransitionTime"]


@settings(max_examples=150, deadline=None)
@given(st.lists(OPERATIONS, min_size=3, max_size=25))
@example([("start", None), ("fault", "delete_pytorchjob"), ("end well", "unverified"), ("wait", 11)])
def test_what_always_holds(operations):
    world = World()
    for what, detail in operations:
        world.play(what, detail)
        before = world.cluster.status
        world.once()
        check(world, before)
    world.cluster.faults.clear()
    for _ in range(12):
        before = world.cluster.status
        if world.once().requeue_after != 0:
            break
        check(world, before)
    else:
        raise AssertionError("it never comes to rest")
    calm, calls = world.cluster.status, list(world.cluster.calls)
    world.once()
    if calls == world.cluster.calls:
        assert world.cluster.status == calm
    else:  # a deletion had to follow what was written, or a start what was waited for: pods that went with the deletion
        waited = any(c["reason"] == "WaitingForPods" for c in calm.get("conditions", []))
        follows = {"delete", "delete-pod", "status"} | ({"apply"} if waited else set())
        assert {call[0] for call in world.cluster.calls[len(calls) :]} <= follows
        check(world, calm)
