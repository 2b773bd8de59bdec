"""Transactions of several logs of one server, read one after the other as if they were one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import LogEncrypted, LogError, RemoteFileError
from ..model.position import log_index
from .events import FormatDescription
from .reader import LogEnd, LogFile, LogReader
from .transactions import GroupParser, Transaction


class LogSequence:
    """Reads logs in order. A transaction that a relay log leaves open goes on in the next one.

    ``described`` is the format in force at the transaction that was given last; ``stop`` the `LogEnd` when reading is
    over; ``passed`` where earlier logs ended unclean and the next one proves that their server started again behind it.
    ``ends`` are the logs that were read to their end, each with the offset up to which it holds whole transactions and
    what stands between them.
    """

    def __init__(self, files: Sequence[LogFile], start: int = 4, groups: GroupParser | None = None) -> None:
        self.stop: LogEnd | None = None
        self.passed: list[LogEnd] = []
        self.ends: list[tuple[str, int]] = []
        self._files, self._start = files, start
        self._groups = groups or GroupParser()
        self._reader: LogReader | None = None

    @property
    def described(self) -> FormatDescription:
        """Raises LogError before the first log was opened."""
        if self._reader is None:
            raise LogError("no log was read yet")
        return self._reader.described

    def __iter__(self) -> Iterator[Transaction]:
        """Every complete transaction; ends at the first damage that later logs do not prove harmless.

        Raises LogError when the first log's head cannot be read or the start lies inside a transaction.
        """
        for number, log in enumerate(self._files):
            if self._missing(log.name):
                return
            try:
                with log.open() as stream:
                    reader = LogReader(stream, name=log.name, size=log.size)
                    if number and not self._goes_on(reader):
                        return
                    self._reader = reader
                    yield from reader.transactions(self._start if number == 0 else 4, self._groups)
                    self.stop = reader.stop
                    if reader.stop is not None:
                        unfinished = self._groups.open_part
                        self.ends.append((log.name, unfinished.start if unfinished else reader.stop.offset))
            except LogEncrypted as error:
                if not number:
                    raise
                self.stop = LogEnd("encrypted", error.head, str(error), log.name)
                return
            except LogError as error:
                if not number:
                    raise
                # A server makes its next log before it writes a head into it.
                self.stop = LogEnd("torn" if log.size == 0 else "corrupt", 0, str(error), log.name)
                return
            except (OSError, RemoteFileError) as error:
                if not number:
                    raise LogError(f"{log.name} cannot be read: {error}") from error
                self.stop = LogEnd("unreadable", 0, str(error), log.name)
                return
        self._missing(None)

    def _missing(self, following: str | None) -> bool:
        """Whether the log that was read last is followed by another one than this, as it says itself."""
        wanted = self._reader.next_log if self._reader is not None else None
        if wanted is None or self.stop is None or self.stop.kind != "clean":
            return False
        if following is not None and log_index(following) == log_index(wanted):
            return False
        self.stop = LogEnd("unreadable", 0, f"{self.stop.log} says that it follows, and it is not there", wanted)
        return True

    def _goes_on(self, following: LogReader) -> bool:
        """Whether the log that was read last may be left as it ended.

        A server that crashed and started again rolled back what its last log did not hold complete, and began a new log
        that tells when it started. Relay logs may end within a transaction at any time.
        """
        if self.stop is None or self.stop.kind == "clean":
            return True
        relay = following.format.relay_log
        if self.stop.kind == "in_transaction" and relay:
            return True
        if self.stop.kind in ("torn", "in_transaction") and following.format.created and not relay:
            self.passed.append(self.stop)
            return True
        return False
