"""Everything a manager keeps warm for one cluster: a session with every server, an SSH session with every host."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from ...config import ClusterConfig, ServerConfig
from ..errors import DeadlineExceeded, HostError, MhaError, ServerError, ServerOdd
from ..memory.held_servers import HeldServers, come_back_elsewhere
from ..memory.journal import Opened
from ..model.position import BinlogPosition
from ..model.source_names import SourceNames
from ..model.state import ClusterState, Replaced, ServerDown, ServerState
from ..mysql.server import Server
from ..threads import ThreadPool
from .own_writes import may_have_written, takes_writes

if TYPE_CHECKING:
    from ..ssh.host import SshHost

log = logging.getLogger("mha")
T = TypeVar("T")
R = TypeVar("R")

#: Seconds that a replica which is open is given to show that somebody writes to it, and between two looks.
LOOK_TWICE, LOOK_AGAIN = 0.5, 0.05
#: Seconds that a look waits at least for who has not answered the one before: it may be what we ask that takes long.
ONCE_MORE = 1.0


class ConnectionPool:
    """Servers and hosts of one cluster by ``ip:port``. Nothing is opened before it is used."""

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config
        self._servers = {s.address: Server(s) for s in config.servers}
        names = SourceNames(config.servers)
        for session in self._servers.values():
            session.names = names
        self._known = {s.block: s for s in (*config.witnesses, *config.binlog_servers)}
        self._known |= {s.address: s for s in config.servers}
        self._hosts: dict[str, SshHost] = {}
        self._mutex = threading.Lock()
        #: Since when a look at a server waits for its answer (monotonic clock), by ``ip:port``.
        self._looking: dict[str, float] = {}
        self._pool = ThreadPool(max_workers=max(8, 4 * len(config.servers)), thread_name_prefix="sessions")

    def server(self, key: str) -> Server:
        """The session with that server."""
        return self._servers[key]

    def host(self, key: str) -> SshHost:
        """The SSH session with that server's host."""
        return self._host(key)

    def binlog_host(self, block: str) -> SshHost:
        """The SSH session with the host of a [binlogN] block."""
        return self._host(block)

    def witness(self, block: str) -> SshHost:
        """The SSH session with a witness."""
        return self._host(block)

    def _host(self, name: str) -> SshHost:
        # To import SSH takes a quarter of a second of a processor, and the first ping needs none.
        from ..ssh.host import SshHost

        with self._mutex:
            if name not in self._hosts:
                self._hosts[name] = SshHost(self._known[name])
            return self._hosts[name]

    def each(
        self,
        work: Callable[[T], R],
        items: Iterable[T],
        *,
        timeout: float,
        patience: Callable[[T], float] | None = None,
    ) -> list[tuple[T, R | MhaError | None]]:
        """Do the same for several at once; an MhaError is a result, None means not done within ``timeout`` seconds.

        Any other error is a ServerOdd then: it is of what that one said. ``patience`` may be less for some of them.
        """
        began = time.monotonic()
        waits = [(item, timeout if patience is None else min(timeout, patience(item))) for item in items]
        futures = [(item, self._pool.submit(work, item)) for item, _ in waits]
        for (_, future), (_, limit) in zip(futures, waits, strict=True):
            wait([future], timeout=max(0.0, began + limit - time.monotonic()))
        return [(item, _result(future, item)) for item, future in futures]

    def warm(self, *, timeout: float = 10.0) -> frozenset[str]:
        """Open what is not open; the ``ip:port`` of those with whom there is no session. SSH troubles go to the log."""

        def open_one(connect: Callable[[], object]) -> bool:
            try:
                connect()
            except HostError as error:
                log.warning("%s", error)
            return True

        servers = [server.address for server in self.config.servers]
        hosts = [self.host(key).connect for key in servers]
        sessions: list[Callable[[], object]] = [self.server(key).observe for key in servers]
        done = self.each(open_one, [*sessions, *hosts], timeout=timeout)
        return frozenset(key for key, (_, result) in zip(servers, done, strict=False) if result is not True)

    def observe(
        self, servers: Sequence[ServerConfig] | None = None, *, timeout: float = 4.0, unconnected: float = 4.0
    ) -> ClusterState:
        """Look at every server at once. One that does not answer within ``timeout`` seconds is down, and why.

        Who has not said a word on the session with us, or has none, is waited for ``unconnected`` seconds, counted from
        when it was asked: it did not answer a moment ago either. So is who still owes an earlier look its answer.
        """

        def patience(each: ServerConfig) -> float:
            silent_for, looking = self.server(each.address).silent_for, self._looking.get(each.address)
            if silent_for is not None:
                return max(0.0, unconnected - silent_for)
            return timeout if looking is None else max(ONCE_MORE, unconnected - (time.monotonic() - looking))

        def look(each: ServerConfig) -> ServerState:
            self._looking.setdefault(each.address, time.monotonic())
            try:
                return self.server(each.address).observe()
            finally:
                self._looking.pop(each.address, None)

        wanted = self.config.servers if servers is None else servers
        looked = self.each(
            look,
            wanted,
            timeout=timeout,
            patience=patience,
        )
        for server, result in looked:
            # An answer without end takes this process's time from those who are level.
            if result is None and self.server(server.address).silent_for is not None:
                self.server(server.address).abort()
        return as_cluster(looked, replaced(self.config))

    def close(self) -> None:
        """End every session; locks held by them are released by the servers."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for server in self._servers.values():
            # Who is still waited for would keep this process from ending, or from watching anew.
            server.end()
        for host in list(self._hosts.values()):
            host.close()


def replaced(config: ClusterConfig) -> tuple[Replaced, ...]:
    """The former primaries that this host remembers as held; a record that cannot be read is no memory, and is told."""
    try:
        holds = HeldServers.of(config).current()
    except OSError as error:
        log.warning("The list of servers that are held read-only cannot be read: %s", error)
        return ()
    return tuple(Replaced(hold.key, hold.instead) for hold in holds)


def with_those_who_moved(config: ClusterConfig, cluster: ClusterState) -> ClusterState:
    """The same servers, where one that is held and answers at another address is held there from now on."""
    holds = HeldServers.of(config)
    try:
        moved = come_back_elsewhere(holds.current(), config.servers, cluster)
        for key, to in moved:
            log.warning("The server that is held read-only as %s answers at %s now: it is held there.", key, to)
            holds.moved(key, to)
    except OSError as error:
        log.warning("The list of servers that are held read-only cannot be written: %s", error)
        return cluster
    return replace(cluster, held=replaced(config)) if moved else cluster


def as_cluster(
    looked: Iterable[tuple[ServerConfig, ServerState | MhaError | None]],
    held: tuple[Replaced, ...] = (),
) -> ClusterState:
    """What `ConnectionPool.each` gave for the servers' states; None is no answer in time."""
    up: list[ServerState] = []
    down: list[ServerDown] = []
    for server, result in looked:
        if isinstance(result, ServerState):
            up.append(result)
            continue
        reason = str(result) if result is not None else f"{server.name}: no answer in time"
        alive = isinstance(result, ServerError) and result.answered
        down.append(ServerDown(server.address, server.name, server.hostname, reason, alive))
    return ClusterState(tuple(up), tuple(down), held)


