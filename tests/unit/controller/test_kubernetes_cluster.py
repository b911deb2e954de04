"""The client's error paths, over a real connection. What only an API server can answer is tested against one elsewhere."""

import asyncio
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from fake_cluster import NOW, UID, job
from kubernetes import client
from scripted_api import Answer, serve, status

from kubetune.cluster import ClusterError
from kubetune.controller.events import JobEvent
from kubetune.controller.kubernetes_api import APPLY, KubernetesApi
from kubetune.controller.kubernetes_cluster import MAX_NOTE, KubernetesCluster, event_manifest

CONFLICT = status(409, "the object has been modified; please apply your changes to the latest version")


@contextmanager
def cluster(*answers):
    with serve(*answers) as server:
        configuration = client.Configuration(host=server.url)
        configuration.retries = False
        waits: list[float] = []
        yield KubernetesCluster(KubernetesApi(client.ApiClient(configuration), sleep=waits.append)), server, waits


def test_status_is_applied_with_preconditions_under_our_field_manager():
    with cluster(Answer()) as (subject, server, _):
        asyncio.run(subject.write_status(job(), {"phase": "Running"}))
    (asked,) = server.asked
    assert asked.method == "PATCH"
    assert asked.path == "/apis/kubetune.dev/v1alpha1/namespaces/default/sftjobs/teach/status"
    assert asked.query == {"fieldManager": "kubetune", "force": "true"}
    assert asked.headers["Content-Type"] == APPLY
    assert asked.body == {
        "apiVersion": "kubetune.dev/v1alpha1",
        "kind": "SFTJob",
        "metadata": {"name": "teach", "namespace": "default", "uid": UID, "resourceVersion": "1"},
        "status": {"phase": "Running"},
    }


RUNNING = {"phase": "Running", "restarts": 1}


def test_a_status_whose_answer_was_lost_counts_as_written():
    stored = {**job(), "status": {**RUNNING, "progress": {"step": 3}}}
    with cluster(Answer(hang_up=True), CONFLICT, Answer(body=stored)) as (subject, server, _):
        asyncio.run(subject.write_status(job(), RUNNING))
        assert [asked.method for asked in server.asked] == ["PATCH", "PATCH", "GET"]


@pytest.mark.parametrize(
    "stored",
    [
        {**job(), "status": {**RUNNING, "restarts": 0}},
        {**job(), "status": {}},
        {**job(uid="another"), "status": RUNNING},
    ],
    ids=["another status", "no status", "another job of that name"],
)
def test_a_conflict_with_somebody_elses_write_stays_one(stored):
    with cluster(CONFLICT, Answer(body=stored)) as (subject, _, _), pytest.raises(ClusterError, match="modified"):
        asyncio.run(subject.write_status(job(), RUNNING))


def test_the_reporters_account_and_its_binding_are_applied_once_a_minute():
    with cluster(*[Answer()] * 4) as (subject, server, _):
        for namespace in ("a", "a", "b"):
            asyncio.run(subject.ensure_reporter(namespace))
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    assert [(asked.method, asked.path) for asked in server.asked] == [
        ("PATCH", "/api/v1/namespaces/a/serviceaccounts/kubetune-trainer"),
        ("PATCH", f"{rbac}/namespaces/a/rolebindings/kubetune-trainer"),
        ("PATCH", "/api/v1/namespaces/b/serviceaccounts/kubetune-trainer"),
        ("PATCH", f"{rbac}/namespaces/b/rolebindings/kubetune-trainer"),
    ]
    assert {asked.headers["Content-Type"] for asked in server.asked} == {APPLY}
    account, binding, *_ = (asked.body for asked in server.asked)
    assert account["automountServiceAccountToken"] is False
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "kubetune-trainer"}
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "kubetune-trainer", "namespace": "a"}]


def test_an_account_that_was_refused_is_tried_again():
    with cluster(status(403, "no"), Answer(), Answer()) as (subject, server, _):
        with pytest.raises(ClusterError, match="no"):
            asyncio.run(subject.ensure_reporter("a"))
        asyncio.run(subject.ensure_reporter("a"))
        assert len(server.asked) == 3


def test_a_conflict_is_not_repeated_blindly():
    with cluster(CONFLICT, status(404, "gone")) as (subject, server, waits):
        with pytest.raises(ClusterError, match="has been modified") as raised:
            asyncio.run(subject.write_status(job(), RUNNING))
        assert [asked.method for asked in server.asked] == ["PATCH", "GET"]
    assert raised.value.status == 409
    assert raised.value.retryable
    assert waits == []


