"""An operator over a cluster in memory, with a queue that nobody works on unless a test lets it run."""

import asyncio

from fake_cluster import FakeCluster

from kubetune.controller.operate import Operator
from kubetune.controller.operator_settings import OperatorSettings
from kubetune.controller.settings import ControllerSettings
from kubetune.render import RenderSettings

CONTROLLER = ControllerSettings(render=RenderSettings(image="trainer:1"))
DEADLINE = 20.0


class Listing(FakeCluster):
    async def list_jobs(self, kind, namespace):
        self._fault(f"list {kind}")
        for (k, n, _), found in list(self.jobs.items()):
            if k == kind and namespace in (None, n):
                yield found

    async def probe(self):
        self._fault("probe")


def leading(cluster: Listing, **settings) -> Operator:
    """With a queue that nobody works on."""
    operator = Operator(cluster, OperatorSettings(CONTROLLER, **settings))
    operator.leading = True
    return operator


def waiting(operator: Operator) -> set[str]:
    return {key.name for key in operator.queue._waiting}


def run_until(operator: Operator, ready) -> None:
    async def main() -> None:
        running = asyncio.create_task(operator.run())
        async with asyncio.timeout(DEADLINE):
            while not ready():  # noqa: ASYNC110 - the cluster in memory tells nobody
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())
