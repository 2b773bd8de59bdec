"""Looks at clusters again and again, a thread each, with sessions that stay open; the newest is there to take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ....config import ClusterConfig, ConfigError, load_cluster
from ....replication.cluster.pool import ConnectionPool
from ....replication.coordination.leadership import Leadership
from ....replication.errors import MhaError
from ....replication.memory.failover_flags import FailoverFlags
from ....replication.memory.manager_view import observe_manager
from ....replication.notify.manager_log import register_secrets, secrets_of
from ....replication.planning.readiness import Past, assess
from ....replication.reporting.history.incident import Incident
from ....replication.reporting.history.journals import incidents
from ....replication.threads import Thread
from .glance import Glance, glance

#: Seconds within which a look at all servers of a cluster is over.
AT_MOST = 6.0
Held = Callable[[Path, Path], list[str]]
"""The lines of who is held, of a configuration and the global one."""


class Looking:
    """The looks at several clusters, every ``pause`` seconds. ``with`` ends their threads."""

    def __init__(self, confs: Sequence[Path], global_conf: Path, held: Held, pause: float) -> None:
        self._global, self._held, self._pause = global_conf, held, pause
        self._end = threading.Event()
        self._seen = {conf: Glance(conf.stem, conf) for conf in confs}
        self._threads = [
            Thread(target=self._look, args=(conf,), name=f"look {conf.stem}", daemon=True) for conf in confs
        ]

    def __enter__(self) -> Looking:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(1.0)

    def glances(self) -> list[Glance]:
        """The newest of each, the worst first, else by name."""
        return sorted(self._seen.values(), key=lambda seen: (seen.rank, seen.cluster))

    def _look(self, conf: Path) -> None:
        while not self._end.is_set():
            try:
                config = load_cluster(conf, self._global)
            except (ConfigError, OSError) as error:
                self._seen[conf] = self._seen[conf].not_seen(str(error))
                self._end.wait(self._pause)
                continue
            register_secrets(secrets_of(config))
            one = _Cluster(conf, self._global, config, self._held)
            try:
                while not self._end.is_set():
                    try:
                        self._seen[conf] = one.glance()
                    except (MhaError, OSError) as error:
                        self._seen[conf] = self._seen[conf].not_seen(str(error))
                    self._end.wait(self._pause)
            finally:
                one.close()


class _Cluster:
    """Sessions with one cluster, and its files on this host."""

    def __init__(self, conf: Path, global_conf: Path, config: ClusterConfig, held: Held) -> None:
        self._conf, self._global, self._config, self._held = conf, global_conf, config, held
        self._sessions, self._right = ConnectionPool(config), Leadership(config)
        self._right.start()
        self._last: tuple[tuple[int, ...], Incident | None] | None = None

    def glance(self) -> Glance:
        """Look once. Raises MhaError, OSError."""
        config = self._config
        cluster = self._sessions.observe(timeout=AT_MOST)
        self._right.look(timeout=1.0)
        past = Past.of(FailoverFlags(config.manager_workdir, config.name))
        limit = max(10.0, 3.0 * config.ping_interval)
        manager = observe_manager(config.manager_workdir, config.name, limit)
        return glance(
            config,
            self._conf,
            time.time(),
            cluster,
            assess(config, cluster, past),
            manager=f"on this host: {manager.status.name}{f', pid {manager.pid}' if manager.pid else ''}",
            managers=self._right.who(),
            held=self._held(self._conf, self._global),
            last=self._newest(),
        )

    def _newest(self) -> Incident | None:
        """Read again only when a journal has changed."""
        paths = sorted(self._config.manager_workdir.glob(f"{self._config.name}.*.journal"))
        stamp = tuple(n for path in paths for n in (path.stat().st_mtime_ns, path.stat().st_size))
        if self._last is None or self._last[0] != stamp:
            told = incidents(self._config.manager_workdir, self._config.name)
            self._last = (stamp, told[-1] if told else None)
        return self._last[1]

    def close(self) -> None:
        """End the sessions."""
        self._right.close()
        self._sessions.close()
