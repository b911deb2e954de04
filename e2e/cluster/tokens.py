"""Tokens as the kubelet would mount them: kwok's pods have none, and a trainer needs one to report."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from kubetune.controller.kubernetes_api import KubernetesApi, Request, connect
from kubetune_trainer.api_report import InCluster

OPERATOR = ("kubetune-system", "kubetune")
"""Namespace and ServiceAccount that deploy/ makes."""


def token(api: KubernetesApi, namespace: str, account: str, pod: dict[str, Any] | None = None) -> str:
    """A token of the account, bound to the pod; without one, not bound to anything. Raises ClusterError."""
    spec: dict[str, Any] = {"expirationSeconds": 3600}
    if pod:
        of = pod["metadata"]
        spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": of["name"], "uid": of["uid"]}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return str(api.json(Request("POST", path, body=body))["status"]["token"])


def mounted(kubeconfig: Path, token: str, folder: Path, timeout: float = 60) -> InCluster:
    """The trainer's own client, with the files that the kubelet would mount written into a folder below `folder`."""
    mount = folder / base64.urlsafe_b64encode(token[-24:].encode()).decode()
    mount.mkdir(parents=True, exist_ok=True)
    configuration = connect(str(kubeconfig)).configuration
    (mount / "token").write_text(token)
    (mount / "ca.crt").write_text(Path(configuration.ssl_ca_cert).read_text())
    url = urlsplit(configuration.host)
    return InCluster(str(url.hostname), url.port or 443, mount, timeout=timeout)


def account_kubeconfig(kubeconfig: Path, namespace: str, account: str, folder: Path) -> Path:
    """A kubeconfig of that ServiceAccount."""
    granted = token(KubernetesApi(connect(str(kubeconfig))), namespace, account)
    document = yaml.safe_load(kubeconfig.read_text())
    document["users"] = [{"name": account, "user": {"token": granted}}]
    document["contexts"] = [{"name": account, "context": {"cluster": document["clusters"][0]["name"], "user": account}}]
    document["current-context"] = account
    target = folder / f"{account}.kubeconfig"
    target.write_text(json.dumps(document))
    return target
