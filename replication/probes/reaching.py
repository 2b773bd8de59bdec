"""Which replicas' hosts reach the server that is about to be opened: only of these a later silence tells something.

A manager that watches learns it by looking. One that starts when that server's host is dark already has it from the
journal of the failover that opened it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...config import ServerConfig
from ..cluster.pool import ConnectionPool
from ..detection.observation import Finding
from ..threads import Thread
from .replica import look_from

#: Seconds that a host may take to be greeted.
WITHIN = 1.0


class Reaching:
    """Looks in the background, from each of ``others``' hosts; nothing waits for them."""

    def __init__(self, sessions: ConnectionPool, server: ServerConfig, others: Sequence[ServerConfig]) -> None:
        self._sessions, self._server = sessions, server
        self._found: list[str] = []
        for other in others:
            name = f"reaching {other.name}"
            Thread(target=self._look, args=(other,), name=name, daemon=True).start()

    def _look(self, other: ServerConfig) -> None:
        view = look_from(self._sessions.host(other.address), self._server, timeout=WITHIN)
        if view.finding is Finding.ANSWERED:
            self._found.append(other.address)

    def of(self, key: str) -> tuple[str, ...]:
        """The ``ip:port`` of those whose hosts the server at ``key`` greeted so far; none for another server."""
        return tuple(self._found) if key == self._server.address else ()
