"""Everything a manager keeps warm for one cluster: a session with every server, an SSH session with every host."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from config import ClusterConfig, ServerConfig
from replication.errors import (
    AccessDenied,
    AlreadyActing,
    DeadlineExceeded,
    HostError,
    MhaError,
    ServerBusy,
    ServerError,
)
from replication.server import Server
from replication.snapshots import ClusterState, ServerDown, ServerState
from replication.ssh import SshHost

log = logging.getLogger("mha")
T = TypeVar("T")
R = TypeVar("R")

#: MHA's own lock names: an old manager or purge_relay_logs elsewhere is kept out by them, and keeps us out.
FAILOVER_LOCK = "MHA_Master_High_Availability_Failover"
MONITOR_LOCK = "MHA_Master_High_Availability_Monitor"
#: Seconds after which a server takes the failover lock from a session that says nothing.
VANISHED = 30
#: Seconds that a server may take to answer who keeps it; the lock cannot be looked at or given back meanwhile.
KEPT_WITHIN = 1.0


class Sessions:
    """Servers and hosts of one cluster by ``ip:port``. Nothing is opened before it is used."""

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config
        self._servers = {s.address: Server(s) for s in config.servers}
        self._hosts = {s.address: SshHost(s) for s in config.servers}
        self._binlog_hosts = {s.block: SshHost(s) for s in config.binlog_servers}
        self._pool = ThreadPoolExecutor(max_workers=max(8, 4 * len(config.servers)), thread_name_prefix="sessions")

    def server(self, key: str) -> Server:
        """The session with that server."""
        return self._servers[key]

    def host(self, key: str) -> SshHost:
        """The SSH session with that server's host."""
        return self._hosts[key]

    def binlog_host(self, block: str) -> SshHost:
        """The SSH session with the host of a [binlogN] block."""
        return self._binlog_hosts[block]

    def each(
        self, work: Callable[[T], R], items: Iterable[T], *, timeout: float
    ) -> list[tuple[T, R | MhaError | None]]:
        """Do the same for several at once; an MhaError is a result, None means not done within ``timeout`` seconds."""
        futures = [(item, self._pool.submit(work, item)) for item in items]
        wait([f for _, f in futures], timeout=timeout)
        return [(item, _result(future)) for item, future in futures]

    def warm(self, *, timeout: float = 10.0) -> dict[str, MhaError]:
        """Open what is not open; returns what could not be, by ``ip:port``. SSH troubles go to the log only."""

        def open_both(server: ServerConfig) -> ServerState:
            try:
                self.host(server.address).connect()
            except HostError as error:
                log.warning("%s", error)
            self.server(server.address).connect()
            return self.server(server.address).observe()

        done = self.each(open_both, self.config.servers, timeout=timeout)
        return {s.address: r for s, r in done if isinstance(r, MhaError)}

    def observe(self, servers: Sequence[ServerConfig] | None = None, *, timeout: float = 4.0) -> ClusterState:
        """Look at every server at once. One that does not answer within ``timeout`` seconds is down, and why."""
        wanted = self.config.servers if servers is None else servers
        looked = self.each(lambda s: self.server(s.address).observe(), wanted, timeout=timeout)
        return as_cluster(looked, timeout)

    def close(self) -> None:
        """End every session; locks held by them are released by the servers."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for server in self._servers.values():
            server.close()
        for host in (*self._hosts.values(), *self._binlog_hosts.values()):
            host.close()


def as_cluster(looked: Iterable[tuple[ServerConfig, ServerState | MhaError | None]], timeout: float) -> ClusterState:
    """What `Sessions.each` gave for the servers' states; None is no answer within ``timeout`` seconds."""
    up: list[ServerState] = []
    down: list[ServerDown] = []
    for server, result in looked:
        if isinstance(result, ServerState):
            up.append(result)
            continue
        reason = str(result) if result is not None else f"{server.name}: no answer within {timeout:g} s"
        alive = isinstance(result, ServerBusy | AccessDenied)
        down.append(ServerDown(server.address, server.name, server.hostname, reason, alive))
    return ClusterState(tuple(up), tuple(down))


