"""What came of a failover: of every replica, of every step, of the whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ...config import ClusterConfig
from ..address import AddressMove
from ..fencing.last_look import PRIMARY_ALIVE
from ..fencing.policy import FenceVerdict
from ..memory.journal import LOCK_LOST
from ..model.check import Check
from ..model.refusal import Refusal, as_facts
from ..planning.plan import FailoverPlan
from ..planning.selection import NOT_ITS_REPLICA
from ..rescue.saved import AppliedBinlog, SavedBinlog
from .ledger import LedgerLine, as_json
from .outage import Outage


@dataclass(frozen=True)
class ReplicaOutcome:
    """How one of the other replicas came out."""

    key: str
    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class StepTime:
    """One step of the timeline: began at (seconds since the epoch), took ``seconds``."""

    step: str
    server: str
    began: float
    seconds: float
    ok: bool


@dataclass(frozen=True)
class RoleOutcome:
    """What came of moving the primary's role. ``exit_code`` is MHA's: 0 done, 10 something is left to do, 1 not done.

    ``address`` is where it was found at the end. ``head`` is what Prefect shows first of it, as Markdown.
    ``stopped``: the person who was asked said no, or somebody ended it: before a server was opened, or once writes
    were back.
    """

    exit_code: int
    summary: str
    refusal: Refusal | None = None
    replicas: tuple[ReplicaOutcome, ...] = ()
    address: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()
    timeline: tuple[StepTime, ...] = ()
    stopped: bool = False
    head: str = ""

    def as_dict(self) -> dict[str, Any]:
        """A short form for JSON."""
        return {
            "exit_code": self.exit_code,
            "summary": self.summary,
            **as_facts(self.refusal),
            "notes": list(self.notes),
            "replicas": {r.name: r.detail for r in self.replicas},
            "not_recovered": [r.name for r in self.replicas if not r.ok],
            "address": [check.text for check in self.address],
            "steps": [{"step": t.step, "server": t.server, "seconds": round(t.seconds, 4)} for t in self.timeline],
        }


@dataclass(frozen=True)
class Outcome(RoleOutcome):
    """What came of a failover.

    ``released`` and ``acquired`` are the two halves of moving the address. ``out``: how long nobody took writes, as far
    as a watch saw it. ``only_late``: all that is left to do is that busy
    replicas come along.
    """

    plan: FailoverPlan | None = None
    fenced: FenceVerdict | None = None
    rescue: SavedBinlog | None = None
    promoted: AppliedBinlog | None = None
    out: Outage | None = None
    ledger: tuple[LedgerLine, ...] = ()
    released: AddressMove | None = None
    acquired: AddressMove | None = None
    only_late: bool = False

    @property
    def began_phase_2(self) -> bool:
        """Something was changed; MHA sends its report only then."""
        return self.fenced is not None or self.promoted is not None

    @property
    def called_off(self) -> bool:
        """The primary was never dead, and the cluster is as it was."""
        return self.refusal is not None and self.refusal.code == PRIMARY_ALIVE

    @property
    def lost_its_lock(self) -> bool:
        """The manager stood still until others could act; what it began is as it left it."""
        return self.refusal is not None and self.refusal.code == LOCK_LOST

    def as_dict(self) -> dict[str, Any]:
        """A short form for JSON; ``out`` is from when to when nobody took writes, None where no watch saw it.

        `Outage.as_facts` has more of it where there is more to say.
        """
        plan = self.plan
        return {
            **super().as_dict(),
            "old_primary": plan.dead_name if plan else None,
            "new_primary": self.promoted.name if self.promoted else None,
            "chosen_for": list(plan.candidates[0].merits) if plan and plan.candidates else [],
            "left_out": dict(plan.left_out) if plan else {},
            "fenced": str(self.fenced) if self.fenced is not None else None,
            "saved": str(self.rescue) if self.rescue is not None else None,
            "out": None,
            **(self.out.as_facts() if self.out is not None else {}),
            "ledger": as_json(self.ledger),
        }


def left_behind(config: ClusterConfig, plan: FailoverPlan, replicas: Iterable[ReplicaOutcome]) -> dict[str, str]:
    """Who does not follow the new primary, by ``ip:port``, and why: open business, with which the manager goes on."""
    names = {name: why for name, why in plan.left_out if why != NOT_ITS_REPLICA}
    left = {s.address: names[s.name] for s in config.servers if s.name in names}
    left.update({r.key: r.detail for r in replicas if not r.ok})
    left.pop(plan.dead, None)
    return left
