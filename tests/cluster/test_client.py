"""The Python client against a real API server, with the operator at work."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from case import SMALLEST, edited
from line import Line
from operator_process import OperatorProcess
from real_cluster import FOR_EVER, Job, Namespace, checkpoint, failed, now, reached_end
from waiting import until

from e2e.cluster.tokens import account_kubeconfig
from kubetune import AsyncClient, Client
from kubetune.api import InvalidJob, Phase
from kubetune.client import ConflictError, ForbiddenError, JobFailedError, NoClusterError, NotFoundError

pytestmark = pytest.mark.cluster


def document(name: str = "teach", **edit: Any) -> dict[str, Any]:
    """Of a job whose pods run until the test ends them."""
    return edited(SMALLEST["SFTJob"], {"metadata": {"name": name}, "spec.template": {"annotations": FOR_EVER}, **edit})


@pytest.fixture
def client(namespace: Namespace) -> Client:
    return Client(namespace.kubeconfig, namespace=namespace.name)


def test_a_job_from_submission_to_its_end(client: Client, namespace: Namespace, operator: OperatorProcess, tmp_path: Path):
    with Line.to(namespace.kubeconfig) as line, ThreadPoolExecutor(1) as threads:
        job = client.submit(document(**{"spec.nodes": 2}))
        assert client.submit(document(**{"spec.nodes": 2})).uid == job.uid, "the same again is the same job"
        there = Job(namespace, "SFTJob", "teach")
        there.wait_attempt(1)
        with pytest.raises(ConflictError, match=r"with another spec\.nodes"):
            client.submit(document(**{"spec.nodes": 3}))
        assert [str(each) for each in client.list()] == ["sftjob/teach"]
        assert [pod["metadata"]["name"] for pod in job.pods()] == ["teach-sft-1-master-0", "teach-sft-1-worker-0"]
        assert job.pytorchjob() is not None
        with pytest.raises(NotFoundError, match="did you mean sftjob/teach"):
            client.get("teech")
        there.report(progress={"step": 7, "totalSteps": 10, "loss": 1.5, "updatedTime": now()}, checkpoints=[checkpoint(6)])
        assert [each.step for each in job.checkpoints()] == [6]
        assert "7/10" in job.refresh()._repr_html_()
        over_the_line = Client(line.kubeconfig(namespace.kubeconfig, tmp_path), namespace=namespace.name).get("teach")
        line.cut()
        waiting = threads.submit(over_the_line.wait, timeout=300)
        there.end(1, reached_end())
        there.wait("Succeeded")
        assert not waiting.done()
        line.mend()
        assert waiting.result().phase is Phase.SUCCEEDED
    assert [each.reason for each in job.events()] == ["Succeeded"]
    assert {each.about.partition("/")[0] for each in job.events(all_objects=True)} >= {"", "Pod", "PyTorchJob"}
    job.delete()
    until(lambda: not client.list(), "it is gone")


def test_what_failed_is_retried_in_the_same_resource_from_its_checkpoint(
    client: Client, namespace: Namespace, operator: OperatorProcess
):
    job, there = client.submit(document()), Job(namespace, "SFTJob", "teach")
    there.wait_attempt(1)
    there.report(progress={"step": 7, "updatedTime": now()}, checkpoints=[checkpoint(6)])
    there.end(1, failed("DataError", "row 3 is no JSON", step=7, code=2), code=2)
    with pytest.raises(JobFailedError, match="DataError: row 3 is no JSON"):
        job.wait(timeout=150)
    job.retry()
    second = there.wait_attempt(2)
    assert second["resumedFrom"] == checkpoint(6)["uri"]
    there.end(2, reached_end(2))
    ended = job.wait(timeout=150)
    assert [attempt.reason for attempt in ended.seen_status.attempts] == ["DataError", "Succeeded"]
    with pytest.raises(ConflictError, match="has Succeeded"):
        job.retry()


def test_suspended_and_resumed_by_the_asynchronous_client(namespace: Namespace, operator: OperatorProcess):
    async def use() -> None:
        async with AsyncClient(namespace.kubeconfig, namespace=namespace.name) as client:
            job = await client.submit(document())
            there = Job(namespace, "SFTJob", "teach")
            await asyncio.to_thread(there.wait_attempt, 1)
            await job.suspend()
            await asyncio.to_thread(there.wait, "Suspended")
            await job.resume()
            await asyncio.to_thread(there.wait_attempt, 2)
            waiting = asyncio.create_task(job.wait(timeout=150))
            await asyncio.to_thread(there.end, 2, reached_end(2))
            assert (await waiting).phase is Phase.SUCCEEDED
            assert (await client.get("teach")).phase is Phase.SUCCEEDED

    asyncio.run(use())


def test_what_the_api_server_refuses_names_field_and_remedy(client: Client):
    with pytest.raises(InvalidJob, match=r"spec\.nodess: unknown field; did you mean nodes"):
        client.submit(document(**{"spec.nodess": 2}))
    with pytest.raises(InvalidJob, match=r"spec\.nodes: 0 is less than 1; use at least 1"):
        client.submit(document(**{"spec.nodes": 0}))
    assert client.list() == []
    with pytest.raises(NotFoundError, match="there is no namespace nowhere"):
        client.submit(document(**{"metadata.namespace": "nowhere"}))


def test_without_rights_or_an_answer_it_says_what_to_do(namespace: Namespace, tmp_path: Path):
    nobody = account_kubeconfig(namespace.kubeconfig, namespace.name, "default", tmp_path)
    with pytest.raises(ForbiddenError, match=r"cannot list resource .*ask an administrator"):
        Client(nobody, namespace=namespace.name).list()
    with Line.to(namespace.kubeconfig) as line:
        away = Client(line.kubeconfig(namespace.kubeconfig, tmp_path), namespace=namespace.name)
        line.cut()
        with pytest.raises(NoClusterError, match="the cluster does not answer"):
            away.list()
