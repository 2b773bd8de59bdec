"""How long answers took while all was well: what a silence has to be longer than. Bounded memory."""

from __future__ import annotations

import threading
import time
from collections import deque

#: Minutes that are remembered, each by its longest answer; those that count as recent.
REMEMBERED, RECENT = 60, 2


class RoundTrips:
    """The longest answers of the last hour, a number a minute. Seconds; thread-safe."""

    def __init__(self) -> None:
        self._minutes: deque[tuple[int, float]] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()

    def took(self, seconds: float, now: float | None = None) -> None:
        """An answer came after so long. ``now`` is on the monotonic clock."""
        minute = self._minute(now)
        with self._lock:
            if self._minutes and self._minutes[-1][0] == minute:
                seconds = max(seconds, self._minutes.pop()[1])
            self._minutes.append((minute, seconds))

    def longest(self, now: float | None = None, minutes: int = REMEMBERED) -> float:
        """The longest answer of that many minutes, 0 when there was none."""
        oldest = self._minute(now) - minutes
        with self._lock:
            return max((seconds for minute, seconds in self._minutes if minute > oldest), default=0.0)

    def limit(self, least: float, times: float, most: float, *, minutes: int = REMEMBERED) -> float:
        """How long to wait: ``times`` what took longest, but not less than ``least`` or more than ``most`` seconds."""
        return min(most, max(least, times * self.longest(minutes=minutes)))

    @staticmethod
    def _minute(now: float | None) -> int:
        return int((time.monotonic() if now is None else now) // 60)
