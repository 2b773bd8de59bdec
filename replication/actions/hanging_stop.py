"""A receiver that is stopped while it waits for somebody who does not speak: its STOP waits for that to end.

- MariaDB 11 waits for an attempt to connect to a dark host, which takes up to ``slave_net_timeout`` (60 s by default).
  A KILL of the thread does not end it (tried on 11.8.9, with packets that vanish).
- Every version waits for a login that is never answered: who listens on a dead primary's port may stall it. STOP wakes
  the thread each 2 s, and its read goes on ``net_retry_count`` times (20 to 22 s measured on 5.6 and 10.11; 11.8 waits
  for ``slave_net_timeout`` again). A KILL of the thread ends that within 2 s on 10.11, and not on 5.6 nor on 11.8.

Closing the socket ends either at once, which takes root on the replica's own host.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator
from enum import StrEnum

from ...config import ServerConfig
from ..errors import DeadlineExceeded, HostError, ServerError
from ..fencing.kill import Present
from ..model.state import ReplicaChannel
from ..mysql.dialects.appliers import is_receiver
from ..mysql.server import Row, Server
from ..ssh.host import SshHost
from ..ssh.rights import as_root
from ..threads import Thread

log = logging.getLogger("mha")

#: Seconds after which a STOP is taken to hang, and between two attempts to free it.
HANGS_AFTER, AGAIN = 0.3, 0.5
#: Seconds for the command on the replica's host, and those that a STOP may take beyond what it waits for.
CLOSING, BEYOND = 5.0, 5.0
#: Seconds between two times that STOP wakes its thread (sql/slave.cc, terminate_slave_thread).
WAKES_EVERY = 2.0
#: Seconds that a login is waited for at most, whatever ``net_retry_count`` and ``slave_net_timeout`` say.
LOGIN_AT_MOST = 60.0
#: Seconds for which what the old primary's host showed counts.
FRESH = 1.0


class Closes(StrEnum):
    """Which sockets of a replica's host to its source's port are closed; the values are the helper's words."""

    ATTEMPTS = "close"
    SESSIONS = "part"

    @property
    def states(self) -> str:
        """Of TCP, as ss calls them."""
        return "state syn-sent" if self is Closes.ATTEMPTS else "state syn-sent state established"


def may_close(seen: Present | None) -> Closes:
    """Sessions only where the old primary's host shows that it does not run; what is not connected yet is nobody's.

    ``seen`` is what that host showed just now, None where it could not tell.
    """
    return Closes.SESSIONS if seen is not None and not seen.runs else Closes.ATTEMPTS


class DeadHost:
    """What the host of a dead primary shows of it: asked when a STOP hangs, once for all replicas of a moment.

    ``somebody_else``: it has shown that somebody else listens there, so it is asked at once; it may be dark otherwise.
    """

    def __init__(self, ask: Callable[[], Present], *, somebody_else: bool = False) -> None:
        self._ask, self._lock, self.somebody_else = ask, threading.Lock(), somebody_else
        self._seen: Present | None = None
        self._at, self._blind = 0.0, False

    def seen(self) -> Present | None:
        """None where it could not tell; a host that could not is not asked again."""
        with self._lock:
            if self._blind or (self._at and time.monotonic() - self._at < FRESH):
                return self._seen
            try:
                self._seen = self._ask()
            except (HostError, DeadlineExceeded) as error:
                log.debug("%s", error)
                self._seen, self._blind = None, True
            self._at = time.monotonic()
            return self._seen


def stop_within(server: Server, channel: ReplicaChannel, usual: float, *, may_hang: bool) -> float:
    """Seconds that a STOP of that receiver may take: ``usual``, or as long as what it waits for may.

    ``may_hang``: who listens on its source's port may be somebody else, to whom it logs in.
    """
    waits = channel.receiver == "Connecting" or may_hang
    action, limits = "see how long its receiver may wait", [usual]
    if waits and server.dialect.stop_waits_for_connecting:
        attempt = float(server.scalar("SELECT @@GLOBAL.slave_net_timeout", action=action) or 0)
        limits.append(min(attempt, LOGIN_AT_MOST) + BEYOND)
    if waits:
        reads = int(server.scalar("SELECT @@GLOBAL.net_retry_count", action=action) or 0)
        limits.append(min(WAKES_EVERY * reads, LOGIN_AT_MOST) + BEYOND)
    return max(limits)


