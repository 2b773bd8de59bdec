"""How a primary's commits wait for a second disk, from one look to the next. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.state import SemiSync

#: MySQL's longest wait (milliseconds), 49 days; MariaDB takes it, too.
LONGEST_WAIT = 4294967295


@dataclass(frozen=True)
class Waits:
    """One look, ``at`` in seconds since the epoch. ``acknowledged`` counts its commits that waited and were.

    ``waits``: each commit does, for ever. ``covered``: what was committed before it did so lies on a second disk, too,
    for whoever acknowledges a commit has all that stands before it.
    """

    at: float
    waits: bool
    acknowledged: int
    covered: bool = False


def looked(before: Waits | None, at: float, semi: SemiSync, *, on: bool, acknowledged: int) -> Waits:
    """The look after ``before``. ``on`` is the server's own word, not its setting: after a fall-back it is off until
    somebody is level. It is also on from the moment it is enabled, when older commits may lie on one disk; and a server
    that was started again has committed what waited before. So an acknowledgement has to be seen while it is on.
    """
    waits = on and semi.loses_nothing and (semi.timeout or 0) >= LONGEST_WAIT
    covered = False
    if waits and before is not None and before.waits:
        more = acknowledged - before.acknowledged
        covered = more > 0 or (more == 0 and before.covered)
    return Waits(at, waits, acknowledged, covered)
