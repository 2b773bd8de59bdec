"""Whether a log is the dead primary's: proven before a byte of it is copied, served, or applied.

Names prove nothing: every server calls its logs mysql-bin.NUMBER, several may share a host, and a directory may hold
those of a former life. What proves is what a server writes into its logs: its id, its UUID in the transactions it
began, and that what the replicas received ends where an event of the log ends.
"""

from __future__ import annotations

import posixpath
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from ...config import ServerConfig
from ..binlog import event_bodies as bodies
from ..binlog.events import (
    CHECKSUM,
    GTIDS,
    HEADER,
    HEADER_FIELDS,
    MAGIC,
    Event,
    FormatDescription,
)
from ..binlog.reader import LogFile, LogReader
from ..errors import LogError
from ..model.gtid import Gtid
from ..model.state import ServerState
from ..ssh.host import SshHost

#: Bytes that are looked at of a log's head, and of an event to prove a place: they may come over SFTP.
_LOOK = 4096
#: The longest event that is looked for at a relay log's end.
_WINDOW = 64 * 1024


@dataclass(frozen=True)
class Received:
    """The last event that a replica received of a log: the place behind it there, and its bytes."""

    file: str
    end: int
    event: bytes


@dataclass(frozen=True)
class ExpectedIdentity:
    """What is known of the server whose logs are wanted; what is not known (0, empty) proves and refutes nothing.

    ``named`` are the directories it named while it lived; ``foreign`` the basenames (directory and name) of the logs of
    other configured servers on its host, whose logs are never its own. ``received`` is the last event that a replica
    received from it.
    """

    server_id: int = 0
    uuid: str = ""
    named: tuple[str, ...] = ()
    foreign: frozenset[str] = frozenset()
    received: Received | None = None

    def owns(self, directory: str, first: str) -> bool:
        """Whether a log called so may be its own there; not where another server keeps those it calls alike."""
        here = posixpath.join(_plain(directory), first.rpartition(".")[0])
        return here not in self.foreign


@dataclass(frozen=True)
class LogIdentity:
    """What a log says of itself. ``place`` tells whether a transaction can begin at the place asked about.

    ``place``: begins (an event does), beyond (the log ends before it or there), inside (none can begin there), unknown.
    ``uuid`` is that of the transaction which begins there, if its server wrote it itself.
    """

    described: FormatDescription
    server_id: int
    place: str = "unknown"
    uuid: str = ""


def known_of(
    dead: ServerConfig,
    states: Sequence[ServerState],
    named: tuple[str, ...] = (),
    said: tuple[int, str] = (0, ""),
    *,
    doubted: bool = False,
) -> ExpectedIdentity:
    """What its replicas and its neighbours tell of a dead server; ``named`` are directories it named. Pure.

    ``said`` is who it was by its own word while it lived. Of those who contradict each other nothing is believed: the
    replicas have asked whoever listens on its port since. ``doubted``: somebody else does, and they are not believed.
    """
    channels = [state.channel_from(dead.hostname, dead.ip, dead.port) for state in states]
    if not any(channels):
        # A failover that was interrupted had turned all of them to what it saved: that names the server it is of.
        channels = [state.rescued_channel for state in states]
    told = {(c.source_server_id, c.source_uuid) for c in channels if c is not None and c.source_server_id}
    if doubted:
        told.clear()
    if said[0]:
        told.add(said)
    server_id, uuid = next(iter(told)) if len(told) == 1 else (0, "")
    foreign = frozenset(
        posixpath.join(_plain(posixpath.dirname(state.log_bin_basename)), posixpath.basename(state.log_bin_basename))
        for state in states
        if state.key != dead.address and state.key.rpartition(":")[0] == dead.ip and state.log_bin_basename
    )
    return ExpectedIdentity(server_id, uuid, named, foreign)


def refuted(seen: LogIdentity, whose: ExpectedIdentity) -> str:
    """Why a log is not that server's; empty when nothing speaks against it. Pure."""
    if seen.described.relay_log:
        return "it is a relay log"
    if whose.server_id and seen.server_id != whose.server_id:
        return f"the server with id {seen.server_id} wrote it, not that with {whose.server_id}"
    if whose.uuid and seen.uuid and seen.uuid != whose.uuid:
        return f"the server {seen.uuid} wrote it, not {whose.uuid}"
    if seen.place == "inside":
        return "no event begins in it where the replicas stand"
    return ""


