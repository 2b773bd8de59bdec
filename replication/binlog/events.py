"""Events of binary and relay logs: their headers, their types, and the description every log begins with.

Formats: MySQL Internals Manual, "Binary Log Event" (5.6 to 9.x), and MariaDB Knowledge Base, "Replication Protocol"
(10.x, 11.x). All integers are little-endian.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import NamedTuple

from ..errors import LogError

MAGIC = b"\xfebin"
ENCRYPTED_MAGIC = b"\xfdbin"
#: Bytes that stand before an encrypted log of MySQL in its file; MariaDB encrypts each event where it stands.
ENCRYPTED_HEAD = 512
HEADER = 19
CHECKSUM = 4
#: Flags of an event's header.
IN_USE_FLAG = 0x0001
ARTIFICIAL_FLAG = 0x0020
RELAY_LOG_FLAG = 0x0040
IGNORABLE_FLAG = 0x0080

#: timestamp, type, server_id, size, log_pos, flags.
HEADER_FIELDS = struct.Struct("<IBIIIH")


class EventType(IntEnum):
    """Type codes; those from 160 on are MariaDB's."""

    UNKNOWN = 0
    QUERY = 2
    STOP = 3
    ROTATE = 4
    INTVAR = 5
    RAND = 13
    USER_VAR = 14
    FORMAT_DESCRIPTION = 15
    XID = 16
    BEGIN_LOAD_QUERY = 17
    EXECUTE_LOAD_QUERY = 18
    TABLE_MAP = 19
    WRITE_ROWS_V0 = 20
    UPDATE_ROWS_V0 = 21
    DELETE_ROWS_V0 = 22
    WRITE_ROWS_V1 = 23
    UPDATE_ROWS_V1 = 24
    DELETE_ROWS_V1 = 25
    INCIDENT = 26
    HEARTBEAT = 27
    IGNORABLE = 28
    ROWS_QUERY = 29
    WRITE_ROWS = 30
    UPDATE_ROWS = 31
    DELETE_ROWS = 32
    GTID = 33
    ANONYMOUS_GTID = 34
    PREVIOUS_GTIDS = 35
    TRANSACTION_CONTEXT = 36
    VIEW_CHANGE = 37
    XA_PREPARE = 38
    PARTIAL_UPDATE_ROWS = 39
    TRANSACTION_PAYLOAD = 40
    HEARTBEAT_V2 = 41
    GTID_TAGGED = 42
    MARIADB_ANNOTATE_ROWS = 160
    MARIADB_BINLOG_CHECKPOINT = 161
    MARIADB_GTID = 162
    MARIADB_GTID_LIST = 163
    MARIADB_START_ENCRYPTION = 164
    MARIADB_QUERY_COMPRESSED = 165
    MARIADB_WRITE_ROWS_COMPRESSED_V1 = 166
    MARIADB_UPDATE_ROWS_COMPRESSED_V1 = 167
    MARIADB_DELETE_ROWS_COMPRESSED_V1 = 168
    MARIADB_WRITE_ROWS_COMPRESSED = 169
    MARIADB_UPDATE_ROWS_COMPRESSED = 170
    MARIADB_DELETE_ROWS_COMPRESSED = 171


#: Events that belong to a log, not to a transaction.
CONTROL = frozenset(
    {
        EventType.STOP,
        EventType.ROTATE,
        EventType.FORMAT_DESCRIPTION,
        EventType.HEARTBEAT,
        EventType.HEARTBEAT_V2,
        EventType.PREVIOUS_GTIDS,
        EventType.MARIADB_BINLOG_CHECKPOINT,
        EventType.MARIADB_GTID_LIST,
        EventType.MARIADB_START_ENCRYPTION,
    }
)
#: Events that open a transaction and name it, or say that it has no name.
GTIDS = frozenset({EventType.GTID, EventType.ANONYMOUS_GTID, EventType.GTID_TAGGED, EventType.MARIADB_GTID})


