"""etcd, the API server, the controller manager and the scheduler of Kubernetes, on loopback; up in about five seconds.

For real nodes the API server listens on an address that they reach, instead.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from e2e.cluster import binaries, certs
from e2e.cluster.processes import answers, free_ports, start, stop, wait_until

PROGRAMS = ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")
LOOPBACK = "127.0.0.1"
USERS = {  # name: (common name, organisation)
    "admin": ("kubernetes-admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
}
AGGREGATOR, AGGREGATOR_CA = "front-proxy", "front-proxy-ca"
"""As whom the API server speaks to the servers of other APIs (Kueue's visibility) for its users."""

KUBELET_CLIENT = "kube-apiserver-kubelet-client"
"""As whom the API server asks a kubelet for logs."""

API_SERVER_NAMES = f"IP:{LOOPBACK},IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"


@dataclass(frozen=True)
class ControlPlane:
    """Where a running control plane is; written to ports.json so that a later process finds it."""

    folder: Path
    api: int
    etcd: int
    etcd_peer: int
    controller_manager: int
    scheduler: int
    host: str = field(default=LOOPBACK, kw_only=True)
    """Where the API server listens."""

    @property
    def server(self) -> str:
        return f"https://{self.host}:{self.api}"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "admin.kubeconfig"

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as administrator; raises CalledProcessError with what it said."""
        command = [str(binaries.path("kubectl")), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=stdin, text=True, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, objects: list[dict[str, object]]) -> None:
        """Server-side, ours against everybody."""
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=document)


def up(folder: Path, host: str = LOOPBACK) -> ControlPlane:
    """Starts whatever does not run yet and waits until all answer. A control plane that is there keeps its address."""
    folder.mkdir(parents=True, exist_ok=True)
    plane = load(folder) or create(folder, host)
    start_etcd(plane)
    start_api_server(plane)
    start_controllers(plane)
    return plane


def load(folder: Path) -> ControlPlane | None:
    file = folder / "ports.json"
    return ControlPlane(folder=folder, **json.loads(file.read_text())) if file.exists() else None


def create(folder: Path, host: str) -> ControlPlane:
    plane = ControlPlane(folder, *free_ports(5), host=host)
    authority = certs.make_authority(folder, "ca")
    certs.make_authority(folder, AGGREGATOR_CA).sign(AGGREGATOR, common_name=AGGREGATOR)
    authority.sign("kube-apiserver", common_name="kube-apiserver", alternatives=f"{API_SERVER_NAMES},IP:{host}")
    authority.sign(KUBELET_CLIENT, common_name=KUBELET_CLIENT, organisation="system:masters")
    certs.make_service_account_key(folder)
    for name, (common_name, organisation) in USERS.items():
        authority.sign(name, common_name=common_name, organisation=organisation)
        certs.kubeconfig(folder, name, plane.server)
    ports = {k: v for k, v in asdict(plane).items() if k != "folder"}
    (folder / "ports.json").write_text(json.dumps(ports))
    return plane


def start_etcd(plane: ControlPlane) -> None:
    client, peer = f"http://{LOOPBACK}:{plane.etcd}", f"http://{LOOPBACK}:{plane.etcd_peer}"
    run(
        plane, "etcd", f"{client}/health", f"--data-dir={plane.folder / 'etcd'}",
        f"--listen-client-urls={client}", f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}", "--unsafe-no-fsync",
    )  # fmt: skip


def start_api_server(plane: ControlPlane) -> None:
    at, alone = plane.folder, ("--endpoint-reconciler-type=none",) if plane.host == LOOPBACK else ()
    run(
        plane, "kube-apiserver", f"{plane.server}/readyz", f"--etcd-servers=http://{LOOPBACK}:{plane.etcd}",
        f"--bind-address={plane.host}", f"--advertise-address={plane.host}", f"--secure-port={plane.api}", *alone,
        f"--tls-cert-file={at}/kube-apiserver.crt", f"--tls-private-key-file={at}/kube-apiserver.key",
        f"--client-ca-file={at}/ca.crt",
        "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={at}/sa.pub",
        f"--service-account-signing-key-file={at}/sa.key", "--authorization-mode=Node,RBAC",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement",  # the latter as OpenShift has it
        f"--kubelet-client-certificate={at}/{KUBELET_CLIENT}.crt", f"--kubelet-client-key={at}/{KUBELET_CLIENT}.key",
        f"--kubelet-certificate-authority={at}/ca.crt", "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={at}/{AGGREGATOR_CA}.crt", f"--requestheader-allowed-names={AGGREGATOR}",
        "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={at}/{AGGREGATOR}.crt", f"--proxy-client-key-file={at}/{AGGREGATOR}.key",
        *os.environ.get("APISERVER_FLAGS", "").split(),
    )  # fmt: skip


def start_controllers(plane: ControlPlane) -> None:
    at, manager, scheduler = plane.folder, "kube-controller-manager", "kube-scheduler"
    common = ("--leader-elect=false", f"--bind-address={LOOPBACK}")
    run(
        plane, manager, f"https://{LOOPBACK}:{plane.controller_manager}/healthz", *common,
        f"--kubeconfig={at}/{manager}.kubeconfig", f"--secure-port={plane.controller_manager}", f"--cert-dir={at}/{manager}",
        f"--service-account-private-key-file={at}/sa.key", f"--root-ca-file={at}/ca.crt", "--use-service-account-credentials=true",
    )  # fmt: skip
    run(
        plane, scheduler, f"https://{LOOPBACK}:{plane.scheduler}/healthz", *common,
        f"--kubeconfig={at}/{scheduler}.kubeconfig", f"--secure-port={plane.scheduler}", f"--cert-dir={at}/{scheduler}",
    )  # fmt: skip


def run(plane: ControlPlane, name: str, ready_url: str, *flags: str) -> None:
    """Starts the program unless it answers already."""
    trust = client_context(plane.folder) if name == "kube-apiserver" else self_signed()
    if not answers(ready_url, trust):
        process = start(plane.folder, name, binaries.path(name), *flags)
        wait_until(partial(answers, ready_url, trust), process, plane.folder / f"{name}.log")


def client_context(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "admin.crt", folder / "admin.key")
    return context


def self_signed() -> ssl.SSLContext:
    """The controller manager and the scheduler sign their own certificates."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def down(folder: Path) -> None:
    for name in PROGRAMS:
        stop(folder, name)
