"""Events that repeat while something flaps are told once, and the rest of them in one sentence. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

#: What may come and go by itself. Everything else is told each time.
FLAPPING = frozenset({"suspect", "recovered", "check_failed", "check_passed"})


@dataclass
class _Window:
    """One cluster's repetitions: each event is told once until ``ends``, what came again is ``held``.

    ``quiet`` is how long such a window is.
    """

    ends: float
    quiet: float
    told: set[str] = field(default_factory=set)
    held: list[dict[str, Any]] = field(default_factory=list)


class Debouncer:
    """Decides what is told now and what is told later as one. Times are those of any one clock, in seconds."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}

    def admit(self, document: dict[str, Any], quiet: float, now: float) -> bool:
        """Whether an event is to be told now; when not, it is held for `due`. ``quiet`` is the window in seconds.

        An event that is no flapping ends it: what was held is no longer news.
        """
        cluster, event = document["cluster"], document["event"]
        if event not in FLAPPING:
            self._windows.pop(cluster, None)
            return True
        window = self._windows.setdefault(cluster, _Window(now + quiet, quiet))
        if event not in window.told:
            window.told.add(event)
            return True
        window.held.append(document)
        return False

    def due(self, now: float) -> list[dict[str, Any]]:
        """What is to be told now of what was held: for each cluster the last event, with the number of all."""
        told = []
        for cluster, window in list(self._windows.items()):
            if now < window.ends:
                continue
            if not window.held:
                del self._windows[cluster]
                continue
            told.append(_as_one(window.held))
            self._windows[cluster] = _Window(now + window.quiet, window.quiet, set(FLAPPING))
        return told

    def next_due(self) -> float | None:
        """When `due` is to be asked again; None when nothing is held."""
        return min((window.ends for window in self._windows.values() if window.held), default=None)


def _as_one(held: list[dict[str, Any]]) -> dict[str, Any]:
    times = Counter(document["event"] for document in held)
    counted = ", ".join(f"{event.replace('_', ' ')} {number} times" for event, number in times.items())
    last = held[-1]
    text = f"{last['text']} (since {held[0]['at']}: {counted})"
    return {**last, "text": text, "facts": {**last["facts"], "times": dict(times)}}
