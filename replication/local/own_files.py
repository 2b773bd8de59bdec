"""Files and directories that are ours: nobody else may have put them there, and no link leads away from them.

A path is walked to its directory once, and the file is opened in that directory, never through a link; what was opened
is proven before anything of it is read, locked, cut off or written. In a directory that everybody may write to
(/var/tmp, which is MHA's default) it has to be this user's or root's; in any other, who may write there was let in by
its owner. Raises OSError whose text says which file, and what to do.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

log = logging.getLogger("mha")

#: Owner may all, group may look, others nothing; and what only the owner may even look at.
DIRECTORY, PRIVATE = 0o750, 0o600
#: What was told of already: some files are looked at every second.
_told: set[Path] = set()


def make_directory(path: Path) -> None:
    """Make a directory, and those above it, if it is not there; one that is there is left as it is."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=DIRECTORY, parents=True)
        return
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "it is no directory", str(path))


def own_directory(path: Path) -> None:
    """Make a directory within one of ours, or prove that the one that is there is ours and no link."""
    make_directory(path)
    found, above = path.lstat(), path.parent.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise _refused(path, "is a link")
    shared = bool(above.st_mode & stat.S_IWOTH)
    if found.st_mode & stat.S_IWOTH or (shared and found.st_uid not in (os.geteuid(), 0)):
        raise _refused(path, "is in the hands of others")


def ours(path: Path) -> bool:
    """Whether what has this name may be believed: where everybody may put a file, only what is this user's or root's,
    and no link. What is somebody else's is told. False when there is nothing. Raises OSError but for what is missing.
    """
    try:
        found, above = path.lstat(), path.parent.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not above.st_mode & stat.S_IWOTH:
        return True
    if stat.S_ISLNK(found.st_mode) or found.st_uid not in (os.geteuid(), 0):
        if path not in _told:
            _told.add(path)
            log.warning("%s belongs to another user, or is a link, and is passed over.", path)
        return False
    _told.discard(path)
    return True


def read_json(path: Path) -> Any:
    """What a file of ours holds; an empty object where there is none, or it is not to be believed. Raises OSError,
    ValueError.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8")) if ours(path) else {}
    except RecursionError:
        raise ValueError(f"{path} is nested without end") from None


def doubt(path: Path) -> str:
    """Why a directory that is there is not ours alone, in words; empty when it is. Raises OSError."""
    found = path.stat()
    if found.st_mode & stat.S_IWOTH:
        return "every local user may write there"
    if found.st_uid not in (os.geteuid(), 0) and os.geteuid() != 0:
        return f"it belongs to another user (uid {found.st_uid})"
    return ""


def open_or_replace(path: Path, flags: int, mode: int = PRIVATE) -> int:
    """As `open_own`, for a record that has to be written: what somebody else put there is replaced, where we may."""
    try:
        return open_own(path, flags, mode)
    except PermissionError:
        if ours(path):
            raise
        # Root may put a file into the place of another's; a link is replaced, and not what it leads to.
        with contextlib.suppress(PermissionError), written(path, mode):
            pass
        return open_own(path, flags, mode)


def open_own(path: Path, flags: int, mode: int = PRIVATE) -> int:
    """A descriptor of a file of ours, made with ``mode`` where ``flags`` have O_CREAT and it is not there."""
    try:
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
    try:
        file = _opened(path, flags & ~os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode, directory)
        try:
            _prove(path, os.fstat(file), os.fstat(directory))
            if flags & os.O_TRUNC:
                os.ftruncate(file, 0)
        except BaseException:
            os.close(file)
            raise
    finally:
        os.close(directory)
    return file


@contextlib.contextmanager
def written(path: Path, mode: int = PRIVATE, *, binary: bool = False, durable: bool = False) -> Iterator[IO[Any]]:
    """A file that has its name once it is whole, and ``durable``: on disk. One that is there is replaced, be it a link
    or whatever; after an error nothing is left."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.new")
    with contextlib.suppress(FileNotFoundError):
        unfinished.unlink()
    how, encoding = ("wb", None) if binary else ("w", "utf-8")
    try:
        with os.fdopen(open_own(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), how, encoding=encoding) as out:
            yield out
            if durable:
                out.flush()
                os.fsync(out.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def synced(path: Path) -> None:
    """What was written to a file, or made and removed in a directory, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _opened(path: Path, flags: int, mode: int, directory: int) -> int:
    # In two steps: with fs.protected_regular, O_CREAT is refused even to root on an existing file of another user in a
    # directory such as /var/tmp.
    try:
        if flags & os.O_CREAT and not flags & os.O_EXCL:
            with contextlib.suppress(FileNotFoundError):
                return os.open(path.name, flags & ~os.O_CREAT, dir_fd=directory)
            with contextlib.suppress(FileExistsError):
                return os.open(path.name, flags | os.O_EXCL, mode, dir_fd=directory)
            return os.open(path.name, flags & ~os.O_CREAT, dir_fd=directory)
        return os.open(path.name, flags, mode, dir_fd=directory)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _refused(path, "is a link") from None
        if error.errno == errno.ENXIO:
            raise _refused(path, "is no file") from None
        raise type(error)(error.errno, error.strerror, str(path)) from None


def _prove(path: Path, file: os.stat_result, directory: os.stat_result) -> None:
    shared = bool(directory.st_mode & stat.S_IWOTH)
    if not stat.S_ISREG(file.st_mode):
        raise _refused(path, "is no file")
    if shared and file.st_uid not in (os.geteuid(), 0):
        raise _refused(path, f"belongs to another user (uid {file.st_uid})")
    if shared and file.st_nlink > 1:
        raise _refused(path, "has another name somewhere else")


def _refused(path: Path, why: str) -> PermissionError:
    words = f"it {why} and is not touched; remove it, and give the manager a directory of its own (manager_workdir)"
    return PermissionError(errno.EPERM, words, str(path))
