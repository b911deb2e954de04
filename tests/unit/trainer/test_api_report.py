"""The reporter against a real HTTP server: what it applies, what it does when it is refused, and that it never holds anybody up."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from scripted_api import Answer, ScriptedApi, serve, status

from kubetune.api.base import API_VERSION as RESOURCE_VERSION
from kubetune_trainer import entrypoint
from kubetune_trainer.api_report import ApiReporter, InCluster, ReportError, api_reporter, apply_body, apply_path
from kubetune_trainer.contract import (
    API_VERSION,
    MAX_CHECKPOINTS,
    REPORT_FILE_ENV,
    Checkpoint,
    Contract,
    FailureClass,
    JobIdentity,
    Progress,
    Report,
)
from kubetune_trainer.preemption import GracefulStop, Terminated
from kubetune_trainer.run import RunFailedError, RunResult

JOB = JobIdentity(kind="OSFTJob", namespace="lab", name="teach", uid="u-1", spec_hash="a" * 64)
PATH = "/apis/kubetune.dev/v1alpha1/namespaces/lab/osftjobs/teach/status"
PATIENCE = 60.0


def report(step: int, *checkpoints: Checkpoint, attempt: int = 2) -> Report:
    return Report(attempt=attempt, progress=Progress(step=step, total_steps=10, loss=0.5), checkpoints=checkpoints)


def checkpoint(number: int, attempt: int = 2) -> Checkpoint:
    uri = f"pvc://runs/job/attempt-{attempt}/hf_format/samples_{number}"
    return Checkpoint(uri=uri, step=number, bytes=1, kind="hf", verified=True)


@dataclass(frozen=True)
class Plain(InCluster):
    """Without TLS, which the tests against a real API server have."""

    def connect(self) -> HTTPConnection:
        return HTTPConnection(self.host, self.port, timeout=self.timeout)


@pytest.fixture
def account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("secret-1\n")
    return tmp_path


def client(server: ScriptedApi, folder: Path, timeout: float = PATIENCE) -> Plain:
    return Plain("127.0.0.1", int(server.url.rpartition(":")[2]), folder, timeout)


@contextmanager
def reporting(server: ScriptedApi, folder: Path, **more: Any) -> Iterator[ApiReporter]:
    reporter = ApiReporter(JOB, client(server, folder).apply, first_retry=0.01, **more)
    try:
        yield reporter
    finally:
        reporter.close(PATIENCE)
        assert not reporter._thread.is_alive()


def eventually(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "never seen"
        time.sleep(0.005)


def raises(error: BaseException) -> None:
    raise error


def assert_true(value: object) -> None:
    assert value


def test_one_version_of_the_resources():
    assert API_VERSION == RESOURCE_VERSION


def test_progress_and_checkpoints_are_applied_to_the_own_status(account: Path):
    with serve(Answer()) as server, reporting(server, account) as reporter:
        reporter(report(3, checkpoint(3)))
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("PATCH", PATH)
    assert asked.query == {"fieldManager": "kubetune-trainer", "force": "true"}
    assert asked.headers["Authorization"] == "Bearer secret-1"
    assert asked.headers["Content-Type"] == "application/apply-patch+yaml"
    assert asked.body == {
        "apiVersion": "kubetune.dev/v1alpha1",
        "kind": "OSFTJob",
        "metadata": {"name": "teach", "namespace": "lab"},
        "status": {
            "progress": {"step": 3, "totalSteps": 10, "loss": 0.5},
            "checkpoints": [{"uri": checkpoint(3).uri, "step": 3, "bytes": 1, "kind": "hf", "verified": True}],
        },
    }


def test_earlier_attempts_checkpoints_are_carried_on_and_the_list_is_bounded():
    earlier = tuple(checkpoint(n, attempt=1) for n in range(MAX_CHECKPOINTS))
    status_ = apply_body(JOB, report(9, checkpoint(8), checkpoint(9)), earlier)["status"]
    uris = [each["uri"] for each in status_["checkpoints"]]
    assert len(uris) == MAX_CHECKPOINTS
    assert uris == [*(c.uri for c in earlier[2:]), checkpoint(8).uri, checkpoint(9).uri]


def test_a_checkpoint_is_named_once():
    status_ = apply_body(JOB, report(9, checkpoint(9)), (checkpoint(5), checkpoint(9)))["status"]
    assert [each["step"] for each in status_["checkpoints"]] == [5, 9]


def test_nothing_is_said_before_the_first_step(account: Path):
    """An apply without progress would wipe out where the attempt before stood."""
    with serve() as server, reporting(server, account) as reporter:
        reporter(Report(attempt=2))
    assert server.asked == []


def test_the_token_is_read_anew(account: Path):
    with serve(Answer(), Answer()) as server, reporting(server, account) as reporter:
        reporter(report(1))
        eventually(lambda: len(server.asked) == 1)
        (account / "token").write_text("secret-2")
        reporter(report(2))
    assert [asked.headers["Authorization"] for asked in server.asked] == ["Bearer secret-1", "Bearer secret-2"]


def test_passing_trouble_is_tried_again_and_logged_once_a_change(account: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "kubetune_trainer.api_report")
    busy, refused = status(503, "starting"), status(403, "pod x may not write the status of teach")
    with serve(busy, busy, busy, refused, refused, Answer()) as server, reporting(server, account) as reporter:
        reporter(report(1))
        eventually(lambda: len(server.asked) == 6)
    assert {json.dumps(asked.body) for asked in server.asked} == {json.dumps(apply_body(JOB, report(1)))}
    assert [(record.levelname, record.message.rpartition(": ")[2]) for record in caplog.records] == [
        ("WARNING", "503 starting"),
        ("WARNING", "403 pod x may not write the status of teach"),
        ("INFO", "progress is reported again"),
    ]


def test_only_the_newest_report_waits(account: Path):
    """While the first one hangs, a thousand come: one more is sent, the last."""
    held, release = threading.Event(), threading.Event()
    sent: list[Any] = []

    def apply(_: str, body: Any) -> None:
        sent.append(body["status"]["progress"]["step"])
        held.set()
        assert release.wait(PATIENCE)

    reporter = ApiReporter(JOB, apply)
    reporter(report(1))
    assert held.wait(PATIENCE)
    for step in range(2, 1002):
        reporter(report(step))
    release.set()
    reporter.close(PATIENCE)
    assert sent == [1, 1001]


def test_a_newer_report_replaces_the_one_that_failed(account: Path):
    sent: list[Any] = []
    newer = threading.Event()

    def apply(_: str, body: Any) -> None:
        sent.append(body["status"]["progress"]["step"])
        if len(sent) == 1:
            assert newer.wait(PATIENCE)
            raise ReportError("down")

    reporter = ApiReporter(JOB, apply, first_retry=0.01)
    reporter(report(1))
    eventually(lambda: sent)
    reporter(report(2))
    newer.set()
    reporter.close(PATIENCE)
    assert sent == [1, 2]


def test_the_last_word_is_sent_before_the_end(account: Path):
    with serve(status(503, "starting"), Answer()) as server:
        reporter = ApiReporter(JOB, client(server, account).apply, first_retry=3600)
        reporter(report(9))
        eventually(lambda: len(server.asked) == 1)
        reporter.close(PATIENCE)
        assert [asked.body["status"]["progress"]["step"] for asked in server.asked] == [9, 9]


def test_how_the_attempt_failed_is_the_last_word(account: Path):
    with serve(Answer(), Answer()) as server:
        reporter = ApiReporter(JOB, client(server, account).apply)
        reporter(report(9))
        eventually(lambda: len(server.asked) == 1)
        reporter.close(PATIENCE, ended=FailureClass.PREEMPTED)
        assert [asked.body["status"]["progress"].get("ended") for asked in server.asked] == [None, "Preempted"]
        assert server.asked[1].body["status"]["progress"]["step"] == 9


TRAINING = {
    "unfreeze_rank_ratio": 0.3,
    "effective_batch_size": 8,
    "learning_rate": 1e-3,
    "max_seq_len": 128,
    "max_tokens_per_gpu": 512,
}
NOT_REACHED = RunResult(False, 3, 9, None, (), (), {}, None, Path("runs"))


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (RunFailedError(entrypoint.failed(1, FailureClass.NON_FINITE_LOSS, "loss is nan"), NOT_REACHED), "NonFiniteLoss"),
        (Terminated(), "Preempted"),
    ],
)
def test_the_job_is_told_how_the_attempt_ended(error: BaseException, ended: str, monkeypatch: pytest.MonkeyPatch):
    """The pod, and its outcome with it, may be gone before the operator looks."""
    sent: list[Any] = []
    monkeypatch.setattr(entrypoint, "reporter_of", lambda *_: ApiReporter(JOB, lambda _, body: sent.append(body)))

    def run(plan: Any) -> None:
        plan.report(Report(attempt=1, progress=Progress(step=3)))
        raise error

    monkeypatch.setattr(entrypoint, "run_training", run)
    with pytest.raises(type(error)):
        entrypoint.run_attempt(contract(training=TRAINING), {}, GracefulStop(), ExitStack())
    assert sent[-1]["status"]["progress"] == {"step": 3, "ended": ended}


@pytest.mark.parametrize("away", [Answer(hang_up=True), status(503, "starting"), status(429, "busy")])
def test_an_api_server_that_is_away_at_the_end_is_waited_for(account: Path, away: Answer):
    with serve(away, away, away, Answer()) as server:
        reporter = ApiReporter(JOB, client(server, account).apply, first_retry=0.01)
        reporter(report(10))
        reporter.close(PATIENCE)
        reporter.persist(PATIENCE)
        assert len(server.asked) == 4
        assert server.asked[-1].body["status"]["progress"]["step"] == 10
        reporter.persist(PATIENCE)
        assert len(server.asked) == 4, "it was said"


def test_one_that_refuses_is_not_asked_again(account: Path):
    with serve(status(403, "forbidden"), status(403, "forbidden")) as server:
        reporter = ApiReporter(JOB, client(server, account).apply, first_retry=3600)
        reporter(report(10))
        eventually(lambda: len(server.asked) == 1)
        reporter.close(PATIENCE)
        reporter.persist(PATIENCE)
        assert len(server.asked) == 2


def test_one_that_stays_away_is_given_up():
    tries: list[Any] = []

    def apply(_: str, body: Any) -> None:
        tries.append(body["status"]["progress"]["step"])
        raise ReportError("nobody listens", away=True)

    reporter = ApiReporter(JOB, apply, first_retry=0.01)
    reporter(report(10))
    reporter.close(PATIENCE)
    before = len(tries)
    reporter.persist(0.1)
    assert len(tries) > before
    assert set(tries) == {10}


@pytest.mark.parametrize(
    ("error", "waits"),
    [(RunFailedError(entrypoint.failed(1, FailureClass.NON_FINITE_LOSS, "nan"), NOT_REACHED), True), (Terminated(), False)],
)
def test_an_attempt_that_was_told_to_end_waits_for_nobody(error: BaseException, waits: bool, monkeypatch: pytest.MonkeyPatch):
    """Its grace period runs; and whoever waits has written the outcome before."""
    persisted: list[float] = []
    monkeypatch.setattr(ApiReporter, "persist", lambda _, seconds: persisted.append(seconds))
    monkeypatch.setattr(entrypoint, "reporter_of", lambda *_: ApiReporter(JOB, lambda *_: None))
    monkeypatch.setattr(entrypoint, "run_training", lambda _: raises(error))
    last_words = ExitStack()
    with pytest.raises(type(error)):
        entrypoint.run_attempt(contract(training=TRAINING), {}, GracefulStop(), last_words)
    assert persisted == []
    last_words.close()
    assert persisted == ([entrypoint.LAST_WORD_SECONDS] if waits else [])


def test_an_attempt_that_reported_nothing_has_no_last_word(account: Path):
    with serve() as server:
        ApiReporter(JOB, client(server, account).apply).close(PATIENCE, ended=FailureClass.PREEMPTED)
        assert server.asked == []


def test_an_api_server_that_is_silent_does_not_hold_up_the_end(account: Path, caplog: pytest.LogCaptureFixture):
    """A connection that is taken and never answered: the request ends by its own timeout, close by its own."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dead = Plain("127.0.0.1", silent.getsockname()[1], account, timeout=0.2)
        reporter = ApiReporter(JOB, dead.apply, first_retry=0.01)
        reporter(report(1))
        eventually(lambda: "does not answer" in caplog.text)
        reporter.close(PATIENCE)
        assert not reporter._thread.is_alive()


