"""The wire between the nodes: one bridge on this machine, on which the API server and the DNS server listen, and a cable a node."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

CANDIDATES = [ipaddress.ip_network(f"10.231.{third}.0/24") for third in range(256)]
RECORD = "network.json"
PODS = "10.244.0.0/16"
"""Of all pods; seen within the nodes' network namespaces alone, so that two clusters on one machine may both have it."""


@dataclass(frozen=True)
class Network:
    """One cluster's: addresses of its nodes, names of its links."""

    bridge: str
    subnet: str

    @property
    def gateway(self) -> str:
        """The control plane's address."""
        return self._address(1)

    @property
    def prefix(self) -> int:
        return ipaddress.ip_network(self.subnet).prefixlen

    def node_address(self, index: int) -> str:
        return self._address(10 + index)

    def cable(self, index: int) -> str:
        """The end on this machine; the other one is the node's eth0."""
        return f"{self.bridge}n{index}"

    def _address(self, host: int) -> str:
        return str(ipaddress.ip_network(self.subnet)[host])


def pod_subnet(index: int) -> str:
    """Of the pods on one node."""
    return str(list(ipaddress.ip_network(PODS).subnets(new_prefix=24))[index + 1])


def create(folder: Path) -> Network:
    """The cluster's bridge, made unless it is there; nothing else of this machine's network is touched."""
    network = load(folder)
    if network is None:
        name = "kt" + hashlib.sha256(str(folder).encode()).hexdigest()[:8]  # at most 15 characters, the cable's suffix included
        network = Network(name, free_subnet(json.loads(ip("-json", "-4", "address").stdout)))
        (folder / RECORD).write_text(json.dumps({"bridge": network.bridge, "subnet": network.subnet}))
    if ip("link", "show", network.bridge, check=False).returncode:
        ip("link", "add", network.bridge, "type", "bridge")
        ip("address", "add", f"{network.gateway}/{network.prefix}", "dev", network.bridge)
        ip("link", "set", network.bridge, "up")
    return network


def load(folder: Path) -> Network | None:
    """That of a cluster whose bridge was made."""
    record = folder / RECORD
    return Network(**json.loads(record.read_text())) if record.exists() else None


def free_subnet(links: list[dict[str, object]]) -> str:
    """The first that no link (as `ip -json address` lists them) has an address in. Pure."""
    used = [
        ipaddress.ip_network(f"{address['local']}/{address['prefixlen']}", strict=False)
        for link in links
        for address in link["addr_info"]  # type: ignore[attr-defined]  # JSON of a program
    ]
    return str(next(one for one in CANDIDATES if not any(one.overlaps(other) for other in used)))


def plug(network: Network, index: int, namespace_of: int) -> None:
    """A cable from the bridge into the network namespace of that process, as eth0."""
    end = network.cable(index)
    ip("link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", str(namespace_of))
    ip("link", "set", end, "master", network.bridge, "up")


def unplug(network: Network, index: int) -> None:
    """A node's cable, should the kernel not have removed it yet with the node's namespace."""
    ip("link", "delete", network.cable(index), check=False)


def remove(network: Network) -> None:
    """The bridge; the cables go with the nodes' namespaces, some time after: what is still there is removed here."""
    for link in json.loads(ip("-json", "link").stdout):
        if link["ifname"].startswith(network.bridge):
            ip("link", "delete", link["ifname"], check=False)


def ip(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)
