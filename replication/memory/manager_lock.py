"""``<app>.manager.lock``, which is ours alone: who holds it is the manager of an application on this host.

The kernel drops the lock when its holder dies, however it dies, so it proves what a process number in a file cannot
(numbers are used again).
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from ..errors import AlreadyActing
from ..local.own_files import PRIVATE, make_directory, open_own

log = logging.getLogger("mha")

_LOCK_RECORD = "hhqqi0q"  # struct flock with 64-bit offsets: type, whence, start, length, pid
_SHARED = b"watches several\n"


class ManagerLock:
    """One manager of one application on one host; ``<app>.manager.lock`` holds the process number of the holder.

    ``shared``: the process has others as well and must not be ended for this one; a second line says so.

    An open-file-description lock (fcntl(2)): released by the kernel when the holder ends, not inherited by
    programs it starts, and visible to others without taking it. The file itself stays, because removing a lock
    file lets two processes lock two different files of one name.
    """

    def __init__(self, workdir: Path, app: str, *, shared: bool = False) -> None:
        self.path = workdir / f"{app}.manager.lock"
        self.app, self._shared = app, shared
        self._file = -1

    def acquire(self) -> None:
        """Take the lock at once, or raise AlreadyActing naming the process that has it. OSError as usual."""
        make_directory(self.path.parent)
        file = self._locked()
        os.ftruncate(file, 0)
        os.write(file, b"%d\n%s" % (os.getpid(), _SHARED if self._shared else b""))
        self._file = file

    def _locked(self) -> int:
        """A descriptor that holds the lock on the file that has its name."""
        while True:
            file = _open_private(self.path)
            try:
                _lock(file)
                if _is_named(file, self.path):
                    return file
            except BlockingIOError:
                if _blocker(file) == fcntl.F_WRLCK:
                    holder = _recorded_pid(file)
                    os.close(file)
                    raise AlreadyActing(
                        f"Another manager of {self.app}{f' (pid {holder})' if holder else ''} runs on this host; "
                        f"stop it with masterha_stop first."
                    ) from None
                self._replace()
            except OSError:
                os.close(file)
                raise
            os.close(file)

    def _replace(self) -> None:
        """Give the name to a new file, because somebody only reads the old one and so keeps us from it.

        A manager takes a write lock, so whoever has one to read is none; he opened the file while others still might
        (it was 0644 once). Of several managers that come here one does it, under the lock of a file of its own.
        """
        guard = _open_private(self.path.with_name(f"{self.path.name}.new"))
        try:
            with suppress(BlockingIOError):
                _lock(guard)
                file = _open_private(self.path)
                try:
                    if _blocker(file) == fcntl.F_RDLCK:
                        log.warning(
                            "%s is locked by a process that is no manager; another file takes its place.", self.path
                        )
                        self.path.unlink()
                finally:
                    os.close(file)
        finally:
            os.close(guard)

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def held_by_several(self) -> bool:
        """Whether the lock is held by a process that watches other applications, too. Raises OSError."""
        return self.probe()[0] and self.path.read_bytes().endswith(b"\n" + _SHARED)

    def probe(self) -> tuple[bool, int]:
        """Whether any process holds the lock, and the last holder's pid (0: unknown). Never takes the lock."""
        try:
            file = open_own(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return False, 0
        try:
            return _blocker(file) == fcntl.F_WRLCK, _recorded_pid(file)
        finally:
            os.close(file)

    def __enter__(self) -> ManagerLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _open_private(path: Path) -> int:
    """A lock file: whom the kernel lets open it, it lets lock it, so nobody else may."""
    file = open_own(path, os.O_RDWR | os.O_CREAT)
    if os.fstat(file).st_uid == os.geteuid():
        os.fchmod(file, PRIVATE)
    return file


def _lock(file: int) -> None:
    """Raises BlockingIOError when somebody has any lock on it."""
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack(_LOCK_RECORD, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))


def _blocker(file: int) -> int:
    """The kind of lock that keeps us from one of our own: F_WRLCK, F_RDLCK, or F_UNLCK for none."""
    question = struct.pack(_LOCK_RECORD, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    return int(struct.unpack(_LOCK_RECORD, fcntl.fcntl(file, fcntl.F_OFD_GETLK, question))[0])


def _is_named(file: int, path: Path) -> bool:
    """Whether that open file still has that name."""
    try:
        return os.path.samestat(os.fstat(file), path.lstat())
    except FileNotFoundError:
        return False


def _recorded_pid(file: int) -> int:
    text = os.pread(file, 32, 0).partition(b"\n")[0].strip()
    return int(text) if text.isdigit() else 0
