"""Spans over real HTTP to a receiver on loopback, and what becomes of the operator where there is none."""

from __future__ import annotations

import ast
import asyncio
import logging
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fake_cluster import UID, FakeCluster, at, failure, job, success
from loop import once
from waiting import until

import kubetune
from e2e.cluster.processes import free_ports
from e2e.traces.receiver import receiver
from e2e.traces.tree import tree
from kubetune.controller.operate import Operator
from kubetune.controller.operator_settings import OperatorSettings
from kubetune.controller.reconcile import Written
from kubetune.controller.settings import ControllerSettings
from kubetune.controller.tracing.exporter import Traces, traces
from kubetune.controller.workqueue import Key
from kubetune.render import RenderSettings
from kubetune_trainer.contract import FailureClass

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine has, and batches that leave soon."""
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME", ENDPOINT):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")


def made(monkeypatch: pytest.MonkeyPatch, endpoint: str, **further: str) -> Traces:
    for name, value in {ENDPOINT: endpoint, **further}.items():
        monkeypatch.setenv(name, value)
    found = traces({ENDPOINT: endpoint, **further})
    assert found is not None
    return found


def story() -> list[Written]:
    """What was written of a job that failed once and then succeeded."""
    cluster, written = FakeCluster(job()), []

    def look(second: float) -> None:
        while True:
            outcome = once(cluster, at(second))
            written.extend([outcome.written] if outcome.written else [])
            if outcome.requeue_after != 0:
                return

    look(0)
    for number, second, code, outcome in ((1, 5, 1, failure(FailureClass.CUDA_OOM)), (2, 80, 0, success(2))):
        cluster.now = at(second)
        (master,) = cluster.run_pods(number)
        look(second + 1)
        cluster.now = at(second + 50)
        cluster.end_pod(master, code, outcome)
        look(second + 51)
        look(second + 70)
    return written


def test_a_job_arrives_as_one_trace_with_its_times(monkeypatch: pytest.MonkeyPatch):
    with receiver() as got:
        exporting = made(monkeypatch, got.endpoint)
        for each in story():
            exporting.written(each)
        exporting.close(20)
    by_name = {each.name: each for each in got.spans}
    assert {each.trace for each in got.spans} == {UID.replace("-", "")}
    root = by_name["SFTJob"]
    assert root.parent == ""
    assert (root.start, root.end) == (at(0), at(131))
    assert [each.name for each in got.spans if each.parent == root.id] == ["attempt 1", "back-off", "attempt 2"]
    assert {each.name for each in got.spans if each.parent == by_name["attempt 1"].id} == {"start", "train"}
    assert (by_name["attempt 1"].status, by_name["attempt 1"].message) == ("STATUS_CODE_ERROR", "it broke")
    assert by_name["attempt 2"].attributes["kubetune.attempt"] == 2
    assert root.status == "STATUS_CODE_OK"
    assert root.resource["service.name"] == "kubetune-operator"
    assert "+00:00.0 131.0 s  SFTJob" in tree(got.spans)


def test_the_standard_variables_are_honoured(monkeypatch: pytest.MonkeyPatch):
    further = {
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20abc",
        "OTEL_SERVICE_NAME": "trainings",
        "OTEL_RESOURCE_ATTRIBUTES": "k8s.cluster.name=prod",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    }
    with receiver() as got:
        exporting = made(monkeypatch, got.endpoint, **further)
        exporting.written(story()[-1])
        exporting.close(20)
    assert got.headers[0]["authorization"] == "Bearer abc"
    assert got.spans[0].resource.items() >= {"service.name": "trainings", "k8s.cluster.name": "prod"}.items()


def test_a_span_that_is_told_twice_is_the_same(monkeypatch: pytest.MonkeyPatch):
    with receiver() as got:
        for _ in range(2):  # two operators, one after the other
            exporting = made(monkeypatch, got.endpoint)
            for each in story():
                exporting.written(each)
            exporting.close(20)
    half = len(got.spans) // 2
    assert half > 5
    assert sorted(map(repr, got.spans[:half])) == sorted(map(repr, got.spans[half:]))


def test_where_nothing_listens_no_reconcile_fails(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    (port,) = free_ports(1)
    exporting = made(monkeypatch, f"http://127.0.0.1:{port}", OTEL_EXPORTER_OTLP_TIMEOUT="1")
    cluster = FakeCluster(job())
    operator = Operator(cluster, OperatorSettings(CONTROLLER))  # type: ignore[arg-type] # it lists nothing here
    operator.traces = exporting
    key = Key("SFTJob", "default", "teach")
    asyncio.run(operator._reconcile(key))
    cluster.run_pods(1)
    cluster.end_pod("teach-sft-1-master-0", 0, success())
    asyncio.run(operator._reconcile(key))
    assert cluster.status["phase"] == "Succeeded"
    with caplog.at_level(logging.INFO, "kubetune"):
        until(lambda: lost(caplog), "it is said", seconds=30)
        exporting.written(story()[-1])
        exporting.close(20)
    assert len(lost(caplog)) == 1
    assert "127.0.0.1" in lost(caplog)[0]


def test_a_fault_of_ours_in_a_trace_fails_no_reconcile(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    last = story()[-1]
    metadata = last.observed.manifest["metadata"] | {"uid": "no UUID"}
    with receiver() as got:
        exporting = made(monkeypatch, got.endpoint)
        exporting.written(replace(last, observed=replace(last.observed, manifest=last.observed.manifest | {"metadata": metadata})))
        exporting.close(20)
    assert "no traces of what was written of teach" in caplog.text
    assert got.spans == []


def test_a_silent_endpoint_holds_up_neither_a_write_nor_the_end(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection, and never answers
        exporting = made(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}", OTEL_EXPORTER_OTLP_TIMEOUT="60")
        for each in story():
            exporting.written(each)
        exporting.close(0.1)
        assert not lost(caplog), "the exporter waits still"


def test_that_nothing_arrives_is_said_once_and_so_is_that_it_does_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    with receiver() as got, caplog.at_level(logging.INFO):
        got.answer = 401
        exporting = made(monkeypatch, got.endpoint)
        for asked in (1, 2):
            exporting.written(story()[-1])
            until(lambda asked=asked: len(got.headers) >= asked, "another request")
        got.answer = 200
        exporting.written(story()[-1])
        until(lambda: got.spans, "they arrive")
        exporting.close(20)
    said = [record.getMessage() for record in caplog.records]
    assert [each for each in said if "401" in each] == lost(caplog)
    assert len(lost(caplog)) == 1
    assert len([each for each in said if each.startswith("traces arrive again")]) == 1


def lost(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "do not arrive" in record.getMessage()]


CONTROLLER = ControllerSettings(render=RenderSettings(image="trainer:1"))
OFF = [
    {},
    {ENDPOINT: ""},
    {ENDPOINT: "http://a:4318", "OTEL_SDK_DISABLED": "true"},
    {ENDPOINT: "http://a", "OTEL_TRACES_EXPORTER": "none"},
]


@pytest.mark.parametrize("environment", OFF)
def test_they_are_off_and_nothing_is_said(environment: dict[str, str], caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO):
        assert traces(environment) is None
    assert caplog.records == []


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({ENDPOINT: "collector:4318"}, ("OTEL_EXPORTER_OTLP_ENDPOINT", "'collector:4318'", "http://collector:4318")),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "unix:///x"}, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "no URL")),
        ({ENDPOINT: "http://a:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ("'grpc'", "4318")),
    ],
)
def test_what_cannot_be_is_said_at_the_start_with_the_remedy(
    environment: dict[str, str], said: tuple[str, ...], caplog: pytest.LogCaptureFixture
):
    assert traces(environment) is None
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("no traces: ")
    assert all(each in record.getMessage() for each in said)


def test_a_value_that_the_exporter_refuses_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "0")
    assert traces({ENDPOINT: "http://127.0.0.1:1"}) is None
    assert "no traces: an OTEL_ variable is no good: max_queue_size must be" in caplog.text


def test_no_password_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    with receiver() as got, caplog.at_level(logging.INFO):
        made(monkeypatch, f"http://me:hunter2@127.0.0.1:{got.port}").close(20)
    assert f"http://127.0.0.1:{got.port}" in caplog.text
    assert "hunter2" not in caplog.text


def test_without_the_extra_the_operator_says_so_and_goes_on(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    for name in ("kubetune.controller.tracing.delivery", "opentelemetry.sdk.trace.export"):
        monkeypatch.setitem(sys.modules, name, None)
    assert traces({ENDPOINT: "http://127.0.0.1:1"}) is None
    (record,) = caplog.records
    assert "pip install 'kubetune[otel]'" in record.getMessage()
    assert ENDPOINT in record.getMessage()


def imported(file: Path) -> list[str]:
    """What a module imports when it is itself imported, but for types."""
    top = ast.parse(file.read_text()).body
    names = [alias.name for node in top if isinstance(node, ast.Import) for alias in node.names]
    return names + [str(node.module) for node in top if isinstance(node, ast.ImportFrom)]


def test_while_they_are_off_nothing_of_opentelemetry_is_imported():
    """One module does at its top, which is imported by a function alone."""
    modules = {file: imported(file) for file in Path(kubetune.__file__).parent.rglob("*.py")}
    users = [file.stem for file, names in modules.items() if any(name.startswith("opentelemetry") for name in names)]
    assert users == ["delivery"]
    assert not [file for file, names in modules.items() if "kubetune.controller.tracing.delivery" in names]
