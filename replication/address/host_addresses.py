"""Virtual addresses on one host, by one small shell script over the kept SSH session: look, take off, put on."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from ...config import ClusterConfig, ServerConfig
from ..cluster.pool import ConnectionPool
from ..errors import AddressError
from ..scripts import script
from ..ssh.host import SshHost
from ..ssh.rights import as_root


@dataclass(frozen=True)
class HostAddresses:
    """What the script told: ``lines`` are (key, address, value); ``finished`` that it came to its end."""

    lines: tuple[tuple[str, str, str], ...]
    finished: bool

    def of(self, key: str) -> tuple[tuple[str, str], ...]:
        """Address and value of every line with that key."""
        return tuple((address, value) for told, address, value in self.lines if told == key)

    def addresses(self, key: str) -> frozenset[str]:
        """The addresses that a key was told of."""
        return frozenset(address for address, _ in self.of(key))


def sudo_of(server: ServerConfig) -> str:
    """What has to stand before a program that needs root's rights; empty for root himself."""
    return "" if server.ssh_user == "root" else server.vip_sudo


def bare(addresses: Iterable[str]) -> tuple[str, ...]:
    """Addresses without their prefix lengths."""
    return tuple(text.partition("/")[0] for text in addresses)


def words_of(server: ServerConfig, config: ClusterConfig) -> list[str]:
    """What the script is told of a server and its addresses, behind the verb and sudo."""
    return [
        server.vip_interface or "",
        server.ip,
        config.vip_label or "",
        f"{config.vip_duplicate_wait:g}",
        str(config.vip_announcements),
        config.vip_duplicate,
        *config.vip_addresses,
    ]


def on_host(host: SshHost, server: ServerConfig, config: ClusterConfig, verb: str, action: str) -> HostAddresses:
    """Run one verb of the script on a host. Raises HostError; DeadlineExceeded; AddressError when it broke off."""
    seconds = config.vip_timeout
    words = [verb, sudo_of(server), *words_of(server, config)]
    # A channel that is closed at the deadline ends nothing on the host, and an address must not come back later.
    plain = f"env LC_ALL=C NEIGHBOURS={shlex.quote(script('neighbours.pl'))} timeout -k 1 {seconds:g} sh -s --"
    result = host.run(
        as_root(server, f"address {verb}", f"{plain} {' '.join(map(shlex.quote, words))}"),
        action=action,
        timeout=seconds + 2.0,
        stdin=script("address.sh").encode(),
        ok=range(256),
    )
    seen = read(result.stdout)
    if not seen.finished:
        said = (result.stderr.strip() or result.stdout.strip() or "it said nothing").splitlines()[-1]
        cause = f"not within {seconds:g} s" if result.exit_code in (124, 137) else f"it broke off: {said}"
        raise AddressError("ip", server.name, f"{action}: {cause}", "see vip_timeout and vip_sudo")
    return seen


def read(output: str) -> HostAddresses:
    """What the script printed."""
    told = [line.split(maxsplit=2) for line in output.splitlines() if line.strip()]
    finished = bool(told) and told[-1] == ["done"]
    lines = tuple((key, *rest, *[""] * (2 - len(rest))) for key, *rest in told if key != "done")
    return HostAddresses(lines, finished)  # type: ignore[arg-type]


def one_a_host(servers: Iterable[ServerConfig]) -> dict[tuple[str, int], tuple[ServerConfig, ...]]:
    """The servers of every host, by where its sshd listens."""
    hosts: dict[tuple[str, int], tuple[ServerConfig, ...]] = {}
    for server in servers:
        where = (server.ssh_ip, server.ssh_port)
        hosts[where] = (*hosts.get(where, ()), server)
    return hosts


@dataclass(frozen=True)
class Census:
    """Where the addresses are: for each the hosts (their servers) that have it, and the servers not heard of."""

    holders: dict[str, tuple[tuple[ServerConfig, ...], ...]]
    unknown: tuple[ServerConfig, ...]


def census(sessions: ConnectionPool, config: ClusterConfig, *, timeout: float) -> Census:
    """Ask every host that can be reached within ``timeout`` seconds which of the addresses it has."""
    hosts = one_a_host(config.servers)

    def look(servers: tuple[ServerConfig, ...]) -> frozenset[str]:
        first = servers[0]
        what = "see which addresses it has"
        return on_host(sessions.host(first.address), first, config, "look", what).addresses("has")

    answers = sessions.each(look, hosts.values(), timeout=timeout)
    holders: dict[str, tuple[tuple[ServerConfig, ...], ...]] = dict.fromkeys(bare(config.vip_addresses), ())
    unknown: list[ServerConfig] = []
    for servers, found in answers:
        if not isinstance(found, frozenset):
            unknown += servers
            continue
        for address in found & holders.keys():
            holders[address] = (*holders[address], servers)
    return Census(holders, tuple(unknown))
