"""Glances as a picture for a terminal. Pure: glances, a size and a clock in, something that rich prints out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from ....replication.model.words import plain
from ..terminal import Column, fitted
from .glance import Glance, ServerLine

#: Seconds after which a look is old, and said to be.
OLD = 10.0
KEYS = "s switch   r runbook   n next   p previous   q quit"
_COLUMNS = (
    Column("server"),
    Column("role", keep=1),
    Column("behind", keep=2, right=True),
    Column("threads", keep=4),
    Column("replicates from", keep=3),
    Column("read_only", keep=5),
)
_MARKS = ("?", "!", "!", "-", "+")
_COLOURS = ("red", "red", "yellow", "yellow", "green")
_WORDS = ("not seen", "ILL", "NOT READY", "look", "well")


def screen(glances: Sequence[Glance], chosen: int, width: int, height: int, now: float) -> RenderableType:
    """All clusters, a line each, the worst first in colour; the chosen one whole; the keys. Of one no list is shown."""
    parts: list[RenderableType] = [Text(f"{datetime.fromtimestamp(now):%H:%M:%S}  {KEYS}"[:width], style="dim")]
    if not glances:
        return Group(*parts, Text("No cluster is configured."))
    chosen %= len(glances)
    if len(glances) > 1:
        most = max(3, height // 3)
        first = min(max(0, chosen - most // 2), max(0, len(glances) - most))
        for number in range(first, min(len(glances), first + most)):
            parts.append(summary(glances[number], number == chosen, width, now))
        if len(glances) > most:
            parts.append(Text(f"  {len(glances)} clusters, {first + 1} to {first + most} are shown", style="dim"))
        parts.append(Text(""))
    parts += whole(glances[chosen], width, now)
    return Group(*parts)


def summary(seen: Glance, chosen: bool, width: int, now: float) -> Text:
    """``> + app1  well  primary db1``; shape and words say what the colour says."""
    rank = seen.rank
    late = f", {now - seen.at:.0f} s old" if seen.at and now - seen.at > OLD else ""
    said = f"{'>' if chosen else ' '} {_MARKS[rank]} {plain(seen.cluster)}  {_WORDS[rank]}{late}"
    lag = max((each.behind for each in seen.servers if each.behind), key=_number, default="")
    told = f"{said}  primary {plain(seen.primary) or 'unknown'}{f'  lag {lag}' if lag else ''}"
    return Text(told[:width], style=_COLOURS[rank], no_wrap=True)


def whole(seen: Glance, width: int, now: float) -> list[RenderableType]:
    """One cluster: its servers, then what else is to be known of it."""
    parts: list[RenderableType] = [summary(seen, False, width, now)]
    if seen.failed:
        parts.append(_fact("not seen", seen.failed, "red"))
    if seen.servers:
        parts.append(fitted(_COLUMNS, [_cells(each) for each in seen.servers], width=width))
    facts = [("readiness", seen.readiness, "" if seen.ready else "yellow"), ("manager", seen.manager, "")]
    facts += [("managers", seen.managers, ""), *(("held", each, "yellow") for each in seen.held)]
    facts += [*(("trouble", each, "red") for each in seen.troubles), ("last", seen.last, "")]
    parts += [_fact(label, words, style) for label, words, style in facts if words]
    return parts


def _cells(each: ServerLine) -> tuple[object, ...]:
    style = "red" if each.ill else "bold" if each.role == "primary" else ""
    role = Text(plain(each.role), style=style)
    return (each.server, role, each.behind, each.threads, each.source, each.read_only)


def _fact(label: str, words: str, style: str) -> RenderableType:
    from rich.table import Table

    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=10, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(label, style="dim"), Text(plain(words), style=style))
    return grid


def _number(behind: str) -> int:
    digits = behind.removesuffix(" s")
    return int(digits) if digits.isdecimal() else -1