class Event(NamedTuple):
    """One event: where it lies in its log, its header, and the beginning and end of its body.

    ``offset`` and ``size`` are bytes. ``log_pos`` is the offset after the event in the log it was first written to: in
    a relay log the source's (0: made up on the way). ``timestamp`` is seconds since the epoch. ``body`` is the body
    without checksum, of a large event only its beginning; ``tail`` the body's last bytes.
    """

    offset: int
    timestamp: int
    type: int
    server_id: int
    size: int
    log_pos: int
    flags: int
    body: bytes
    tail: bytes

    @property
    def end_offset(self) -> int:
        """The offset after its last byte in the log it was read from."""
        return self.offset + self.size

    @property
    def type_name(self) -> str:
        """The type's name, or its code where it is not known."""
        return EventType(self.type).name if self.type in _TYPES else f"TYPE_{self.type}"

    @property
    def artificial(self) -> bool:
        """Made up by a sender on the way, not written to its log."""
        return not self.log_pos or bool(self.flags & ARTIFICIAL_FLAG)


_TYPES = frozenset(int(each) for each in EventType)


def made(
    kind: EventType, server_id: int, body: bytes, *, checksum: bool, pos: int = 0, flags: int = 0, at: int = 0
) -> bytes:
    """A whole event that no server wrote; ``pos`` is the place behind it that it tells, 0 for none, ``at`` its time."""
    size = HEADER + len(body) + (CHECKSUM if checksum else 0)
    event = HEADER_FIELDS.pack(at, kind, server_id, size, pos, flags) + body
    return event + (zlib.crc32(event).to_bytes(CHECKSUM, "little") if checksum else b"")


def named_log(name: str, pos: int, server_id: int, *, checksum: bool) -> bytes:
    """The event by which a source tells which of its logs, from which place on, it sends next."""
    body = struct.pack("<Q", pos) + name.encode("utf-8", "surrogateescape")
    return made(EventType.ROTATE, server_id, body, checksum=checksum, flags=ARTIFICIAL_FLAG)


@dataclass(frozen=True)
class FormatDescription:
    """A log's description of itself: who wrote it, and whether its events carry checksums.

    ``created`` is when its server started, 0 for a log that only continues another; ``raw`` the event as written.
    """

    version: int
    server_version: str
    created: int
    checksum: bool
    in_use: bool
    relay_log: bool
    raw: bytes = field(repr=False, default=b"")

    @property
    def server_id(self) -> int:
        """The id of the server that wrote it; 0 for one that was not read from a log."""
        return int.from_bytes(self.raw[5:9], "little")

    @property
    def mariadb(self) -> bool:
        """Written by MariaDB."""
        return "mariadb" in self.server_version.lower()

    @property
    def vendor(self) -> str:
        """``mysql`` or ``mariadb``."""
        return "mariadb" if self.mariadb else "mysql"

    @property
    def release(self) -> tuple[int, ...]:
        """The version of its server as numbers: (8, 0, 36)."""
        # MariaDB 10 and 11 may put 5.5.5- before their own version (Knowledge Base, "VERSION").
        numbers = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)\.(\d+)", self.server_version)
        return tuple(int(part) for part in numbers.groups()) if numbers else ()

    @property
    def always_gtids(self) -> bool:
        """Whether every transaction is opened by a GTID event, named or anonymous (MySQL 5.7.6, MariaDB 10.0.2)."""
        return self.release >= ((10, 0, 2) if self.mariadb else (5, 7, 6))

    @classmethod
    def parse(cls, raw: bytes) -> FormatDescription:
        """From the whole event with its header. Raises LogError."""
        body = raw[HEADER:]
        if len(raw) < HEADER + 57 + 1 + CHECKSUM or raw[4] != EventType.FORMAT_DESCRIPTION:
            raise LogError("the log does not begin with a format description")
        (version,) = struct.unpack_from("<H", body)
        if version != 4:
            raise LogError(f"the log has format {version}; only format 4 (MySQL 5.0 and newer) can be read")
        (created,) = struct.unpack_from("<I", body, 52)
        flags = int.from_bytes(raw[17:19], "little")
        name = body[2:52].split(b"\0")[0].decode("latin-1")
        in_use, relay = bool(flags & IN_USE_FLAG), bool(flags & RELAY_LOG_FLAG)
        described = cls(version, name, created, False, in_use, relay, raw)
        # Older ones know no checksums, nor the byte that names their kind.
        if described.release and described.release < ((10, 0) if described.mariadb else (5, 6, 1)):
            raise LogError(f"the log was written by {name}; logs older than MySQL 5.6 or MariaDB 10.0 cannot be read")
        algorithm = body[-CHECKSUM - 1]
        if algorithm > 1:
            raise LogError(f"the log's checksum algorithm {algorithm} is not known")
        return replace(described, checksum=algorithm == 1)
