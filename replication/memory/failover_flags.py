"""The marks that a failover leaves for the next one, named as MHA's are."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from ..local.own_files import make_directory, open_or_replace, ours, synced

log = logging.getLogger("mha")


class FailoverFlags:
    """``<app>.failover.complete`` and ``<app>.failover.error``: what the last failover left for the next one.

    The first one's mtime is the clock of the 8-hour rule; the second one blocks failovers until it is removed.
    Both are on the disk when the method returns. Raises OSError when they cannot be written or removed.
    """

    def __init__(self, workdir: Path, app: str) -> None:
        self.complete = workdir / f"{app}.failover.complete"
        self.error = workdir / f"{app}.failover.error"

    def complete_age(self) -> float | None:
        """Seconds since the last complete failover, at least 0; None when there was none."""
        if not ours(self.complete):
            return None
        try:
            return max(0.0, time.time() - self.complete.stat().st_mtime)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def mark_complete(self) -> None:
        """A failover has ended with a new primary (exit 0 or 10)."""
        _mark(self.complete)

    def put_back(self, age: float | None) -> None:
        """As if the last complete failover were so many seconds ago, or, with None, as if there was none."""
        if age is None:
            self.complete.unlink(missing_ok=True)
        elif ours(self.complete):
            at = time.time() - age
            os.utime(self.complete, (at, at), follow_symlinks=False)

    def mark_error(self) -> None:
        """A failover has failed after it began to change things."""
        _mark(self.error)

    def has_error(self) -> bool:
        """Whether the last failover failed and nobody has looked at it since."""
        return ours(self.error)

    def clear(self) -> None:
        """Forget the past (``--ignore_last_failover``)."""
        self.complete.unlink(missing_ok=True)
        self.error.unlink(missing_ok=True)
        if self.error.parent.is_dir():
            synced(self.error.parent)


def _mark(path: Path) -> None:
    make_directory(path.parent)
    try:
        file = open_or_replace(path, os.O_RDWR | os.O_CREAT, 0o644)
    except PermissionError as error:
        if ours(path):
            raise
        # What was done stands, whoever keeps us from marking it.
        log.error("The file that marks the end of the failover cannot be written: %s", error)
        return
    try:
        os.utime(file)
        os.fsync(file)
    finally:
        os.close(file)
    synced(path.parent)
