"""The events of a binary log, as far as transactions can be told from them.

Formats: MySQL Internals Manual, "Binary Log Event" (5.6 to 9.x), and MariaDB Knowledge Base, "Replication Protocol"
(10.x, 11.x). All integers are little-endian.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from enum import IntEnum

from replication.errors import LogError
from replication.gtid import Gtid, MariadbGtid

MAGIC = b"\xfebin"
ENCRYPTED_MAGIC = b"\xfdbin"
HEADER = 19
CHECKSUM = 4
IN_USE_FLAG = 0x0001

_HEADER = struct.Struct("<IBIIIH")


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
    INCIDENT = 26
    HEARTBEAT = 27
    IGNORABLE = 28
    ROWS_QUERY = 29
    GTID = 33
    ANONYMOUS_GTID = 34
    PREVIOUS_GTIDS = 35
    XA_PREPARE = 38
    TRANSACTION_PAYLOAD = 40
    HEARTBEAT_V2 = 41
    GTID_TAGGED = 42
    MARIADB_ANNOTATE_ROWS = 160
    MARIADB_BINLOG_CHECKPOINT = 161
    MARIADB_GTID = 162
    MARIADB_GTID_LIST = 163
    MARIADB_START_ENCRYPTION = 164
    MARIADB_QUERY_COMPRESSED = 165


#: Events that belong to a file, not to a transaction.
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
    }
)
#: Events that open a transaction.
GTIDS = frozenset({EventType.GTID, EventType.ANONYMOUS_GTID, EventType.GTID_TAGGED, EventType.MARIADB_GTID})


@dataclass(frozen=True)
class Header:
    """The first 19 bytes of every event. ``log_pos`` is its end in the log it was first written to (0: artificial)."""

    timestamp: int
    type: int
    server_id: int
    size: int
    log_pos: int
    flags: int

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """From exactly 19 bytes."""
        return cls(*_HEADER.unpack(data))


@dataclass(frozen=True)
class Event:
    """One event in a log: where it lies, its header, and the beginning and end of its body.

    ``body`` is the whole body without checksum up to the reader's limit, then its beginning; ``tail`` its last bytes.
    """

    offset: int
    header: Header
    body: bytes
    tail: bytes

    @property
    def end(self) -> int:
        """The offset after its last byte."""
        return self.offset + self.header.size

    @property
    def type(self) -> int:
        """The type code."""
        return self.header.type


@dataclass(frozen=True)
class FormatDescription:
    """A log's own description: who wrote it, and whether its events carry checksums."""

    server_version: str
    checksum: bool
    in_use: bool

    @property
    def mariadb(self) -> bool:
        """Written by MariaDB."""
        return "mariadb" in self.server_version.lower()

    @classmethod
    def parse(cls, header: Header, body_with_checksum: bytes) -> FormatDescription:
        """From the body, including the checksum algorithm and the checksum at its end. Raises LogError."""
        if header.type != EventType.FORMAT_DESCRIPTION or len(body_with_checksum) < 57 + CHECKSUM + 1:
            raise LogError("the log does not begin with a format description")
        (version,) = struct.unpack_from("<H", body_with_checksum)
        if version != 4:
            raise LogError(f"the log has format {version}; only format 4 (MySQL 5.0 and newer) can be read")
        name = body_with_checksum[2:52].split(b"\0")[0].decode("latin-1")
        algorithm = body_with_checksum[-CHECKSUM - 1]
        if algorithm not in (0, 1):
            raise LogError(f"the log's checksum algorithm {algorithm} is not known")
        return cls(name, algorithm == 1, bool(header.flags & IN_USE_FLAG))


def gtid_of(event: Event) -> Gtid | MariadbGtid | None:
    """The transaction's name in the event that opens it; None for an anonymous one. Raises LogError."""
    body = event.body
    try:
        if event.type == EventType.GTID:
            (number,) = struct.unpack_from("<q", body, 17)
            return Gtid(str(uuid.UUID(bytes=body[1:17])), number)
        if event.type == EventType.GTID_TAGGED:
            return _tagged(body)
        if event.type == EventType.MARIADB_GTID:
            seq, domain = struct.unpack_from("<QI", body)
            return MariadbGtid(domain, event.header.server_id, seq)
    except (struct.error, ValueError, IndexError) as error:
        raise LogError(f"the GTID event at {event.offset} cannot be read: {error}") from None
    return None


def is_standalone(event: Event) -> bool:
    """Whether MariaDB's GTID event announces a single statement without COMMIT (flags standalone, completed XA)."""
    return bool(event.body[12] & (0x01 | 0x80))


def query_text(event: Event) -> tuple[bytes, bytes]:
    """The beginning and the end of a query's text. Raises LogError."""
    try:
        db_length, _, status_length = struct.unpack_from("<BHH", event.body, 8)
    except struct.error:
        raise LogError(f"the query event at {event.offset} is too short") from None
    begin = 13 + status_length + db_length + 1
    return event.body[begin : begin + 64], event.tail


def table_name(event: Event) -> str:
    """``database.table`` of a table map."""
    body = event.body
    length = body[8]
    database = body[9 : 9 + length]
    at = 9 + length + 1
    return f"{database.decode('utf-8', 'replace')}.{body[at + 1 : at + 1 + body[at]].decode('utf-8', 'replace')}"


def _tagged(body: bytes) -> Gtid:
    """MySQL 8.3's serialised GTID event: varints of which the trailing ones of the first byte tell the length."""
    at = 0

    def number() -> int:
        nonlocal at
        first = body[at]
        extra = 0
        while extra < 8 and first >> extra & 1:
            extra += 1
        raw = int.from_bytes(body[at : at + extra + 1], "little")
        at += extra + 1
        return raw >> (extra + 1) if extra < 8 else raw >> 8

    def signed() -> int:
        value = number()
        return value >> 1 if not value & 1 else -(value >> 1) - 1

    number(), number(), number()  # version, size, the last field that must be understood
    found: dict[int, object] = {}
    while at < len(body) and len(found) < 4:
        field = number()
        if field == 0:
            found[0] = number()
        elif field == 1:
            found[1] = bytes(number() for _ in range(16))
        elif field == 2:
            found[2] = signed()
        elif field == 3:
            length = number()
            found[3] = body[at : at + length].decode("ascii")
            at += length
        else:
            break
    identity, sequence = found.get(1), found.get(2)
    if not isinstance(identity, bytes) or not isinstance(sequence, int):
        raise ValueError("it names no transaction")
    return Gtid(str(uuid.UUID(bytes=identity)), sequence, str(found.get(3, "")))
