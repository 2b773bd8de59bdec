"""Looks, beside the watch, how the primary's commits wait: what a failover proves with that ages within seconds."""

from __future__ import annotations

import contextlib
import threading
import time

from ...config import ClusterConfig, ServerConfig
from ..cluster.pool import ConnectionPool
from ..errors import MhaError
from ..mysql.server import Server
from ..planning.waits import Waits, looked
from ..threads import Thread

_STATUS = "Rpl_semi_sync_source_status Rpl_semi_sync_master_status".split()
_ACKNOWLEDGED = "Rpl_semi_sync_source_yes_tx Rpl_semi_sync_master_yes_tx".split()


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
    """One look after ``before``. Raises ServerError."""
    at = time.time()
    semi = server.observe().semi_sync
    names = [*_STATUS, *_ACKNOWLEDGED]
    rows = server.query(
        f"SHOW GLOBAL STATUS WHERE Variable_name IN ({', '.join(['%s'] * len(names))})",
        names,
        action="read how its commits wait",
    )
    said = {str(row["Variable_name"]): str(row["Value"]) for row in rows}
    on = any(said.get(name) == "ON" for name in _STATUS)
    count = next((int(said[name]) for name in _ACKNOWLEDGED if name in said), 0)
    return looked(before, at, semi, on=on, acknowledged=count)