def test_close_waits_no_longer_than_it_is_told():
    release = threading.Event()
    reporter = ApiReporter(JOB, lambda *_: assert_true(release.wait(PATIENCE)))
    reporter(report(1))
    reporter.close(0.05)
    assert reporter._thread.is_alive()  # left behind: a daemon
    release.set()
    reporter._thread.join(PATIENCE)


@pytest.mark.parametrize(
    "answer", [Answer(hang_up=True), Answer(200, "x" * 100_000), Answer(500, "<html>proxy</html>"), Answer(302)]
)
def test_every_answer_is_either_taken_or_a_fault(account: Path, answer: Answer):
    with serve(answer) as server:
        if answer.status == 200 and not answer.hang_up:
            client(server, account).apply(apply_path(JOB), {})
        else:
            with pytest.raises(ReportError):
                client(server, account).apply(apply_path(JOB), {})
        assert len(server.asked) == 1, "no redirect is followed: a token would go with it"


def test_nobody_listens(account: Path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ReportError, match=f"127.0.0.1:{port} does not answer"):
        Plain("127.0.0.1", port, account).apply(apply_path(JOB), {})


def test_a_pod_without_a_token(tmp_path: Path):
    with pytest.raises(ReportError, match="no credentials"):
        InCluster("127.0.0.1", 1, tmp_path).apply(apply_path(JOB), {})


def contract(**more: Any) -> Contract:
    return Contract(
        job=JOB,
        attempt=2,
        algorithm="osft",
        backend="mini-trainer",
        model="/m",
        dataset="/d",
        output="/o",
        output_uri="pvc://o",
        **more,
    )


def test_who_reports_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    cluster = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    file = {REPORT_FILE_ENV: str(tmp_path / "report.json")}
    asks = contract(report="api", earlier_checkpoints=(checkpoint(1),))

    reporter = entrypoint.reporter_of(asks, 0, cluster)
    assert isinstance(reporter, ApiReporter)
    assert (reporter.job, reporter.earlier) == (JOB, (checkpoint(1),))
    reporter.close()
    assert entrypoint.reporter_of(asks, 1, cluster) is None
    assert entrypoint.reporter_of(contract(), 0, cluster) is None
    to_file = entrypoint.reporter_of(asks, 0, cluster | file)
    assert to_file is not None
    assert not isinstance(to_file, ApiReporter)
    assert not caplog.text
    assert api_reporter(asks, {}) is None
    assert "KUBERNETES_SERVICE_HOST" in caplog.text
