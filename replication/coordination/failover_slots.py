"""Turns: how many failovers one process runs at the same time, and who is next when more of them are wanted."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

log = logging.getLogger("mha")

#: Failovers at the same time, unless it is said otherwise: each has some ten sessions and threads for a second or two,
#: and most of that time waits for servers.
MOST = 8
#: Seconds between two looks whether the one who waits is to stop.
STOP_SEEN = 0.25


@dataclass(frozen=True)
class Claim:
    """A cluster that wants to be failed over. ``since`` is when its turn was asked for (monotonic clock)."""

    cluster: str
    priority: int
    since: float


def in_order(waiting: Iterable[Claim]) -> tuple[Claim, ...]:
    """Those who wait as they are to be served: the highest priority first, then who has waited longest. Pure."""
    return tuple(sorted(waiting, key=lambda c: (-c.priority, c.since, c.cluster)))


def may_go(waiting: Iterable[Claim], running: int, most: int) -> tuple[Claim, ...]:
    """Who may begin now, while ``running`` failovers are under way and ``most`` may be. Pure."""
    return in_order(waiting)[: max(0, most - running)]


class FailoverSlots:
    """The places of one process's failovers, shared by its watchers. Thread-safe.

    One that is under way is never interrupted for a more important one. A process that watches a single cluster never
    waits: it has no other failover to wait for.
    """

    def __init__(self, most: int = MOST) -> None:
        if most < 1:
            raise ValueError("at least one failover must be allowed at a time")
        self._most = most
        self._changed = threading.Condition()
        self._waiting: set[Claim] = set()
        self._running: set[Claim] = set()

    @contextlib.contextmanager
    def turn(self, cluster: str, priority: int, stop: threading.Event) -> Iterator[float | None]:
        """Have a place while in it. Gives the seconds that were waited for it, None when ``stop`` came first."""
        claim = Claim(cluster, priority, time.monotonic())
        with self._changed:
            self._waiting.add(claim)
            got = self._wait_for(claim, stop)
            self._waiting.discard(claim)
            if got:
                self._running.add(claim)
            # Whoever is behind has another place in the queue now, and may go, too, when there is more than one.
            self._changed.notify_all()
        try:
            yield time.monotonic() - claim.since if got else None
        finally:
            with self._changed:
                self._running.discard(claim)
                self._changed.notify_all()

    def _wait_for(self, claim: Claim, stop: threading.Event) -> bool:
        said = 0
        while claim not in may_go(self._waiting, len(self._running), self._most):
            if stop.is_set():
                return False
            place = in_order(self._waiting).index(claim) + 1
            if place != said:
                said = place
                log.warning(
                    "The failover of %s (priority %d) waits for its turn: %d of at most %d run (%s); it is number %d "
                    "of the %d that wait.",
                    claim.cluster,
                    claim.priority,
                    len(self._running),
                    self._most,
                    ", ".join(sorted(c.cluster for c in self._running)) or "others begin",
                    place,
                    len(self._waiting),
                )
            self._changed.wait(STOP_SEEN)
        if said:
            log.info("It is the turn of %s after %.1f s.", claim.cluster, time.monotonic() - claim.since)
        return True
