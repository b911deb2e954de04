import json
import tomllib
from pathlib import Path

import yaml

from e2e.cluster.nodes import configuration

FOLDER = Path("/clusters/one/node-0")


def test_containerd_has_a_store_of_its_own_and_the_pause_image():
    told = tomllib.loads(configuration.containerd(Path("/store"), FOLDER / "cni", "localhost/pause:1"))
    cri = told["plugins"]["io.containerd.grpc.v1.cri"]
    assert told["root"] == "/store"
    assert told["grpc"]["address"] == configuration.SOCKET
    assert (cri["sandbox_image"], cri["cni"]["conf_dir"]) == ("localhost/pause:1", "/clusters/one/node-0/cni")


def test_pods_get_addresses_of_their_nodes_network():
    (bridge,) = json.loads(configuration.cni("10.244.1.0/24"))["plugins"]
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.244.1.0/24"}]]


def test_the_kubelet_serves_with_its_nodes_certificate_and_trusts_the_clusters_authority():
    told = yaml.safe_load(configuration.kubelet(FOLDER, "10.231.0.10", "10.231.0.1", "kt1-node-0"))
    assert (told["tlsCertFile"], told["authentication"]["x509"]["clientCAFile"]) == (f"{FOLDER}.crt", "/clusters/one/ca.crt")
    assert (told["address"], told["clusterDNS"], told["cgroupRoot"]) == ("10.231.0.10", ["10.231.0.1"], "/kt1-node-0")
    assert told["authentication"]["anonymous"] == {"enabled": False}


def test_kube_proxy_leaves_the_machines_own_connection_tracking_alone():
    told = yaml.safe_load(configuration.kube_proxy(Path("/k"), "node-0", "10.244.0.0/16"))
    assert told["hostnameOverride"] == "node-0"
    assert set(told["conntrack"].values()) == {0, "0s"}


def test_dns_answers_on_the_clusters_address_alone():
    assert "bind 10.231.0.1\n" in configuration.coredns("10.231.0.1", Path("/k"))
