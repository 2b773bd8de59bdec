"""Looks at clusters again and again, a thread each, with sessions that stay open; the newest is there to take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ....config import ConfigError, load_cluster
from ....replication.cluster.pool import ConnectionPool
from ....replication.coordination.leadership import Leadership
from ....replication.errors import MhaError
from ....replication.memory.failover_flags import FailoverFlags
from ....replication.memory.manager_view import observe_manager
from ....replication.notify.manager_log import redact, register_secrets, secrets_of
from ....replication.planning.readiness import Past, assess
from ....replication.reporting.history.incident import Incident
from ....replication.reporting.history.journals import newest
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
        self._seen = {conf: Glance(conf.stem, conf) for conf in dict.fromkeys(confs)}
        self._threads = [
            Thread(target=self._look, args=(conf,), name=f"look {conf.stem}", daemon=True) for conf in self._seen
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
        return sorted(self._seen.values(), key=lambda seen: (seen.rank, seen.cluster, str(seen.conf)))

    def _look(self, conf: Path) -> None:
        """Until the end, whatever goes wrong: a view that has stopped looking would show what was as what is."""
        one: _Cluster | None = None
        while not self._end.is_set():
            try:
                stamp = _stamp(conf, self._global)
                if one is not None and one.stamp != stamp:
                    former, one = one, None
                    former.close()
                one = one or _Cluster(conf, self._global, stamp, self._held)
                self._seen[conf] = one.glance()
            except Exception as error:  # noqa: BLE001 - it is shown, and the next look may go well
                self._seen[conf] = self._seen[conf].not_seen(redact(_said(error)))
            self._end.wait(self._pause)
        if one is not None:
            one.close()


def _said(error: Exception) -> str:
    """The words of an error that tells enough; of any other its kind as well."""
    told = isinstance(error, MhaError | ConfigError | OSError)
    return str(error) if told else f"{type(error).__name__}: {error}"


def _stamp(*paths: Path) -> tuple[tuple[int, int, int] | None, ...]:
    """Changes when one of the files does, or comes, or goes."""
    found: list[tuple[int, int, int] | None] = []
    for path in paths:
        try:
            seen = path.stat()
            found.append((seen.st_mtime_ns, seen.st_size, seen.st_ino))
        except OSError:
            found.append(None)
    return tuple(found)


class _Cluster:
    """Sessions with one cluster, and its files on this host; ``stamp`` is that of the configuration it has."""

    def __init__(self, conf: Path, global_conf: Path, stamp: object, held: Held) -> None:
        """Raises ConfigError, OSError, MhaError."""
        self._conf, self._global, self._held, self.stamp = conf, global_conf, held, stamp
        self._config = config = load_cluster(conf, global_conf)
        register_secrets(secrets_of(config))
        self._sessions, self._right = ConnectionPool(config), Leadership(config)
        self._last: tuple[object, Incident | None] | None = None
        try:
            self._right.start()
        except BaseException:
            self.close()
            raise

    def glance(self) -> Glance:
        """Look once. Raises MhaError, OSError."""
        config = self._config
        cluster = self._sessions.observe(timeout=AT_MOST)
        self._right.look(timeout=1.0)
        past = Past.of(FailoverFlags(config.manager_workdir, config.name))
        limit = max(10.0, 3.0 * config.ping_interval)
        manager = observe_manager(config.manager_workdir, config.name, limit)
        seen = glance(
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
        return replace(seen, last=redact(seen.last), troubles=tuple(map(redact, seen.troubles)))

    def _newest(self) -> Incident | None:
        """Read again only when a journal has changed."""
        paths = sorted(self._config.manager_workdir.glob(f"{self._config.name}.*.journal"))
        stamp = (paths, _stamp(*paths))
        if self._last is None or self._last[0] != stamp:
            self._last = (stamp, newest(self._config.manager_workdir, self._config.name))
        return self._last[1]

    def close(self) -> None:
        """End the sessions."""
        self._right.close()
        self._sessions.close()
