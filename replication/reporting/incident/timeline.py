"""The steps of an incident as bars on a scale of time, a lane a server. Pure geometry, in units of the picture.

The scale is true, but for one interval in which nothing began or ended and that dwarfs all the rest: it is
shortened, and the break is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ...planning.role_plan import short_name
from ..history.incident import Incident, Kind, Step
from ..history.text import clock, seconds

#: The picture: left of the scale stand the lanes' names; a lane is so high for each of its rows, a line of marks so.
WIDTH, NAMES, ROW, MARKS = 960.0, 150.0, 17.0, 13.0
#: Before the first moment and behind the last one, to see how it was then.
LEAD = 30.0
#: A bar is at least so wide, to be seen; a shortened interval takes so much of the scale, and is so often all the rest.
LEAST, SHORTENED, DWARFS = 3.0, 0.25, 2.0
#: Of more steps the words would be more than the picture; and how wide one letter is, at most on average.
WORDS, LETTER, NARROW = 60, 6.6, 6.0
#: Who acts when no server is named.
MANAGER = "the manager"
#: The lane of what was seen; so many looks, and so many attempts, are shown.
LOOKS, LOOKED = "who looked", 15


@dataclass(frozen=True)
class Bar:
    """One step: its place, its words (``words`` beside it, from ``words_x`` on), how it ended: done, failed, open."""

    x: float
    y: float
    width: float
    label: str
    how: str
    words: str = ""
    words_x: float = 0.0


@dataclass(frozen=True)
class Lane:
    """One server: its name, and from where to where it goes downwards."""

    name: str
    y: float
    height: float


@dataclass(frozen=True)
class Mark:
    """One moment on the scale, its words from ``text_x`` on; the words of a break have no ``line``."""

    x: float
    y: float
    label: str
    text_x: float
    line: bool = True


@dataclass(frozen=True)
class Band:
    """While a server took writes, as far as is known: from where to where, at the foot of its lane."""

    x: float
    y: float
    width: float
    label: str


@dataclass(frozen=True)
class Timeline:
    """The whole picture; the marks' words stand above ``top``. ``gap`` is how long the shortened interval is."""

    width: float
    height: float
    top: float
    lanes: tuple[Lane, ...]
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]
    out: tuple[float, float] | None
    gap: float | None
    writers: tuple[Band, ...] = ()


class Scale:
    """From seconds since the epoch to a place."""

    def __init__(self, times: Sequence[float]) -> None:
        self._first, self._last = min(times), max(times)
        known = sorted(set(times))
        pairs = list(pairwise(known))
        longest = max(pairs, key=lambda pair: pair[1] - pair[0], default=(self._first, self._first))
        total, long = max(self._last - self._first, 1e-6), longest[1] - longest[0]
        self.gap = longest if len(pairs) > 2 and long > DWARFS * (total - long) else None
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
        share = min(1.0, max(0.0, done / max(self._total, 1e-6)))
        return round(NAMES + LEAD + (WIDTH - NAMES - 2 * LEAD) * share, 1)


class _Rows:
    """Rows below each other; whatever comes takes the first in which its place is free."""

    def __init__(self) -> None:
        self._taken: list[list[tuple[float, float]]] = []

    def place(self, begin: float, end: float) -> int:
        for number, row in enumerate(self._taken):
            if all(end <= first or last <= begin for first, last in row):
                row.append((begin, end))
                return number
        self._taken.append([(begin, end)])
        return len(self._taken) - 1

    def __len__(self) -> int:
        return max(1, len(self._taken))


