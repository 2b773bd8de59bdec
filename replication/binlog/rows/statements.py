"""Row events as statements that a client session executes: BINLOG, which takes them as a server's log has them."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator

from ..events import CHECKSUM, IN_USE_FLAG, EventType, FormatDescription, made
from .changes import Changes
from .row_events import RowEvent, body_of, inverse


def described_first(described: FormatDescription) -> str:
    """What a session has to be told before: how the events that follow are written."""
    raw = described.raw
    unused = raw[:17] + bytes([raw[17] & ~IN_USE_FLAG]) + raw[18:-CHECKSUM]
    return _binlog(unused + zlib.crc32(unused).to_bytes(CHECKSUM, "little"))


def redone(changes: Changes, server_id: int, now: int) -> Iterator[str]:
    """One statement for each row event; ``server_id`` is whose the rows are to be, ``now`` seconds since the epoch."""
    for event, table in zip(changes.events, changes.maps, strict=True):
        yield _statement(event, table, changes.format, server_id, now)


def undone(changes: Changes, server_id: int, now: int) -> Iterator[str]:
    """What takes the transaction back: its row events in the other order, each turned round.

    Raises ValueError where an image lacks columns.
    """
    for event, table in reversed(tuple(zip(changes.events, changes.maps, strict=True))):
        yield _statement(inverse(event), table, changes.format, server_id, now)


def largest(changes: Changes) -> int:
    """Bytes of the longest of these statements, or a few more: what `max_allowed_packet` has to let through."""
    sizes = (len(body_of(event)) + len(table) for event, table in zip(changes.events, changes.maps, strict=True))
    return max(sizes, default=0) * 4 // 3 + 1024


def _statement(event: RowEvent, table: bytes, described: FormatDescription, server_id: int, now: int) -> str:
    checksum = described.checksum
    parts = ((EventType.TABLE_MAP, table), (event.type, body_of(event)))
    return _binlog(*(made(kind, server_id, body, checksum=checksum, at=now) for kind, body in parts))


def _binlog(*events: bytes) -> str:
    return "BINLOG '\n" + "\n".join(base64.b64encode(event).decode("ascii") for event in events) + "\n'"