def took_writes(sessions: ConnectionPool, opened: Opened) -> bool:
    """Whether a server that was about to be opened was: it is open, or its log has grown since.

    One that does not answer may have been, and so may one of which no end of its log is known. It may be read-only
    again by now: after a crash a server is what its my.cnf says.
    """
    server = sessions.server(opened.key)
    end = BinlogPosition.parse(opened.end_of_log) if opened.end_of_log else None
    try:
        return server.observe().writable or may_have_written(server, end)
    except ServerError:
        return True


def with_writers(sessions: ConnectionPool, cluster: ClusterState) -> ClusterState:
    """The cluster, and who of its replicas took writes of its own: those that are open are looked at again.

    Ends as soon as each of them was seen to write, after `LOOK_TWICE` seconds at most; at once where none is open.
    """
    open_ones = {state.key: state for state in cluster.up if state.writable and state.channels}
    writing: set[str] = set()
    ends = time.monotonic() + LOOK_TWICE
    while len(writing) < len(open_ones):
        quiet = [s for s in sessions.config.servers if s.address in open_ones and s.address not in writing]
        again = sessions.observe(quiet)
        writing |= {now.key for now in again.up if takes_writes(open_ones[now.key], now)}
        if time.monotonic() > ends:
            break
        time.sleep(LOOK_AGAIN)
    return replace(cluster, writing=tuple(sorted(writing)))


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


def _result(future: Future[Any], item: object) -> Any:
    if not future.done():
        future.cancel()
        return None
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, MhaError):
        return error
    if not isinstance(error, Exception):
        raise error
    # Whatever one of them makes of us is that one's trouble; the others go on.
    log.error("What %s says cannot be made sense of.", item, exc_info=error)
    return ServerOdd(str(item), "read what it says", f"{type(error).__name__}: {error}"[:500], answered=True)
