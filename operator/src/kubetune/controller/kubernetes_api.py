"""One request to a Kubernetes API server: deadlines, retries with jitter, and errors in our own terms. Blocking; thread-safe."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import tenacity
import urllib3
from kubernetes import client, config
from kubernetes.client.rest import ApiException

from kubetune.cluster import ClusterError, Manifest
from kubetune_trainer.contract import apply_body_bytes

logger = logging.getLogger(__name__)

TIMEOUT = (10.0, 60.0)
"""Seconds to connect, and to read: an API server ends its own requests after 60 s."""

FIRST_WAIT, LONGEST_WAIT = 0.2, 10.0
TOO_MANY = 429
LONGEST_RETRY_AFTER = 30.0
STREAM_BYTES = 16 * 1024

JSON = "application/json"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml; charset=utf-8"  # with it the client sends the bytes that it is given


def connect(kubeconfig: str | None = None, *, context: str | None = None, connections: int = 16) -> client.ApiClient:
    """As kubectl finds its cluster, or as a pod does, with so many connections kept open. `context`: of the kubeconfig.

    Raises ClusterError (not retryable) if there is no configuration.
    """
    configuration = client.Configuration()
    try:
        if kubeconfig is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=configuration)
        else:
            config.load_kube_config(config_file=kubeconfig, context=context, client_configuration=configuration)
    except config.ConfigException as error:
        raise ClusterError(f"no cluster: {error}; set KUBECONFIG or run in a pod", retryable=False) from error
    configuration.connection_pool_maxsize = connections
    configuration.retries = False  # ours know Retry-After and what may be repeated
    return client.ApiClient(configuration)


class RefusedError(ClusterError):
    """An answer other than 2xx."""

    retry_after: float | None = None  # seconds, if the server named any
    reason: str = ""  # metav1.Status: AlreadyExists, Invalid ...
    causes: tuple[Mapping[str, str], ...] = ()  # metav1.StatusCause: field, message, reason


@dataclass(frozen=True)
class Request:
    """One HTTP request; its text is what error messages call it."""

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Manifest | None = None
    content: str = JSON
    tries: int = 5
    timeout: tuple[float, float] = TIMEOUT

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class NotLeaderError(ClusterError):
    """The write was not sent: a fence refused it."""


class Fence(Protocol):
    """The right to write, which may end at any time."""

    def enter(self) -> int:
        """The term in which a write begins. Raises NotLeaderError if writing is not allowed."""

    def check(self, term: int) -> None:
        """Raises NotLeaderError if that term is over."""


class KubernetesApi:
    """Requests that are idempotent or guarded by preconditions: all of them may be repeated."""

    def __init__(
        self,
        api: client.ApiClient,
        *,
        sleep: Callable[[float], None] = time.sleep,
        fence: Fence | None = None,
        answered: Callable[[Request, int | None], None] | None = None,
    ) -> None:
        """`fence`: asked before each try of a write. `answered`: told each try's HTTP status, None for no answer."""
        self._api = api
        self._sleep = sleep
        self._fence = fence
        self._answered = answered or (lambda _request, _status: None)

    def json(self, request: Request) -> Manifest:
        """The answer as an object. Raises ClusterError."""
        text = self.text(request)
        try:
            return dict(json.loads(text)) if text else {}
        except ValueError as error:
            raise ClusterError(f"{request}: the answer is no JSON object: {text[:200]!r}") from error

    def text(self, request: Request) -> str:
        """The answer as it is. Raises ClusterError: connection errors, 429 and 5xx after the last try, everything else at once."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_worth_another_try),
            stop=tenacity.stop_after_attempt(request.tries),
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        fence = self._fence if request.method != "GET" else None
        return str(retrying(self._fenced, request, fence, fence.enter() if fence else 0))

    def lines(self, request: Request) -> Iterator[str]:
        """The answer line by line as it comes, for as long as the server sends any; one try. Raises ClusterError.

        Each with its newline; without one the server ended in the middle of a line, or the text does.
        """
        response = self._sent(request, preload=False)
        rest = b""
        try:
            for chunk in response.stream(STREAM_BYTES, decode_content=False):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") + "\n" for line in whole)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterError(f"{request}: {error}") from error
        finally:
            response.close()
        if rest:
            yield rest.decode(errors="replace")

    def _fenced(self, request: Request, fence: Fence | None, term: int) -> str:
        if fence:
            fence.check(term)
        return self._once(request)

    def _once(self, request: Request) -> str:
        return str(self._sent(request).data)

    def _sent(self, request: Request, *, preload: bool = True) -> Any:
        headers = {"Accept": JSON, "Content-Type": request.content, "User-Agent": "kubetune"}
        query = dict(request.query)
        self._api.update_params_for_auth(headers, query, ["BearerToken"])
        try:
            response = self._api.rest_client.request(
                request.method,
                self._api.configuration.host + request.path,
                query_params=list(query.items()),
                headers=headers,
                body=apply_body_bytes(request.body) if request.content == APPLY else request.body,
                _preload_content=preload,
                _request_timeout=request.timeout,
            )
        except ApiException as error:
            self._answered(request, error.status or None)
            raise _refusal(request, error) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._answered(request, None)
            raise ClusterError(f"{request}: {error}") from error
        self._answered(request, response.status)
        return response

    def items(self, path: str, *, query: Mapping[str, Any], page: int = 500) -> list[Manifest]:
        """All items, page by page. A page that expired (410) starts the list anew, once by pages and then in one piece."""
        for limit in (page, page, 0):
            try:
                return self._pages(path, {**query, "limit": limit} if limit else dict(query))
            except ClusterError as error:
                if error.status != 410:
                    raise
        raise ClusterError(f"GET {path}: the list expired three times", status=410)

    def _pages(self, path: str, query: dict[str, Any]) -> list[Manifest]:
        items: list[Manifest] = []
        more: str | None = ""
        while more is not None:
            answer = self.json(Request("GET", path, {**query, "continue": more} if more else query))
            items += answer.get("items") or []
            more = answer.get("metadata", {}).get("continue") or None
        return items


def _worth_another_try(error: BaseException) -> bool:
    """Not 409: what was based on an old version must be decided anew. Nor what was never sent."""
    if isinstance(error, NotLeaderError):
        return False
    return isinstance(error, ClusterError) and (error.status is None or error.status == TOO_MANY or error.status >= 500)


_jitter = tenacity.wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)


def _wait(state: tenacity.RetryCallState) -> float:
    """What the server asked for, else a random time that grows: many clients must not come back together."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, RefusedError) else None
    return min(LONGEST_RETRY_AFTER, asked) if asked is not None else _jitter(state)


def _refusal(request: Request, error: ApiException) -> RefusedError:
    """With the API server's own message, which is written for people."""
    status = error.status or None
    answer = _answer(error.body)
    message = str(answer.get("message") or "") or str(error.reason)
    retryable = status is None or status in (409, 410, TOO_MANY) or status >= 500
    refusal = RefusedError(f"{request}: {message} ({status or 'no answer'})", status=status, retryable=retryable)
    refusal.retry_after = _seconds((error.headers or {}).get("Retry-After"))
    refusal.reason = str(answer.get("reason") or "")
    refusal.causes = tuple((answer.get("details") or {}).get("causes") or ())
    return refusal


def _answer(body: str | bytes | None) -> Mapping[str, Any]:
    """The metav1.Status of a refusal; of anything else (a proxy's page) what fits into a message."""
    try:
        answer = json.loads(body or "{}")
    except ValueError:
        return {"message": str(body)[:500]}
    return answer if isinstance(answer, dict) else {"message": str(body)[:500]}


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds; its other form, a date, is not used by API servers."""
    return float(text) if text and text.isdigit() else None
