"""Publishes the run's state in the job's own status: server-side apply, with the token of the master's pod.

The standard library alone, and no HTTP library's habits: no proxy (one that is set for the Hub does not know the cluster), no
redirect that a token would follow.
"""

from __future__ import annotations

import http.client
import json
import logging
import random
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kubetune_trainer.contract import API_VERSION, Checkpoint, Contract, FailureClass, JobIdentity, Report, apply_body_bytes, newest

logger = logging.getLogger(__name__)

FIELD_MANAGER = "kubetune-trainer"
SERVICE_ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet mounts token and certificate (kubernetes.io: Accessing the Kubernetes API from a Pod)."""

TIMEOUT_SECONDS = 5.0
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 2.0, 60.0
MESSAGE_CHARACTERS = 500
BUSY = 429


class ReportError(Exception):
    """The API server did not take a report, or could not be reached. `away`: the same may be taken later."""

    def __init__(self, message: str, *, away: bool = False) -> None:
        super().__init__(message)
        self.away = away


def apply_path(job: JobIdentity) -> str:
    """The status subresource of the job, for server-side apply. `force`: another manager's claim to our two fields is void."""
    base = f"/apis/{API_VERSION}/namespaces/{job.namespace}/{job.kind.lower()}s/{job.name}/status"
    return f"{base}?fieldManager={FIELD_MANAGER}&force=true"


def apply_body(job: JobIdentity, report: Report, earlier: tuple[Checkpoint, ...] = ()) -> dict[str, object]:
    """What is applied: progress and checkpoints.

    Server-side apply drops what its manager no longer names, so the checkpoints of earlier attempts are named again.
    """
    own = {checkpoint.uri for checkpoint in report.checkpoints}
    checkpoints = list(newest([*(c for c in earlier if c.uri not in own), *report.checkpoints]))
    said = {"progress": report.progress, "checkpoints": checkpoints}
    return {
        "apiVersion": API_VERSION,
        "kind": job.kind,
        "metadata": {"name": job.name, "namespace": job.namespace},
        "status": {name: _json(value) for name, value in said.items() if value},
    }


def _json(value: object) -> object:
    if isinstance(value, list):
        return [_json(each) for each in value]
    return value.model_dump(mode="json", by_alias=True, exclude_none=True) if hasattr(value, "model_dump") else value


@dataclass(frozen=True)
class InCluster:
    """The API server as a pod reaches it. Token and certificate are read at every call, for the kubelet renews them."""

    host: str
    port: int
    folder: Path
    timeout: float = TIMEOUT_SECONDS

    def connect(self) -> http.client.HTTPConnection:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        return http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout, context=context)

    def apply(self, path: str, body: Mapping[str, object]) -> None:
        """Raises ReportError whatever goes wrong."""
        try:
            token = (self.folder / "token").read_text().strip()
            connection = self.connect()
        except (OSError, ssl.SSLError) as error:
            raise ReportError(f"no credentials in {self.folder}: {error}") from error
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/apply-patch+yaml",
            "Accept": "application/json",
            "User-Agent": FIELD_MANAGER,
        }
        try:
            connection.request("PATCH", path, apply_body_bytes(body), headers)
            answer = connection.getresponse()
            text = answer.read(64 * 1024)
        except (OSError, http.client.HTTPException) as error:
            raise ReportError(f"{self.host}:{self.port} does not answer: {error or type(error).__name__}", away=True) from error
        finally:
            connection.close()
        if answer.status // 100 != 2:
            raise ReportError(f"{answer.status} {_message(text)}", away=answer.status >= 500 or answer.status == BUSY)


def _message(text: bytes) -> str:
    """The API server's own words, written for people; else the beginning of whatever came."""
    try:
        said = json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        said = text.decode(errors="replace")
    return str(said)[:MESSAGE_CHARACTERS]


