"""The sample logs beside this file, and a builder of made-up ones."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

from prefect_mha.replication.binlog.events import CHECKSUM, HEADER, HEADER_FIELDS, IN_USE_FLAG, MAGIC, EventType
from prefect_mha.replication.binlog.reader import LogFile

HERE = Path(__file__).parent
#: Every readable sample that is one log by itself.
SAMPLES = sorted(path.name for path in HERE.glob("m*-*.0*") if "encrypted" not in path.name)
#: Those whose events carry checksums.
SUMMED = [name for name in SAMPLES if "nocrc" not in name]
RELAYED = ("relay-mysql56", "relay-mysql97", "relay-mariadb")


def content(name: str) -> bytes:
    """A sample's bytes."""
    return (HERE / name).read_bytes()


def log(name: str, data: bytes) -> LogFile:
    """A log that lives in memory."""
    return LogFile(name, len(data), lambda: io.BytesIO(data))


def logs(directory: str, base: str) -> list[LogFile]:
    """The logs of one base name in a directory of samples, in order."""
    return [log(path.name, path.read_bytes()) for path in sorted((HERE / directory).glob(f"{base}.0*"))]


class LogBuilder:
    """Writes a log event by event, as a server would."""

    def __init__(self, *, version: str = "9.7.0", flags: int = 0, created: int = 1, checksum: bool = True) -> None:
        self.data = MAGIC
        self._checksum = True
        body = (4).to_bytes(2, "little") + version.encode().ljust(50, b"\0") + created.to_bytes(4, "little")
        self.add(EventType.FORMAT_DESCRIPTION, body + bytes([HEADER]) + bytes(40) + bytes([checksum]), flags=flags)
        self._checksum = checksum

    def add(self, kind: int, body: bytes = b"", *, flags: int = 0, log_pos: int | None = None) -> LogBuilder:
        """Append an event. ``log_pos`` is where it ends in this log unless told otherwise."""
        size = HEADER + len(body) + (CHECKSUM if self._checksum else 0)
        end = len(self.data) + size if log_pos is None else log_pos
        raw = HEADER_FIELDS.pack(1_700_000_000, kind, 1, size, end, flags) + body
        # A server sums a description before it marks the log as in use.
        summed = raw[:17] + (flags & ~IN_USE_FLAG).to_bytes(2, "little") + body
        self.data += raw + (zlib.crc32(summed).to_bytes(CHECKSUM, "little") if self._checksum else b"")
        return self

    def query(self, text: str, *, log_pos: int | None = None) -> LogBuilder:
        """Append a statement."""
        return self.add(EventType.QUERY, bytes(13) + b"\0" + text.encode(), log_pos=log_pos)

    def gtid(self, number: int, *, log_pos: int | None = None) -> LogBuilder:
        """Append the GTID of a transaction."""
        return self.add(EventType.GTID, b"\0" + bytes(16) + number.to_bytes(8, "little") + bytes(17), log_pos=log_pos)

    def transaction(self, number: int) -> LogBuilder:
        """Append a whole transaction of one statement."""
        return self.gtid(number).query("BEGIN").query("INSERT INTO t VALUES (1)").add(EventType.XID, bytes(8))

    def log(self, name: str = "bin.000001") -> LogFile:
        """What was written so far."""
        return log(name, self.data)
