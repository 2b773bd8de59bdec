"""What the bodies of a few events say: which transaction, which statement, which table, which log.

Every function takes an `Event` and raises ValueError when its body is not what its type promises.
"""

from __future__ import annotations

import functools
import re
import struct
import uuid
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from ..model.gtid import Gtid, GtidSet, MariadbGtid, MariadbGtidPosition
from ..model.position import BinlogPosition
from .events import Event, EventType

T = TypeVar("T")

#: Flags of MariaDB's GTID event (Knowledge Base, GTID_EVENT).
_STANDALONE, _GROUP_COMMIT, _PREPARED_XA, _COMPLETED_XA = 0x01, 0x02, 0x40, 0x80
#: Its second flags, from 10.8 on.
_START_ALTER, _ROLLBACK_ALTER = 0x02, 0x08
_QUERY_HEAD = struct.Struct("<BHH")
_TEXT = 256
#: The columns of a sequence: six numbers, whether it begins again, how often it did.
_SEQUENCE = bytes([8] * 6 + [1, 8])

_NAME = rb"((?:`(?:[^`]|``)+`|[\w$]+)(?:\s*\.\s*(?:`(?:[^`]|``)+`|[\w$]+))?)"
_STATEMENT = re.compile(
    rb"\s*(?:/\*.*?\*/\s*)*(?:"
    rb"(?:INSERT|REPLACE)\s+(?:(?:LOW_PRIORITY|DELAYED|HIGH_PRIORITY|IGNORE)\s+)*(?:INTO\s+)?"
    rb"|UPDATE\s+(?:(?:LOW_PRIORITY|IGNORE)\s+)*"
    rb"|DELETE\s+(?:(?:LOW_PRIORITY|QUICK|IGNORE)\s+)*FROM\s+"
    rb"|(?:CREATE|ALTER|DROP|TRUNCATE)\s+(?:OR\s+REPLACE\s+)?(?:TEMPORARY\s+)?(?:TABLE\s+)(?:IF\s+(?:NOT\s+)?EXISTS\s+)?"
    rb")" + _NAME,
    re.IGNORECASE | re.DOTALL,
)


def _readable(parse: Callable[[Event], T]) -> Callable[[Event], T]:
    """Every way in which damaged bytes can fail to parse becomes a ValueError that names the event."""

    @functools.wraps(parse)
    def wrapper(event: Event) -> T:
        try:
            return parse(event)
        except (struct.error, IndexError, ValueError, OverflowError) as error:
            raise ValueError(f"the {event.type_name} event cannot be read: {error}") from None

    return wrapper


class Query(NamedTuple):
    """A statement: its database, the beginning of its text, and the end of it."""

    database: bytes
    text: bytes
    tail: bytes


@_readable
def gtid(event: Event) -> Gtid | MariadbGtid | None:
    """The transaction that a GTID event opens; None for an anonymous one."""
    body = event.body
    if event.type == EventType.GTID:
        (number,) = struct.unpack_from("<q", body, 17)
        return Gtid(_uuid(body[1:17]), number)
    if event.type == EventType.GTID_TAGGED:
        return _tagged(body)
    if event.type == EventType.MARIADB_GTID:
        seq, domain = struct.unpack_from("<QI", body)
        return MariadbGtid(domain, event.server_id, seq)
    return None


@_readable
def is_standalone(event: Event) -> bool:
    """Whether MariaDB's GTID event announces a single statement that no COMMIT follows."""
    return bool(event.body[12] & (_STANDALONE | _COMPLETED_XA))


@_readable
def is_half_alter(event: Event) -> bool:
    """Whether MariaDB's GTID event announces the beginning, or the undoing, of an ALTER logged in two phases."""
    body, flags = event.body, event.body[12]
    at = 13 + (8 if flags & _GROUP_COMMIT else 0)
    if flags & (_PREPARED_XA | _COMPLETED_XA):
        at += 6 + body[at + 4] + body[at + 5]
    return at < len(body) and bool(body[at] & (_START_ALTER | _ROLLBACK_ALTER))


@_readable
def query(event: Event) -> Query:
    """The statement of a query event."""
    database, _, status = _QUERY_HEAD.unpack_from(event.body, 8)
    begin = 13 + status
    text = begin + database + 1
    if text > len(event.body):
        raise ValueError("it is too short")
    return Query(event.body[begin : begin + database], event.body[text : text + _TEXT], event.tail)


@_readable
def whole_statement(event: Event) -> bytes:
    """All of the text of a query event whose body was kept whole."""
    database, _, status = _QUERY_HEAD.unpack_from(event.body, 8)
    return event.body[13 + status + database + 1 :]


