"""Which candidate is made ready: the chosen one while it needs no longer than `busy_after`, else who is ready sooner.

Pure: what each of them is at goes in, what to do comes out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class DrainTime:
    """What one candidate needs until it has executed what it received.

    ``seconds`` are expected, infinite where nobody can tell (a lock); 0: it is ready. ``why`` is a sentence.
    ``passed``: it was passed over already. ``ends``: ending sessions would free it.
    """

    key: str
    name: str
    seconds: float
    why: str = ""
    passed: bool = False
    ends: bool = False

    @property
    def ready(self) -> bool:
        """It has executed all that it received."""
        return self.seconds == 0

    @property
    def words(self) -> str:
        """For people: ``about 12 s``, or that it cannot be told."""
        return "an unknown time" if math.isinf(self.seconds) else f"about {self.seconds:.0f} s"


class Next(StrEnum):
    """What to do about a chosen one that is not ready."""

    WAIT = "wait"
    OTHER = "take the other"
    END = "end who keeps it waiting"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Step:
    """The decision, whom to take instead, and why."""

    what: Next
    other: str = ""
    why: str = ""


def decide(
    chosen: DrainTime, others: Sequence[DrainTime], stood: float, *, after: float, policy: str, end_blockers: bool
) -> Step:
    """``others`` in the order in which they would be chosen; ``stood`` are the seconds that the chosen one stood still.

    `other` takes who is ready, or will be within ``after`` seconds, or in half the time; one that was passed over only
    once it is ready, so that this ends. Sessions are ended only where nobody else can be taken. `wait` takes nobody
    else, `refuse` ends the failover. Nobody is waited for less than ``after`` seconds, be it counted or expected.
    """
    expected = max(chosen.seconds, stood)
    if chosen.ready or expected <= after:
        return Step(Next.WAIT)
    if policy == "refuse":
        return Step(Next.REFUSE, why=chosen.why)
    if policy == "other":
        within = max(after, expected / 2)
        sooner = [need for need in others if need.seconds <= within and need.seconds < expected]
        fit = [need for need in sooner if need.ready or not need.passed]
        if fit:
            best = next((need for need in fit if need.ready), min(fit, key=lambda need: need.seconds))
            return Step(Next.OTHER, best.key, chosen.why)
    if end_blockers and chosen.ends:
        return Step(Next.END, why=chosen.why)
    return Step(Next.WAIT, why=chosen.why)
