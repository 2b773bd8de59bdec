"""Sources by the names of the configuration: a replica may follow db1 as db1.lan, as DB1, or by another name for it.

MHA compares resolved addresses. Here a name that the configuration does not have is looked up where the
server is observed, so that whatever looks at a snapshot finds the name that it knows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from ...config import ServerConfig
from ...config.loader import resolve_host
from .state import ReplicaChannel, ServerState

#: Seconds for the address of a name, and for which one without an address is not asked for again.
NAME_SECONDS, AGAIN = 0.5, 30.0


class SourceNames:
    """The names of one cluster's servers. What was found is remembered: name servers die, too."""

    def __init__(self, servers: Sequence[ServerConfig]) -> None:
        self._servers = tuple(servers)
        self._addresses: dict[str, str] = {}
        self._failed: dict[str, float] = {}

    def in_ours(self, state: ServerState) -> ServerState:
        """The state with every source called as the configuration calls it, as far as it is one of ours."""
        channels = tuple(self._channel(channel) for channel in state.channels)
        return state if channels == state.channels else replace(state, channels=channels)

    def _channel(self, channel: ReplicaChannel) -> ReplicaChannel:
        host, there = channel.source_host, [s for s in self._servers if s.port == channel.source_port]
        if not host or channel.of_a_rescue or any(host in (s.hostname, s.ip) for s in there):
            return channel
        known = next(
            (s for s in there if host.lower() in (s.hostname.lower(), (s.replication_host or "").lower())), None
        )
        if known is None and there:
            address = self._address(host)
            known = next((s for s in there if address and s.ip == address), None)
        return channel if known is None else replace(channel, source_host=known.hostname)

    def _address(self, name: str) -> str:
        if name not in self._addresses and time.monotonic() - self._failed.get(name, -AGAIN) >= AGAIN:
            try:
                self._addresses[name] = resolve_host(name, NAME_SECONDS)
            except (OSError, UnicodeError):
                self._failed[name] = time.monotonic()
        return self._addresses.get(name, "")
