"""The API server's answers as the client's errors."""

import pytest

from kubetune.client import errors
from kubetune.client.refusals import invalid, translated
from kubetune.cluster import ClusterError
from kubetune.controller.kubernetes_api import RefusedError


@pytest.mark.parametrize(
    ("status", "text", "kind", "remedy"),
    [
        (None, "no cluster: Invalid kube-config file; set KUBECONFIG or run in a pod", errors.NoClusterError, "set KUBECONFIG"),
        (None, "GET /apis: connection refused", errors.NoClusterError, "--kubeconfig or --context"),
        (404, "GET /apis/kubetune.dev: 404 page not found (404)", errors.NotInstalledError, "kubetune crds | kubectl apply"),
        (404, "the server could not find the requested resource", errors.NotInstalledError, "kubetune crds | kubectl apply"),
        (404, 'sftjobs "a" not found', errors.NotFoundError, "not found"),
        (401, "Unauthorized", errors.ForbiddenError, "log in to it again"),
        (403, 'User "x" cannot list', errors.ForbiddenError, "ask an administrator"),
        (409, "modified", errors.ConflictError, "try again"),
        (429, "slow down", errors.UnavailableError, "try again later"),
        (503, "etcd is away", errors.UnavailableError, "try again later"),
        (418, "teapot", errors.ClientError, "teapot"),
    ],
)
def test_each_refusal_is_an_error_of_one_line_that_says_what_to_do(status, text, kind, remedy):
    error = translated(ClusterError(text, status=status))
    assert type(error) is kind
    assert remedy in str(error)
    assert "\n" not in str(error)


def refused(status: int, *causes: dict[str, str]) -> RefusedError:
    error = RefusedError("POST: is invalid", status=status)
    error.causes = causes
    return error


VALID = {
    "apiVersion": "kubetune.dev/v1alpha1",
    "kind": "SFTJob",
    "metadata": {"name": "a"},
    "spec": {"model": {"uri": "/m"}, "dataset": {"uri": "/d.jsonl"}, "output": {"uri": "pvc://runs"}},
}


def test_what_our_own_models_find_wrong_is_told_in_their_words():
    wrong = invalid(refused(422), VALID | {"spec": VALID["spec"] | {"nodess": 2}})
    assert wrong is not None
    assert [str(each) for each in wrong.errors] == ["spec.nodess: unknown field; did you mean nodes?"]


def test_what_only_the_server_finds_wrong_is_told_in_its_words():
    cause = {"field": "spec.nodes", "message": "Invalid value: 2: may not change once the job has started; make a new job"}
    wrong = invalid(refused(422, cause), VALID)
    assert wrong is not None
    error = wrong.errors[0]
    assert (error.field, error.value, error.message, error.remedy) == (
        "spec.nodes",
        "2",
        "may not change once the job has started",
        "make a new job",
    )


def test_a_refusal_without_causes_is_told_whole_and_others_are_no_invalid_job():
    wrong = invalid(refused(400), VALID)
    assert wrong is not None
    assert "POST: is invalid" in str(wrong)
    assert invalid(refused(409), VALID) is None
