"""The lock that keeps two binlog servers out of one directory."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from ...errors import AlreadyActing
from ...local.own_files import PRIVATE, open_own

#: Seconds to wait for the lock of a predecessor that was just killed.
LOCK_WAIT = 3.0


class DirectoryLock:
    """One binlog server a directory. mysqlbinlog holds the descriptor too: the lock is free when both are gone."""

    def __init__(self, root: Path) -> None:
        self._path = root / "binlog-server.lock"
        self.descriptor = -1

    def __enter__(self) -> DirectoryLock:
        file = open_own(self._path, os.O_RDWR | os.O_CREAT)
        os.fchmod(file, PRIVATE)
        ends = time.monotonic() + LOCK_WAIT
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() < ends:
                    time.sleep(0.1)
                    continue
                holder = os.pread(file, 32, 0).decode(errors="replace").strip()
                os.close(file)
                raise AlreadyActing(
                    f"Another binlog server{f' (pid {holder})' if holder else ''} writes into {self._path.parent}; "
                    "stop it first, or give this one a directory of its own (master_binlog_dir)."
                ) from None
        os.ftruncate(file, 0)
        os.write(file, b"%d\n" % os.getpid())
        self.descriptor = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)
        self.descriptor = -1
