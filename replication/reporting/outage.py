"""How long nobody took writes: what a watch saw of it, and for how long before that nobody could tell. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ..planning.waits import Waits


@dataclass(frozen=True)
class Outage:
    """From the first sign of trouble to the first row on the new primary (seconds since the epoch).

    ``unseen``, where there is one, is earlier: since then nobody was seen to reach the old primary, which may have
    taken writes nevertheless. ``in_vain``: the first sign was that its commits waited, and none was acknowledged.
    ``lasts``: at ``until`` commits of the new primary waited, and nobody acknowledged them.
    """

    since: float
    until: float
    unseen: float | None = None
    in_vain: bool = False
    lasts: bool = False

    @property
    def seconds(self) -> float:
        """As far as it was seen."""
        return self.until - self.since

    @property
    def at_most(self) -> float:
        """Seconds, should nobody have reached the old primary before."""
        return self.until - (self.since if self.unseen is None else self.unseen)

    @property
    def first_sign(self) -> str:
        """What it begins with, for people."""
        return "the first commit that was seen to wait in vain" if self.in_vain else "the first sign of trouble"

    def span(self, digits: int) -> str:
        """``from the first sign of trouble at 10:00:00.0 until …``, with so many digits of a second."""
        words = f"from {self.first_sign} at {_clock(self.since, digits)} until {_clock(self.until, digits)}"
        if self.lasts:
            words += " and on, for nobody acknowledged what the new primary commits"
        if self.unseen is not None:
            words += f"; whether anybody could write before that is unknown from {_clock(self.unseen, digits)} on"
        return words

    def ends(self, at: float, *, lasts: bool) -> Outage:
        """The same, of which the end was seen later; ``lasts``: it was not."""
        return replace(self, until=at, lasts=lasts)

    def as_facts(self) -> dict[str, Any]:
        """For a journal."""
        facts: dict[str, Any] = {"out": [round(self.since, 3), round(self.until, 3)]}
        if self.unseen is not None:
            facts["out_unseen"] = round(self.unseen, 3)
        said = {"out_in_vain": self.in_vain, "out_lasts": self.lasts}
        return facts | {name: True for name, so in said.items() if so}


def outage(since: float, unseen: float, waits: Waits | None, ping_interval: float, until: float) -> Outage | None:
    """None where no watch saw the first sign (``since`` 0)."""
    if not since:
        return None
    vain = waits.in_vain if waits is not None and waits.until(since, ping_interval) else 0.0
    begun = min(since, vain or since)
    return Outage(begun, until, unseen if 0 < unseen < begun else None, begun < since)


def outage_of(facts: Mapping[str, Any], span: tuple[float, float] | None, unseen: float | None) -> Outage | None:
    """As a journal tells it: ``span`` and ``unseen`` are its numbers that are times."""
    if span is None:
        return None
    earlier = unseen if unseen is not None and unseen < span[0] else None
    return Outage(*span, earlier, facts.get("out_in_vain") is True, facts.get("out_lasts") is True)


def _clock(at: float, digits: int) -> str:
    return datetime.fromtimestamp(at).strftime("%H:%M:%S.%f")[: digits - 6]
