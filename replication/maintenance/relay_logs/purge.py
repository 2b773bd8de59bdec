"""Purge the executed relay logs of replicas that keep them (relay_log_purge=0) for a failover.

With relay_log_purge=1 a server removes relay logs when its applier goes on from one to the next, and only those before
the one that its place is in: nothing that is not executed (design rule 4). So the purge is: set it, begin a new relay
log, and look until the applier has gone on. A stopped applier goes nowhere, and nothing is removed; seen on 5.6, 9.7
and MariaDB 10.11. No file is removed by us but the second names that we gave them.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ...coordination.failover_lock import FAILOVER_LOCK, FailoverLock
from ...deadline import Deadline
from ...errors import AlreadyActing, RefusalError, ServerError, StatementFailed
from ...meter import Meter
from ...model.position import log_index
from ...model.refusal import Refusal
from ...model.state import ReplicaChannel, ServerState
from ...mysql.advisory_locks import may_be_a_manager
from ...mysql.dialects import channel_index
from ...mysql.server import Server
from .files import RelayFiles, Shell

#: Seconds between two looks at a replica, and at most to wait for its applier.
LOOK_EVERY, APPLIER_WAIT = 0.05, 10.0

_WAITERS = (
    "SELECT DISTINCT USER AS user FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND STATE <> '' "
    "AND INFO LIKE CONCAT('SELECT GET_LOCK(''', %s, '%%')"
)


@dataclass(frozen=True)
class Purged:
    """What a purge removed: so many relay logs of so many bytes. ``note`` says why it was not all that was executed."""

    key: str
    name: str
    removed: int
    bytes: int
    seconds: float
    note: str = ""

    def __str__(self) -> str:
        text = f"{self.name}: purged {self.removed} relay logs ({self.bytes} bytes) in {self.seconds:.1f} s"
        return f"{text}; {self.note}" if self.note else text


# deciding --------------------------------------------------------------------------------------------------------


def why_not(state: ServerState) -> Refusal | None:
    """Why a server's relay logs are not purged now, if so. Pure."""

    def no(code: str, sentence: str, remedy: str) -> Refusal:
        return Refusal(code, f"{state.name} {sentence}.", remedy)

    if not state.channels:
        return no("not-a-replica", "replicates from nobody", "Only replicas have relay logs to purge.")
    if state.relay_log_purge:
        return no(
            "purges-itself",
            "has relay_log_purge=1, so it removes what is executed by itself",
            "Set relay_log_purge=0 there and in its my.cnf to keep relay logs for a failover.",
        )
    for channel in state.channels:
        if channel.broken:
            trouble = f"stopped with error {channel.applier_errno}: {channel.applier_error}"
            return no("applier-broken", f"has an applier that {trouble}", "Fix replication there first.")
        if not channel.applier_running:
            return no("applier-stopped", "has a stopped applier", "Nothing is purged before it is executed; start it.")
        if channel.receiver != "Yes":
            return no(
                "source-away",
                f"is not connected to its source {channel.source_host}:{channel.source_port}",
                "If that is dead, a failover may need these relay logs; they stay.",
            )
    return None


# acting ----------------------------------------------------------------------------------------------------------


def purge_replica(
    server: Server,
    shell: Shell,
    stop: threading.Event,
    *,
    workdir: str = "",
    lock_wait: float = 10.0,
    disable_relay_log_purge: bool = False,
) -> Purged:
    """Purge what one replica has executed, holding the failover lock there.

    ``shell`` is one of its host, ``workdir`` where links to its relay logs go (default: beside them). Another command
    that acts on it is waited for ``lock_wait`` seconds; a failover that comes is given way to, and so is ``stop``.
    relay_log_purge is 0 afterwards, whatever happens. ``disable_relay_log_purge``: one that purges by itself is told
    not to, and then is purged. Raises RefusalError, AlreadyActing, ServerError, HostError.
    """
    lock = FailoverLock([server.config])
    _take(lock, server, Deadline(lock_wait), stop)
    try:
        state = server.observe()
        files = [_files(state, channel, shell, workdir) for channel in state.channels]
        # Links are left by a run that was killed, and so is its relay_log_purge=1.
        if state.relay_log_purge and (disable_relay_log_purge or any(each.linked() for each in files)):
            _keep_again(server)
            state = server.observe()
        if refusal := why_not(state):
            raise RefusalError(refusal)
        return _purge(server, state, files, lock, stop)
    finally:
        lock.release()


