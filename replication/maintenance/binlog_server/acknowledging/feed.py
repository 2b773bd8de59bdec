"""The reader at work: a thread that reads, writes, syncs and acknowledges, a group of events at a time.

While it lags behind it reads as a plain replica: one that acknowledges late would hold up every commit until it has
caught up. Then it reads again as a semi-synchronous one, from where it is.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from .....config import ServerConfig
from ....errors import MhaError, RemoteFileError, ServerError
from ....threads import Thread
from ..archive import ArchivedLog, Intake, OtherHistoryError, local_logs
from .copy import LogCopy
from .dump import LogDump, Replica
from .packets import Cutter, Odd, Refusing
from .permission import Permission
from .standing import standing_of

log = logging.getLogger("mha")

#: Seconds after which what came is on disk, though nobody waits for it.
_SYNC = 1.0
#: Seconds for the thread to end: a disk may take its time.
_TO_END = 20.0
#: What a server says of a place in its log that is none; with the copy's own place that means another log.
_NO_PLACE = re.compile(
    r"position > file size|impossible position|bogus data|max_allowed_packet|truncated in the middle"
)


class AcknowledgingFeed:
    """Copies one server's logs into ``directory``; made, started and closed by one thread. See `feed.Feed`."""

    def __init__(self, source: ServerConfig, directory: Path, replica: Replica, *, acknowledges: bool) -> None:
        self.directory = directory
        self._acknowledges = acknowledges
        self._source, self._replica = source, replica
        self._copy = LogCopy(directory)
        self._permission, self._told = Permission(directory), ""
        #: Why nothing may be acknowledged, whoever has the lock; empty where it may.
        self.barred = ""
        self._over, self._level = threading.Event(), threading.Event()
        self._dump: LogDump | None = None
        self._failure: Exception | None = None
        self._thread = Thread(target=self._run, name="binlog reader", daemon=True)
        self._start = ""
        self._size: int | None = None
        self._goal = ArchivedLog("", 0)
        self._seen, self._moved = ("", 0), time.monotonic()
        #: It is connected as a semi-synchronous replica.
        self.acknowledging = False

    @property
    def newest(self) -> str:
        """The log that is written now; empty until what is here is proven to be the server's."""
        return self._copy.name if self._copy.proven else ""

    @property
    def at_rest(self) -> bool:
        """Nothing is written but the newest log."""
        return True

    @property
    def alive(self) -> bool:
        """Its thread has not ended."""
        return self._thread.is_alive()

    def make_ready(self) -> None:
        """Take over what mysqlbinlog may have left. Raises OSError, OtherHistoryError."""
        Intake(self.directory).make_ready()

    def here(self) -> tuple[ArchivedLog, ...]:
        """The logs that are here, oldest first; of the newest, whose end may be torn, what is whole. Raises OSError."""
        logs = local_logs(self.directory)
        return (*logs[:-1], *(replace(x, size=standing_of(self.directory / x.name).end) for x in logs[-1:]))

    def start(self, name: str, size: int | None, goal: ArchivedLog) -> None:
        """Begin with that log, which has ``size`` bytes on its server; None and no name where it cannot say.

        ``goal`` is where its logs ended a moment ago, without a name where it cannot say.
        """
        self._start, self._size, self._goal = name, size, goal
        self._thread.start()

    def take(self) -> MhaError | None:
        """The failure that ended it, or None. Raises OtherHistoryError and the disk's OSError."""
        failure = self._failure
        if failure is None or isinstance(failure, MhaError):
            return failure
        raise failure

    def sync(self) -> None:
        """It does so by itself."""

    def idle(self, now: float) -> float:
        """Seconds since something came; 0.0 when it just did."""
        seen = (self.newest, self._copy.position)
        if seen != self._seen and self.newest:
            self._seen, self._moved = seen, now
            return 0.0
        return max(now - self._moved, 1e-6)

    def caught_up(self) -> None:
        """All is here that the server had a moment ago, so its commits may wait for this disk."""
        self._level.set()

    def close(self) -> None:
        """End it; what came is on disk. Raises RemoteFileError where the disk does not let it end."""
        self._over.set()
        if self._dump is not None:
            self._dump.abort()
        if self._thread.ident is None:
            return
        self._thread.join(_TO_END)
        if self.alive:
            raise RemoteFileError("this host", f"write into {self.directory}", f"it has not ended for {_TO_END:g} s")

    # the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        name = self._start
        try:
            while not self._over.is_set():
                self._read(name)
                name = self._copy.name
        except (MhaError, OSError, OtherHistoryError) as error:
            self._failure = error
        except Exception as error:  # the thread that looks at it must hear of it
            self._failure = RemoteFileError("this host", "copy binary logs", f"{type(error).__name__}: {error}")
            log.exception("The reader of %s ended", self._source.name)
        finally:
            self.acknowledging = False
            with suppress(OSError):
                self._copy.sync()
            self._copy.close()
            self._permission.close()

    def _read(self, name: str) -> None:
        """One session; returns when it is over or is to be a semi-synchronous one from now on."""
        acknowledging = self._level.is_set() and self._may_acknowledge()
        place = self._copy.begin(name)
        # What the server had at the start says something of the copy as it was then.
        size, self._size = self._size, None
        if size is not None and self._copy.here > size:
            raise OtherHistoryError(name, size)
        dump = self._dump = LogDump(self._source, self._replica)
        if self._over.is_set():
            return
        try:
            dump.begin(place, acknowledging=acknowledging)
            self.acknowledging = acknowledging
            self._follow(dump, acknowledging=acknowledging)
        except (Odd, Refusing) as error:
            if (
                isinstance(error, Refusing)
                and not self._copy.proven
                and self._copy.here
                and _NO_PLACE.search(str(error))
            ):
                raise OtherHistoryError(name, place.pos) from None
            raise dump.explained(error) from None
        except ServerError:
            if not self._over.is_set():
                raise
        finally:
            self.acknowledging = False
            dump.close()

    def _follow(self, dump: LogDump, *, acknowledging: bool) -> None:
        copy, cutter, synced = self._copy, Cutter(), time.monotonic()
        while not self._over.is_set():
            for piece in cutter.feed(dump.read()):
                copy.take(piece)
            copy.flush()
            now = time.monotonic()
            if copy.wanted is not None or now - synced >= _SYNC:
                copy.sync()
                synced = now
            if copy.wanted is not None:
                with self._permission.asked() as given:
                    if may := given and not self.barred:
                        dump.acknowledge(copy.wanted)
                copy.wanted = None
                if not may:
                    # What waits for it there waits on, and is read as by one that does not acknowledge.
                    self._level.clear()
                    return
            if copy.level or (not copy.within and self._reached()):
                self.caught_up()
            if not acknowledging and not copy.within and self._level.is_set() and self._may_acknowledge():
                return

    def _reached(self) -> bool:
        """All is here that the server had when it was begun, so nobody has to say so."""
        goal, copy = self._goal, self._copy
        return bool(goal.name and copy.name) and ArchivedLog(copy.name, copy.position).reaches(goal)

    def _may_acknowledge(self) -> bool:
        """Whether it may begin to, or go on; why not is told once."""
        if not self._acknowledges:
            return False
        with self._permission.asked() as given:
            why = self.barred if given else "it is being replaced, or was"
        if why and why != self._told:
            log.warning("%s: %s, so nothing that it sends is acknowledged.", self._source.name, why)
        self._told = why
        return not why
