"""What a former rebuild left on the host, whose that is, and whether it is gone on with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from ...memory.journal import REJOIN, journals
from ...model.state import GtidKind
from ...model.ways_back import How, Method
from ..remembered.interrupted import begun_in

#: Words of the room's state from which a copy is whole, or on its way in.
WHOLE = ("copied", "out", "scrap", "in", "swapped", "placed")
#: The word from which on the server itself knows how far it is.
PLACED = "placed"


@dataclass(frozen=True)
class Whose:
    """Of which rebuild something is: its donor and its primary (``ip:port``), and the name of its journal."""

    donor: str = ""
    primary: str = ""
    kind: str = ""
    method: str = ""
    journal: str = ""

    @property
    def line(self) -> bytes:
        """As the host keeps it."""
        return (json.dumps(asdict(self)) + "\n").encode()

    @classmethod
    def parse(cls, line: str) -> Whose:
        """Nobody's where it does not tell."""
        try:
            told = json.loads(line)
            return cls(**{name: str(told[name]) for name in asdict(cls())})
        except (ValueError, KeyError, TypeError, RecursionError):
            return cls()

    def goes_on(self, other: Whose) -> bool:
        """Whether that one would bring the same data by the same means."""
        mine = (self.donor, self.primary, self.kind, self.method)
        return mine == (other.donor, other.primary, other.kind, other.method)


@dataclass(frozen=True)
class Left:
    """``state`` is the word of the last step, empty without one; ``old`` where the old data lies, whole."""

    state: str = ""
    old: str = ""
    of: Whose = Whose()

    @property
    def moved(self) -> bool:
        """The old data is out of its place, all of it or some."""
        return bool(self.old) or self.state in ("out", "back-in")


class GoOn(Enum):
    """With what is there; or anew, the old data staying the old data; or anew, and all that is there is kept."""

    THERE = "there"
    ANEW = "anew"
    APART = "apart"


def decide(left: Left, mine: Whose, cut_short: tuple[str, ...], *, may_have_run: bool) -> GoOn:
    """Pure. ``cut_short`` are the journals of the rebuilds that this one goes on with, its own among them.

    ``may_have_run``: nothing proves that the server, whose place was set and which does not follow the primary, stands
    there still.
    """
    if left.of.journal not in cut_short:
        return GoOn.APART
    same = left.of.goes_on(mine)
    if left.state == PLACED:
        return GoOn.THERE if same and not may_have_run else GoOn.APART
    if same and left.state in WHOLE and mine.method != Method.DUMP.value:
        return GoOn.THERE
    return GoOn.ANEW


def cut_short(workdir: Path, app: str, key: str, own: str = "") -> tuple[str, ...]:
    """Names of the journals of the newest rebuilds of ``key`` that nobody ended, with nothing else of it between.

    ``own`` is the journal of who asks, and is among them.
    """
    names = [own] if own else []
    for path in journals(workdir, app, REJOIN):
        begun = begun_in(path) if path.name != own else None
        if begun is None or begun.key != key:
            continue
        if not begun.cut_short or begun.plan.get("how") != How.REBUILD.value:
            break
        names.append(path.name)
    return tuple(names)


def tells_itself(kind: GtidKind) -> bool:
    """Whether the server's own GTIDs say what its data has, whatever was executed meanwhile."""
    return kind is not GtidKind.POSITION
