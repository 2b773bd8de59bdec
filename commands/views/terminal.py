"""Tables that fit the terminal, colour only where somebody looks, and JSON whose shape has a name and a version."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from ...replication.model.words import plain, visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

#: Every shape of a JSON document that a command prints, and its version: it grows with each change that a program
#: which reads it could stumble over. docs/json.md tells what is in them.
SHAPES = {
    "check": 1,
    "config": 1,
    "config-check": 1,
    "deploy": 1,
    "drill": 1,
    "drill-plan": 1,
    "failover": 1,
    "failover-plan": 1,
    "history": 1,
    "notify-test": 1,
    "purge": 1,
    "rejoin": 1,
    "rejoin-plan": 1,
    "release": 1,
    "replay": 1,
    "report": 1,
    "simulate": 1,
    "status": 1,
    "stop": 1,
    "switchover": 1,
    "switchover-plan": 1,
    "topology": 1,
}
#: Cells beside the first column may be folded down to this.
NARROW = 18
#: Between two columns, and at both edges.
_GAP = 2


@dataclass(frozen=True)
class Column:
    """One column; ``keep`` says how long it stays when room is short: 0 always, the highest goes first."""

    name: str
    keep: int = 0
    right: bool = False


def console() -> Console:
    """Standard output: colour only on a terminal, none with NO_COLOR; 80 columns where there is none."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def draw(what: RenderableType) -> None:
    """Print a table or the like on standard output."""
    console().print(what)


def print_visible(told: object, file: TextIO | None = None) -> None:
    """What may hold words of servers, hosts or files: nothing in it commands the terminal."""
    print(visible(str(told)), file=file)


def print_wrapped(words: str) -> None:
    """A sentence on standard output, in as many lines as the terminal needs."""
    from rich.text import Text

    draw(Text(visible(words)))


def document(shape: str, told: Mapping[str, Any], *, indent: int | None = 2) -> str:
    """One JSON object; its first name, ``format``, says what it is: ``mha-topology/1``."""
    made = {"format": f"mha-{shape}/{SHAPES[shape]}", **told}
    # ASCII, which every terminal, pipe and program takes, whatever its locale.
    return json.dumps(made, default=str, ensure_ascii=True, indent=indent)


def print_document(shape: str, told: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """The same on standard output."""
    print(document(shape, told, indent=indent))
    sys.stdout.flush()


def print_said(shape: str, told: Mapping[str, Any], work: Callable[[], int]) -> int:
    """What ``work`` prints for people, as a document's ``lines``, with its exit code, which is returned."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = work()
    print_document(shape, {**told, "exit_code": code, "lines": out.getvalue().splitlines()})
    return code


def fitted(
    columns: Sequence[Column],
    rows: Sequence[Sequence[object]],
    *,
    title: str = "",
    width: int | None = None,
) -> Table:
    """A table that fits ``width`` columns (the terminal's when None).

    The first column always stays and is folded last; columns that have no room are left out and named below. Cells
    are strings, whatever they hold, or rich's Text.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    width = console().width if width is None else width
    cells = [[each if isinstance(each, Text) else Text(plain(_said(each))) for each in row] for row in rows]
    natural = [max([len(c.name), *(_longest(row[n]) for row in cells)]) for n, c in enumerate(columns)]
    kept = _with_room(columns, natural, width)
    left = [c.name for n, c in enumerate(columns) if n not in kept]
    table = Table(title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    # Text, not markup, as in the cells: a title may name a file or repeat a server's words.
    table.title = Text(plain(title)) if title else None
    table.caption_justify = "left"
    if left:
        table.caption = Text(f"no room for: {', '.join(left)}", style="dim")
    for n, wide in zip(kept, _widths([natural[n] for n in kept], width - _GAP * len(kept)), strict=True):
        side = "right" if columns[n].right else "left"
        table.add_column(columns[n].name, justify=side, overflow="fold", width=wide)  # type: ignore[arg-type]
    for row in cells:
        table.add_row(*(row[n] for n in kept))
    return table


def _with_room(columns: Sequence[Column], natural: Sequence[int], width: int) -> list[int]:
    kept = list(range(len(columns)))
    least = [size if n == 0 else min(size, NARROW) for n, size in enumerate(natural)]
    while len(kept) > 1 and sum(least[n] + _GAP for n in kept) > width:
        loose = [n for n in kept if n and columns[n].keep]
        if not loose:
            break
        kept.remove(max(loose, key=lambda n: columns[n].keep))
    return kept


def _widths(natural: Sequence[int], room: int) -> list[int]:
    """How wide each column is: as its cells, or less. The first is as wide as it must be, so that names can be copied.

    What is left over goes to those that have more to say, the one with the least first.
    """
    if not natural:
        return []
    wide = [size if n == 0 else min(size, NARROW) for n, size in enumerate(natural)]
    while sum(wide) > room and max(wide[1:], default=0) > 1:
        at = max(range(1, len(wide)), key=lambda n: wide[n])
        wide[at] -= 1
    wide[0] = max(1, min(wide[0], room - sum(wide[1:])))
    while sum(wide) < room and (wanting := [n for n, size in enumerate(natural) if wide[n] < size]):
        wide[min(wanting, key=lambda n: wide[n])] += 1
    return wide


def _longest(cell: Any) -> int:
    return max((len(line) for line in cell.plain.splitlines()), default=0)


def _said(value: object) -> str:
    return "" if value is None else str(value)


def rows_table(rows: Sequence[Mapping[str, object]], *, title: str = "", width: int | None = None) -> Table:
    """Plain rows as a table: names of the first as headings, the later ones the first to go; numbers to the right."""
    first = rows[0] if rows else {}
    columns = [
        Column(name, keep=n, right=isinstance(value, int | float) and not isinstance(value, bool))
        for n, (name, value) in enumerate(first.items())
    ]
    return fitted(columns, [list(row.values()) for row in rows], title=title, width=width)