def table_of(statement: Query) -> str:
    """``database.table`` that a statement changes, as far as its beginning tells; else an empty text."""
    found = _STATEMENT.match(statement.text)
    if found is None:
        return ""
    name = re.sub(rb"\s*\.\s*", b".", found[1]).replace(b"`", b"").decode("utf-8", "replace")
    return name if "." in name else f"{statement.database.decode('utf-8', 'replace')}.{name}"


@_readable
def table_map(event: Event) -> str:
    """``database.table`` of a table map."""
    body = event.body
    at = 9 + body[8] + 1
    return _table_name(body[8 : at + 1 + body[at]])


@_readable
def may_be_sequence(event: Event) -> bool:
    """Whether a table map is that of one of MariaDB's sequences, as far as the types of its columns tell."""
    body = event.body
    at = 9 + body[8] + 1
    at += 1 + body[at] + 1
    return body[at : at + 1 + len(_SEQUENCE)] == bytes([len(_SEQUENCE)]) + _SEQUENCE


@functools.lru_cache(maxsize=1024)
def _table_name(names: bytes) -> str:
    length = names[0]
    database, table = names[1 : 1 + length], names[1 + length + 2 :]
    return f"{database.decode('utf-8', 'replace')}.{table.decode('utf-8', 'replace')}"


@_readable
def rotate(event: Event) -> BinlogPosition:
    """The log and offset that come next."""
    (pos,) = struct.unpack_from("<Q", event.body)
    name = event.body[8:].decode("utf-8", "replace")
    if not name:
        raise ValueError("it names no log")
    return BinlogPosition(name, pos)


@_readable
def previous_gtids(event: Event) -> GtidSet:
    """What was executed before this log (MySQL)."""
    body = event.body
    (head,) = struct.unpack_from("<Q", body)
    # With tags (8.3 and newer) the first and last byte both hold the format 1, and the count lies between them.
    tagged = head >> 56 == 1
    count = head >> 8 & 0xFFFFFFFFFFFF if tagged else head
    at = 8
    ranges: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for _ in range(count):
        source, tag = _uuid(body[at : at + 16]), ""
        at += 16
        if tagged:
            length = body[at] >> 1
            tag = body[at + 1 : at + 1 + length].decode("ascii")
            at += 1 + length
        (intervals,) = struct.unpack_from("<Q", body, at)
        at += 8
        for _ in range(intervals):
            ranges.setdefault((source, tag), []).append(struct.unpack_from("<QQ", body, at))
            at += 16
    return GtidSet.of_ranges(ranges)


@_readable
def gtid_list(event: Event) -> MariadbGtidPosition:
    """How far every domain was before this log (MariaDB)."""
    (count,) = struct.unpack_from("<I", event.body)
    entries = [struct.unpack_from("<IIQ", event.body, 4 + 16 * number) for number in range(count & 0x0FFFFFFF)]
    return MariadbGtidPosition(MariadbGtid(*entry) for entry in entries)


@_readable
def is_one_phase(event: Event) -> bool:
    """Whether an XA_PREPARE event commits at once."""
    return bool(event.body[0])


@functools.lru_cache(maxsize=1024)
def _uuid(data: bytes) -> str:
    return str(uuid.UUID(bytes=data))


def _tagged(body: bytes) -> Gtid:
    """MySQL 8.3's serialised GTID event: fields by number, integers of which the first byte's trailing ones tell the
    length (mysql/serialization in the server's source)."""
    at = 0

    def number() -> int:
        nonlocal at
        first = body[at]
        extra = 0
        while extra < 8 and first >> extra & 1:
            extra += 1
        if at + extra >= len(body):
            raise IndexError("it ends within a number")
        raw = int.from_bytes(body[at : at + extra + 1], "little")
        at += extra + 1
        return raw >> min(extra + 1, 8)

    for _ in range(3):  # format, size, last field that must be understood
        number()
    identity, sequence, tag = b"", 0, ""
    while at < len(body):
        field = number()
        if field == 0:
            number()
        elif field == 1:
            identity = bytes(number() for _ in range(16))
        elif field == 2:
            signed = number()
            sequence = signed >> 1 if not signed & 1 else -(signed >> 1) - 1
        elif field == 3:
            length = number()
            tag = body[at : at + length].decode("ascii")
            at += length
        else:
            break
    if len(identity) != 16 or sequence < 1:
        raise ValueError("it names no transaction")
    return Gtid(_uuid(identity), sequence, tag)