@pytest.mark.parametrize("trouble", [status(500, "etcd"), status(503, "starting"), status(429, "slow down"), Answer(hang_up=True)])
def test_passing_trouble_is_retried(trouble):
    with cluster(trouble, trouble, Answer(body={"metadata": {"name": "teach"}})) as (subject, server, waits):
        assert asyncio.run(subject.get_job("SFTJob", "default", "teach"))["metadata"]["name"] == "teach"
        assert len(server.asked) == 3
    assert len(waits) == 2


def test_retry_after_is_honoured_within_reason():
    answers = [status(429, "slow", **{"Retry-After": seconds}) for seconds in ("7", "9999")]
    with cluster(*answers, Answer(body={"metadata": {}})) as (subject, _, waits):
        asyncio.run(subject.get_job("SFTJob", "default", "teach"))
    assert waits == [7, 30]


def test_waits_are_random_and_bounded():
    with cluster(*[status(500, "etcd")] * 5) as (subject, server, waits):
        with pytest.raises(ClusterError, match="etcd") as raised:
            asyncio.run(subject.get_job("SFTJob", "default", "teach"))
        assert len(server.asked) == 5
    assert raised.value.retryable
    assert len(set(waits)) == len(waits) == 4
    assert all(0 <= wait <= 10 for wait in waits)


def test_nobody_there_is_a_retryable_error():
    with serve() as server:
        url = server.url
    configuration = client.Configuration(host=url)
    configuration.retries = False
    subject = KubernetesCluster(KubernetesApi(client.ApiClient(configuration), sleep=lambda _: None))
    with pytest.raises(ClusterError) as raised:
        asyncio.run(subject.get_job("SFTJob", "default", "teach"))
    assert raised.value.retryable
    assert raised.value.status is None


def test_a_refusal_is_final_and_in_the_servers_words():
    with cluster(status(403, 'pytorchjobs is forbidden: exceeded quota "gpu"')) as (subject, server, _):
        manifest = {"metadata": {"namespace": "default", "name": "teach-sft-1"}}
        with pytest.raises(ClusterError, match="exceeded quota") as raised:
            asyncio.run(subject.apply_pytorchjob(manifest))
        assert len(server.asked) == 1
    assert not raised.value.retryable
    assert raised.value.status == 403


def test_an_answer_that_is_no_json_is_an_error():
    with cluster(Answer(body="<html>proxy</html>")) as (subject, _, _waits), pytest.raises(ClusterError, match="proxy"):
        asyncio.run(subject.get_job("SFTJob", "default", "teach"))


def test_what_does_not_exist_is_none():
    with cluster(status(404, "not found"), status(404, "not found")) as (subject, _, _waits):
        assert asyncio.run(subject.get_job("SFTJob", "default", "teach")) is None
        assert asyncio.run(subject.pytorchjob("default", "teach-sft-1")) is None


def test_without_the_training_operators_crd_the_error_says_what_to_install():
    missing, remedy = status(404, "the server could not find the requested resource"), "install the Kubeflow training operator"
    with cluster(missing) as (subject, _, _waits), pytest.raises(ClusterError, match=remedy):
        asyncio.run(subject.apply_pytorchjob({"metadata": {"name": "teach-sft-1", "namespace": "default"}}))


@pytest.mark.parametrize(("new", "method", "path"), [(False, "PATCH", "/teach-sft-1"), (True, "POST", "")])
def test_a_pytorchjob_that_nobody_looked_for_is_only_made_where_none_is(new, method, path):
    manifest = {"metadata": {"name": "teach-sft-1", "namespace": "default"}, "spec": {}}
    with cluster(Answer(body=manifest)) as (subject, server, _):
        assert asyncio.run(subject.apply_pytorchjob(manifest, new=new)) == manifest
    (asked,) = server.asked
    assert (asked.method, asked.path) == (method, f"/apis/kubeflow.org/v1/namespaces/default/pytorchjobs{path}")
    assert asked.query == {"fieldManager": "kubetune"} | ({} if new else {"force": "true"})
    assert asked.body == manifest


def page(*names: str, more: str = "") -> Answer:
    return Answer(body={"metadata": {"continue": more}, "items": [{"metadata": {"name": name}} for name in names]})


def names(items: list) -> list[str]:
    return [item["metadata"]["name"] for item in items]


def test_lists_are_read_page_by_page():
    with cluster(page("a", "b", more="next"), page("c")) as (subject, server, _):
        assert names(asyncio.run(subject.pods("default", UID))) == ["a", "b", "c"]
    first, second = server.asked
    assert first.query == {"labelSelector": f"kubetune.dev/job-uid={UID}", "limit": "500"}
    assert second.query == first.query | {"continue": "next"}


