"""How far something long is, how fast, for how long yet; and that a copy is not faster than allowed."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from .model.position import BinlogPosition

if TYPE_CHECKING:
    from .ssh.streams import InputSource

#: Seconds between two words about it.
TOLD_EVERY = 1.0
#: Seconds over which the rate is taken.
WINDOW = 10.0


@dataclass(frozen=True)
class Progress:
    """``done`` of about ``total`` bytes of a ``step``, at ``rate`` bytes a second."""

    step: str
    done: int
    total: int
    rate: float
    over: bool = False

    @property
    def percent(self) -> float:
        """Of the whole; less than 100 until it is over, for the whole is an estimate."""
        return 100.0 if self.over else min(99.0, 100.0 * self.done / self.total) if self.total else 0.0

    @property
    def left(self) -> float | None:
        """Seconds, None where nothing tells."""
        return max(0.0, self.total - self.done) / self.rate if self.rate > 0 else None

    def __str__(self) -> str:
        left = f", {self.left:.0f} s left" if self.left is not None and not self.over else ""
        return f"{self.step}: {self.percent:.0f}%, {size(self.done)} of {size(self.total)}, {size(self.rate)}/s{left}"


Watcher = Callable[[Progress], None]
_watchers: list[Watcher] = []


@contextlib.contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Within, ``watcher`` is told of everything in this process whose progress nobody else is told of."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def tell_watchers(progress: Progress) -> None:
    """To all of them."""
    for watcher in tuple(_watchers):
        watcher(progress)


def size(count: float) -> str:
    """Bytes in words."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"


class Meter:
    """Counts what passes, holds it back where it is too fast (``rate`` bytes a second, 0: never), and tells.

    ``with`` tells its end, however it ends: who draws it would go on drawing.
    """

    def __init__(self, step: str, total: int, rate: int = 0, tell: Watcher = tell_watchers) -> None:
        self._step, self._total, self._rate, self._tell = step, total, rate, tell
        self._began = self._told = time.monotonic()
        self._window = [(self._began, 0)]
        self._wait = threading.Event()
        self.done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def add(self, count: int) -> None:
        """So many bytes more have passed."""
        self.at(self.done + count)
        if self._rate:
            ahead = self.done / self._rate - (time.monotonic() - self._began)
            if ahead > 0:
                self._wait.wait(ahead)

    def at(self, done: int) -> None:
        """So many bytes have passed by now."""
        self.done, now = done, time.monotonic()
        if now - self._told >= TOLD_EVERY:
            self._told = now
            self._window = [(at, n) for at, n in self._window if now - at <= WINDOW] + [(now, done)]
            self._tell(self._progress())

    def finish(self) -> Progress:
        """It is over."""
        self._total = self.done
        progress = self._progress(over=True)
        self._tell(progress)
        return progress

    def _progress(self, *, over: bool = False) -> Progress:
        at, n = (self._began, 0) if over else self._window[0]
        took = time.monotonic() - at
        return Progress(self._step, self.done, self._total, (self.done - n) / took if took > 0 else 0.0, over)


class OnTheWay:
    """How far an applier is on its way to a place in a log; told while both are in one file: only then is it known.

    ``with`` tells its end, as `Meter` does.
    """

    def __init__(self, step: str) -> None:
        self._step, self._from = step, 0
        self._meter: Meter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._meter is not None:
            self._meter.finish()

    def at(self, executed: BinlogPosition | None, goal: BinlogPosition | None) -> None:
        """It has executed up to there."""
        if executed is None or goal is None or executed.file != goal.file:
            return
        if self._meter is None:
            self._from = executed.pos
            self._meter = Meter(self._step, max(0, goal.pos - executed.pos))
        self._meter.at(executed.pos - self._from)


class Metered:
    """``head``, then what ``source`` gives, counted, then ``tail``: an `InputSource`."""

    def __init__(self, head: bytes, source: InputSource, meter: Meter, tail: bytes = b"") -> None:
        self._head, self._source, self._meter, self._tail = head, source, meter, tail

    def read(self, length: int, /) -> bytes:
        if self._head:
            data, self._head = self._head[:length], self._head[length:]
            return data
        data = self._source.read(length)
        if data:
            self._meter.add(len(data))
            return data
        data, self._tail = self._tail[:length], self._tail[length:]
        return data
