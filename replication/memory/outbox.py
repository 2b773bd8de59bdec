"""What happened to a cluster, kept on the manager's disk until Prefect has taken it: one file an event, in order.

Whoever tells an event writes it here, in a fraction of a millisecond and without a network; who delivers is another
thread, or another process, when the API answers. The directory is made by those who have an API to deliver to, and
without it nothing is kept.
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

log = logging.getLogger("mha")

#: So many events wait at most; of more the oldest are given up. A cluster has a handful a day.
MOST = 5000

_numbers = itertools.count()
_filled: dict[Path, threading.Event] = {}


class Outbox:
    """The waiting events of one cluster. Safe to use from several threads and processes."""

    def __init__(self, config: ClusterConfig) -> None:
        self.path = config.manager_workdir / f"{config.name}.events"
        #: Set whenever this process has put an event here.
        self.filled = _filled.setdefault(self.path, threading.Event())

    def open(self) -> None:
        """Keep events from now on. Raises OSError."""
        own_directory(self.path)

    def put(self, document: dict[str, Any]) -> None:
        """Keep one event, if anybody will deliver it; a disk that takes no more is told and stops nobody."""
        if not self.path.is_dir():
            return
        name = f"{time.time_ns():020}-{os.getpid()}-{next(_numbers)}.json"
        try:
            with written(self.path / name) as file:
                file.write(json.dumps(document, default=str, ensure_ascii=False))
        except OSError as error:
            log.error("Prefect will not be told of %s: %s", document.get("event"), error)
        self.filled.set()

    def waiting(self) -> list[Path]:
        """The files of the events that wait, the oldest first."""
        try:
            return sorted(self.path.glob("[0-9]*.json")) if ours(self.path) else []
        except OSError:
            return []

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

    def take(self, most: int) -> list[tuple[Path, dict[str, Any]]]:
        """The oldest events, at most so many; what cannot be read any more is dropped, and so is what is too much."""
        files = self.waiting()
        if len(files) > MOST:
            log.error("Prefect was not told of %d events: it has been away for too long.", len(files) - MOST)
            for path in files[:-MOST]:
                path.unlink(missing_ok=True)
        found = []
        for path in files[-MOST:][:most]:
            try:
                found.append((path, json.loads(path.read_text(encoding="utf-8"))))
            except FileNotFoundError:
                continue
            except ValueError:
                log.error("%s is no event any more, and is dropped.", path)
                path.unlink(missing_ok=True)
        return found

    @staticmethod
    def done(paths: list[Path]) -> None:
        """These were delivered."""
        for path in paths:
            path.unlink(missing_ok=True)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
