"""Requests to an API server, from one on loopback that answers as scripted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_jobs import job, pod
from scripted_api import Answer, ScriptedApi, serve, status

from kubetune import Client
from kubetune.client import ForbiddenError, NotInstalledError
from kubetune.client.connection import find, namespace_of
from kubetune.client.remote import RemoteJobs, Seen, event, moment_of
from kubetune.cluster import ClusterError


def kubeconfig(folder: Path, url: str, namespace: str | None = "ml") -> Path:
    """With two contexts, of which `here` is the current one."""
    contexts = [
        {"name": n, "context": {"cluster": "c", "user": "u", **({"namespace": ns} if ns else {})}}
        for n, ns in (("here", namespace), ("there", "far"))
    ]
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": contexts,
    }
    file = folder / "kubeconfig"
    file.write_text(json.dumps(document))
    return file


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubetune.client.remote.pause", lambda _: None)


def client(folder: Path, api: ScriptedApi, **options: Any) -> Client:
    return Client(kubeconfig(folder, api.url), **options)


def remote(api: ScriptedApi, folder: Path) -> RemoteJobs:
    found, namespace = find(str(kubeconfig(folder, api.url)), None)
    return RemoteJobs(found, namespace)


def test_the_cluster_and_the_namespace_are_those_of_the_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = kubeconfig(tmp_path, "http://127.0.0.1:1")
    assert Client(file).namespace == "ml"
    assert Client(file, context="there").namespace == "far"
    assert Client(file, namespace="mine").namespace == "mine"
    monkeypatch.setenv("KUBECONFIG", str(file))
    assert Client().namespace == "ml"
    assert namespace_of(str(kubeconfig(tmp_path, "http://127.0.0.1:1", None)), None) == "default"


def test_a_new_job_is_stored_strictly_and_under_our_name(tmp_path: Path):
    with serve(Answer(201, job("new"))) as api:
        client(tmp_path, api).submit(
            {"apiVersion": "kubetune.dev/v1alpha1", "kind": "SFTJob", "metadata": {"name": "new"}, "spec": {}}
        )
    (asked,) = api.asked
    assert (asked.method, asked.path) == ("POST", "/apis/kubetune.dev/v1alpha1/namespaces/ml/sftjobs")
    assert asked.query == {"fieldManager": "kubetune-client", "fieldValidation": "Strict"}
    assert asked.headers["authorization"] == "Bearer secret"


def test_a_change_is_bound_to_the_job_that_was_seen(tmp_path: Path):
    with serve(Answer(200, {"items": []}), Answer(200, job()), Answer(200, job())) as api:
        c = client(tmp_path, api)
        c.list("sftjob")
        c.suspend("sftjob/teach")
    assert api.asked[-1].method == "PATCH"
    assert api.asked[-1].body == {"spec": {"runPolicy": {"suspend": True}}, "metadata": {"uid": "uid-teach"}}


def test_a_deletion_too_and_one_that_came_too_late_is_none(tmp_path: Path):
    with serve(Answer(200, job()), status(409, "the UID in the precondition does not match")) as api:
        client(tmp_path, api).delete("sftjob/teach")
    assert api.asked[-1].body["preconditions"] == {"uid": "uid-teach"}


def test_a_cluster_without_kubetune_says_how_to_install_it(tmp_path: Path):
    with serve(Answer(404, "404 page not found\n")) as api, pytest.raises(NotInstalledError, match="kubetune crds"):
        client(tmp_path, api).list()
    with serve(Answer(404, "404 page not found\n")) as api, pytest.raises(NotInstalledError):
        client(tmp_path, api).get("sftjob/teach")


def test_what_is_forbidden_is_said_in_the_servers_words(tmp_path: Path):
    with (
        serve(status(403, 'User "eve" cannot list resource "sftjobs"')) as api,
        pytest.raises(ForbiddenError, match='User "eve" cannot list'),
    ):
        client(tmp_path, api).list()


def test_a_list_that_expired_is_begun_anew_and_a_busy_server_is_asked_again(tmp_path: Path):
    page = {"metadata": {"continue": "more"}, "items": [job("a")]}
    busy = Answer(429, {"message": "slow down"}, {"Retry-After": "0"})
    with serve(Answer(200, page), status(410, "expired"), busy, Answer(200, {"items": [job("a"), job("b")]})) as api:
        assert [each.name for each in client(tmp_path, api).list("sftjob")] == ["a", "b"]
    assert [asked.query.get("continue") for asked in api.asked] == [None, "more", None, None]


# -- events


def test_events_are_of_either_api(tmp_path: Path):
    old = {
        "involvedObject": {"kind": "Pod", "name": "p"},
        "reason": "BackOff",
        "message": "m",
        "type": "Warning",
        "lastTimestamp": "2026-01-01T12:00:00Z",
        "count": 4,
    }
    new = {
        "involvedObject": {"kind": "SFTJob", "name": "teach"},
        "reason": "Failed",
        "message": "m",
        "type": "Warning",
        "eventTime": "2026-01-01T11:00:00.000001Z",
    }
    assert (event(old).about, event(old).count, event(old).warning) == ("Pod/p", 4, True)
    assert (event(new).about, event(new).count) == ("", 1)
    with serve(Answer(200, {"items": [old, new]})) as api:
        names = frozenset({"teach", "p", *(f"p{i}" for i in range(9))})
        assert [each.reason for each in remote(api, tmp_path).events("ml", names)] == ["Failed", "BackOff"], "by time"


# -- logs


def stamped(second: int, text: str, fraction: str = "000000000") -> str:
    return f"2026-01-01T12:00:{second:02}.{fraction}Z {text}"


def lines(*those: str, torn: bool = False) -> Answer:
    text = "".join(f"{line}\n" for line in those)
    return Answer(200, text, {"Content-Length": str(len(text) + 100)} if torn else {})


def torn_line(text: str) -> Answer:
    return Answer(200, text)


def followed(api: ScriptedApi, folder: Path, **options: Any) -> Iterator[str]:
    return remote(api, folder).log(pod(), follow=True, tail=None, **options)


def test_a_log_that_breaks_off_is_asked_for_anew_and_no_line_comes_twice_or_is_lost(tmp_path: Path):
    ended = Answer(200, pod(exit_code=0))
    with serve(
        lines(stamped(1, "a"), stamped(2, "b", "500000000"), torn=True),
        torn_line(stamped(2, "c", "500000001")[:-1]),  # as a proxy ends it: in the middle of a line
        Answer(200, pod()),
        lines(stamped(2, "b", "500000000"), stamped(2, "c", "500000001"), stamped(3, "d")),
        Answer(200, pod()),  # the stream ended, the container runs on
        status(503, "the API server is shutting down"),
        lines(stamped(3, "d"), stamped(4, "e")),
        ended,
        lines(stamped(4, "e"), stamped(5, "f")),  # said after the stream had ended
    ) as api:
        assert list(followed(api, tmp_path)) == ["a", "b", "c", "d", "e", "f"]
    asked = [each.query.get("sinceTime") for each in api.asked if each.path.endswith("/log")]
    assert asked == [None, *["2026-01-01T12:00:02Z"] * 2, *["2026-01-01T12:00:03Z"] * 2, "2026-01-01T12:00:04Z"]
    assert ["follow" in each.query for each in api.asked if each.path.endswith("/log")] == [*[True] * 5, False]


def test_a_log_may_end_without_a_newline(tmp_path: Path):
    with serve(*[torn_line(stamped(1, "the end")), Answer(200, pod(exit_code=0))], torn_line(stamped(1, "the end"))) as api:
        assert list(followed(api, tmp_path)) == ["the end"]


def test_lines_of_one_instant_all_come(tmp_path: Path):
    with serve(lines(stamped(1, "a"), stamped(1, "b")), *[Answer(404, {"message": "gone"})] * 2) as api:
        assert list(followed(api, tmp_path)) == ["a", "b"]


def test_a_log_that_is_refused_raises(tmp_path: Path):
    with serve(status(400, "container is waiting to start")) as api, pytest.raises(ClusterError, match="waiting to start"):
        list(followed(api, tmp_path))


def test_without_following_it_is_read_once(tmp_path: Path):
    with serve(lines(stamped(1, "a"))) as api:
        assert list(remote(api, tmp_path).log(pod(), follow=False, tail=5)) == ["a"]
    assert api.asked[0].query == {"container": "pytorch", "timestamps": "true", "tailLines": "5"}


def test_times_are_compared_to_the_nanosecond_in_any_zone():
    first, second = moment_of("2026-01-01T12:00:00.1234567Z"), moment_of("2026-01-01T14:00:00.123456701+02:00")
    assert first is not None
    assert second is not None
    assert first < second
    assert moment_of("Error") is None
    seen = Seen(None)
    assert list(seen.new("unable to retrieve container logs")) == ["unable to retrieve container logs"]