def timeline(incident: Incident) -> Timeline | None:
    """None where the journal tells of no step."""
    if not incident.steps:
        return None
    steps = (*_looks(incident), *incident.steps, *_again(incident))
    ends = [step.began + (step.seconds or 0.0) for step in steps]
    times = [incident.began, *(step.began for step in steps), *ends]
    times += [at for at, _ in _out(incident)]
    times += [*([incident.ended_at] if incident.ended_at is not None else [])]
    scale = Scale(times)
    marks, y = _marks(incident, scale)
    top, worded = y, len(steps) <= WORDS
    lanes: list[Lane] = []
    bars: list[Bar] = []
    by_lane: dict[str, list[Step]] = {}
    for step in steps:
        by_lane.setdefault(step.server or MANAGER, []).append(step)
    for name, mine in by_lane.items():
        rows = _Rows()
        for step in mine:
            x = scale(step.began)
            width = max(LEAST, scale(step.began + step.seconds) - x if step.seconds is not None else WIDTH - x)
            words = _words(step) if worded else ""
            words_x = _beside(x, x + width, words)
            row = rows.place(min(x, words_x), max(x + width, words_x + LETTER * len(words)))
            width = round(min(width, WIDTH - x + LEAST), 1)
            bars.append(Bar(x, y + row * ROW, width, _label(step), _how(step), words, words_x))
        height = len(rows) * ROW + 8
        lanes.append(Lane(name, y, height))
        y += height
    out = (scale(incident.out.since), scale(incident.out.until)) if incident.out is not None else None
    gap = scale.gap[1] - scale.gap[0] if scale.gap is not None else None
    writers = _writers(incident, lanes, out)
    return Timeline(WIDTH, y + 10, top, tuple(lanes), tuple(bars), marks, out, gap, writers)


def _looks(incident: Incident) -> Iterator[Step]:
    """What was seen of it when it was found dead, in a lane of its own."""
    yield from (Step(each.said, LOOKS, each.at - each.seconds, each.seconds, True) for each in incident.seen[:LOOKED])


def _again(incident: Incident) -> Iterator[Step]:
    """A mark in the lane of the server, where a step was tried again."""
    yield from (Step(f"↻ {each.said}", each.who, each.at, 0.0, True) for each in incident.again[:LOOKED])


def _beside(x: float, end: float, words: str, letter: float = LETTER) -> float:
    """Where words begin: behind what they are of, or before it where there is no room."""
    long = letter * len(words)
    if end + 3 + long <= WIDTH:
        return round(end + 3, 1)
    return round(max(NAMES, x - 3 - long), 1)


def _marks(incident: Incident, scale: Scale) -> tuple[tuple[Mark, ...], float]:
    """The moments that are looked for, each with its words where they do not overlap; and where the lanes begin."""
    rows, made = _Rows(), []
    for x, words, line in sorted(_moments(incident, scale)):
        text_x = _beside(x, x, words, NARROW)
        row = rows.place(text_x - 4, text_x + NARROW * len(words) + 4)
        made.append(Mark(x, 12 + row * MARKS, words, text_x, line))
    return tuple(made), 20 + len(rows) * MARKS


def _moments(incident: Incident, scale: Scale) -> Iterator[tuple[float, str, bool]]:
    began = "found dead" if incident.kind is Kind.FAILOVER and incident.asked.automatic else "begun"
    moments = [(incident.began, began)]
    moments += [(incident.ended_at, "ended")] if incident.ended_at is not None else []
    moments += _out(incident)
    yield from ((scale(at), f"{clock(at)} {words}", True) for at, words in moments)
    if scale.gap is not None:
        words = f"≈ {seconds(scale.gap[1] - scale.gap[0])} shortened ≈"
        yield round(sum(map(scale, scale.gap)) / 2 - NARROW * len(words) / 2, 1), words, False


def _out(incident: Incident) -> list[tuple[float, str]]:
    """From when to when writes were out."""
    out = incident.out
    if out is None:
        return []
    unseen = [(out.unseen, "nobody is seen to reach it")] if out.unseen is not None else []
    return [*unseen, (out.since, out.first_sign.removeprefix("the ")), (out.until, "writes are back")]


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


def _words(step: Step) -> str:
    took = {"open": "no end", "failed": "failed"}.get(_how(step)) or seconds(step.seconds)
    name = step.name if len(step.name) <= 45 else f"{step.name[:44]}…"
    if step.seconds == 0.0:
        return name
    return f"{name} {took}"


def _label(step: Step) -> str:
    took = seconds(step.seconds) if step.seconds is not None else "no end is recorded"
    return f"{clock(step.began)} {step.name}: {took}" + (f", failed: {step.said}" if step.ok is False else "")
