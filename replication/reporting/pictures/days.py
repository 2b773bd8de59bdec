"""In how many health checks a failover would have gone on, a column a day of the last 90. Pure geometry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from markupsafe import Markup

#: The days shown, the width of a column, and how high one is.
DAYS, STEP, HIGH = 90, 10, 30


@dataclass(frozen=True)
class Readied:
    """Three paths of columns: ``ready``; ``other``, above it, where it would have been refused; ``none``, no check.

    ``words`` say all of it, without an end.
    """

    ready: Markup
    other: Markup
    none: Markup
    words: str
    width: int = DAYS * STEP
    height: int = HIGH


def readied(days: Mapping[str, tuple[int, int]], today: date) -> Readied:
    """``days`` are by date the checks that were ready and all of them; others than the last 90 are left out."""
    ready: list[str] = []
    other: list[str] = []
    none: list[str] = []
    seen: list[tuple[int, int]] = []
    for number in range(DAYS):
        x, wide = number * STEP + 1, STEP - 2
        good, checks = days.get((today - timedelta(days=DAYS - 1 - number)).isoformat(), (0, 0))
        if not checks:
            none.append(f"M{x} {HIGH}h{wide}")
            continue
        seen.append((good, checks))
        high = round(HIGH * good / checks)
        if high:
            ready.append(f"M{x} {HIGH}v-{high}h{wide}v{high}z")
        if good < checks:
            # A refusal of one check in a thousand is seen, too.
            part = max(3, HIGH - high)
            other.append(f"M{x} {part}V0h{wide}V{part}z")
    # Whole, however long, and of figures alone.
    drawn = [Markup(" ").join(paths) for paths in (ready, other, none)]
    return Readied(drawn[0], drawn[1], drawn[2], _words(seen))


def _words(seen: list[tuple[int, int]]) -> str:
    if not seen:
        return f"no health check of the last {DAYS} days is remembered"
    good, checks, bad = sum(g for g, _ in seen), sum(c for _, c in seen), sum(g < c for g, c in seen)
    days = f"{len(seen)} day{'s' if len(seen) != 1 else ''}"
    told = f"a failover would have gone on in {good} of {checks} health checks, on {days} of the last {DAYS}"
    return told + (f"; refused at least once on {bad} of them" if bad else "")
