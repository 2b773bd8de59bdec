"""What scenarios of the address share: who has it, and whom the neighbours believe to have it."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.lab.cluster import Cluster
from tests.lab.network import sh


def bare(address: str) -> str:
    """An address without its prefix length."""
    return address.partition("/")[0]


def give(cluster: Cluster, number: int, address: str) -> None:
    """Put an address on a host by hand, as it is done once when a cluster is set up."""
    nodad = " nodad" if ":" in address else ""
    cluster[number].run(f"ip addr add {address} dev eth0{nodad}")


def mac_of(cluster: Cluster, number: int) -> str:
    """The hardware address of a host's interface."""
    return sh(f"ip -n {cluster.subnet.host(number)} -o link show eth0").split("link/ether ")[1].split()[0]


def meets(cluster: Cluster, number: int, address: str) -> None:
    """Let a host talk to the address, so that it is in its neighbour table. 0 is the manager's."""
    sh(f"ip netns exec {_network(cluster, number)} bash -c 'exec 3<>/dev/tcp/{bare(address)}/22'", timeout=5)


def seen_mac(cluster: Cluster, number: int, address: str) -> str:
    """Whom a host believes to have the address; empty when it has no entry."""
    told = sh(f"ip -n {_network(cluster, number)} neigh show {bare(address)}")
    return told.split("lladdr ")[1].split()[0] if "lladdr " in told else ""


def _network(cluster: Cluster, number: int) -> str:
    return cluster.subnet.host(number) if number else cluster.subnet.manager


def wait_until(true: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Look again until it is true; AssertionError when it is not in time."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)
