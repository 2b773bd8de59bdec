"""The pings of one watch, one at a time on its kept session: one that is late is heard when it comes."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future

from ..detection.classic_rules import Ping
from ..detection.observation import Finding
from ..detection.round_trips import RoundTrips
from ..threads import ThreadPool
from .ping import Pinger

FINDING = {Ping.ANSWERED: Finding.ANSWERED, Ping.ALIVE_BUT_REFUSED: Finding.LIVES, Ping.MISSED: Finding.SILENT}


class Pings:
    """``pinger`` is asked by one thread of its own; what its answers took goes into ``trips``."""

    def __init__(self, pinger: Pinger, trips: RoundTrips) -> None:
        self._pinger, self._trips = pinger, trips
        self._pool = ThreadPool(1, thread_name_prefix="ping")
        self._lock = threading.Lock()
        self._pending: Future[tuple[Ping, str]] | None = None

    def ping(self, limit: float | None = None, *, within: float | None = None) -> tuple[Ping, str] | None:
        """A ping of ``limit`` seconds at most; None when it has not ended ``within`` seconds and is still on its way.

        One that is still on its way is waited for instead.
        """
        with self._lock:
            if self._pending is None or self._pending.done():
                self._pending = self._pool.submit(self._timed, limit)
            return self._ended(within)

    def now(self, limit: float, *, within: float) -> tuple[Finding, str]:
        """What the ping that is on its way brings, or else a new one; SILENT while it brings nothing."""
        with self._lock:
            if self._pending is None:
                self._pending = self._pool.submit(self._timed, limit)
            ended = self._ended(within)
        return (FINDING[ended[0]], ended[1]) if ended else (Finding.SILENT, "it greets, but a ping is not answered")

    def late(self) -> tuple[Finding, str] | None:
        """What a ping that was late brought, if that is a sign of life."""
        with self._lock:
            ended = self._ended(0.0) if self._pending is not None else None
        if ended is None or ended[0] is Ping.MISSED:
            return None
        return FINDING[ended[0]], ended[1]

    def close(self) -> None:
        """End the session; a ping that is still waited for ends with it."""
        self._pinger.abort()
        self._pool.submit(self._pinger.close)
        self._pool.shutdown(wait=False)

    def _ended(self, within: float | None) -> tuple[Ping, str] | None:
        assert self._pending is not None
        try:
            ended = self._pending.result(timeout=within)
        except TimeoutError:
            return None
        self._pending = None
        return ended

    def _timed(self, limit: float | None) -> tuple[Ping, str]:
        began, fresh = time.monotonic(), not self._pinger.connected
        ping, error = self._pinger.ping(limit)
        # One that had to connect first took several round trips.
        if ping is Ping.ANSWERED and not fresh:
            self._trips.took(time.monotonic() - began)
        return ping, error
