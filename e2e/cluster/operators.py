"""The real operators beside the control plane: Kubeflow's training operator and kwok, each as a user of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster import binaries, certs
from e2e.cluster.control_plane import LOOPBACK, ControlPlane
from e2e.cluster.processes import answers, free_ports, start, stop, wait_until

HERE = Path(__file__).resolve().parent
OPERATORS = ("training-operator", "kwok")
TRAINING_MODULE = "github.com/kubeflow/training-operator"
WEBHOOK = "validator.training-operator.kubeflow.org"
WEBHOOK_HOST = "training-operator.kubeflow.svc"
FAKE_NODE = {"cpu": "64", "memory": "512Gi", "pods": "250", "nvidia.com/gpu": "8"}

# The operator reads its certificate below the fixed /tmp/k8s-webhook-server, whatever TMPDIR says: it gets a mount of its
# own there, so that two clusters on one machine do not overwrite one another's.
PRIVATE_CERTS = """
mount -t tmpfs none "$0"; mkdir "$0/serving-certs"
cp "$1" "$0/serving-certs/tls.crt"; cp "$2" "$0/serving-certs/tls.key"
shift 2; exec "$@"
"""
SERVING = Path("/tmp/k8s-webhook-server")  # noqa: S108 - fixed by the operator


def up(plane: ControlPlane, nodes: int) -> None:
    """Starts both operators and `nodes` fake nodes of eight GPUs."""
    start_training_operator(plane)
    start_kwok(plane)
    add_nodes(plane, nodes)


def down(folder: Path) -> None:
    for name in OPERATORS:
        stop(folder, name)


def start_training_operator(plane: ControlPlane) -> None:
    """With its validating webhook by URL; the image of the workers' init container is never pulled: kwok runs no image."""
    name = "training-operator"
    apply_crds(plane, binaries.module_dir(name, TRAINING_MODULE) / "manifests/base/crds")

    def command(webhook: int, probe: int) -> list[str]:
        authority = webhook_certificate(plane)
        apply_webhook(plane, webhook, authority)
        SERVING.mkdir(exist_ok=True)
        at = plane.folder
        wrapper = ["unshare", "--mount", "sh", "-ec", PRIVATE_CERTS, str(SERVING), f"{at}/webhook.crt", f"{at}/webhook.key"]
        flags = (
            "--enable-scheme=pytorchjob",
            "--metrics-bind-address=0",
            "--zap-log-level=error",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        )
        ports = (f"--health-probe-bind-address={LOOPBACK}:{probe}", f"--webhook-server-port={webhook}")
        return [*wrapper, str(binaries.path(name)), *flags, *ports]

    run(plane, name, "readyz", command)


def start_kwok(plane: ControlPlane) -> None:
    """Pods on its nodes run for the seconds and end with the code that their annotations say (kwok.yaml)."""

    def command(_: int, probe: int) -> list[str]:
        flags = (
            "--cidr=10.128.0.1/16",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            "--node-lease-duration-seconds=40",
        )
        return [
            str(binaries.path("kwok")), f"--kubeconfig={plane.folder}/kwok.kubeconfig", f"--config={HERE}/kwok.yaml",
            f"--server-address={LOOPBACK}:{probe}", *flags,
        ]  # fmt: skip

    run(plane, "kwok", "healthz", command)


def run(plane: ControlPlane, name: str, probe_path: str, command: Callable[[int, int], list[str]]) -> None:
    """Starts the operator on ports of its own unless it answers already; the ports are written down."""
    record = plane.folder / f"{name}.ports.json"
    if record.exists() and answers(f"http://{LOOPBACK}:{json.loads(record.read_text())[1]}/{probe_path}"):
        return
    webhook, probe = free_ports(2)
    kubeconfig = add_user(plane, name)
    record.write_text(json.dumps([webhook, probe]))
    process = start(plane.folder, name, *command(webhook, probe), environment={"KUBECONFIG": str(kubeconfig)})
    wait_until(partial(answers, f"http://{LOOPBACK}:{probe}/{probe_path}"), process, plane.folder / f"{name}.log", seconds=120)


def add_user(plane: ControlPlane, name: str) -> Path:
    """cluster-admin under a name of its own, so that the audit log tells who wrote what."""
    user = f"system:serviceaccount:operators:{name}"
    certs.Authority(plane.folder, "ca").sign(name, common_name=user, organisation="system:serviceaccounts")
    group = "rbac.authorization.k8s.io"
    plane.apply(
        [{
            "apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": f"operators-{name}"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        }]
    )  # fmt: skip
    return certs.kubeconfig(plane.folder, name, plane.server)


def webhook_certificate(plane: ControlPlane) -> certs.Authority:
    """The rotator inside accepts a CA that carries its own name as a SAN, from a Secret that is there before it starts."""
    authority = certs.make_authority(plane.folder, "webhook-ca", "DNS:training-operator-ca")
    authority.sign("webhook", common_name="webhook", alternatives=f"IP:{LOOPBACK},DNS:{WEBHOOK_HOST}")
    files = {"ca.crt": "webhook-ca.crt", "ca.key": "webhook-ca.key", "tls.crt": "webhook.crt", "tls.key": "webhook.key"}
    data = {key: certs.encoded(plane.folder / file) for key, file in files.items()}
    secret = {"name": "training-operator-webhook-cert", "namespace": "kubeflow"}
    plane.apply(
        [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubeflow"}},
            {"apiVersion": "v1", "kind": "Secret", "metadata": secret, "data": data},
        ]
    )
    return authority


def apply_webhook(plane: ControlPlane, port: int, authority: certs.Authority) -> None:
    source = binaries.module_dir("training-operator", TRAINING_MODULE) / "manifests/base/webhook/manifests.yaml"
    documents: list[dict[str, Any]] = [d for d in yaml.safe_load_all(source.read_text()) if d]
    for document in documents:
        document["metadata"]["name"] = WEBHOOK
        for hook in document["webhooks"]:
            url = f"https://{LOOPBACK}:{port}{hook['clientConfig']['service']['path']}"
            hook["clientConfig"] = {"url": url, "caBundle": certs.encoded(authority.certificate)}
    plane.apply(documents)


def apply_crds(plane: ControlPlane, folder: Path) -> None:
    """Applies every CRD of the folder and waits until the API server serves them."""
    crds = [yaml.load(file.read_text(), yaml.CSafeLoader) for file in sorted(folder.glob("*_*.yaml"))]
    plane.apply(crds)
    names = [f"crd/{crd['metadata']['name']}" for crd in crds]
    plane.kubectl("wait", "--for=create", "--timeout=60s", *names)
    plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)


def add_nodes(plane: ControlPlane, count: int) -> None:
    names = [f"fake-{i}" for i in range(count)]
    labels = {"type": "kwok"}
    plane.apply(
        [
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {
                    "name": name,
                    "annotations": {"kwok.x-k8s.io/node": "fake"},
                    "labels": {**labels, "kubernetes.io/hostname": name},
                },
            }
            for name in names
        ]
    )  # fmt: skip
    size = json.dumps({"status": {"capacity": FAKE_NODE, "allocatable": FAKE_NODE}})
    for name in names:  # server-side apply leaves a Node's status out
        plane.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", size)
    if names:
        plane.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "node", "-l", "type=kwok")
