"""A suspicion as it is judged: its rounds so far, and the terms that hold for it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ...config import ClusterConfig
from .classic_rules import MISSES
from .observation import Finding, Observer, Round

#: Seconds that a process must stand still before it counts: a debugger and a snapshot of the disk take up to two.
STILL = 2.3
#: Seconds that nothing at all must have come from a host before it counts as gone, where answers were quick so far; and
#: how many more once anything came in this suspicion: a slow link brings something again and again.
SILENCE, SLOW_LINK = 3.3, 2.0
#: Seconds that a written row is waited for.
WRITE_WAITS = 1.0
#: Seconds within which a supervisor that fencing cannot hold off may bring the primary back.
RESTART_GRACE = 3.0

#: What a ping finds of a primary that does not answer.
MISSED = (Finding.REFUSED, Finding.SILENT, Finding.UNANSWERED, Finding.BROKEN)


@dataclass(frozen=True)
class Thresholds:
    """What is configured, in seconds. ``restart_grace`` None: 0 when fencing holds the supervisor, else 3 s.

    ``secondary`` tells that a secondary check is configured, whose word is then needed. ``silence`` grows with what
    answers took while all was well. ``own`` are the names of the servers on the manager's own host.
    """

    ping_interval: float = 1.0
    misses: int = MISSES
    confirm_interval: float = 0.2
    restart_grace: float | None = None
    on_shutdown: Literal["failover", "wait"] = "failover"
    still: float = STILL
    secondary: bool = False
    silence: float = SILENCE
    own: Sequence[str] = ()


@dataclass(frozen=True)
class Suspicion:
    """A suspicion so far: its rounds, oldest first, at least one.

    ``since`` is when the first look that found trouble was begun (monotonic clock). ``known`` tells that the process
    was seen on that host while it lived, so that its absence means something; ``held`` that fencing holds off whoever
    would start it again.
    """

    rounds: tuple[Round, ...]
    since: float
    known: bool = False
    held: bool = False
    terms: Thresholds = field(default_factory=Thresholds)

    @property
    def now(self) -> Round:
        """The newest round."""
        return self.rounds[-1]

    @property
    def grace(self) -> float:
        """Seconds that a crashed primary is given to be started again."""
        configured = self.terms.restart_grace
        return configured if configured is not None else 0.0 if self.held else RESTART_GRACE

    @property
    def misses(self) -> int:
        """How many pings MHA would have missed by now, one each `ping_interval`.

        A refusal is there at once, a silence only after an interval.
        """
        return self.misses_since(self.since)

    def misses_since(self, since: float) -> int:
        """The same, counted from a later moment."""
        if not self.now.is_(Observer.PING, *MISSED):
            return 0
        # Two looks are never exactly an interval apart.
        intervals = int((self.now.ended - since) / self.terms.ping_interval + 0.05)
        return intervals + (1 if self.now.is_(Observer.PING, Finding.REFUSED) else 0)


def terms_of(config: ClusterConfig) -> Thresholds:
    """The thresholds of a configuration."""
    return Thresholds(
        ping_interval=float(config.ping_interval),
        confirm_interval=config.confirm_interval,
        restart_grace=config.restart_grace,
        on_shutdown=config.on_shutdown,
        secondary=bool(config.secondary_check_script),
    )