def test_a_list_whose_next_page_expired_starts_anew():
    gone = status(410, "the provided continue parameter is too old")
    with cluster(page("a", more="next"), gone, page("a", more="next"), gone, page("a", "b")) as (subject, server, _):
        assert names(asyncio.run(subject.pods("default", UID))) == ["a", "b"]
    assert "limit" not in server.asked[-1].query


def test_a_delete_is_of_that_very_object():
    with cluster(Answer()) as (subject, server, _):
        asyncio.run(subject.delete_pytorchjob("default", "teach-sft-1", "child-uid"))
    (asked,) = server.asked
    assert asked.method == "DELETE"
    assert asked.body["preconditions"] == {"uid": "child-uid"}
    assert asked.body["propagationPolicy"] == "Background"


def test_a_nudge_is_an_annotation_of_that_very_object_and_leaves_the_others():
    with cluster(Answer()) as (subject, server, _):
        asyncio.run(subject.nudge_pytorchjob("default", "teach-sft-1", "child-uid", NOW))
    (asked,) = server.asked
    assert (asked.method, asked.headers["Content-Type"]) == ("PATCH", "application/merge-patch+json")
    assert asked.body == {"metadata": {"uid": "child-uid", "annotations": {"kubetune.dev/nudged": "2026-01-01T12:00:00Z"}}}


def test_a_release_ends_the_suspension_of_that_very_object():
    with cluster(Answer()) as (subject, server, _):
        asyncio.run(subject.release_pytorchjob("default", "teach-sft-2", "child-uid"))
    (asked,) = server.asked
    assert (asked.method, asked.headers["Content-Type"]) == ("PATCH", "application/merge-patch+json")
    annotations = {"kubetune.dev/held": "released"}
    assert asked.body == {
        "metadata": {"uid": "child-uid", "annotations": annotations},
        "spec": {"runPolicy": {"suspend": False}},
    }


@pytest.mark.parametrize(
    "answer", [status(404, "not found"), status(409, "modified"), status(422, "metadata.uid: field is immutable")]
)
def test_a_nudge_or_release_of_what_is_gone_is_no_error(answer):
    with cluster(answer, answer) as (subject, _, _waits):
        assert asyncio.run(subject.nudge_pytorchjob("default", "teach-sft-1", "child-uid", NOW)) is None
        assert asyncio.run(subject.release_pytorchjob("default", "teach-sft-2", "child-uid")) is None


def test_a_nudge_that_is_refused_is_an_error():
    with cluster(status(403, "forbidden")) as (subject, _, _waits), pytest.raises(ClusterError, match="forbidden"):
        asyncio.run(subject.nudge_pytorchjob("default", "teach-sft-1", "child-uid", NOW))


@pytest.mark.parametrize("answer", [status(404, "not found"), status(409, "the UID in the precondition does not match")])
def test_an_object_that_is_gone_already_is_no_error(answer):
    with cluster(answer) as (subject, _, _waits):
        assert asyncio.run(subject.delete_pod("default", "teach-sft-1-master-0", "pod-uid")) is None


def test_the_job_itself_is_deleted_by_its_uid():
    with cluster(Answer()) as (subject, server, _):
        asyncio.run(subject.delete_job(job("OSFTJob")))
    assert server.asked[0].path == "/apis/kubetune.dev/v1alpha1/namespaces/default/osftjobs/teach"
    assert server.asked[0].body["preconditions"] == {"uid": UID}


def test_a_log_is_the_trainers_last_lines_as_they_are():
    with cluster(Answer(body='{"loss": 1}\n')) as (subject, server, _):
        assert asyncio.run(subject.log_tail("default", "teach-sft-1-master-0", 60)) == '{"loss": 1}\n'
    assert server.asked[0].query == {"container": "pytorch", "tailLines": "60"}


@pytest.mark.parametrize("code", [400, 404])
def test_a_log_that_does_not_exist_is_empty(code):
    with cluster(status(code, "container is waiting to start")) as (subject, _, _waits):
        assert asyncio.run(subject.log_tail("default", "teach-sft-1-master-0", 60)) == ""


def test_a_silent_kubelet_is_asked_twice():
    with cluster(*[status(500, "connection refused")] * 2) as (subject, server, _):
        with pytest.raises(ClusterError):
            asyncio.run(subject.log_tail("default", "teach-sft-1-master-0", 60))
        assert len(server.asked) == 2


