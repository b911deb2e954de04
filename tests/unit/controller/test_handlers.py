"""kopf's part: which events are news. That it watches at all is seen against a real API server."""

import asyncio
import copy
from types import SimpleNamespace

import kopf
import pytest
from fake_cluster import job

from kubetune.cluster import HELD, JOB_KIND, JOB_NAME, RELEASED
from kubetune.controller import handlers
from kubetune.controller.known_jobs import KnownJobs, seen
from kubetune.controller.operator_settings import IMAGE_ENV, settings_from_environment
from kubetune.controller.workqueue import Key

TEACH = Key("SFTJob", "default", "teach")


class Operator:
    def __init__(self) -> None:
        self.added: list[Key] = []
        self.runs: list[bool] = []
        self.heard: list[tuple[str, str, str | None]] = []
        self.children: list[tuple[Key, str, str | None]] = []
        self.jobs = KnownJobs()

    def notice(self, key: Key) -> None:
        self.added.append(key)

    def child_told(self, key: Key, body: dict, change: str | None) -> None:
        self.children.append((key, body["metadata"]["name"], change))

    def child_moved(self, key: Key, *, runs: bool) -> None:
        self.added.append(key)
        self.runs.append(runs)

    def told(self, kind: str, body: dict, change: str | None) -> bool:
        self.heard.append((kind, body["metadata"]["name"], change))
        job = seen(kind, body)
        return job.asks_for_more_than(self.jobs.update(body["metadata"]["uid"], job))


@pytest.fixture
def memo() -> kopf.Memo:
    """As kopf keeps one an object, the operator's attributes included."""
    return kopf.Memo(operator=Operator())


def send(memo: kopf.Memo, body: dict) -> list[Key]:
    asyncio.run(handlers.job_event(body=body, memo=memo, event={"type": "MODIFIED"}))
    return memo.operator.added


def test_the_first_sight_of_a_job_is_news_and_a_status_write_is_not(memo):
    body = job()
    assert send(memo, body) == [TEACH]
    assert send(memo, body | {"status": {"progress": {"step": 3}}}) == [TEACH]


def test_every_sight_of_a_job_is_told_news_or_not(memo):
    send(memo, job())
    send(memo, job())
    assert memo.operator.heard == [("SFTJob", "teach", "MODIFIED")] * 2


def test_the_jobs_that_are_watched_can_be_chosen_by_label():
    settings = kopf.OperatorSettings()
    handlers.configure(settings, "team=a")
    assert settings.watching.label_selectors["kubetune.dev", "v1alpha1", "osftjobs"] == "team=a"
    assert settings.watching.label_selectors["kubeflow.org", "v1", "pytorchjobs"] == "app.kubernetes.io/managed-by=kubetune"


def test_a_new_generation_and_a_deletion_are_news(memo):
    send(memo, job())
    assert send(memo, job(generation=2)) == [TEACH] * 2
    deleted = job(generation=2)
    deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert send(memo, deleted) == [TEACH] * 3


def test_a_job_created_again_under_its_name_is_news(memo):
    send(memo, job())
    assert send(memo, job(uid="another")) == [TEACH] * 2


CREATED = {"type": "Created", "status": "True"}
RUNNING = {"type": "Running", "status": "True"}
SUSPENDED = {"type": "Suspended", "status": "True"}


def child(*conditions: dict, **spec) -> dict:
    return {"metadata": {"name": "teach-sft-1"}, "spec": spec, "status": {"conditions": list(conditions)}}


def released(body: dict) -> dict:
    return body | {"metadata": body["metadata"] | {"annotations": {HELD: RELEASED}}}


