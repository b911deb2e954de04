"""The operator's parts put together over one connection pool."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor

from kubetune.controller.known_jobs import KnownJobs
from kubetune.controller.kubernetes_api import KubernetesApi, Request, connect
from kubetune.controller.kubernetes_cluster import KubernetesCluster
from kubetune.controller.leader import Elector, LeaseStore, Tenure
from kubetune.controller.metrics import Metrics
from kubetune.controller.operate import Operator
from kubetune.controller.operator_settings import PORT, OperatorSettings, identity, lease_name, lease_namespace
from kubetune.controller.server import Server
from kubetune.controller.tracing.exporter import traces

logger = logging.getLogger(__name__)


def assemble(settings: OperatorSettings) -> tuple[Operator, Elector | None]:
    """As many threads and connections as jobs are worked on at a time, and some for lists, probes and the Lease.

    Raises ClusterError if there is no configuration of a cluster.
    """
    jobs, connection = KnownJobs(), connect(connections=settings.workers + 5)
    metrics, tenure = Metrics(jobs), Tenure()

    def answered(request: Request, status: int | None) -> None:
        metrics.answered(request, status)
        operator.answered(status)

    fenced = KubernetesApi(connection, answered=answered, fence=tenure if settings.leader_elect else None)
    cluster = KubernetesCluster(fenced, ThreadPoolExecutor(settings.workers + 2, "kubernetes"), selector=settings.selector)
    store = LeaseStore(KubernetesApi(connection, answered=answered), lease_namespace(settings), lease_name(settings))
    elector = Elector(store, identity(settings), tenure) if settings.leader_elect else None
    operator = Operator(cluster, settings, elector=elector, jobs=jobs, metrics=metrics)
    operator.traces = traces(os.environ)
    return operator, elector


def serve(operator: Operator, settings: OperatorSettings) -> Server | None:
    """Raises OSError if a port was asked for that is not free."""
    if settings.port == 0:
        return None
    try:
        return Server(
            settings.address, settings.port or PORT, operator.metrics.registry, faults=operator.faults, unready=operator.unready
        )
    except OSError as error:
        if settings.port is not None:
            raise OSError(
                f"port {settings.port} of {settings.address} cannot be served ({error}): choose another with --port"
            ) from error
        logger.warning("no metrics, no probes: port %d is not free (%s); choose one with --port", PORT, error)
        return None
