"""The steps of an incident as bars on a scale of time, a lane a server. Pure geometry, in units of the picture.

The scale is true, but for one interval in which nothing began or ended and that is longer than all the rest: it is
shortened, and the break is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ...planning.role_plan import short_name
from ..history.incident import Incident, Step
from ..history.text import clock, seconds

#: The picture: left of the scale stand the lanes' names; a lane is so high for each of its rows.
WIDTH, NAMES, ROW, TOP = 960.0, 170.0, 20.0, 34.0
#: A bar is at least so wide, to be seen; and a shortened interval takes so much of the scale.
LEAST, SHORTENED = 3.0, 0.25
#: Who acts when no server is named.
MANAGER = "the manager"


@dataclass(frozen=True)
class Bar:
    """One step: its place, its words, and how it ended: ``done``, ``failed`` or ``open``."""

    x: float
    y: float
    width: float
    label: str
    how: str


@dataclass(frozen=True)
class Lane:
    """One server: its name, and from where to where it goes downwards."""

    name: str
    y: float
    height: float


@dataclass(frozen=True)
class Mark:
    """One moment on the scale."""

    x: float
    label: str


@dataclass(frozen=True)
class Band:
    """While a server took writes, as far as is known: from where to where, at the foot of its lane."""

    x: float
    y: float
    width: float
    label: str


@dataclass(frozen=True)
class Timeline:
    """The whole picture. ``gap`` is where the scale is broken, and the words of what is left out."""

    width: float
    height: float
    lanes: tuple[Lane, ...]
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]
    out: tuple[float, float] | None
    gap: Mark | None
    writers: tuple[Band, ...] = ()


class _Scale:
    """From seconds since the epoch to a place."""

    def __init__(self, times: Sequence[float]) -> None:
        self._first, self._last = min(times), max(times)
        known = sorted(set(times))
        pairs = list(pairwise(known))
        longest = max(pairs, key=lambda pair: pair[1] - pair[0], default=(self._first, self._first))
        total, long = max(self._last - self._first, 1e-6), longest[1] - longest[0]
        self.gap = longest if len(pairs) > 2 and long > total / 2 else None
        rest = total - long
        # Shortened it is a quarter of the scale; the rest is true.
        self._shown = rest * SHORTENED / (1 - SHORTENED) if self.gap else 0.0
        self._total = rest + self._shown if self.gap else total

    def __call__(self, at: float) -> float:
        done = at - self._first
        if self.gap is not None and at > self.gap[0]:
            long = self.gap[1] - self.gap[0]
            inside = min(at - self.gap[0], long)
            done = self.gap[0] - self._first + inside / long * self._shown + max(0.0, at - self.gap[1])
        return round(NAMES + (WIDTH - NAMES) * min(1.0, max(0.0, done / max(self._total, 1e-6))), 1)


def timeline(incident: Incident) -> Timeline | None:
    """None where the journal tells of no step."""
    if not incident.steps:
        return None
    ends = [step.began + (step.seconds or 0.0) for step in incident.steps]
    times = [incident.began, *(step.began for step in incident.steps), *ends]
    times += [*(incident.out or ()), *([incident.ended_at] if incident.ended_at is not None else [])]
    scale = _Scale(times)
    lanes: list[Lane] = []
    bars: list[Bar] = []
    y = TOP
    for name in dict.fromkeys(step.server or MANAGER for step in incident.steps):
        mine = [step for step in incident.steps if (step.server or MANAGER) == name]
        rows: list[float] = []
        for step in mine:
            x = scale(step.began)
            width = max(LEAST, scale(step.began + step.seconds) - x if step.seconds is not None else WIDTH - x)
            row = next((n for n, taken in enumerate(rows) if taken <= x), len(rows))
            rows[row : row + 1] = [x + width]
            bars.append(Bar(x, y + row * ROW, round(min(width, WIDTH - x + LEAST), 1), _label(step), _how(step)))
        height = max(1, len(rows)) * ROW + 6
        lanes.append(Lane(name, y, height))
        y += height
    marks = [Mark(scale(incident.began), clock(incident.began))]
    if incident.ended_at is not None:
        marks.append(Mark(scale(incident.ended_at), clock(incident.ended_at)))
    out = (scale(incident.out[0]), scale(incident.out[1])) if incident.out is not None else None
    gap = None
    if scale.gap is not None:
        gap = Mark(round(sum(map(scale, scale.gap)) / 2, 1), seconds(scale.gap[1] - scale.gap[0]))
    return Timeline(WIDTH, y + 10, tuple(lanes), tuple(bars), tuple(marks), out, gap, _writers(incident, lanes, out))


def _writers(incident: Incident, lanes: Sequence[Lane], out: tuple[float, float] | None) -> tuple[Band, ...]:
    """Until the first sign of trouble the old primary, from the proven row on the new one; else nothing."""
    if out is None or incident.new is None or not incident.opened:
        return ()
    spans = ((short_name(incident.old), NAMES, out[0]), (short_name(incident.new), out[1], WIDTH))
    return tuple(
        Band(begin, lane.y + lane.height - 5, round(max(LEAST, end - begin), 1), f"{name} took writes")
        for name, begin, end in spans
        for lane in lanes
        if lane.name == name
    )


def _how(step: Step) -> str:
    return "open" if step.ok is None else "done" if step.ok else "failed"


def _label(step: Step) -> str:
    took = seconds(step.seconds) if step.seconds is not None else "no end is recorded"
    return f"{clock(step.began)} {step.name}: {took}" + (f", failed: {step.said}" if step.ok is False else "")
