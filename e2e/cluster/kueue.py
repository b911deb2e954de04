"""The real Kueue beside the control plane, with its visibility API (the position in the queue) behind the API server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from e2e.cluster import binaries, certs, operators
from e2e.cluster.control_plane import LOOPBACK, ControlPlane
from e2e.cluster.processes import free_ports, stop

NAME = "kueue"
MODULE = "sigs.k8s.io/kueue"
NAMESPACE = "kueue-system"
SERVICE = "kueue-webhook-service"
CERTIFIED = operators.Certified("kueue-webhook", f"{SERVICE}.{NAMESPACE}.svc", "kueue-ca", NAMESPACE, "kueue-webhook-server-cert")
HOOKS = ("pytorchjob", "clusterqueue", "resourceflavor", "workload", "cohort")
"""Webhooks to keep: the API server could not reach those of kinds that this cluster does not have."""

CONVERTED = ("clusterqueues", "cohorts", "localqueues", "multikueueclusters", "workloads")
"""Kinds that Kueue converts between v1beta1 and v1beta2."""

VISIBILITY = "visibility.kueue.x-k8s.io"


def up(plane: ControlPlane) -> None:
    """PyTorchJobs with the label kueue.x-k8s.io/queue-name wait until a ClusterQueue has room for them."""
    certificates = plane.folder / "kueue-certs"

    def command(webhook: int, probe: int) -> list[str]:
        authority = operators.webhook_certificate(plane, CERTIFIED)
        certificates.mkdir(exist_ok=True)
        for end in ("crt", "key"):
            (certificates / f"tls.{end}").write_bytes((plane.folder / f"{CERTIFIED.file}.{end}").read_bytes())
        operators.apply_crds(plane, crds(webhook, authority))
        plane.apply(webhooks(webhook, authority))
        settings = plane.folder / "kueue.config.yaml"
        settings.write_text(json.dumps(configuration(webhook, probe, certificates)))
        return [str(binaries.path(NAME)), f"--config={settings}", "--zap-log-level=error"]

    (visibility,) = free_ports(1)
    environment = {"VISIBILITY_PORT": str(visibility), "VISIBILITY_CERTS": str(certificates / "visibility")}
    if operators.run(plane, NAME, "readyz", command, environment):
        plane.apply(visibility_api(visibility))
        plane.kubectl("wait", "--for=condition=Available", "--timeout=60s", f"apiservice/v1beta2.{VISIBILITY}")


def down(folder: Path) -> None:
    stop(folder, NAME)


def crds(port: int, authority: certs.Authority) -> list[dict[str, Any]]:
    """The module's, converted by URL."""
    found = operators.crds_of(binaries.module_dir(NAME, MODULE) / "config/components/crd/bases")
    conversion = {"conversionReviewVersions": ["v1"], "clientConfig": operators.by_url(port, "/convert", authority)}
    for crd in found:
        if crd["spec"]["names"]["plural"] in CONVERTED:
            crd["spec"]["conversion"] = {"strategy": "Webhook", "webhook": conversion}
    return found


def webhooks(port: int, authority: certs.Authority) -> list[dict[str, Any]]:
    found = operators.webhook_documents(NAME, MODULE, "config/components/webhook/manifests.yaml", port, authority)
    for document in found:
        document["webhooks"] = [hook for hook in document["webhooks"] if hook["name"].split(".")[0][1:] in HOOKS]
    sort = {d["kind"]: d["kind"].removesuffix("WebhookConfiguration").lower() for d in found}
    return [operators.named(d, f"kueue-{sort[d['kind']]}-webhook-configuration") for d in found]


def configuration(webhook: int, probe: int, certificates: Path) -> dict[str, Any]:
    return {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "health": {"healthProbeBindAddress": f"{LOOPBACK}:{probe}"},
        "metrics": {"bindAddress": "0"},
        "leaderElection": {"leaderElect": False},
        "webhook": {"host": LOOPBACK, "port": webhook, "certDir": str(certificates)},
        "internalCertManagement": {"enable": True, "webhookServiceName": SERVICE, "webhookSecretName": CERTIFIED.secret},
        "integrations": {"frameworks": ["kubeflow.org/pytorchjob"]},
        "clientConnection": {"qps": 200, "burst": 400},
    }


def visibility_api(port: int) -> list[dict[str, Any]]:
    """Behind the API server, which resolves a Service of type ExternalName by itself."""
    service = {"name": "kueue-visibility-server", "namespace": NAMESPACE}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": service,
            "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
        },
        *(
            {
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": {"name": f"{version}.{VISIBILITY}"},
                "spec": {
                    "group": VISIBILITY,
                    "version": version,
                    "groupPriorityMinimum": 100,
                    "versionPriority": 100,
                    "insecureSkipTLSVerify": True,
                    "service": {**service, "port": port},
                },
            }
            for version in ("v1beta1", "v1beta2")
        ),
    ]
