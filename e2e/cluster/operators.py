"""The real operators beside the control plane: Kubeflow's training operator and kwok, each as a user of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster import binaries, certs
from e2e.cluster.control_plane import LOOPBACK, ControlPlane
from e2e.cluster.processes import answers, free_ports, start, stop, wait_until

HERE = Path(__file__).resolve().parent
NO_INIT_CONTAINER = f"--pytorch-init-container-template-file={HERE}/init-container.yaml"
OPERATORS = ("training-operator", "kwok")
TRAINING_MODULE = "github.com/kubeflow/training-operator"
WEBHOOK = "validator.training-operator.kubeflow.org"
FAKE_NODE = {"cpu": "64", "memory": "512Gi", "pods": "250", "nvidia.com/gpu": "8"}

# The operator reads its certificate below the fixed /tmp/k8s-webhook-server, whatever TMPDIR says: it gets a mount of its
# own there, so that two clusters on one machine do not overwrite one another's.
PRIVATE_CERTS = """
mount -t tmpfs none "$0"; mkdir "$0/serving-certs"
cp "$1" "$0/serving-certs/tls.crt"; cp "$2" "$0/serving-certs/tls.key"
shift 2; exec "$@"
"""
SERVING = Path("/tmp/k8s-webhook-server")  # noqa: S108 - fixed by the operator


@dataclass(frozen=True)
class Certified:
    """Whom a webhook's certificate is for, and the Secret in which the rotator inside the operator looks for it."""

    file: str  # <file>.crt and <file>.key, with <file>-ca beside them
    host: str
    authority: str  # the name that the rotator gives its own CA: it accepts a CA that carries it as a SAN
    namespace: str
    secret: str


TRAINING_OPERATOR = Certified(
    "webhook", "training-operator.kubeflow.svc", "training-operator-ca", "kubeflow", "training-operator-webhook-cert"
)


def up(plane: ControlPlane, nodes: int) -> None:
    """Starts both operators and `nodes` fake nodes of eight GPUs."""
    start_training_operator(plane)
    start_kwok(plane)
    add_nodes(plane, nodes)


def down(folder: Path) -> None:
    for name in OPERATORS:
        stop(folder, name)


def start_training_operator(plane: ControlPlane, *flags_of_its_own: str) -> None:
    """With its validating webhook by URL; the image of the workers' init container is never pulled: kwok runs no image."""
    name = "training-operator"
    apply_crds(plane, crds_of(binaries.module_dir(name, TRAINING_MODULE) / "manifests/base/crds"))

    def command(webhook: int, probe: int) -> list[str]:
        authority = webhook_certificate(plane, TRAINING_OPERATOR)
        documents = webhook_documents(name, TRAINING_MODULE, "manifests/base/webhook/manifests.yaml", webhook, authority)
        plane.apply([named(document, WEBHOOK) for document in documents])
        SERVING.mkdir(exist_ok=True)
        at = plane.folder
        wrapper = ["unshare", "--mount", "sh", "-ec", PRIVATE_CERTS, str(SERVING), f"{at}/webhook.crt", f"{at}/webhook.key"]
        flags = (
            "--enable-scheme=pytorchjob",
            "--metrics-bind-address=0",
            "--zap-log-level=error",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            *flags_of_its_own,
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


def run(
    plane: ControlPlane,
    name: str,
    probe_path: str,
    command: Callable[[int, int], list[str]],
    environment: Mapping[str, str] | None = None,
) -> bool:
    """Starts the operator on ports of its own, which are written down. False if it answers already."""
    record = plane.folder / f"{name}.ports.json"
    if record.exists() and answers(f"http://{LOOPBACK}:{json.loads(record.read_text())[1]}/{probe_path}"):
        return False
    webhook, probe = free_ports(2)
    kubeconfig = add_user(plane, name)
    record.write_text(json.dumps([webhook, probe]))
    variables = {**(environment or {}), "KUBECONFIG": str(kubeconfig)}
    process = start(plane.folder, name, *command(webhook, probe), environment=variables)
    wait_until(partial(answers, f"http://{LOOPBACK}:{probe}/{probe_path}"), process, plane.folder / f"{name}.log", seconds=120)
    return True


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


def webhook_certificate(plane: ControlPlane, wanted: Certified) -> certs.Authority:
    """In files and in the Secret, which is there before the operator starts."""
    authority = certs.make_authority(plane.folder, f"{wanted.file}-ca", f"DNS:{wanted.authority}")
    authority.sign(wanted.file, common_name="webhook", alternatives=f"IP:{LOOPBACK},DNS:{wanted.host}")
    files = {"ca": f"{wanted.file}-ca", "tls": wanted.file}
    data = {f"{key}.{end}": certs.encoded(plane.folder / f"{file}.{end}") for key, file in files.items() for end in ("crt", "key")}
    secret = {"name": wanted.secret, "namespace": wanted.namespace}
    plane.apply(
        [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": wanted.namespace}},
            {"apiVersion": "v1", "kind": "Secret", "metadata": secret, "data": data},
        ]
    )
    return authority


def webhook_documents(program: str, module: str, path: str, port: int, authority: certs.Authority) -> list[dict[str, Any]]:
    """The module's webhook configurations, by URL."""
    source = binaries.module_dir(program, module) / path
    documents: list[dict[str, Any]] = [d for d in yaml.safe_load_all(source.read_text()) if d]
    for hook in (hook for document in documents for hook in document["webhooks"]):
        hook["clientConfig"] = by_url(port, hook["clientConfig"]["service"]["path"], authority)
    return documents


def by_url(port: int, path: str, authority: certs.Authority) -> dict[str, str]:
    return {"url": f"https://{LOOPBACK}:{port}{path}", "caBundle": certs.encoded(authority.certificate)}


def named(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {**document, "metadata": {**document["metadata"], "name": name}}


def crds_of(folder: Path) -> list[dict[str, Any]]:
    return [yaml.load(file.read_text(), yaml.CSafeLoader) for file in sorted(folder.glob("*_*.yaml"))]


def apply_crds(plane: ControlPlane, crds: list[dict[str, Any]]) -> None:
    """Applies them and waits until the API server serves them."""
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
