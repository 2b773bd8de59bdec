"""Seconds as bars, a row each, stacked by what they went into. Pure geometry, in units of the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, NAMES, ROW, TOP, LINES = 960.0, 330.0, 24.0, 30.0, 4
#: Behind the longest bar stand its words.
BEHIND = 190.0


@dataclass(frozen=True)
class Amount:
    """What one row is of: ``parts`` are a style (0 to 3), seconds, and words; ``words`` stand behind the bar.

    ``late``: it is more than was wanted, which the words say, too.
    """

    name: str
    kind: str
    parts: tuple[tuple[int, float, str], ...]
    words: str
    late: bool = False


@dataclass(frozen=True)
class Part:
    """A piece of a bar; ``phase`` is its style."""

    x: float
    width: float
    phase: int
    label: str


@dataclass(frozen=True)
class Row:
    """One bar; ``words`` stand for it where nobody knows the seconds, and behind it where somebody does."""

    y: float
    name: str
    kind: str
    parts: tuple[Part, ...]
    words: str
    words_x: float
    late: bool


@dataclass(frozen=True)
class Bars:
    """The picture; ``lines`` are places of the scale with their words, ``target`` that of the seconds wanted."""

    width: float
    height: float
    rows: tuple[Row, ...]
    lines: tuple[tuple[float, str], ...]
    target: tuple[float, str] | None


def bars(amounts: Sequence[Amount], say: Callable[[float], str], target: float | None = None) -> Bars:
    """One below the other; ``target`` in seconds, ``say`` puts such into words."""
    longest = max([sum(took for _, took, _ in each.parts) for each in amounts] + [target or 0.0]) or 1.0
    scale = (WIDTH - NAMES - BEHIND) / longest
    rows = tuple(_row(each, TOP + number * ROW, scale) for number, each in enumerate(amounts))
    lines = tuple(
        (round(NAMES + longest * n / LINES * scale, 1), "0" if n == 0 else say(longest * n / LINES))
        for n in range(LINES + 1)
    )
    wanted = (round(NAMES + target * scale, 1), say(target)) if target is not None else None
    return Bars(WIDTH, TOP + len(rows) * ROW + 10, rows, lines, wanted)


def _row(amount: Amount, y: float, scale: float) -> Row:
    parts: list[Part] = []
    x = NAMES
    for phase, took, label in amount.parts:
        parts.append(Part(round(x, 1), round(took * scale, 1), phase, label))
        x += took * scale
    return Row(y, amount.name, amount.kind, tuple(parts), amount.words, round(x + 5, 1), amount.late)
