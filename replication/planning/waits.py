"""How a primary's commits wait for a second disk, from one look to the next. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.state import SemiSync

#: MySQL's longest wait (milliseconds), 49 days; MariaDB takes it, too.
LONGEST_WAIT = 4294967295
#: Seconds that a look may take, which is to be no older than two pings and that at the first sign of trouble.
_LOOK = 2.0


@dataclass(frozen=True)
class Waits:
    """One look, ``at`` in seconds since the epoch. ``acknowledged`` counts its commits that waited and were.

    ``waits``: each commit does, for ever. ``covered``: what was committed before it did so lies on a second disk, too,
    for whoever acknowledges a commit has all that stands before it. ``stands`` is the first of the looks, up to this
    one, that saw a commit wait and none acknowledged since the look before; 0 where there is none.
    """

    at: float
    waits: bool
    acknowledged: int
    covered: bool = False
    stands: float = 0.0

    @property
    def in_vain(self) -> float:
        """Since when none was acknowledged though some wait (seconds since the epoch), seen twice; 0 where not so."""
        return self.stands if self.stands < self.at else 0.0

    def until(self, trouble: float, ping_interval: float) -> bool:
        """Whether this was still so, as far as anybody looked, at the first sign of ``trouble`` (0: nobody saw it)."""
        return trouble > 0 and self.at >= trouble - 2 * ping_interval - _LOOK


def looked(before: Waits | None, at: float, semi: SemiSync, *, on: bool, acknowledged: int, waiting: int = 0) -> Waits:
    """The look after ``before``. ``on`` is the server's own word, not its setting: after a fall-back it is off until
    somebody is level. It is also on from the moment it is enabled, when older commits may lie on one disk; and a server
    that was started again has committed what waited before. So an acknowledgement has to be seen while it is on.
    ``waiting`` is how many sessions wait for one now.
    """
    waits = on and semi.loses_nothing and (semi.timeout or 0) >= LONGEST_WAIT
    covered = False
    if waits and before is not None and before.waits:
        more = acknowledged - before.acknowledged
        covered = more > 0 or (more == 0 and before.covered)
    stands = 0.0
    if on and waiting and before is not None and acknowledged == before.acknowledged:
        stands = before.stands or at
    return Waits(at, waits, acknowledged, covered, stands)
