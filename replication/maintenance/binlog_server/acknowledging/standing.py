"""What a copy holds for sure: where its last whole event begins and ends.

A copy may end in the middle of an event, when this host or this program died, or with zeros, when the file system kept
its length and lost its bytes. What follows the last whole event is no copy of anything; the server sends it again.
"""

from __future__ import annotations

import mmap
import zlib
from dataclasses import dataclass
from pathlib import Path

from ....binlog.events import CHECKSUM, HEADER, HEADER_FIELDS, MAGIC, EventType, FormatDescription
from ....errors import LogError

#: Bytes at a copy's end whose checksums are looked at: all that was written since it was synced lies there.
SUMMED = 64 << 20


@dataclass(frozen=True)
class Standing:
    """Offsets in bytes: ``last`` where the last whole event begins, ``end`` where it ends; 0 and 0 without any.

    ``made`` is when the log was begun and by whom (the description's timestamp and server id).
    """

    last: int = 0
    end: int = 0
    made: tuple[int, int] = (0, 0)


def standing_of(path: Path) -> Standing:
    """How a copy stands; one that is not there, or holds no description, holds nothing. Raises OSError."""
    try:
        if path.stat().st_size < len(MAGIC) + HEADER:
            return Standing()
    except FileNotFoundError:
        return Standing()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[: len(MAGIC)] != MAGIC:
            return Standing()
        return _walked(data)


def _walked(data: mmap.mmap) -> Standing:
    size, at, last, made, sums = len(data), len(MAGIC), 0, (0, 0), False
    unpack, description = HEADER_FIELDS.unpack_from, int(EventType.FORMAT_DESCRIPTION)
    while at + HEADER <= size:
        timestamp, kind, server_id, length, log_pos, _ = unpack(data, at)
        end = at + length
        # MariaDB 11 gives no place to what lies within a transaction.
        if length < HEADER or end > size or log_pos not in (0, end & 0xFFFFFFFF):
            break
        if kind == description:
            try:
                sums = FormatDescription.parse(data[at:end]).checksum
            except LogError:
                break
            made = made if last else (timestamp, server_id)
        elif not last or (sums and at >= size - SUMMED and not _right(data, at, end)):
            break
        last, at = at, end
    return Standing(last, at, made) if last else Standing()


def _right(data: mmap.mmap, at: int, end: int) -> bool:
    with memoryview(data) as view, view[at : end - CHECKSUM] as summed:
        return zlib.crc32(summed) == int.from_bytes(data[end - CHECKSUM : end], "little")