@dataclass
class ApiReporter:
    """A reporter for `RunPlan.report` that never blocks: it keeps the newest report alone, which its own thread applies.

    `apply` raises ReportError when it fails; it is tried again after a while that doubles up to a minute, each wait shortened by
    a random part so that many jobs do not come back together. A fault is logged when it begins, changes and ends.
    """

    job: JobIdentity
    apply: Callable[[str, Mapping[str, object]], None]
    earlier: tuple[Checkpoint, ...] = ()
    first_retry: float = FIRST_RETRY_SECONDS
    _newest: Report | None = None
    _last: Report | None = None
    _closing: bool = False
    _fault: str | None = None
    _away: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="api-reporter", daemon=True)
        self._thread.start()

    def __call__(self, report: Report) -> None:
        """Takes the report over at once; one that was not sent yet is forgotten. Before the first step there is nothing to say."""
        if report.progress is None and not report.checkpoints:
            return
        with self._changed:
            self._newest = self._last = report
            self._changed.notify_all()

    def close(self, seconds: float = TIMEOUT_SECONDS, ended: FailureClass | None = None) -> None:
        """The last word: gives the newest report one more try and waits so long at most. What comes later is not sent.

        `ended`: how the attempt failed. The outcome says so, too, but a pod that was evicted may be gone before anyone reads it.
        """
        with self._changed:
            if ended is not None and self._last is not None and self._last.progress is not None:
                progress = self._last.progress.model_copy(update={"ended": ended})
                self._newest = self._last.model_copy(update={"progress": progress})
            self._closing = True
            self._changed.notify_all()
        self._thread.join(seconds)

    def persist(self, seconds: float) -> None:
        """After `close`: while the API server is away the last word is tried again, for so long at most.

        A job that ends meanwhile would say for good how far it was before.
        """
        deadline = time.monotonic() + seconds
        self._thread.join(seconds)
        while self._away and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, self.first_retry * random.uniform(0.75, 1)))  # noqa: S311 - jitter
            with self._changed:
                report, self._newest = self._newest, None
            if report is None:
                return
            self._try(report, 0.0)

    def _run(self) -> None:
        wait, last = 0.0, False
        while not last and (report := self._next(wait)) is not None:
            last = self._closing
            wait = self._try(report, wait)

    def _next(self, wait: float) -> Report | None:
        """The newest report, `wait` seconds after a failure; None when all was said and nothing more comes."""
        due = time.monotonic() + wait
        with self._changed:
            while not self._closing:
                left = due - time.monotonic()
                if self._newest is not None and left <= 0:
                    break
                self._changed.wait(None if self._newest is None else left)
            report, self._newest = self._newest, None
            return report

    def _try(self, report: Report, waited: float) -> float:
        """Seconds to wait before the next try; 0 after a success."""
        try:
            self.apply(apply_path(self.job), apply_body(self.job, report, self.earlier))
        except Exception as error:  # noqa: BLE001 - the thread outlives whatever a certificate or a proxy in between does
            self._away = isinstance(error, ReportError) and error.away
            self._note(str(error) or type(error).__name__)
            self._keep(report)
            return min(LONGEST_RETRY_SECONDS, max(self.first_retry, 2 * waited)) * random.uniform(0.75, 1)  # noqa: S311 - jitter
        self._away = False
        self._note(None)
        return 0.0

    def _keep(self, report: Report) -> None:
        """For the next try, unless a newer one came meanwhile."""
        with self._changed:
            if self._newest is None:
                self._newest = report

    def _note(self, fault: str | None) -> None:
        if fault != self._fault:
            if fault:
                logger.warning("progress cannot be reported, training goes on: %s", fault)
            else:
                logger.info("progress is reported again")
        self._fault = fault


def api_reporter(contract: Contract, environment: Mapping[str, str]) -> ApiReporter | None:
    """For the master of a job whose contract asks for it; None, with a warning, where there is no cluster to report to."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not port.isdigit():
        logger.warning("progress is not reported: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT name no API server")
        return None
    return ApiReporter(contract.job, InCluster(host, int(port), SERVICE_ACCOUNT_DIR).apply, contract.earlier_checkpoints)
