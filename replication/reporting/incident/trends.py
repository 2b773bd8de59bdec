"""How long writes were out, incident after incident, as bars: stacked by what the time went into. Pure geometry.

A failover's seconds are those until it was found dead, until the new primary was about to be opened (fenced, rescued,
levelled), and until a row was written on it; a switch holds writes and has but one.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..history.incident import Incident, Kind
from ..history.text import move, out_words, result_words, seconds, when
from ..pictures.bars import Amount, Bars, bars

#: The step that ends what comes before the opening; a target so many times the longest is only told.
OPENING = "Open the new primary for writes"
FAR = 2.0
PHASES = ("found dead", "fenced, rescued, levelled", "opened", "held")


def trends(told: Sequence[Incident], target: float | None) -> Bars | None:
    """Of failovers, switches and drills, the oldest first; ``target`` in seconds. None where there is none of them."""
    shown = [_amount(each, target) for each in told if each.kind is not Kind.REJOIN]
    # One that is far beyond every bar would leave nothing of them to be seen.
    far = target is not None and target > FAR * max((each.without_writes or 0.0 for each in told), default=0.0) > 0
    return bars(shown, seconds, None if far else target) if shown else None


def _amount(incident: Incident, target: float | None) -> Amount:
    parts = tuple((phase, took, f"{PHASES[phase]}: {seconds(took)}") for phase, took in phases(incident))
    late = target is not None and (incident.without_writes or 0.0) > target
    words = out_words(incident) + (" (later than the target)" if late else "")
    return Amount(f"{when(incident.began)} {move(incident)}", incident.kind.value, parts, words, late)


def phases(incident: Incident) -> list[tuple[int, float]]:
    """Seconds of each phase, which add up to those without writes; nothing where these are not known."""
    whole = incident.without_writes
    if whole is None:
        return []
    if incident.kind is Kind.DRILL:
        return _of_a_drill(whole, (incident.scorecard or {}).get("parts"))
    if incident.out is None:
        return [(3, whole)]
    since, until = incident.out.since, incident.out.until
    opening = next((step.began for step in incident.steps if step.name == OPENING), until)
    found = min(max(incident.began, since), until)
    opening = min(max(opening, found), until)
    return [(0, found - since), (1, opening - found), (2, until - opening)]


def _of_a_drill(whole: float, parts: object) -> list[tuple[int, float]]:
    """By its scorecard: of a planned switch, or of one that tells no parts, it is all one."""
    took = {k: float(v) for k, v in parts.items() if isinstance(v, int | float)} if isinstance(parts, dict) else {}
    if "detect" not in took:
        return [(3, whole)]
    found = min(max(0.0, took["detect"] + took.get("confirm", 0.0)), whole)
    opened = min(max(0.0, took.get("open", 0.0)), whole - found)
    return [(0, found), (1, whole - found - opened), (2, opened)]


def table(told: Sequence[Incident]) -> list[tuple[str, ...]]:
    """The figures of the bars: when, what, who, seconds without writes, of each phase, and how it ended."""
    rows = []
    for each in told:
        took = dict(phases(each))
        figures = tuple("" if number not in took else f"{took[number]:.3f}" for number in range(len(PHASES)))
        whole = "unknown" if each.without_writes is None else f"{each.without_writes:.3f}"
        named = (when(each.began), each.kind.value, move(each), "" if each.kind is Kind.REJOIN else whole)
        rows.append((*named, *figures, result_words(each)))
    return rows
