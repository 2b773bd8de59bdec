"""Virtual addresses on the database hosts, moved over SSH with iproute2.

The neighbours are told several times; before an address is put on anywhere, everybody is asked whether somebody else
has it (RFC 5227 for IPv4, RFC 4862 for IPv6).
"""

from __future__ import annotations

from collections.abc import Iterator

from ...config import ClusterConfig, ServerConfig
from ..cluster.pool import ConnectionPool
from ..errors import AddressError, AddressTaken, DeadlineExceeded, HostError, MhaError
from ..model.check import Check, Severity
from .host_addresses import Census, HostAddresses, bare, census, on_host, sudo_of
from .provider import AddressLocation, AddressStep


class OnHosts:
    """What both providers share that put `vip_addresses` on database hosts: who has them, seen over SSH."""

    name: str

    def __init__(self, config: ClusterConfig, sessions: ConnectionPool) -> None:
        self._config, self._sessions = config, sessions
        self._wanted = bare(config.vip_addresses)

    def verify(self) -> tuple[AddressLocation, ...]:
        """Every host that can be reached is asked."""
        found = self._census()
        unknown = tuple(server.name for server in found.unknown)
        return tuple(
            AddressLocation(address, tuple(tuple(s.address for s in servers) for servers in holders), unknown)
            for address, holders in found.holders.items()
        )

    def close(self) -> None:
        """They have no sessions of their own."""

    def _census(self) -> Census:
        return census(self._sessions, self._config, timeout=self._config.vip_timeout)

    def _on(self, server: ServerConfig, verb: str, action: str) -> HostAddresses:
        """Have its host look, take off, put on or announce. Raises AddressError."""
        try:
            return on_host(self._sessions.host(server.address), server, self._config, verb, action)
        except (HostError, DeadlineExceeded) as error:
            raise AddressError(self.name, server.name, str(error)) from error


class IpProvider(OnHosts):
    """`vip_addresses` on an interface of the primary's host. See `AddressProvider`."""

    name = "ip"

    def check(self) -> tuple[Check, ...]:
        """Each host can be asked, and each address is on one host at most."""
        found = self._census()
        return (
            *(
                Check(
                    "vip-host",
                    server.name,
                    False,
                    f"its host could not be asked for {', '.join(self._wanted)} over SSH",
                    hint="a failover to it could not move the address",
                )
                for server in found.unknown
            ),
            *(placed(address, holders) for address, holders in found.holders.items()),
        )

    def release(self, old: ServerConfig, *, reachable: bool = True) -> AddressStep:
        """Take the addresses from the old primary's host, whatever interface they are on there."""
        if not reachable:
            text = f"{', '.join(self._wanted)} could not be taken from {old.name}, because SSH does not reach its host"
            return AddressStep(self.name, "release", False, text, failed=True)
        seen = self._on(old, "release", f"take {', '.join(self._wanted)} off")
        left, removed = seen.addresses("has"), seen.addresses("removed")
        if left:
            why = "; ".join(said for _, said in seen.of("failed")) or "it is still there"
            raise AddressError(self.name, old.name, f"{', '.join(sorted(left))} stays: {why}", _rights(old))
        text = f"{', '.join(sorted(removed))} taken from {old.name}" if removed else f"{old.name} did not have it"
        return AddressStep(self.name, "release", True, text)

    def acquire(self, new: ServerConfig) -> AddressStep:
        """Put the addresses on the new primary's host, unless somebody else has one, and tell the neighbours."""
        seen = self._on(new, "acquire", f"put {', '.join(self._wanted)} on")
        has = seen.addresses("has")
        taken = [(address, mac) for address, mac in seen.of("taken") if mac != "unknown"]
        missing = [address for address in self._wanted if address not in has]
        if missing and taken:
            who = self._known(tuple(address for address, _ in taken))
            told = ", ".join(f"{address} is answered for by {mac}{who.get(address, '')}" for address, mac in taken)
            hint = "take it off there, or set vip_duplicate=go_on; then put it on here by hand"
            raise AddressTaken(self.name, new.name, told, hint)
        if missing:
            troubles = [said for _, said in (*seen.of("failed"), *seen.of("missing"))]
            why = "; ".join(troubles) or "it is not there"
            raise AddressError(self.name, new.name, f"{', '.join(missing)} is missing: {why}", _rights(new))
        return AddressStep(self.name, "acquire", True, "; ".join(_acquired(seen, new, taken)))

    def announce(self, server: ServerConfig) -> None:
        """Let a server's host tell the neighbours again of those addresses that it has. Raises AddressError."""
        self._on(server, "announce", f"announce {', '.join(self._wanted)}")

    def _known(self, addresses: tuple[str, ...]) -> dict[str, str]:
        """Which of our servers has an address that somebody answers for, in words."""
        try:
            found = census(self._sessions, self._config, timeout=min(2.0, self._config.vip_timeout))
        except MhaError:
            return {}
        return {
            address: f", which is {', '.join(s.name for servers in found.holders[address] for s in servers)}"
            for address in addresses
            if found.holders.get(address)
        }


def _acquired(seen: HostAddresses, new: ServerConfig, taken: list[tuple[str, str]]) -> Iterator[str]:
    added = seen.addresses("added")
    if added:
        yield f"{', '.join(sorted(added))} put on {new.name}"
    if held := seen.addresses("has") - added:
        yield f"{', '.join(sorted(held))} was on {new.name} already"
    for address, mac in taken:
        yield f"{address} is also answered for by {mac}, and was taken nevertheless (vip_duplicate=go_on)"
    for address, said in seen.of("taken"):
        if said == "unknown":
            yield f"nobody could be asked whether {address} is in use: the host has neither perl nor arping for it"
    for address, said in seen.of("silent"):
        yield f"the neighbours could not be told of {address}: {said or 'the host has neither perl nor arping for it'}"


def placed(address: str, holders: tuple[tuple[ServerConfig, ...], ...]) -> Check:
    """Whether an address is on one host; on none is a warning, for the next move fixes it."""
    names = ", ".join(server.name for servers in holders for server in servers)
    if len(holders) == 1:
        return Check("vip-place", "", True, f"{address} is on {names}", Severity.INFO)
    if holders:
        return Check("vip-place", "", False, f"{address} is on several hosts: {names}", hint="take it off all but one")
    hint = "the primary gets it at the next move, or put it on by hand"
    return Check("vip-place", "", False, f"{address} is on none of the hosts", Severity.WARNING, hint)


def _rights(server: ServerConfig) -> str:
    prefix = sudo_of(server)
    either = f"the helper that `mha config sudoers` writes, or '{prefix}' for ip, perl and sysctl without a password"
    return f"{server.ssh_user} needs {either}" if prefix else ""
