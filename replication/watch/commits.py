"""Looks, beside the watch, how the primary's commits wait: what a failover proves with that ages within seconds."""

from __future__ import annotations

import contextlib
import threading
import time

from ...config import ClusterConfig, ServerConfig
from ..cluster.pool import ConnectionPool
from ..errors import MhaError
from ..mysql.dialects.server_state import semi_sync_of
from ..mysql.server import Server
from ..planning.waits import Waits, looked
from ..threads import Thread

_ROLES = ("source", "master")
_ACTION = "read how its commits wait"


class CommitWatch(Thread):
    """Looks at one primary every ``ping_interval``, on a session of its own. ``seen`` is the last look, if any."""

    def __init__(self, config: ClusterConfig, primary: ServerConfig) -> None:
        super().__init__(name="commits", daemon=True)
        self._config, self._primary = config, primary
        self._over = threading.Event()
        self.seen: Waits | None = None

    @classmethod
    def begun(cls, config: ClusterConfig, primary: ServerConfig) -> CommitWatch:
        """One that looks already, where the configuration demands that commits wait."""
        watch = cls(config, primary)
        if config.semi_sync == "require":
            watch.start()
        return watch

    def run(self) -> None:
        sessions = ConnectionPool(self._config)
        try:
            while not self._over.is_set():
                # Where that fails, whoever asks sees how old the last one is.
                with contextlib.suppress(MhaError):
                    self.seen = look(sessions.server(self._primary.address), self.seen)
                self._over.wait(self._config.ping_interval)
        finally:
            sessions.close()

    def end(self) -> None:
        """Look no more; a look that is under way is not waited for."""
        self._over.set()


def look(server: Server, before: Waits | None) -> Waits:
    """One look after ``before``, which asks for nothing that waits for a commit. Raises ServerError."""
    at = time.time()
    settings, status = (_said(server, of) for of in ("VARIABLES", "STATUS"))

    def count(name: str) -> int:
        return int(next((status[each] for role in _ROLES if (each := f"rpl_semi_sync_{role}_{name}") in status), 0))

    on = any(status.get(f"rpl_semi_sync_{role}_status") == "ON" for role in _ROLES)
    with server.reading(_ACTION):
        semi = semi_sync_of(settings)
        return looked(before, at, semi, on=on, acknowledged=count("yes_tx"), waiting=count("wait_sessions"))


def _said(server: Server, of: str) -> dict[str, str]:
    rows = server.query(f"SHOW GLOBAL {of} LIKE 'Rpl_semi_sync_%'", action=_ACTION)
    return {str(row["Variable_name"]).lower(): str(row["Value"]) for row in rows}
