"""The dead primary's log, copied beside its fencing, and believed only when nothing has moved since."""

from __future__ import annotations

import logging
import posixpath
import shutil
import threading
from collections.abc import Callable, Sequence

from ..errors import DeadlineExceeded, HostError, MhaError
from ..model.position import BinlogPosition, log_index, numbered
from ..ssh.host import SshHost
from ..threads import Thread
from .finding import RemoteLog
from .salvage import BinlogCopy

log = logging.getLogger("mha")


class CopyAhead:
    """Begun at once, in a thread. ``of`` is what it rests on: who asks for another log gets none of it.

    ``copying`` finds the logs and copies them to where they ended then. What fails is not a failure: who wants them
    tries again.
    """

    def __init__(
        self, host: SshHost, of: object, copying: Callable[[], tuple[BinlogCopy, tuple[RemoteLog, ...]]]
    ) -> None:
        self._host, self._of, self._copying = host, of, copying
        self._mutex = threading.Lock()
        self._made: tuple[BinlogCopy, tuple[RemoteLog, ...]] | None = None
        self._wanted, self._given = True, False
        self._thread = Thread(target=self._run, name="copy ahead", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            made = self._copying()
        except (MhaError, OSError) as error:
            log.debug("The log was not copied beside the fencing: %s", error)
            return
        with self._mutex:
            self._made = made
            if not self._wanted:
                self._remove()

    def taken(self, start: BinlogPosition | None, of: object) -> BinlogCopy | None:
        """The copy, where it reaches back to ``start`` and is all there is; None where it is to be made anew.

        For after the fencing: nobody writes any more, so a log that has not grown since, and that no other one follows,
        is what was copied.
        """
        self._thread.join()
        copy = self._still_all(start, of)
        if copy is None:
            # Its room may be needed for the next.
            self.drop()
        return copy

    def _still_all(self, start: BinlogPosition | None, of: object) -> BinlogCopy | None:
        if self._made is None or start is None or of != self._of:
            return None
        copy, logs = self._made
        if start < copy.start or start.file not in copy.names or copy.stopped is not None or copy.no_room:
            return None
        try:
            # Asked each time: the old primary may have come back since somebody took it.
            still = not moved(self._host, logs)
        except (HostError, DeadlineExceeded) as error:
            log.debug("Whether the log has grown since it was copied is not known: %s", error)
            still = False
        self._given = self._given or still
        return copy if still else None

    def drop(self) -> None:
        """Nobody wants it any more: what nobody took goes, now or when it is made."""
        with self._mutex:
            self._wanted = False
            self._remove()

    def _remove(self) -> None:
        if self._made is not None and not self._given:
            shutil.rmtree(self._made[0].directory, ignore_errors=True)
            self._made = None


def moved(host: SshHost, logs: Sequence[RemoteLog]) -> bool:
    """Whether the last of these logs has another length by now, or is followed by a new one.

    A server that is started begins a new log. Raises HostError's children, and RemoteFileError for one that is gone.
    """
    directory, last = posixpath.split(logs[-1].path)
    base, index = last.rpartition(".")[0], log_index(last)
    names = [name for name in host.listdir(directory) if name.rpartition(".")[0] == base and numbered(name)]
    return any(log_index(name) > index for name in names) or host.stat(logs[-1].path, links=False).size != logs[-1].size
