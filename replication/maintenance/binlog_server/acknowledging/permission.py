"""Whether what lies here may be acknowledged: not while somebody replaces the primary that waits for it.

Whoever does that has the lock (flock(2)) of the directory of its copies for itself alone (`withholding`); the reader
shares it for the instant of each acknowledgement. So all that was acknowledged is on this disk before a failover reads
it, and what a primary that is cut off sends after that is acknowledged to nobody. The lock asks for no more than the
right to read the directory, and ends with whoever has it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class Permission:
    """One directory's. To be used by one thread. Raises OSError."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._file = directory, -1

    @contextlib.contextmanager
    def asked(self) -> Iterator[bool]:
        """Whether an acknowledgement may be given now: as long as the block lasts nobody takes it away."""
        if self._file < 0:
            self._file = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Harmless when it never was asked for."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
