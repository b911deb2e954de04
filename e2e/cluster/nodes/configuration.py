"""What a node's programs are told; pure.

Deviations from their defaults are what a machine with cgroup v1 and without CAP_SYS_RESOURCE needs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

SOCKET = "/run/containerd/containerd.sock"
CNI = "/usr/lib/cni"
DOMAIN = "cluster.local"
TERSE = {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}
"""kube-proxy would set the machine's own conntrack limits."""


def containerd(root: Path, cni: Path, pause: str) -> str:
    """In TOML; `root` has the images."""
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "{root}"
state = "/run/containerd/state"
[grpc]
  address = "{SOCKET}"
[{cri}]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
[{cri}.cni]
  bin_dir = "{CNI}"
  conf_dir = "{cni}"
[{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
  SystemdCgroup = false
"""


def cni(pods: str) -> str:
    """One bridge a node; what leaves the pods' network is masqueraded by the node (nodes/start.sh)."""
    ipam = {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": ipam}
    return json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]})


def kubelet(folder: Path, address: str, dns: str, cgroup_root: str) -> str:
    """In YAML; `folder` is the node's, in the cluster's, which has its certificate."""
    return to_yaml(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": address,
            "healthzBindAddress": "127.0.0.1",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(folder.parent / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": f"{folder}.crt",
            "tlsPrivateKeyFile": f"{folder}.key",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroup_root}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "clusterDomain": DOMAIN,
            "clusterDNS": [dns],
            "resolvConf": str(folder / "resolv.conf"),
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "podLogsDir": str(folder / "pod-logs"),
            # The machine's disk is shared with whatever else it does.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
        }
    )


def kube_proxy(kubeconfig: Path, node: str, pods: str) -> str:
    """In YAML; `pods` is the network of all pods."""
    return to_yaml(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "clusterCIDR": pods,
            "hostnameOverride": node,
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "conntrack": TERSE,
            "oomScoreAdj": 0,
        }
    )


def coredns(address: str, kubeconfig: Path) -> str:
    """A Corefile: the cluster's names and no others; answers are kept for a second, since pods come and go."""
    return f""".:53 {{
  bind {address}
  kubernetes {DOMAIN} {{
    kubeconfig {kubeconfig}
    ttl 1
  }}
}}
"""


def to_yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False)
