"""A bar in the terminal for what takes long: how much, how fast, for how long yet."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ...replication.meter import TOLD_EVERY, watched_by
from ...replication.notify.manager_log import TerminalLog

if TYPE_CHECKING:
    from ...replication.meter import Progress

#: Seconds after which something is long enough to be shown, and in which a bar is forgotten that nobody speaks of.
AFTER, FORGOTTEN = 2.0, 10.0


_shown: list[Bars] = []


@contextlib.contextmanager
def bars() -> Iterator[Callable[[Progress], None] | None]:
    """Shows on standard error whatever in this process takes more than two seconds and tells how far it is.

    Gives who may be told as well; None where that is no terminal: the log has it.
    """
    if not sys.stderr.isatty():
        yield None
        return
    shown = Bars()
    _shown.append(shown)
    try:
        with watched_by(shown):
            yield shown
    finally:
        _shown.remove(shown)
        shown.close()


@contextlib.contextmanager
def put_away() -> Iterator[None]:
    """Within, somebody is asked on the terminal: every bar is gone, and none is drawn over the question or answer."""
    for each in _shown:
        each.hold()
    try:
        yield
    finally:
        for each in _shown:
            each.go_on()


class Bars:
    """A bar for each step that takes long. Nothing is drawn before, for a question may stand on the terminal."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._mutex = now, threading.Lock()
        self._first, self._last = dict[str, float](), dict[str, float]()
        self._tasks = dict[str, Any]()
        self._drawn: Any = None
        self._held = False
        self._streams: list[tuple[TerminalLog, Any]] = []

    @property
    def steps(self) -> tuple[str, ...]:
        """Those that are drawn."""
        return tuple(self._tasks)

    def __call__(self, progress: Progress) -> None:
        """One word about one step. A terminal that is gone stops nothing of what is done."""
        with self._mutex, contextlib.suppress(OSError, ValueError):
            now = self._now()
            for step in [s for s, at in self._last.items() if now - at > FORGOTTEN]:
                self._drop(step)
            if progress.over or (progress.total and progress.done >= progress.total):
                self._drop(progress.step)
            else:
                # The first word comes when it has taken so long already.
                first = self._first.setdefault(progress.step, now - TOLD_EVERY)
                self._last[progress.step] = now
                if now - first >= AFTER and not self._held:
                    self._draw(progress)

    def hold(self) -> None:
        """Take every bar away, and draw none until `go_on`."""
        self._held = True
        self.close()

    def go_on(self) -> None:
        """What goes on is drawn again when it has something to say."""
        self._held = False

    def close(self) -> None:
        """Take every bar away."""
        with self._mutex, contextlib.suppress(OSError, ValueError):
            for step in [*self._first]:
                self._drop(step)

    def _draw(self, progress: Progress) -> None:
        if self._drawn is None:
            self._drawn = _new()
            self._drawn.start()
            # The log's lines stand above the bars, and are not drawn over.
            for handler in logging.getLogger("mha").handlers:
                if isinstance(handler, TerminalLog):
                    self._streams.append((handler, handler.setStream(sys.stderr)))
        if progress.step not in self._tasks:
            self._tasks[progress.step] = self._drawn.add_task(progress.step, total=progress.total)
        total = max(progress.total, progress.done)
        self._drawn.update(self._tasks[progress.step], completed=progress.done, total=total)

    def _drop(self, step: str) -> None:
        self._first.pop(step, None)
        self._last.pop(step, None)
        task = self._tasks.pop(step, None)
        if task is not None:
            self._drawn.remove_task(task)
        if self._drawn is not None and not self._tasks:
            self._drawn.stop()
            self._drawn = None
            for handler, stream in self._streams:
                handler.setStream(stream)
            self._streams = []


def _new() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    # Standard output is no business of theirs: it has the questions, and the result.
    return Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