def look(stream: BinaryIO, name: str, size: int, pos: int | None = None) -> LogIdentity:
    """Read a log's head, and what lies at ``pos``. Raises LogError when it has no head to read."""
    reader = LogReader(stream, name=name, size=min(size, _LOOK))
    number = reader.format.server_id
    if pos is None:
        return LogIdentity(reader.format, number)
    if pos < reader.format_end:
        return LogIdentity(reader.format, number, "begins" if pos == len(MAGIC) else "inside")
    if pos >= size:
        return LogIdentity(reader.format, number, "beyond")
    stream.seek(pos)
    place, uuid = _event_at(stream.read(min(_LOOK, size - pos)), pos, size - pos, reader.format, number)
    return LogIdentity(reader.format, number, place, uuid)


def _event_at(data: bytes, pos: int, left: int, described: FormatDescription, own: int) -> tuple[str, str]:
    if len(data) < HEADER:
        return "beyond", ""
    timestamp, kind, server_id, size, log_pos, flags = HEADER_FIELDS.unpack_from(data)
    trailer = CHECKSUM if described.checksum else 0
    if not any(data[:HEADER]):
        return "beyond", ""  # space that was allocated when the host lost its power
    # Positions are of 32 bits. What begins a transaction always names its end, whatever MariaDB leaves out within one.
    if size < HEADER + trailer or log_pos != (pos + size) & 0xFFFFFFFF:
        return "inside", ""
    if size > left or kind not in GTIDS or server_id != own:
        return "begins", ""
    body = data[HEADER : size - trailer]
    try:
        gtid = bodies.gtid(Event(pos, timestamp, kind, server_id, size, log_pos, flags, body, body[-64:]))
    except ValueError:
        return "inside", ""
    return "begins", gtid.uuid if isinstance(gtid, Gtid) else ""


# the last common event ---------------------------------------------------------------------------------------------


def last_event_received(host: SshHost, state: ServerState, dead: ServerConfig) -> Received | None:
    """The last event that a replica executed of what it received from the dead primary, out of its relay logs.

    None where they do not tell. Raises HostError's children.
    """
    channel = state.channel_from(dead.hostname, dead.ip, dead.port)
    if channel is None or channel.executed is None or channel.relay_log is None or not state.relay_log_basename:
        return None
    path = posixpath.join(posixpath.dirname(state.relay_log_basename), channel.relay_log.file)
    end = channel.relay_log.pos
    with host.open(path, links=False) as stream:
        stream.seek(max(0, end - _WINDOW))
        event = event_before(stream.read(min(_WINDOW, end)), channel.executed.pos)
    return Received(channel.executed.file, channel.executed.pos, event) if event is not None else None


def event_before(data: bytes, end: int) -> bytes | None:
    """The event that these bytes of a relay log end with, when its source numbered its end so; else None. Pure."""
    wanted = struct.pack("<I", end & 0xFFFFFFFF)
    at = data.rfind(wanted)
    while at >= 0:
        begin = at - 13
        if 0 <= begin <= len(data) - HEADER and HEADER_FIELDS.unpack_from(data, begin)[3] == len(data) - begin:
            return data[begin:]
        at = data.rfind(wanted, 0, at + 3)
    return None


def continues(log: LogFile, received: Received) -> bool | None:
    """Whether the log holds, at that place, the very event that the replica received; None when it does not tell.

    Raises LogError, OSError, RemoteFileError.
    """
    size = len(received.event)
    if received.end > log.size or log.name != received.file or received.end < size:
        return None
    with log.open() as stream:
        checksum = LogReader(stream, name=log.name, size=min(log.size, _LOOK)).format.checksum
        stream.seek(received.end - size)
        return same_event(stream.read(size), received.event, checksum)


def same_event(ours: bytes, theirs: bytes, checksum: bool) -> bool | None:
    """Whether two copies of an event say the same: flags and the checksum over them may differ. Pure.

    None where that cannot be told: only one of them carries a checksum, or the disk lost what was there.
    """
    if not any(ours) or len(ours) < HEADER + CHECKSUM or ours[9:13] != theirs[9:13]:
        sizes = (int.from_bytes(each[9:13], "little") for each in (ours, theirs))
        return None if not any(ours) or abs(next(sizes) - next(sizes)) == CHECKSUM else False
    end = len(ours) - (CHECKSUM if checksum else 0)
    return ours[:17] == theirs[:17] and ours[19:end] == theirs[19:end]


def prove(logs: Sequence[LogFile], whose: ExpectedIdentity, received: Received | None) -> None:
    """Refuse what is not that server's log, or not the one the replica received from. Raises LogError."""
    for log in logs:
        with log.open() as stream:
            if why := refuted(look(stream, log.name, log.size), whose):
                raise LogError(f"{log.name} is not the log of the dead primary: {why}")
        if received is not None and received.file == log.name and continues(log, received) is False:
            raise LogError(
                f"{log.name} is not the log that the replicas received: the last event they have, which ends at "
                f"{received.end}, is another one there"
            )


def _plain(directory: str) -> str:
    return directory.rstrip("/") or "/"