@contextlib.contextmanager
def freed(server: Server, channel: ReplicaChannel, host: SshHost | None, old: DeadHost | None = None) -> Iterator[None]:
    """While it lasts, what a STOP waits for is ended on the replica's own ``host``, or by a KILL of its receiver.

    Only sockets to the channel's source are closed: what is not connected yet, and what is only where ``old`` shows
    that the one it was connected to does not run (`may_close`).
    """
    connects = channel.receiver == "Connecting" and server.dialect.stop_waits_for_connecting
    if not connects and old is None:
        yield
        return
    over = threading.Event()
    beside = Thread(target=_free, args=(server, channel, host, old, over), name="free a receiver", daemon=True)
    beside.start()
    try:
        yield
    finally:
        over.set()


def _free(
    server: Server, channel: ReplicaChannel, host: SshHost | None, old: DeadHost | None, over: threading.Event
) -> None:
    if over.wait(HANGS_AFTER):
        return
    log.warning("%s: its receiver waits for %s, which is silent; ending that wait.", server, channel.source_host)
    ask = old is not None and old.somebody_else
    with contextlib.closing(Server(server.config)) as beside:
        while True:
            why = _close(channel, server.config, host, may_close(old.seen() if old is not None and ask else None))
            if over.wait(AGAIN):
                return
            if why and (nor := _kill(beside, over)):
                log.warning("%s; %s; its STOP ends when the receiver gives up.", why, nor)
                return
            ask = True


def _close(channel: ReplicaChannel, replica: ServerConfig, host: SshHost | None, closes: Closes) -> str:
    """Why it could not be done, in words; empty where it was."""
    if host is None:
        return f"{replica.name}: its host is not asked"
    try:
        command = closing_command(channel, replica, closes)
        host.run(command, action="end what its receiver waits for", timeout=CLOSING)
    except (HostError, DeadlineExceeded, OSError) as error:
        return str(error)
    return ""


def _kill(server: Server, over: threading.Event) -> str:
    """End the one receiver that runs there, whose STOP was asked for. Why it could not be done, in words.

    Not where there are other channels: once the STOP is done, the one that is left is another's.
    """
    action = "end the receiver that is being stopped"
    try:
        rows = server.query("SHOW PROCESSLIST", action=action)
        if not server.dialect.kill_ends_a_login:
            return "a KILL of its receiver does not help there"
        if len(server.observe().channels) != 1:
            return "it has several channels, and nothing tells which receiver is meant"
        threads = [row["Id"] for row in rows if row["User"] == "system user" and _receives(row)]
        if len(threads) != 1:
            return f"{len(threads)} receivers run there"
        if not over.is_set():
            server.query(f"KILL {int(threads[0])}", action=action)
    except ServerError as error:
        return str(error)
    return ""


def _receives(row: Row) -> bool:
    return is_receiver(str(row["Command"] or ""), str(row["State"] or ""))


def closing_command(channel: ReplicaChannel, replica: ServerConfig, closes: Closes = Closes.ATTEMPTS) -> str:
    """Close what that host has with the source's port, and nothing else; needs root, his helper on the replica's host,
    or sudo for ss.

    ss of older iproute2 exits with 0 whether or not it closed anything. Raises OSError for a name without address.
    """
    found = socket.getaddrinfo(channel.source_host, channel.source_port, type=socket.SOCK_STREAM)
    commands = []
    for address in dict.fromkeys(str(each[4][0]) for each in found):
        there = shlex.quote(f"[{address}]" if ":" in address else address)
        close = f"$sudo ss -K -t {closes.states} dst {there} dport = :{channel.source_port}"
        words = f"{closes} {there} {channel.source_port}"
        commands.append(f"({as_root(replica, words, close)}) || exit 1")
    sudo = "sudo=; [ \"$(id -u)\" = 0 ] || sudo='sudo -n'"
    return f"PATH=$PATH:/usr/sbin:/sbin; {sudo}; {'; '.join(commands)}"
