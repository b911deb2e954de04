"""The client by itself: as whom it asks, and that it sends no write without the right to."""

import pytest
from kubernetes import client
from scripted_api import Answer, serve, status

from kubetune.cluster import ClusterError
from kubetune.controller.kubernetes_api import KubernetesApi, NotLeaderError, Request, connect


def test_no_configuration_says_what_to_set(tmp_path, monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ClusterError, match="set KUBECONFIG") as raised:
        connect(str(tmp_path / "absent"))
    assert not raised.value.retryable


def test_a_bearer_token_is_sent():
    with serve(Answer()) as server:
        configuration = client.Configuration(host=server.url, api_key={"authorization": "Bearer secret"})
        KubernetesApi(client.ApiClient(configuration)).json(Request("GET", "/version"))
    assert server.asked[0].headers["authorization"] == "Bearer secret"


class Ending:
    """A fence that falls after so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def enter(self) -> int:
        return 1

    def check(self, term: int) -> None:
        assert term == 1
        self.looks -= 1
        if self.looks < 0:
            raise NotLeaderError("not sent")


def fenced(server, fence: Ending, seen: list) -> KubernetesApi:
    configuration = client.Configuration(host=server.url)
    configuration.retries = False
    answered = lambda request, code: seen.append((request.method, code))  # noqa: E731
    return KubernetesApi(client.ApiClient(configuration), sleep=lambda _: None, fence=fence, answered=answered)


def test_a_write_is_not_sent_without_the_right_to_and_a_read_is():
    with serve(Answer()) as server:
        seen: list = []
        api = fenced(server, Ending(0), seen)
        for method in ("PATCH", "POST", "PUT", "DELETE"):
            with pytest.raises(NotLeaderError):
                api.json(Request(method, "/x", body={}))
        api.json(Request("GET", "/x"))
    assert [asked.method for asked in server.asked] == ["GET"]
    assert seen == [("GET", 200)]


def test_the_right_to_write_is_looked_at_before_each_try():
    with serve(status(503, "busy"), status(503, "busy"), Answer()) as server:
        seen: list = []
        with pytest.raises(NotLeaderError):
            fenced(server, Ending(2), seen).json(Request("PATCH", "/x", body={}))
    assert len(server.asked) == 2
    assert seen == [("PATCH", 503)] * 2
