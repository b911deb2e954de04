"""An HTTP proxy between the operator and the API server that does to requests, answers and watches what networks and servers do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import aiohttp
import yarl
from aiohttp import web

HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "host", "date", "server"}
)
EXPIRED = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired", "code": 410}
LARGEST = 64 * 2**20


class Kind(Enum):
    """What becomes of one request."""

    ANSWER = "answered by the proxy"  # with `status`; the server never sees it
    RESET = "reset before it is sent on"
    LOSE = "done, but the answer is lost"
    TEAR = "done, but the answer breaks off in the middle"
    DELAY = "late by `seconds`"
    HANG = "taken and never answered: the connection is closed after `seconds`"


@dataclass(frozen=True)
class Fault:
    """What to do with one request."""

    kind: Kind
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Asked:
    """What a fault may be chosen by."""

    method: str
    path: str
    query: dict[str, str]

    @property
    def watch(self) -> bool:
        return self.query.get("watch") in ("true", "1")


Chooser = Callable[[Asked], Fault | None]


class Proxy:
    """Plain HTTP on a port of the loopback; behind it the API server over TLS, as one user."""

    def __init__(self, server: str, credentials: ssl.SSLContext, choose: Chooser) -> None:
        """`choose`: asked for each request what to do to it; None: nothing."""
        self._server, self._credentials, self._choose = server, credentials, choose
        self._watches: dict[asyncio.Queue[bytes | None], str] = {}  # their paths
        self._open: dict[int, web.BaseRequest] = {}  # by id: requests cannot be hashed
        self.counts: dict[str, int] = {}
        self.partitioned = False
        """While true, nothing gets through."""

    @contextlib.asynccontextmanager
    async def serving(self, port: int = 0) -> Any:
        """Gives the URL."""
        connector = aiohttp.TCPConnector(ssl=self._credentials, limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=True) as self._session:
            runner = web.ServerRunner(web.Server(self._handle), handle_signals=False, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            try:
                yield "http://{}:{}".format(*runner.addresses[0][:2])
            finally:
                self.cut_watches()
                await runner.cleanup()

    @property
    def watched(self) -> set[str]:
        """The paths of which a watch is open now: its answer has begun."""
        return set(self._watches.values())

    def cut_watches(self) -> int:
        """Ends every watch as a broken connection does. Gives how many there were."""
        return self._tell_watches(None)

    def expire_watches(self) -> int:
        """Ends every watch as an API server does whose history begins later: an event of type ERROR with code 410."""
        return self._tell_watches(json.dumps({"type": "ERROR", "object": EXPIRED}).encode() + b"\n")

    def partition(self) -> None:
        """Nothing gets through, nor do the answers under way, until `heal`."""
        self.partitioned = True
        self.cut_watches()
        for request in list(self._open.values()):
            abort(request)

    def heal(self) -> None:
        self.partitioned = False

    def _tell_watches(self, message: bytes | None) -> int:
        for queue in self._watches:
            queue.put_nowait(message)
        return len(self._watches)

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self._count("requests")
        self._open[id(request)] = request
        try:
            if self.partitioned:
                return abort(request)
            asked = Asked(request.method, request.path, dict(request.query))
            fault = self._choose(asked)
            if fault:
                self._count(f"{fault.kind.name}{f' {fault.status}' if fault.kind is Kind.ANSWER else ''}")
            return await self._with(fault, request, asked)
        except (aiohttp.ClientError, ConnectionError):  # of the API server: to the operator it looks the same
            return abort(request)
        finally:
            del self._open[id(request)]

    async def _with(self, fault: Fault | None, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        if fault and fault.kind in (Kind.DELAY, Kind.HANG):
            await asyncio.sleep(fault.seconds)
        if fault and fault.kind is Kind.ANSWER:
            return refusal(fault)
        if fault and fault.kind in (Kind.RESET, Kind.HANG):
            return abort(request)
        body = await request.read()
        headers = {key: value for key, value in request.headers.items() if key.lower() not in HOP_BY_HOP}
        url = yarl.URL(self._server + request.raw_path, encoded=True)
        for_ever = aiohttp.ClientTimeout(total=None)
        async with self._session.request(request.method, url, headers=headers, data=body or None, timeout=for_ever) as answer:
            if asked.watch and answer.status == 200:
                return await self._stream(request, answer)
            return await self._pass(fault, request, answer)

    async def _pass(self, fault: Fault | None, request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        text = await answer.read()
        if fault and fault.kind is Kind.LOSE:
            return abort(request)
        headers = passed(answer)
        if not (fault and fault.kind is Kind.TEAR):
            return web.Response(status=answer.status, body=text, headers=headers)
        torn = web.StreamResponse(status=answer.status, headers={**headers, "Content-Length": str(len(text))})
        await torn.prepare(request)
        await torn.write(text[: len(text) // 2])
        return hang_up(request, torn)

    async def _stream(self, request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        """Line by line, until either side or the proxy ends it."""
        response = web.StreamResponse(headers=passed(answer))
        response.enable_chunked_encoding()
        await response.prepare(request)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._watches[queue] = request.path
        reader = asyncio.create_task(feed(answer, queue))
        try:
            while (chunk := await queue.get()) is not None:
                await response.write(chunk)
                if chunk.startswith(b'{"type": "ERROR"'):
                    return response
            return hang_up(request, response)
        finally:
            self._watches.pop(queue, None)
            reader.cancel()


async def feed(answer: aiohttp.ClientResponse, queue: asyncio.Queue[bytes | None]) -> None:
    with contextlib.suppress(aiohttp.ClientError, ConnectionError):
        async for chunk in answer.content.iter_any():
            queue.put_nowait(chunk)
    queue.put_nowait(None)


def passed(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {key: value for key, value in answer.headers.items() if key.lower() not in HOP_BY_HOP}


def abort(request: web.BaseRequest) -> web.StreamResponse:
    """A TCP reset."""
    if request.transport:
        request.transport.abort()
    return web.Response()


def hang_up(request: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
    """What was written goes out, and no more."""
    if request.transport:
        request.transport.close()
    return response


def refusal(fault: Fault) -> web.Response:
    """As an API server words it."""
    reason = {429: "TooManyRequests", 410: "Expired"}.get(fault.status, "InternalError")
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": "injected",
        "reason": reason,
        "code": fault.status,
    }
    return web.json_response(body, status=fault.status, headers=fault.headers)