def _take(lock: FailoverLock, server: Server, deadline: Deadline, stop: threading.Event) -> None:
    while True:
        try:
            if not lock.take(wait_seconds=1):
                raise StatementFailed(server.config.name, "take the failover lock", "it could not be asked for")
            return
        except AlreadyActing:
            if deadline.over or stop.is_set():
                raise


def _purge(
    server: Server, state: ServerState, files: list[RelayFiles], lock: FailoverLock, stop: threading.Event
) -> Purged:
    began = time.monotonic()
    before = [each.sizes() for each in files]
    for sizes, channel in zip(before, state.channels, strict=True):
        if channel.relay_log is None or channel.relay_log.file not in sizes:
            where = f"{channel.relay_log} is not among the relay logs on this host"
            raise StatementFailed(state.name, "find its relay logs", where, hint="is this the server's own host?")
    with _purging(server, state, files, before, lock):
        for channel in state.channels:
            server.query(server.dialect.flush_relay_logs(channel.name), action="begin a new relay log")
        note = _wait(server, state, files, before, stop)
    gone = [sizes[name] for each, sizes in zip(files, before, strict=True) for name in sizes.keys() - set(each.names())]
    return Purged(state.key, state.name, len(gone), sum(gone), time.monotonic() - began, note)


@contextlib.contextmanager
def _purging(
    server: Server, state: ServerState, files: list[RelayFiles], sizes: list[dict[str, int]], lock: FailoverLock
) -> Iterator[None]:
    """While it lasts, the server removes relay logs that its applier has left behind.

    The links are made first and removed last: those of a run that was killed tell the next one what it left.
    """
    try:
        for each, names, channel in zip(files, sizes, state.channels, strict=True):
            each.link([name for name in names if log_index(name) <= _current(channel)])
        server.query("SET GLOBAL relay_log_purge = 1", action="set relay_log_purge")
        yield
    finally:
        _keep_again(server)
        # Giving back the room of many large files may take long, and a failover need not wait for it.
        lock.release()
        for each in files:
            each.drop_links()


def _keep_again(server: Server) -> None:
    """relay_log_purge=0, on a new session: the other may have been left in the middle of an answer."""
    for last in (False, True):
        server.close()
        try:
            server.query("SET GLOBAL relay_log_purge = 0", action="set relay_log_purge back to 0")
            return
        except ServerError:
            if last:
                raise


def _wait(
    server: Server, state: ServerState, files: list[RelayFiles], before: list[dict[str, int]], stop: threading.Event
) -> str:
    """Look until all logs are gone that lie before where the appliers were; why they are not, if so.

    That place is late with parallel appliers, which bring it up to date with the next transaction: a log more stays.
    """
    deadline = Deadline(APPLIER_WAIT)
    going = [
        {name: size for name, size in sizes.items() if log_index(name) < _current(channel)}
        for sizes, channel in zip(before, state.channels, strict=True)
    ]
    with Meter(f"{state.name}: purge relay logs", sum(sum(each.values()) for each in going)) as meter:
        while True:
            names = [each.names() for each in files]
            late = [
                channel.relay_log.file
                for channel, each in zip(state.channels, names, strict=True)
                if channel.relay_log and log_index(each[0]) < log_index(channel.relay_log.file)
            ]
            gone = [sizes[name] for each, sizes in zip(names, going, strict=True) for name in sizes.keys() - set(each)]
            meter.at(sum(gone))
            if not late:
                return ""
            if stop.is_set():
                return "stopped early by a signal"
            waiters = server.query(_WAITERS, (FAILOVER_LOCK,), action="see whether a failover waits")
            if any(may_be_a_manager(server, str(row["user"])) for row in waiters):
                return "stopped early, to give way to another command that acts on the cluster"
            if deadline.over:
                return (
                    f"its applier was still in {', '.join(late)} after {APPLIER_WAIT:g} s, and a server purges when "
                    "that goes on to the next (a replica with a delay is better set to relay_log_purge=1)"
                )
            time.sleep(LOOK_EVERY)


def _current(channel: ReplicaChannel) -> int:
    """The number of the relay log that the applier is in."""
    return log_index(channel.relay_log.file) if channel.relay_log else 0


def _files(state: ServerState, channel: ReplicaChannel, shell: Shell, workdir: str) -> RelayFiles:
    if not state.relay_log_basename:
        raise StatementFailed(state.name, "find its relay logs", "it does not tell relay_log_basename")
    return RelayFiles(shell, channel_index(state.relay_log_basename, channel.name), state.datadir, workdir)