@pytest.mark.parametrize(
    ("change", "body", "runs"),
    [
        ("MODIFIED", child(CREATED, RUNNING), True),
        (None, child(CREATED, RUNNING), True),
        ("DELETED", child(CREATED, RUNNING), False),
        ("MODIFIED", child(CREATED, RUNNING) | {"metadata": {"name": "t", "deletionTimestamp": "2026-01-01T00:00:00Z"}}, False),
        ("MODIFIED", child(CREATED, RUNNING | {"status": "False"}, {"type": "Succeeded", "status": "True"}), False),
        ("MODIFIED", child(CREATED, RUNNING, {"type": "Restarting", "status": "True"}), False),
        ("ADDED", child(runPolicy={"suspend": True}), False),
        ("MODIFIED", child(CREATED, SUSPENDED), False),
        ("MODIFIED", released(child(CREATED, SUSPENDED, RUNNING)), False),
        ("MODIFIED", released(child(CREATED, SUSPENDED, runPolicy={"suspend": True})), False),
    ],
)
def test_whatever_happens_to_a_child_concerns_its_job(memo, change, body, runs):
    labels = {JOB_KIND: "SFTJob", JOB_NAME: "teach"}
    event = {"type": change}
    for _ in range(2):
        asyncio.run(handlers.child_event(labels=labels, namespace="default", memo=memo, event=event, body=body))
    assert memo.operator.added == [TEACH] * 2
    assert memo.operator.runs == [runs] * 2


@pytest.mark.parametrize(
    "body",
    [child(), child(CREATED), {"metadata": {"name": "teach-sft-1"}, "spec": {}}, released(child(CREATED, SUSPENDED))],
)
def test_that_a_child_exists_is_no_news(memo, body):
    labels = {JOB_KIND: "SFTJob", JOB_NAME: "teach"}
    asyncio.run(handlers.child_event(labels=labels, namespace="default", memo=memo, event={"type": "ADDED"}, body=body))
    assert memo.operator.added == []
    assert memo.operator.children == [(TEACH, body["metadata"]["name"], "ADDED")], "but it may be an earlier job's"


def test_kopf_keeps_nothing_of_ours_by_object():
    memo = handlers.Shared(operator=Operator())
    assert copy.copy(memo) is memo


def test_kopf_compares_no_objects():
    settings = kopf.OperatorSettings()
    handlers.configure(settings)
    body = kopf.Body(job())
    assert settings.persistence.diffbase_storage.build(body=body) == {}
    assert settings.persistence.diffbase_storage.fetch(body=body) is None


def test_an_object_without_our_labels_concerns_nobody(memo):
    asyncio.run(handlers.child_event(labels={}, namespace="default", memo=memo, event={"type": "DELETED"}, body=child()))
    assert memo.operator.added == memo.operator.children == []


def test_kopf_is_given_no_reason_to_write_to_objects():
    """No handler that persists progress, no finalizer, no timer, no daemon."""
    registry = kopf.get_default_registry()
    assert len(registry._watching.get_all_handlers()) == 3
    for changing in (registry._changing, registry._spawning, registry._indexing):
        assert not changing.get_all_handlers()
    settings = kopf.OperatorSettings()
    handlers.configure(settings)
    assert settings.posting.enabled is False
    assert settings.persistence.finalizer == "kubetune.dev/finalizer"
    assert settings.persistence.progress_storage.prefix == "kopf.kubetune.dev"


def test_the_image_must_be_named(monkeypatch):
    monkeypatch.delenv(IMAGE_ENV, raising=False)
    with pytest.raises(ValueError, match=IMAGE_ENV):
        settings_from_environment()
    monkeypatch.setenv(IMAGE_ENV, "trainer:1")
    assert settings_from_environment().controller.render.image == "trainer:1"


def test_at_the_end_traces_are_sent_when_nothing_more_can_be_written():
    order = []

    async def drain(_: float) -> bool:
        order.append("drained")
        return True

    async def main() -> None:
        traces = SimpleNamespace(close=lambda seconds: order.append(f"traces, {seconds:.0f} s at most"))
        operator = SimpleNamespace(drain=drain, traces=traces)
        memo = kopf.Memo(operator=operator, task=asyncio.create_task(asyncio.sleep(60)), elector=None, server=None)
        await handlers.stop(memo=memo)
        assert memo.task.cancelled()

    asyncio.run(main())
    assert order == ["drained", "traces, 1 s at most"]
