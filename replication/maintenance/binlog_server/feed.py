"""What brings the logs here: mysqlbinlog, or a reader of our own (`acknowledging`)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

from ....config import ServerConfig
from ...errors import MhaError
from .archive import ArchivedLog, Intake, local_logs
from .stream import Reader, Stream


class Feed(Protocol):
    """One run from one server into ``directory``, used by one thread.

    ``newest`` is the log that is written now, empty until one has its place; ``at_rest``: nothing is on its way to its
    place, so old logs may be removed; ``acknowledging``: the primary's commits wait for what lies here. It acknowledges
    nothing as long as it is ``barred``, which says why.
    """

    directory: Path
    acknowledging: bool
    barred: str

    @property
    def newest(self) -> str: ...
    @property
    def at_rest(self) -> bool: ...
    @property
    def alive(self) -> bool: ...
    def make_ready(self) -> None: ...
    def here(self) -> tuple[ArchivedLog, ...]: ...
    def start(self, name: str, size: int | None, goal: ArchivedLog) -> None: ...
    def take(self) -> MhaError | None: ...
    def sync(self) -> None: ...
    def idle(self, now: float) -> float: ...
    def caught_up(self) -> None: ...
    def close(self) -> None: ...


class MysqlbinlogFeed:
    """mysqlbinlog, which writes each log from its beginning; `archive.Intake` gives them their places."""

    acknowledging, barred = False, ""

    def __init__(
        self, reader: Reader, source: ServerConfig, directory: Path, server_id: int, private: Path, held: int
    ) -> None:
        self.directory = directory
        self._reader, self._source, self._server_id = reader, source, server_id
        self._private, self._held = private, held
        self._intake = Intake(directory)
        self._stream: Stream | None = None
        self._seen: object = ((), "", 0)
        self._moved = time.monotonic()

    @property
    def newest(self) -> str:
        """The log that was taken over last."""
        return self._intake.newest

    @property
    def at_rest(self) -> bool:
        """Nothing is incoming."""
        return not local_logs(self._intake.incoming)

    @property
    def alive(self) -> bool:
        """It runs."""
        return self._stream is not None and not self._stream.ended

    def make_ready(self) -> None:
        """Take over what an interrupted run left. Raises OSError, OtherHistoryError."""
        self._intake.make_ready()

    def here(self) -> tuple[ArchivedLog, ...]:
        """The logs that have their places, oldest first. Raises OSError."""
        return local_logs(self.directory)

    def start(self, name: str, size: int | None, goal: ArchivedLog) -> None:
        """Begin with that log, at its beginning whatever is here."""
        incoming = self._intake.incoming
        self._stream = Stream(
            self._reader,
            self._source,
            incoming,
            name,
            server_id=self._server_id,
            private=self._private,
            held=self._held,
        )
        self._moved = time.monotonic()

    def take(self) -> MhaError | None:
        """Give what came its place; why it ended, or None. Raises OSError, OtherHistoryError."""
        assert self._stream is not None
        # Asked before anything is tidied up, for a full disk is not full any more then.
        failure = self._stream.failure() if self._stream.ended else None
        self._intake.take(ended=failure is not None)
        return failure

    def sync(self) -> None:
        """Have on disk what came."""
        self._intake.sync()

    def idle(self, now: float) -> float:
        """Seconds since something changed; 0.0 when it just did."""
        path = self.directory / self.newest
        seen = (local_logs(self._intake.incoming), self.newest, path.stat().st_size if self.newest else 0)
        if seen == self._seen:
            return max(now - self._moved, 1e-6)
        self._seen, self._moved = seen, now
        if self._stream is not None:
            self._stream.forget_password()
        return 0.0

    def caught_up(self) -> None:
        """It cannot acknowledge."""

    def close(self) -> None:
        """End it, and take what came since the last look."""
        if self._stream is not None:
            self._stream.stop()