def took_writes(sessions: Sessions, key: str) -> bool:
    """Whether a server that was about to be opened was; one that does not answer may have been."""
    try:
        return sessions.server(key).observe().writable
    except ServerError:
        return True


class FailoverLock:
    """The right to act on a cluster: MHA's advisory lock on every reachable replica, held by sessions of their own.

    Raises AlreadyActing when somebody else holds one of them. A replica that breaks meanwhile takes nothing away.
    A holder of which nothing is heard for `VANISHED` seconds loses them all: its host may have lost its power.
    """

    def __init__(self, servers: Iterable[ServerConfig]) -> None:
        self._sessions = [Server(s) for s in servers]
        self._mutex = threading.Lock()
        self._held: list[Server] = []
        self._released = threading.Event()

    def take(self, *, wait_seconds: int = 1) -> tuple[str, ...]:
        """Take all locks; returns the names of the servers that hold one for us."""
        held: list[Server] = []
        self._released.clear()
        # The sessions are opened at once; the locks are taken in order, so that of two who want them one gets all.
        with ThreadPoolExecutor(max(1, len(self._sessions)), thread_name_prefix="failover-lock") as pool:
            wait([pool.submit(_open_to_vanish, session) for session in self._sessions])
        for session in self._sessions:
            try:
                got = session.scalar(
                    "SELECT GET_LOCK(%s, %s)",
                    (FAILOVER_LOCK, wait_seconds),
                    action="take the failover lock",
                    timeout=wait_seconds + 3.0,
                )
            except ServerError as error:
                log.warning("%s", error)
                continue
            if got != 1:
                self.release()
                raise AlreadyActing(
                    f"{session}: another manager or command holds the failover lock; see SHOW PROCESSLIST there"
                )
            held.append(session)
        self._held = held
        threading.Thread(target=self._keep, name="failover-lock", daemon=True).start()
        return tuple(str(session) for session in held)

    @property
    def held(self) -> bool:
        """The locks were taken, wherever there was one to take."""
        return bool(self._held)

    def verify(self) -> None:
        """Raises AlreadyActing when none of the locks is left: this process stood still, and somebody else may act.

        Nothing is asked: whoever ended a session has said so.
        """
        with self._mutex:  # an answer to `_keep` that is on its way is no farewell
            lost = not any(_at_rest(session) for session in self._held)
        if self._held and lost:
            raise AlreadyActing("the failover lock was lost on every server: another manager may be acting by now")

    def _keep(self) -> None:
        while not self._released.wait(VANISHED / 4):
            for session in self._held:
                with self._mutex:
                    # A session that was lost, or given back, must not be opened again: it would hold nothing.
                    if self._released.is_set() or not _at_rest(session):
                        continue
                    try:
                        session.query("DO 1", action="keep the failover lock", timeout=KEPT_WITHIN)
                    except ServerError as error:
                        log.warning("%s", error)

    def release(self) -> None:
        """Give the locks back by ending the sessions."""
        self._released.set()
        with self._mutex:
            for session in self._sessions:
                session.close()


def _open_to_vanish(session: Server) -> None:
    session.connect()
    session.query("SET SESSION wait_timeout=%s", (VANISHED,), action="prepare")


def _at_rest(session: Server) -> bool:
    return session.connected and not session.stirs(0.0)


def reachable(host: SshHost, timeout: float) -> bool:
    """Whether the host answers over SSH now: on the kept session, or on a new one. Within ``timeout`` seconds."""
    ends = time.monotonic() + timeout
    if host.alive(timeout / 2):
        return True
    try:
        host.connect(max(0.1, ends - time.monotonic()))
    except (HostError, DeadlineExceeded):
        return False
    return host.alive(max(0.1, ends - time.monotonic()))


def _result(future: Future[Any]) -> Any:
    if not future.done():
        future.cancel()
        return None
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, MhaError):
        return error
    raise error
