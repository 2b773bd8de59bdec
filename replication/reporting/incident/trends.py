"""How long writes were out, incident after incident, as bars: stacked by what the time went into. Pure geometry.

A failover's seconds are those until it was found dead, until the new primary was about to be opened (fenced, rescued,
levelled), and until a row was written on it; a switch holds writes and has but one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..history.incident import Incident, Kind
from ..history.text import move, out_words, result_words, seconds, when

#: The step that ends what comes before the opening.
OPENING = "Open the new primary for writes"
PHASES = ("found dead", "fenced, rescued, levelled", "opened", "held")
WIDTH, NAMES, ROW, TOP, LINES = 960.0, 330.0, 24.0, 30.0, 4
#: Behind the longest bar stand its words.
BEHIND = 190.0


@dataclass(frozen=True)
class Part:
    """A piece of a bar; ``phase`` is a place in `PHASES`."""

    x: float
    width: float
    phase: int
    label: str


@dataclass(frozen=True)
class Row:
    """One incident; ``words`` stand for a bar where nobody knows the seconds, and behind one where somebody does."""

    y: float
    name: str
    kind: str
    parts: tuple[Part, ...]
    words: str
    words_x: float
    late: bool


@dataclass(frozen=True)
class Trends:
    """The picture; ``lines`` are places of the scale with their words, ``target`` that of the seconds wanted."""

    width: float
    height: float
    rows: tuple[Row, ...]
    lines: tuple[tuple[float, str], ...]
    target: tuple[float, str] | None


def trends(told: Sequence[Incident], target: float | None) -> Trends | None:
    """Of failovers and switches, the oldest first; ``target`` in seconds. None where there is none of them."""
    shown = [each for each in told if each.kind is not Kind.REJOIN]
    if not shown:
        return None
    longest = max([each.without_writes or 0.0 for each in shown] + [target or 0.0]) or 1.0
    scale = (WIDTH - NAMES - BEHIND) / longest
    rows = tuple(_row(each, TOP + number * ROW, scale, target) for number, each in enumerate(shown))
    lines = tuple(
        (round(NAMES + longest * n / LINES * scale, 1), "0" if n == 0 else seconds(longest * n / LINES))
        for n in range(LINES + 1)
    )
    wanted = (round(NAMES + target * scale, 1), seconds(target)) if target is not None else None
    return Trends(WIDTH, TOP + len(rows) * ROW + 10, rows, lines, wanted)


def _row(incident: Incident, y: float, scale: float, target: float | None) -> Row:
    parts: list[Part] = []
    x = NAMES
    for phase, took in phases(incident):
        part = Part(round(x, 1), round(took * scale, 1), phase, f"{PHASES[phase]}: {seconds(took)}")
        parts.append(part)
        x += took * scale
    late = target is not None and (incident.without_writes or 0.0) > target
    words = out_words(incident) + (" (later than the target)" if late else "")
    name = f"{when(incident.began)} {move(incident)}"
    return Row(y, name, incident.kind.value, tuple(parts), words, round(x + 5, 1), late)


def phases(incident: Incident) -> list[tuple[int, float]]:
    """Seconds of each phase, which add up to those without writes; nothing where these are not known."""
    whole = incident.without_writes
    if whole is None:
        return []
    if incident.out is None:
        return [(3, whole)]
    since, until = incident.out.since, incident.out.until
    opening = next((step.began for step in incident.steps if step.name == OPENING), until)
    found = min(max(incident.began, since), until)
    opening = min(max(opening, found), until)
    return [(0, found - since), (1, opening - found), (2, until - opening)]


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
