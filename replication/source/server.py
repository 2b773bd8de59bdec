"""The listener: `Source`, which stands in for a dead primary until it is closed.

Threads, not asyncio: the project is threaded, followers are a handful, and what each does is blocking by nature (it
reads a file and writes a socket). A thread a connection gives backpressure for nothing, and one that hangs hangs alone.
What a stranger may take is bounded: addresses that are not expected are closed unheard, each expected one has a few
connections, and a login has seconds.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Any

from ..deadline import Deadline
from ..errors import MhaError
from ..threads import Thread
from .account import Account
from .catalogue import Catalogue
from .followers import ServedFollower
from .protocol.packets import Socket
from .session import FollowerSession

logger = logging.getLogger("mha")

#: Connections that one address may have, and all together. Beyond the first, the oldest that has not logged in has to
#: go for a new one, until as many again are on their way out.
PER_PEER, TOTAL = 12, 96
#: Ended followers that are remembered.
_REMEMBERED = 200
#: Addresses of strangers that are told, each once.
_STRANGERS = 20
_BACKLOG = 64


class CannotListen(MhaError):
    """No port of the range could be had."""


class Source:
    """Serves a catalogue to the replicas of ``peers`` (IP addresses), to one account.

    ``with Source(catalogue, peers=…) as source: source.listen("10.0.0.5", range(23306, 23316))``. Leaving closes it:
    every connection ends, every thread within seconds.
    """

    def __init__(self, catalogue: Catalogue, *, peers: Collection[str], account: Account | None = None) -> None:
        self.catalogue, self.account = catalogue, account or Account.new()
        self._peers = frozenset(_plain(peer) for peer in peers)
        self._lock = threading.Condition()
        self._closed = threading.Event()
        self._numbers = itertools.count(1)
        self._followers: dict[int, ServedFollower] = {}
        self._open: dict[int, tuple[str, Socket]] = {}
        self._sent_away: set[int] = set()
        self._listeners: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # doors -----------------------------------------------------------------------------------------------------

    def listen(self, host: str, ports: Iterable[int]) -> int:
        """Listen at this address, on the first port that is free; returns it. Raises CannotListen.

        ``host`` is the address that faces the replicas (`facing`), or 127.0.0.1 where they come through a forward. May
        be called for several addresses.
        """
        tried, last = [], ""
        for port in ports:
            listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((host, port))
                listener.listen(_BACKLOG)
            except OSError as error:
                listener.close()
                tried.append(str(port))
                last = str(error)
                continue
            with self._lock:
                self._listeners.append(listener)
            self._start(self._accept, "accept", listener)
            return int(listener.getsockname()[1])
        shown = f"{tried[0]} to {tried[-1]}" if len(tried) > 1 else ", ".join(tried) or "no port"
        raise CannotListen(f"the rescue's source cannot listen at {host} ({shown}): {last}; see rescue_port")

    def adopt(self, connection: Socket, peer: str) -> None:
        """Serve a connection that came another way, a channel of a reverse forward; ``peer`` is for the records."""
        self._admit(connection, peer)

    def _accept(self, listener: socket.socket) -> None:
        strangers: set[str] = set()
        while not self._closed.is_set():
            try:
                connection, address = listener.accept()
            except OSError:
                if self._closed.is_set():
                    return
                # Out of descriptors, or the peer left before it was accepted: the next one may have better luck.
                self._closed.wait(0.05)
                continue
            peer = _plain(address[0])
            if peer not in self._peers:
                connection.close()
                if len(strangers) < _STRANGERS and peer not in strangers:
                    strangers.add(peer)
                    logger.warning("%s is no server of this cluster: the rescue's source does not speak to it.", peer)
                continue
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._admit(connection, peer)

    def _admit(self, connection: Socket, peer: str) -> None:
        with self._lock:
            theirs = [number for number, (other, _) in self._open.items() if other == peer]
            if self._closed.is_set() or len(theirs) >= 2 * PER_PEER or len(self._open) >= TOTAL:
                connection.close()
                return
            if len(theirs) >= PER_PEER:
                # Whoever runs on that host comes from its address, too, and may say nothing: a replica logs in at once.
                unheard = [n for n in theirs if n not in self._followers and n not in self._sent_away]
                if not unheard:
                    connection.close()
                    return
                self._sent_away.add(unheard[0])
                _shut(self._open[unheard[0]][1])
            number = next(self._numbers)
            self._open[number] = (peer, connection)
        self._start(self._run, f"follower {number}", connection, peer, number)

    # followers -------------------------------------------------------------------------------------------------

    def followers(self) -> tuple[ServedFollower, ...]:
        """Everyone who logged in, and those who were refused, oldest first; of those who left the last 200."""
        with self._lock:
            return tuple(self._followers.values())

    def follower(self, server_id: int) -> ServedFollower | None:
        """The newest connection of a server; None when it never asked for a log."""
        return next((each for each in reversed(self.followers()) if each.server_id == server_id), None)

    def wait_for_change(self, seconds: float) -> None:
        """Until something about a follower changes, or so long."""
        with self._lock:
            self._lock.wait(seconds)

    def _run(self, connection: Socket, peer: str, number: int) -> None:
        def tell(**changes: Any) -> None:
            self._tell(number, peer, **changes)

        session = FollowerSession(
            self.catalogue, self.account, connection, number=number, tell=tell, stopped=self._closed.is_set
        )
        try:
            session.run()
        finally:
            with contextlib.suppress(OSError, EOFError):
                connection.close()
            with self._lock:
                self._open.pop(number, None)
                self._sent_away.discard(number)
                self._lock.notify_all()

    def _tell(self, number: int, peer: str, **changes: Any) -> None:
        with self._lock:
            before = self._followers.get(number) or ServedFollower(number, peer)
            since = before.since if changes.get("state") == before.state and before.since else time.monotonic()
            after = self._followers[number] = replace(before, **changes, since=since)
            self._forget()
            former = [
                self._open[each.number][1]
                for each in self._followers.values()
                if after.server_id
                and not before.server_id
                and each.server_id == after.server_id
                and each.number != number
                and each.number in self._open
            ]
            self._lock.notify_all()
        for connection in former:
            # As a server does: a receiver that asks anew has left its former connection, whether that noticed or not.
            _shut(connection)
        if after.error and not before.error:
            level = logging.WARNING if after.state == "refused" else logging.INFO
            who = f"the replica with server id {after.server_id}" if after.server_id else "a connection"
            logger.log(level, "The rescue's source and %s at %s: %s", who, peer, after.error)

    def _forget(self) -> None:
        over = [number for number, each in self._followers.items() if each.over]
        for number in over[:-_REMEMBERED]:
            del self._followers[number]

    # the end ---------------------------------------------------------------------------------------------------

    def close(self, seconds: float = 5.0) -> None:
        """Close the doors and every connection, and wait for the threads that long. Harmless when it is closed."""
        with self._lock:
            self._closed.set()
            listeners, self._listeners = self._listeners, []
            connections = [connection for _, connection in self._open.values()]
        for listener in listeners:
            # close alone leaves a thread in accept(2) where it is.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for connection in connections:
            _shut(connection)
        self.catalogue.wake()
        deadline = Deadline(seconds)
        for thread in list(self._threads):
            thread.join(deadline.left)

    def _start(self, work: Any, name: str, *arguments: Any) -> None:
        thread = Thread(target=work, args=arguments, name=f"rescue source: {name}", daemon=True)
        with self._lock:
            self._threads = [each for each in self._threads if each.is_alive()]
            self._threads.append(thread)
        thread.start()


def facing(address: str) -> str:
    """The address of this machine from which packets to that one leave. Raises CannotListen."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        # Connecting a datagram socket asks the routing table and sends nothing.
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            return str(probe.getsockname()[0])
    except OSError as error:
        raise CannotListen(f"no way leads from here to {address}: {error}") from None


def _plain(address: str) -> str:
    return address.removeprefix("::ffff:")


def _shut(connection: Socket) -> None:
    shutdown = getattr(connection, "shutdown", None)
    with contextlib.suppress(OSError, EOFError):
        if shutdown is not None:
            shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError, EOFError):
        connection.close()
