"""What a manager keeps in its ``manager_workdir``, and what these files tell about it.

Names and contents are MHA's, so that its own check scripts and monitoring plug-ins can read them:
``<app>.master_status.health``, ``<app>.failover.complete`` and ``<app>.failover.error``. Ours alone is
``<app>.manager.lock``: the kernel drops the lock when its holder dies, however it dies, so it proves what a
process number in a file cannot (numbers are used again).
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType

from ..errors import AlreadyActing
from ..local.own_files import PRIVATE, doubt, make_directory, open_or_replace, open_own, ours, synced, written
from ..local.processes import first_process_started, is_manager, orphans_of

log = logging.getLogger("mha")

_LOCK_RECORD = "hhqqi0q"  # struct flock with 64-bit offsets: type, whence, start, length, pid
_SHARED = b"watches several\n"


def make_workdir(path: Path) -> None:
    """Make `manager_workdir` if it is not there. Raises OSError that names the parameter."""
    try:
        make_directory(path)
        if doubtful := doubt(path):
            log.warning(
                "manager_workdir is %s, and %s: set one of the manager's own, such as /var/lib/mha/APP.", path, doubtful
            )
    except OSError as error:
        why = error.strerror or str(error)
        raise type(error)(error.errno, f"manager_workdir cannot be used: {why}", str(error.filename or path)) from None


class ManagerStatus(IntEnum):
    """The state of a manager; the number is what ``masterha_check_status`` exits with."""

    PING_OK = 0
    UNEXPECTED_ERROR = 1
    NOT_RUNNING = 2
    PARTIALLY_RUNNING = 3
    INITIALIZING_MONITOR = 10
    PING_FAILING = 20
    PING_FAILED = 21
    PRIMARY_READ_ONLY = 22
    RETRYING_MONITOR = 30
    CONFIG_ERROR = 31
    TIMESTAMP_OLD = 32
    STANDING_BY = 40
    FAILOVER_RUNNING = 50
    FAILOVER_ERROR = 51
    FAILOVER_UNFINISHED = 52

    @property
    def label(self) -> str:
        """``code:NAME``, as the health file and the status lines spell it."""
        return f"{self.value}:{self.name}"


@dataclass(frozen=True)
class Health:
    """One reading of a health file. ``primary`` is a host name, empty until it is known; ``mtime`` in epoch seconds.

    ``active`` is, for a manager that stands by, the one that watches, as far as it is known.
    """

    pid: int
    status: ManagerStatus
    primary: str
    mtime: float
    active: str = ""


def parse_health(text: str, mtime: float) -> Health | None:
    """``PID<TAB>code:NAME[<TAB>master:HOST]``, or None when the text is anything else.

    Behind 40:STANDING_BY, which MHA does not have, ``<TAB>active:MANAGER`` may follow.
    """
    fields = text.rstrip("\n").split("\t")
    active = fields.pop().removeprefix("active:") if fields[-1].startswith("active:") else ""
    if len(fields) not in (2, 3) or not (fields[0].isascii() and fields[0].isdigit()) or len(fields[0]) > 10:
        return None
    status = next((s for s in ManagerStatus if s.label == fields[1]), None)
    marker, _, primary = fields[2].partition(":") if len(fields) == 3 else ("master", "", "")
    if status is None or marker != "master" or int(fields[0]) < 1:
        return None
    if active and status is not ManagerStatus.STANDING_BY:
        return None
    return Health(int(fields[0]), status, primary, mtime, active)


class HealthFile:
    """``<app>.master_status.health``: written by the manager, read by ``masterha_check_status`` and others.

    Raises OSError when the directory or the file cannot be written.
    """

    def __init__(self, workdir: Path, app: str) -> None:
        self.path = workdir / f"{app}.master_status.health"
        self._last: tuple[ManagerStatus, str, str] | None = None

    def write(self, status: ManagerStatus, primary: str | None = None, active: str = "") -> None:
        """Replace the file in one step, so that no reader ever sees half of it."""
        make_directory(self.path.parent)
        text = f"{os.getpid()}\t{status.label}" + (f"\tmaster:{primary}" if primary else "")
        text += f"\tactive:{active}" if active else ""
        with written(self.path) as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
        self._last = (status, primary or "", active)

    def touch(self) -> None:
        """Tell that the primary has just answered; writes the last status again if somebody removed the file."""
        try:
            os.utime(self.path)
        except FileNotFoundError:
            if self._last is not None:
                self.write(*self._last)

    def read(self) -> Health | None:
        """What the file says; None when there is none or it is not a health file."""
        try:
            with self.path.open(encoding="utf-8", errors="replace") as file:
                return parse_health(file.read(4096), os.fstat(file.fileno()).st_mtime)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def remove(self) -> None:
        """Take the file away at a clean end, unless another process has written it since."""
        health = self.read()
        if health is None or health.pid == os.getpid():
            self.path.unlink(missing_ok=True)


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

    def remove_complete_older_than(self, seconds: float) -> bool:
        """Remove the mark of a failover that no longer forbids the next one; tells whether it did."""
        age = self.complete_age()
        if age is None or age < seconds:
            return False
        self.complete.unlink(missing_ok=True)
        return True


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


@dataclass(frozen=True)
class ManagerView:
    """What this host can tell about the manager of one application.

    ``pid`` is 0 when no process is known, ``children`` what a dead manager left running, ``age`` the seconds
    since the health file was written or touched, ``active`` the manager that watches while this one stands by.
    """

    app: str
    status: ManagerStatus
    pid: int = 0
    primary: str = ""
    children: tuple[int, ...] = ()
    age: float = 0.0
    active: str = ""


def observe_manager(workdir: Path, app: str, ping_limit: float = 10) -> ManagerView:
    """Look at the lock, the health file and the processes of one application's manager on this host.

    ``ping_limit`` in seconds: a manager that says PING_OK or STANDING_BY and has not touched its file for longer is
    TIMESTAMP_OLD. Raises OSError when the files cannot be read.
    """
    file = HealthFile(workdir, app)
    try:
        held, holder = ManagerLock(workdir, app).probe()
    except PermissionError:
        # Its lock is for its user alone; what its file says, and the list of processes, is for everybody.
        held, holder = False, 0
    health = file.read()
    if held and (health is None or health.pid != holder):
        return ManagerView(app, ManagerStatus.INITIALIZING_MONITOR, holder)
    if health is None:
        unreadable = file.path.exists()
        return ManagerView(app, ManagerStatus.UNEXPECTED_ERROR if unreadable else ManagerStatus.NOT_RUNNING)
    current = health.mtime >= first_process_started()
    # Its lock is free: that manager is gone, whoever has its number now. Without a lock file of its own (the
    # MHA's manager has none) the command line must do.
    alive = held or (holder != health.pid and current and is_manager(health.pid, app))
    orphans = () if alive or not current else orphans_of(health.pid)
    age = max(0.0, time.time() - health.mtime)
    status = judge(health.status, alive, bool(orphans), age, ping_limit)
    active = health.active if status is ManagerStatus.STANDING_BY else ""
    return ManagerView(app, status, health.pid, health.primary, orphans, age, active)


def judge(written: ManagerStatus, alive: bool, orphans: bool, age: float, ping_limit: float) -> ManagerStatus:
    """The state to report for what a health file says, given whether its writer or its children live."""
    if not alive:
        return ManagerStatus.PARTIALLY_RUNNING if orphans else ManagerStatus.NOT_RUNNING
    if written in (ManagerStatus.PING_OK, ManagerStatus.STANDING_BY) and age > ping_limit:
        return ManagerStatus.TIMESTAMP_OLD
    return written


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


def _mark(path: Path) -> None:
    make_directory(path.parent)
    try:
        file = open_or_replace(path, os.O_RDWR | os.O_CREAT, 0o644)
    except PermissionError as error:
        if ours(path):
            raise
        # What was done stands, whoever keeps us from marking it.
        log.error("It cannot be marked that a failover ended: %s", error)
        return
    try:
        os.utime(file)
        os.fsync(file)
    finally:
        os.close(file)
    synced(path.parent)
