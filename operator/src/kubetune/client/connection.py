"""Which cluster and which namespace are meant, as kubectl decides it."""

from __future__ import annotations

import os
from pathlib import Path

from kubernetes import config

from kubetune.client.jobs import CONNECTIONS
from kubetune.controller.kubernetes_api import KubernetesApi, connect

IN_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
DEFAULT_KUBECONFIG = Path("~/.kube/config")


def find(kubeconfig: str | None, context: str | None) -> tuple[KubernetesApi, str]:
    """The API server, and the namespace that goes with it.

    kubectl's order: what is named, KUBECONFIG, ~/.kube/config, the pod's own account. Raises ClusterError.
    """
    named = kubeconfig or os.environ.get("KUBECONFIG") or None
    if named is None and context is None and not DEFAULT_KUBECONFIG.expanduser().exists() and IN_POD.exists():
        return KubernetesApi(connect(connections=CONNECTIONS)), IN_POD.read_text().strip() or "default"
    named = named or str(DEFAULT_KUBECONFIG.expanduser())
    return KubernetesApi(connect(named, context=context, connections=CONNECTIONS)), namespace_of(named, context)


def namespace_of(kubeconfig: str, context: str | None) -> str:
    """Of the context that is named, else of the current one."""
    contexts, current = config.list_kube_config_contexts(config_file=kubeconfig)
    chosen = next((each for each in contexts if each["name"] == context), current)
    return str(chosen["context"].get("namespace") or "default")
