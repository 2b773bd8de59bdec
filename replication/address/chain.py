"""The providers of `vip_provider` one after the other, and what a failing one means.

Taking the address away is best effort: what could not be done is told, and a duplicate is noticed when it is put on.
Putting it on follows `vip_on_failure`. A user's script decides by its exit code alone (HookError passes).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from ...config import ClusterConfig, ServerConfig
from ...config.address import may_forbid
from ..cluster.pool import ConnectionPool
from ..errors import HookError, MhaError
from ..model.check import Check
from .ip import IpProvider
from .keepalived import KeepalivedProvider
from .plugin import PluginProvider
from .provider import AddressLocation, AddressProvider, AddressStep, ReadsProvider
from .proxies.haproxy import HaproxyProvider
from .proxies.proxysql import ProxysqlProvider
from .script import OnlineChangeCalls, ScriptCalls, ScriptProvider

log = logging.getLogger("mha")


@dataclass(frozen=True)
class AddressMove:
    """What every provider did in one half of a move, and what it found."""

    halves: tuple[AddressStep, ...]

    @property
    def failed(self) -> tuple[AddressStep, ...]:
        """The halves whose effect is missing."""
        return tuple(half for half in self.halves if half.failed)

    def __str__(self) -> str:
        return "; ".join(map(str, self.halves))


class AddressChain:
    """Several providers that are asked as one. ``on_failure`` is abort or go_on, for `acquire`.

    ``may_forbid``: an `acquire` may end a failover, so that it comes before anything is opened.
    """

    def __init__(self, providers: Iterable[AddressProvider], on_failure: str, *, may_forbid: bool = True) -> None:
        self._providers, self._on_failure, self.may_forbid = tuple(providers), on_failure, may_forbid

    def check(self) -> tuple[Check, ...]:
        """What a move would need."""
        return tuple(check for provider in self._providers for check in provider.check())

    def release(self, old: ServerConfig, *, reachable: bool) -> AddressMove:
        """Take it from ``old``, as far as that can be done. Raises HookError."""
        halves = []
        for provider in self._providers:
            try:
                half = provider.release(old, reachable=reachable)
            except HookError:
                raise
            except MhaError as error:
                half = AddressStep(provider.name, "release", False, str(error), failed=True)
            _tell(half)
            halves.append(half)
        return AddressMove(tuple(halves))

    def acquire(self, new: ServerConfig) -> AddressMove:
        """Give it to ``new``. Raises HookError; with abort also the AddressError of the provider that failed."""
        halves = []
        for provider in self._providers:
            try:
                half = provider.acquire(new)
            except HookError:
                raise
            except MhaError as error:
                if self._on_failure == "abort":
                    raise
                half = AddressStep(provider.name, "acquire", False, str(error), failed=True)
            _tell(half)
            halves.append(half)
        return AddressMove(tuple(halves))

    def verify(self, new: ServerConfig) -> tuple[Check, ...]:
        """Whether everything that moves is at ``new`` and nowhere else, one check for each thing."""
        checks = []
        for provider in self._providers:
            try:
                checks += [_at(place, new) for place in provider.verify()]
            except MhaError as error:
                checks.append(Check("vip-moved", new.name, False, f"where the address is, is not known: {error}"))
        return tuple(checks)

    def let_read(self, server: ServerConfig) -> None:
        """``server`` replicates from the primary: whoever does not see that himself is told. A failure is only told."""
        for provider in self._providers:
            if isinstance(provider, ReadsProvider):
                try:
                    _tell(provider.let_read(server))
                except MhaError as error:
                    log.error("Reads do not come to %s: %s.", server.name, error)

    def close(self) -> None:
        """End the providers' own sessions."""
        for provider in self._providers:
            try:
                provider.close()
            except MhaError as error:
                log.warning("%s", error)


def chain_of(config: ClusterConfig, sessions: ConnectionPool, calls: ScriptCalls) -> AddressChain:
    """The chain that a configuration names; ``calls`` are what its scripts are called with in this kind of move."""
    made: list[AddressProvider] = []
    for name in config.vip_provider:
        if name == "ip":
            made.append(IpProvider(config, sessions))
        elif name == "keepalived":
            made.append(KeepalivedProvider(config, sessions))
        elif name == "haproxy":
            drain = config.haproxy_drain if isinstance(calls, OnlineChangeCalls) else 0.0
            made.append(HaproxyProvider(config, drain=drain))
        elif name == "proxysql":
            made.append(ProxysqlProvider(config))
        elif name == "script":
            made.append(ScriptProvider(config, calls))
        else:
            made.append(PluginProvider(name, config, sessions))
    return AddressChain(
        made,
        config.vip_on_failure,
        may_forbid=may_forbid(
            config.vip_provider, script=bool(config.master_ip_failover_script), on_failure=config.vip_on_failure
        ),
    )


def _at(place: AddressLocation, new: ServerConfig) -> Check:
    unheard = f"; not asked: {', '.join(place.unknown)}" if place.unknown else ""
    if place.only_at(new):
        return Check("vip-moved", new.name, True, f"{place.what} is there, and nowhere else{unheard}")
    others = [address for servers in place.at for address in servers if new.address not in servers]
    here = any(new.address in servers for servers in place.at)
    found = f"{place.what} is {'there' if here else 'not there'}"
    if others:
        found += f"{', but also' if here else ', but'} at {', '.join(others)}"
    return Check("vip-moved", new.name, False, found + unheard, hint=f"let {new.name} alone have it")


def _tell(half: AddressStep) -> None:
    (log.info if half.done else log.warning)("Address: %s: %s.", half.verb, half)
