"""Events that a server wrote small, as they were before: MariaDB's `log_bin_compress`, MySQL's transaction payloads.

MariaDB packs by zlib what follows the columns of a row event, or the text of a statement (Knowledge Base, "Compressing
Events to Reduce Size of the Binary Log"). MySQL packs a transaction's events, without checksums, into one, by Zstandard
(MySQL Internals, Transaction_payload_event), which Python has from 3.14 on, and before with the package backports.zstd.
"""

from __future__ import annotations

import importlib
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator

from ..events import CHECKSUM, HEADER, HEADER_FIELDS, Event, EventType
from .row_events import columns_of
from .table_map import lenenc

_ROWS = {
    EventType.MARIADB_WRITE_ROWS_COMPRESSED_V1: EventType.WRITE_ROWS_V1,
    EventType.MARIADB_UPDATE_ROWS_COMPRESSED_V1: EventType.UPDATE_ROWS_V1,
    EventType.MARIADB_DELETE_ROWS_COMPRESSED_V1: EventType.DELETE_ROWS_V1,
    EventType.MARIADB_WRITE_ROWS_COMPRESSED: EventType.WRITE_ROWS,
    EventType.MARIADB_UPDATE_ROWS_COMPRESSED: EventType.UPDATE_ROWS,
    EventType.MARIADB_DELETE_ROWS_COMPRESSED: EventType.DELETE_ROWS,
}
COMPRESSED = frozenset({*_ROWS, EventType.MARIADB_QUERY_COMPRESSED, EventType.TRANSACTION_PAYLOAD})
#: Fields of a payload: the end of them, its compression, its size without.
_END, _METHOD, _SIZE = 0, 2, 3
_ZSTD, _NONE = 0, 255
NO_ZSTD = (
    "its events are compressed (binlog_transaction_compression), which this Python cannot read: install the package "
    "backports.zstd on the manager's host, and say the same again"
)


def plain(events: Iterable[Event], most: int) -> tuple[Event, ...]:
    """These events of one transaction, none of them compressed, of ``most`` bytes. Raises ValueError."""
    found: list[Event] = []
    left = most
    for event in events:
        for each in _plain(event, left) if event.type in COMPRESSED else (event,):
            left -= each.size
            if left < 0:
                raise ValueError(_too_large(most))
            found.append(each)
    return tuple(found)


def _too_large(most: int) -> str:
    return f"its events have more than {most} bytes, compressed as they are"


def _plain(event: Event, most: int) -> Iterator[Event]:
    if event.size - HEADER - len(event.body) > CHECKSUM:
        raise ValueError(f"one compressed event of it has {event.size} bytes")
    try:
        if event.type == EventType.TRANSACTION_PAYLOAD:
            yield from _of_payload(event, most)
        elif event.type == EventType.MARIADB_QUERY_COMPRESSED:
            at = 13 + struct.unpack_from("<H", event.body, 11)[0] + event.body[8] + 1
            yield _made(event, EventType.QUERY, event.body[:at] + _unpacked(event.body[at:], most))
        else:
            kind = _ROWS[EventType(event.type)]
            at = columns_of(kind, event.body)[-1]
            yield _made(event, kind, event.body[:at] + _unpacked(event.body[at:], most))
    except (IndexError, KeyError, struct.error, zlib.error) as error:
        raise ValueError(f"its compressed events are damaged: {error}") from None


def _made(event: Event, kind: int, body: bytes) -> Event:
    return event._replace(type=int(kind), body=body, tail=body[-64:], size=HEADER + len(body))


def _unpacked(data: bytes, most: int) -> bytes:
    """A byte whose last three bits tell how many follow with the size, the greatest first; then zlib's."""
    if data[0] & 0xF0 != 0x80:
        raise ValueError("its events are compressed in a way that is not known")
    begin = 1 + (data[0] & 7)
    return _exactly(int.from_bytes(data[1:begin], "big"), most, zlib.decompressobj().decompress, data[begin:])


def _exactly(size: int, most: int, unpack: Callable[[bytes, int], bytes], data: bytes) -> bytes:
    if size > most:
        raise ValueError(_too_large(most))
    found = unpack(data, size + 1)
    if len(found) != size:
        raise ValueError("its compressed events are damaged: they have another size than they tell")
    return found


def _of_payload(event: Event, most: int) -> Iterator[Event]:
    fields, at = dict[int, int](), 0
    while (field := lenenc(event.body, at))[0] != _END:
        size, begin = lenenc(event.body, field[1])
        at = begin + size
        fields[field[0]] = lenenc(event.body, begin)[0]
    packed = event.body[field[1] :]
    if fields.get(_METHOD) == _NONE:
        data = packed
    elif fields.get(_METHOD) == _ZSTD:
        data = _exactly(fields[_SIZE], most, _zstd, packed)
    else:
        raise ValueError("its events are compressed in a way that is not known")
    at = 0
    while at < len(data):
        timestamp, kind, server_id, size, log_pos, flags = HEADER_FIELDS.unpack_from(data, at)
        if size < HEADER or at + size > len(data):
            raise ValueError("its compressed events are damaged: one ends behind them")
        body = data[at + HEADER : at + size]
        yield Event(event.offset, timestamp, kind, server_id, size, log_pos, flags, body, body[-64:])
        at += size


def _zstd(data: bytes, most: int) -> bytes:
    """At most so many bytes. Raises ValueError."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            zstd = importlib.import_module(name)
        except ImportError:
            continue
        try:
            return bytes(zstd.ZstdDecompressor().decompress(data, most))
        except zstd.ZstdError as error:
            raise ValueError(f"its compressed events are damaged: {error}") from None
    raise ValueError(NO_ZSTD)
