"""What waits on the manager's disk until somebody has taken it: a directory, one file each, the oldest first.

Whoever puts something here spends a fraction of a millisecond and needs no network; who delivers it is another thread,
or another process, when the other side answers. A file is named for its time and its writer's process.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...config import ClusterConfig
from ..local.own_files import PRIVATE, open_own, ours, own_directory, written
from ..local.processes import process_alive

log = logging.getLogger("mha")

#: So many files, and so many bytes, wait at most; of more the oldest are given up. A cluster has a handful a day.
MOST, MOST_BYTES = 5000, 256 * 2**20

_numbers = itertools.count()
_filled: dict[Path, threading.Event] = {}


class Spool:
    """One directory of what waits. Safe to use from several threads and processes.

    Files of older versions have their names without a number: ``<nanoseconds>-<pid>.json``.
    """

    #: What waits there, in words.
    what = "messages"

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Set whenever this process has put something here.
        self.filled = _filled.setdefault(path, threading.Event())

    def open(self) -> None:
        """Have the directory. Raises OSError."""
        own_directory(self.path)

    def next_file(self) -> Path:
        """The name of what is put here next; of this process, and behind all that is here."""
        return self.path / f"{time.time_ns():020}-{os.getpid()}-{next(_numbers)}.json"

    def put(self, text: str, file: Path | None = None) -> Path:
        """Keep one, under a name of `next_file`; there is a file once it is whole. Raises OSError."""
        file = file or self.next_file()
        with written(file) as out:
            out.write(text)
        self.filled.set()
        return file

    def waiting(self) -> list[Path]:
        """The files that wait, the oldest first."""
        try:
            return sorted(self.path.glob("[0-9]*-[0-9]*.json")) if ours(self.path) else []
        except OSError:
            return []

    def bounded(self) -> list[Path]:
        """As `waiting`, after the oldest of what is too much were given up."""
        files = self.waiting()
        keep, size = 0, 0
        for path in reversed(files[-MOST:]):
            with contextlib.suppress(FileNotFoundError):
                size += path.stat().st_size
            if size > MOST_BYTES and keep:
                break
            keep += 1
        if lost := files[: len(files) - keep]:
            log.error("Prefect was not told of %d %s: it has been away for too long.", len(lost), self.what)
            self.done(lost)
        return files[len(lost) :]

    @contextlib.contextmanager
    def emptying(self) -> Iterator[bool]:
        """Whether this process is the one that delivers now: of several, one at a time, so that the order stays."""
        # Whom the kernel lets open it, it lets lock it: nobody else may.
        file = open_own(self.path / ".lock", os.O_RDWR | os.O_CREAT)
        os.fchmod(file, PRIVATE)
        try:
            yield _locked(file)
        finally:
            os.close(file)

    @staticmethod
    def done(paths: list[Path]) -> None:
        """These were delivered."""
        for path in paths:
            path.unlink(missing_ok=True)


class Outbox(Spool):
    """The waiting events of one cluster.

    The directory is made by those who have an API to deliver to: without it nothing is kept.
    """

    what = "events"

    def __init__(self, config: ClusterConfig) -> None:
        super().__init__(config.manager_workdir / f"{config.name}.events")

    def keep(self, document: dict[str, Any]) -> None:
        """Keep one event, if anybody will deliver it; a disk that takes no more is told and stops nobody."""
        if not self.path.is_dir():
            return
        try:
            self.put(json.dumps(document, default=str, ensure_ascii=False))
        except OSError as error:
            log.error("Prefect will not be told of %s: %s", document.get("event"), error)

    def take(self, most: int) -> list[tuple[Path, dict[str, Any]]]:
        """The oldest events, at most so many; what cannot be read any more is dropped, and so is what is too much."""
        found = []
        for path in self.bounded()[:most]:
            try:
                found.append((path, json.loads(path.read_text(encoding="utf-8"))))
            except FileNotFoundError:
                continue
            except (ValueError, RecursionError):
                log.error("%s is no longer an event that is known, and is dropped.", path)
                self.done([path])
        return found


def writer_lives(file: Path) -> bool:
    """Whether the process that put it there still runs."""
    pid = file.stem.split("-")[1]
    return pid.isdecimal() and process_alive(int(pid))


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
