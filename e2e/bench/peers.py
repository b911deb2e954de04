"""Kubeflow Trainer and JobSet beside the control plane, to be measured beside us."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster import binaries, certs
from e2e.cluster.control_plane import LOOPBACK, ControlPlane
from e2e.cluster.operators import PRIVATE_CERTS, SERVING, apply_crds, crds_of, run

QPS = 200
"""Of each client, as the training operator gets it; at their defaults (50) these limits are all that a burst would measure."""

POD_WEBHOOKS_ONLY_FOR_ITS_OWN = {"matchExpressions": [{"key": "jobset.sigs.k8s.io/jobset-name", "operator": "Exists"}]}


def start_trainer(plane: ControlPlane) -> None:
    source = binaries.module_dir("trainer-controller-manager", "github.com/kubeflow/trainer/v2") / "manifests/base"
    settings = yaml.safe_load((source / "manager/controller_manager_config.yaml").read_text())
    settings["certManagement"] = {"enable": False}
    start(plane, "trainer", "trainer-controller-manager", (source / "crds", source / "webhook/manifests.yaml"), settings)


def start_jobset(plane: ControlPlane) -> None:
    source = binaries.module_dir("jobset", "sigs.k8s.io/jobset") / "config/components"
    settings = {
        "apiVersion": "config.jobset.x-k8s.io/v1alpha1",
        "kind": "Configuration",
        "internalCertManagement": {"enable": False},
    }
    start(plane, "jobset", "jobset", (source / "crd/bases", source / "webhook/manifests.yaml"), settings)


def start(plane: ControlPlane, name: str, program: str, manifests: tuple[Path, Path], settings: dict[str, Any]) -> None:
    """`manifests`: the folder of its CRDs and the file of its webhooks, which are called by URL."""
    crds, webhooks = manifests
    apply_crds(plane, crds_of(crds))

    def command(webhook: int, probe: int) -> list[str]:
        authority = certs.make_authority(plane.folder, f"{name}-ca")
        authority.sign(f"{name}-webhook", common_name="webhook", alternatives=f"IP:{LOOPBACK}")
        apply_webhooks(plane, name, webhooks, webhook, authority)
        SERVING.mkdir(exist_ok=True)
        at, file = plane.folder, plane.folder / f"{name}.config.yaml"
        file.write_text(json.dumps({**settings, **manager(webhook, probe)}))  # JSON is YAML
        wrapper = [
            "unshare", "--mount", "sh", "-ec", PRIVATE_CERTS, str(SERVING), f"{at}/{name}-webhook.crt", f"{at}/{name}-webhook.key",
        ]  # fmt: skip
        return [*wrapper, str(binaries.path(program)), "--zap-log-level=error", f"--config={file}"]

    run(plane, name, "readyz", command)


def manager(webhook: int, probe: int) -> dict[str, Any]:
    """What both configurations call the same."""
    return {
        "leaderElection": {"leaderElect": False},
        "health": {"healthProbeBindAddress": f"{LOOPBACK}:{probe}"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"port": webhook, "host": LOOPBACK},
        "clientConnection": {"qps": QPS, "burst": 2 * QPS},
    }


def apply_webhooks(plane: ControlPlane, name: str, source: Path, port: int, authority: certs.Authority) -> None:
    documents: list[dict[str, Any]] = [d for d in yaml.safe_load_all(source.read_text()) if d]
    for document in documents:
        document["metadata"]["name"] = f"{name}-{document['kind'].lower()}"
        for hook in document["webhooks"]:
            path = hook["clientConfig"]["service"]["path"]
            hook["clientConfig"] = {"url": f"https://{LOOPBACK}:{port}{path}", "caBundle": certs.encoded(authority.certificate)}
            if path.endswith("-v1-pod"):
                hook["objectSelector"] = POD_WEBHOOKS_ONLY_FOR_ITS_OWN
    plane.apply(documents)
