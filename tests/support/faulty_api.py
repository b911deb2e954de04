"""The real API server behind the proxy of the chaos, with faults that come as scripted."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from kubernetes import client

from e2e.chaos.proxy import Asked, Fault, Kind, Proxy
from e2e.chaos.run import kubeconfig_of
from kubetune.controller.kubernetes_api import KubernetesApi, connect
from kubetune.controller.kubernetes_cluster import KubernetesCluster

Answer = TypeVar("Answer")
LOST, TORN, RESET = Fault(Kind.LOSE), Fault(Kind.TEAR), Fault(Kind.RESET)


@dataclass
class FaultyApi:
    """`faults`: what is to happen to the next requests that fit, each once, in order."""

    faults: list[tuple[Callable[[Asked], bool], Fault]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """What the client waited between its tries, in seconds; it did not really."""
    url: str = ""
    proxy: Proxy | None = None
    loop: asyncio.AbstractEventLoop | None = None

    def choose(self, asked: Asked) -> Fault | None:
        self.asked.append(asked)
        for position, (fits, fault) in enumerate(self.faults):
            if fits(asked):
                del self.faults[position]
                return fault
        return None

    def meets(self, method: str, fault: Fault, *, path: str = "", times: int = 1) -> None:
        """The next so many requests with that method, and that in their path, meet the fault."""
        self.faults += [(lambda asked: asked.method == method and path in asked.path, fault)] * times

    @property
    def api(self) -> KubernetesApi:
        configuration = client.Configuration(host=self.url)
        configuration.retries = False
        return KubernetesApi(client.ApiClient(configuration), sleep=self.waits.append)

    @property
    def cluster(self) -> KubernetesCluster:
        return KubernetesCluster(self.api)

    def kubeconfig(self, folder: Path) -> Path:
        target = folder / "faulty.kubeconfig"
        target.write_text(json.dumps(kubeconfig_of(self.url)))
        return target

    def on_watches(self, do: Callable[[Proxy], Answer]) -> Answer:
        """Cuts or expires them, or looks at them; gives what that gives."""
        assert self.loop is not None
        assert self.proxy is not None
        proxy = self.proxy

        async def there() -> Answer:
            return do(proxy)

        return asyncio.run_coroutine_threadsafe(there(), self.loop).result(10)


@contextmanager
def behind_faults(server: str, credentials: ssl.SSLContext | None) -> Iterator[FaultyApi]:
    faulty, ready, done = FaultyApi(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        faulty.loop, faulty.proxy = asyncio.get_running_loop(), Proxy(server, credentials, faulty.choose)
        async with faulty.proxy.serving() as faulty.url:
            ready.set()
            await done.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(30)
    try:
        yield faulty
    finally:
        assert faulty.loop is not None
        faulty.loop.call_soon_threadsafe(done.set)
        thread.join()


def behind_faults_of(kubeconfig: Path) -> AbstractContextManager[FaultyApi]:
    """The same for the cluster of a kubeconfig, as its user."""
    known = connect(str(kubeconfig)).configuration
    credentials = ssl.create_default_context(cafile=known.ssl_ca_cert)
    credentials.load_cert_chain(known.cert_file, known.key_file)
    return behind_faults(known.host, credentials)
