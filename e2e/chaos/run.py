"""One run from a fresh control plane to the history of all that was written."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from e2e.chaos.history import ENDED_PHASES, JOBS, History
from e2e.chaos.plans import Plan, plans
from e2e.chaos.players import Players
from e2e.chaos.proxy import Proxy
from e2e.chaos.recorder import JSON_STORAGE, Recorder
from e2e.chaos.replicas import Replica, bugs, terms
from e2e.chaos.weather import Disasters, chooser
from e2e.cluster import certs, control_plane, operators
from e2e.cluster.__main__ import ROOT, up
from e2e.cluster.control_plane import ControlPlane
from e2e.cluster.processes import stop
from kubetune.controller.kubernetes_api import KubernetesApi, connect

NAMESPACE = "chaos"
OPERATOR = "system:serviceaccount:kubetune-system:kubetune"
FULL_SECONDS = 600.0
"""Of a run with the usual intervals between disasters."""


@dataclass(frozen=True)
class Options:
    """What a run is like."""

    seconds: float
    jobs: int
    seed: int
    folder: Path
    settle: float = 600.0
    """How long everything may take to come to rest after the faults."""
    quiet: float = 20.0
    """For how long nothing may be written before it counts as rest."""

    @property
    def intervals(self) -> float:
        """Factor of the usual intervals: a short run meets every disaster, too."""
        return max(0.4, min(1.0, self.seconds / FULL_SECONDS))


async def run(options: Options) -> History:
    """Raises if the control plane cannot be started or the history would have a gap; faults of the operator raise nothing."""
    plane = await asyncio.to_thread(started, options.folder / "cluster")
    recorder = Recorder(f"http://127.0.0.1:{plane.etcd}", NAMESPACE)
    recording = asyncio.create_task(recorder.run())
    await until(recorder.ready.is_set, 30, recording)
    try:
        return await _run(options, plane, recorder, recording)
    finally:
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)


async def _run(options: Options, plane: ControlPlane, recorder: Recorder, recording: asyncio.Task[None]) -> History:
    random, drawn = Random(options.seed), {p.name: p for p in plans(options.seed, options.jobs, options.seconds)}  # noqa: S311
    faults = chooser(Random(options.seed + 1))  # noqa: S311
    api = KubernetesApi(connect(str(plane.kubeconfig), connections=64))
    raining = True
    proxy = Proxy(plane.server, credentials(plane), lambda asked: faults(asked) if raining else None)
    async with proxy.serving() as url, replicas(options, url, recorder) as two, asyncio.TaskGroup() as tasks:
        players = Players(api, recorder, NAMESPACE, drawn, random, tasks)
        lives = [tasks.create_task(players.live_through(plan)) for plan in drawn.values()]
        disasters = Disasters(
            random, recorder, proxy, two, partial(restart_api_server, plane, recorder), players.delete_a_pod, players.delete_a_child
        )
        await disasters.run(options.seconds, options.intervals)
        raining, calm = False, recorder.clock
        settled = await at_rest(recorder, drawn, lives, recording, options)
        facts = {
            "seed": options.seed, "planned": sorted(drawn), "seconds": round(calm), "settled": settled,
            "settle_seconds": round(recorder.clock - calm, 1),
            "faults": dict(sorted(proxy.counts.items())), "stories": stories(drawn.values()),
            "terms": sum(terms(replica.log) for replica in two),
            "bugs": [line for replica in two for line in bugs(replica.log)],
        }  # fmt: skip
        return recorder.history(calm, facts)


def started(folder: Path) -> ControlPlane:
    """A control plane whose etcd can be read, with the operator's rights and a namespace."""
    os.environ["APISERVER_FLAGS"] = JSON_STORAGE
    plane = up(folder, nodes=8)
    plane.kubectl("apply", "-k", str(ROOT / "deploy"))
    plane.kubectl("create", "namespace", NAMESPACE)
    certs.Authority(folder, "ca").sign("kubetune", common_name=OPERATOR)
    return plane


def credentials(plane: ControlPlane) -> Any:
    context = control_plane.client_context(plane.folder)
    context.load_cert_chain(plane.folder / "kubetune.crt", plane.folder / "kubetune.key")
    return context


@contextlib.asynccontextmanager
async def replicas(options: Options, url: str, recorder: Recorder) -> AsyncIterator[list[Replica]]:
    """Two of them, which know the API server by the proxy's address only."""
    kubeconfig = options.folder / "proxy.kubeconfig"
    kubeconfig.write_text(json.dumps(kubeconfig_of(url)))
    two = [Replica(name, kubeconfig, NAMESPACE, options.folder / f"{name}.log", recorder) for name in ("red", "blue")]
    for replica in two:
        replica.start()
    keepers = [asyncio.create_task(replica.keep()) for replica in two]
    try:
        yield two
    finally:
        for keeper in keepers:
            keeper.cancel()
        for replica in two:
            replica.kill()


def kubeconfig_of(url: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "chaos",
        "clusters": [{"name": "chaos", "cluster": {"server": url}}],
        "contexts": [{"name": "chaos", "context": {"cluster": "chaos", "user": "chaos"}}], "users": [{"name": "chaos", "user": {}}],
    }  # fmt: skip


async def restart_api_server(plane: ControlPlane, recorder: Recorder) -> None:
    """With SIGKILL; whoever else ended with it is started as well, as their Deployments would."""
    recorder.did("api server down")
    await asyncio.to_thread(stop, plane.folder, "kube-apiserver", first=signal.SIGKILL)
    await asyncio.to_thread(control_plane.up, plane.folder)
    recorder.did("api server up")
    await asyncio.to_thread(operators.start_training_operator, plane)
    await asyncio.to_thread(operators.start_kwok, plane)


async def at_rest(
    recorder: Recorder, drawn: dict[str, Plan], lives: list[asyncio.Task[None]], recording: asyncio.Task[None], options: Options
) -> bool:
    """Every user has done what they meant to, every job has ended, and nothing is written any more. False: it took too long."""

    def resting() -> bool:
        quiet = recorder.clock - recorder.last > options.quiet
        return all(life.done() for life in lives) and quiet and not unfinished(recorder, drawn)

    try:
        await until(resting, options.settle, recording)
    except TimeoutError:
        for life in lives:
            life.cancel()
        return False
    return True


def unfinished(recorder: Recorder, drawn: dict[str, Plan]) -> list[str]:
    jobs = [r for r in recorder.now_there.values() if r.kind in JOBS and r.name in drawn]
    return [job.name for job in jobs if job.status.get("phase") not in ENDED_PHASES]


async def until(look: Any, seconds: float, recording: asyncio.Task[None]) -> None:
    """Raises TimeoutError, and whatever ended the recording."""
    async with asyncio.timeout(seconds):
        while not look():
            if recording.done():
                recording.result()
            await asyncio.sleep(0.2)


def stories(drawn: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for plan in drawn:
        counts[plan.story] = counts.get(plan.story, 0) + 1
    return dict(sorted(counts.items()))