def test_an_event_names_the_job_and_fits():
    with cluster(Answer(201)) as (subject, server, _):
        asyncio.run(subject.event(job(), "Warning", "Failed", "x" * 5000, "attempt 1"))
    body = server.asked[0].body
    assert body["regarding"]["uid"] == UID
    assert body["type"] == "Warning"
    assert len(body["note"]) == MAX_NOTE
    assert server.asked[0].path == "/apis/events.k8s.io/v1/namespaces/default/events"


def test_an_events_name_follows_from_what_it_tells_of():
    """So that the API server refuses the second one, whoever publishes it and whenever."""

    def name(reason: str, message: str, once: str) -> str:
        return event_manifest(job(), JobEvent("Warning", reason, message, once), datetime.now(UTC))["metadata"]["name"]

    assert name("AttemptFailed", "it broke", "attempt 1") == name("AttemptFailed", "it broke badly", "attempt 1")
    assert name("AttemptFailed", "it broke", "attempt 1") != name("AttemptFailed", "it broke", "attempt 2")
    assert name("AttemptFailed", "it broke", "attempt 1") != name("Restarted", "it broke", "attempt 1")


def test_an_event_that_was_published_before_is_no_news(caplog):
    with cluster(status(409, "already exists")) as (subject, _, _waits):
        asyncio.run(subject.event(job(), "Normal", "Succeeded", "done", "attempt 1"))
    assert caplog.text == ""


def test_an_event_that_cannot_be_published_stops_nothing(caplog):
    with cluster(status(403, "events is forbidden")) as (subject, _, _waits):
        asyncio.run(subject.event(job(), "Normal", "Succeeded", "done", "attempt 1"))
    assert "events is forbidden" in caplog.text


async def listed(subject: KubernetesCluster) -> list:
    return [job async for job in subject.list_jobs("SFTJob", "ns")]


def test_jobs_are_listed_by_the_selector_and_page_by_page():
    with serve(page("a", more="next"), page("b")) as server:
        configuration = client.Configuration(host=server.url)
        subject = KubernetesCluster(KubernetesApi(client.ApiClient(configuration)), selector="team=a")
        assert names(asyncio.run(listed(subject))) == ["a", "b"]
    first, second = server.asked
    assert first.query == {"labelSelector": "team=a", "limit": "250"}
    assert second.query == first.query | {"continue": "next"}


def labelled(name: str, uid: str) -> Answer:
    return Answer(body={"metadata": {"name": name, "labels": {"kubetune.dev/job-uid": uid}}})


def test_a_few_pods_are_read_by_name_and_those_of_another_job_are_left_out():
    answers = labelled("a-master-0", UID), status(404, "not found"), labelled("a-worker-1", "another")
    with cluster(*answers) as (subject, server, _):
        wanted = ["a-master-0", "a-worker-0", "a-worker-1"]
        assert names(asyncio.run(subject.pods("default", UID, wanted))) == ["a-master-0"]
    assert [asked.path for asked in server.asked] == [f"/api/v1/namespaces/default/pods/{name}" for name in wanted]


def test_many_pods_are_found_by_label():
    with cluster(page("a-master-0")) as (subject, server, _):
        asyncio.run(subject.pods("default", UID, [f"a-worker-{i}" for i in range(9)]))
    (asked,) = server.asked
    assert asked.query["labelSelector"] == f"kubetune.dev/job-uid={UID}"


def test_why_pods_are_missing_is_the_newest_event_of_their_pytorchjob():
    said = [
        {"message": text, "lastTimestamp": f"2026-01-01T00:00:0{n}Z", "involvedObject": {"uid": uid}}
        for n, uid, text in ((1, "child-1", "old"), (3, "child-1", "quota"), (2, "child-1", "older"), (1, "child-2", "webhook"))
    ]
    with cluster(Answer(body={"items": said}), Answer(body={"items": []})) as (subject, server, _):
        for uid, told in (("child-1", "quota"), ("child-2", "webhook"), ("child-3", "")):
            assert asyncio.run(subject.pods_refused("default", uid)) == told
        assert asyncio.run(subject.pods_refused("other", "child-1")) == ""
    assert [asked.path for asked in server.asked] == [f"/api/v1/namespaces/{name}/events" for name in ("default", "other")]
    assert server.asked[0].query["fieldSelector"] == "reason=FailedCreatePod"


def test_a_burst_asks_for_the_reporter_once():
    with cluster(*[Answer()] * 2) as (subject, server, _):

        async def burst() -> None:
            await asyncio.gather(*(subject.ensure_reporter("a") for _ in range(8)))

        asyncio.run(burst())
    assert len(server.asked) == 2
