"""The same client for asyncio, derived from the blocking one: each call runs in a thread, which ends when nobody awaits it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import update_wrapper
from os import PathLike
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from kubetune.client.client import Client
from kubetune.client.handle import JobHandle, named_as
from kubetune.client.jobs import CONNECTIONS
from kubetune.client.pause import OFF
from kubetune.client.seen import JobList, SeenJob

P = ParamSpec("P")
T = TypeVar("T")
AsyncCall = Coroutine[Any, Any, T]
END = object()


def threaded(method: Callable[Concatenate[Client, P], T]) -> Callable[Concatenate[AsyncClient, P], AsyncCall[T]]:
    """The blocking method, awaited."""

    async def call(self: AsyncClient, /, *args: P.args, **options: P.kwargs) -> T:
        return await self._in_thread(lambda: method(self.blocking, *args, **options))

    update_wrapper(call, method)
    return call


def one(method: Callable[Concatenate[Client, P], JobHandle]) -> Callable[Concatenate[AsyncClient, P], AsyncCall[AsyncJobHandle]]:
    """The same of a method that gives a handle."""

    async def call(self: AsyncClient, /, *args: P.args, **options: P.kwargs) -> AsyncJobHandle:
        handle = await self._in_thread(lambda: method(self.blocking, *args, **options))
        return AsyncJobHandle(self, handle.manifest)

    update_wrapper(call, method)
    return call


def many(
    method: Callable[Concatenate[Client, P], JobList[JobHandle]],
) -> Callable[Concatenate[AsyncClient, P], AsyncCall[JobList[AsyncJobHandle]]]:
    """The same of a method that gives several."""

    async def call(self: AsyncClient, /, *args: P.args, **options: P.kwargs) -> JobList[AsyncJobHandle]:
        handles = await self._in_thread(lambda: method(self.blocking, *args, **options))
        return JobList(AsyncJobHandle(self, handle.manifest) for handle in handles)

    update_wrapper(call, method)
    return call


def streamed(method: Callable[Concatenate[Client, P], Iterator[T]]) -> Callable[Concatenate[AsyncClient, P], AsyncIterator[T]]:
    """The same of a method that gives one thing after the other."""

    async def call(self: AsyncClient, /, *args: P.args, **options: P.kwargs) -> AsyncIterator[T]:
        source, off = method(self.blocking, *args, **options), threading.Event()
        try:
            while (item := await self._in_thread(lambda: next(source, END), off)) is not END:
                yield item  # type: ignore[misc]  # END was sorted out
        finally:
            off.set()

    update_wrapper(call, method)
    return call


class AsyncClient:
    """As `Client`, whose documentation holds here, too."""

    def __init__(
        self,
        kubeconfig: str | PathLike[str] | None = None,
        *,
        context: str | None = None,
        namespace: str | None = None,
        blocking: Client | None = None,
    ) -> None:
        """As Client's. `blocking`: the client from which this one is made, instead of a new one."""
        self.blocking = blocking or Client(kubeconfig, context=context, namespace=namespace)
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="kubetune-client")

    @classmethod
    def local(cls, state_dir: str | PathLike[str] = ".kubetune", *, namespace: str = "default") -> Self:
        """As Client.local."""
        return cls(blocking=Client.local(state_dir, namespace=namespace))

    @property
    def namespace(self) -> str:
        """Where jobs are meant to be that name no namespace."""
        return self.blocking.namespace

    submit = one(Client.submit)
    get = one(Client.get)
    wait = one(Client.wait)
    suspend = one(Client.suspend)
    resume = one(Client.resume)
    retry = one(Client.retry)
    list = many(Client.list)
    status = threaded(Client.status)
    logs = threaded(Client.logs)
    delete = threaded(Client.delete)
    checkpoints = threaded(Client.checkpoints)
    pods = threaded(Client.pods)
    pytorchjob = threaded(Client.pytorchjob)
    queueing = threaded(Client.queueing)
    events = threaded(Client.events)
    stream = streamed(Client.stream)

    async def close(self) -> None:
        """As Client's."""
        await self._in_thread(self.blocking.close)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def _in_thread(self, call: Callable[[], T], off: threading.Event | None = None) -> T:
        """What the call gives. Cancelled, the thread is told that nobody waits any more, and ends at its next pause."""
        context, off = copy_context(), off or threading.Event()
        context.run(OFF.set, off)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, call)
        except asyncio.CancelledError:
            off.set()
            raise


def of_job(method: Callable[Concatenate[AsyncClient, SeenJob, P], T]) -> Callable[Concatenate[AsyncJobHandle, P], T]:
    """The client's method with this job in place of a name."""

    def call(self: AsyncJobHandle, /, *args: P.args, **options: P.kwargs) -> T:
        return method(self.client, self, *args, **options)

    return named_as(call, method)


class AsyncJobHandle(SeenJob):
    """As `JobHandle`, for asyncio."""

    def __init__(self, client: AsyncClient, manifest: dict[str, Any]) -> None:
        super().__init__(manifest)
        self.client = client

    async def refresh(self) -> Self:
        """Looks again."""
        self.see(await self.client.get(self))
        return self

    status = of_job(AsyncClient.status)
    wait = of_job(AsyncClient.wait)
    logs = of_job(AsyncClient.logs)
    stream = of_job(AsyncClient.stream)
    suspend = of_job(AsyncClient.suspend)
    resume = of_job(AsyncClient.resume)
    retry = of_job(AsyncClient.retry)
    delete = of_job(AsyncClient.delete)
    checkpoints = of_job(AsyncClient.checkpoints)
    pods = of_job(AsyncClient.pods)
    pytorchjob = of_job(AsyncClient.pytorchjob)
    queueing = of_job(AsyncClient.queueing)
    events = of_job(AsyncClient.events)
