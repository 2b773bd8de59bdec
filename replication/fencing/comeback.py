"""The old primary answers while it is being replaced: what that means for the failover. Pure.

Design rule 13: a proof ages. Before the new primary is open whatever the old one took is levelled like any tail, or the
failover is called off; once it is open there are two histories, which are counted and told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ..model.gtid import Gtid, MariadbGtid
from ..model.refusal import Refusal
from ..model.state import GtidKind, ServerState
from .last_look import PRIMARY_ALIVE
from .lookout import Sight

#: Seconds by which the start that a server tells may be too early: its uptime is the difference of two whole seconds.
UPTIME = 2.0


class ComebackStep(StrEnum):
    """What follows from it before the new primary is open."""

    GO_ON = "go on"
    CALL_OFF = "call the failover off"
    SAVE = "save its binary log over SSH"
    RECEIVE = "let the replicas receive from it"
    LEAVE = "count what it has"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Comeback:
    """The case. ``new`` is whether it may have taken writes that are not levelled yet.

    ``began`` is when the verdict was acted upon (seconds since the epoch). ``by_silence``: it was found dead because it
    did not answer, so an answer contradicts that. ``reversible``: nothing was done yet that the failover cannot take
    back by itself. ``ssh``: its host can be read now. ``receivable``: no replica was given anything of its log by
    other means, which its channel would bring again, if it still points there.
    """

    sight: Sight
    new: bool
    began: float
    by_silence: bool
    reversible: bool
    ssh: bool
    receivable: bool


def decide(case: Comeback) -> tuple[ComebackStep, str]:
    """The step and why, in words.

    A server that answers and cannot be closed forbids the opening (design rule 2). One that was never dead keeps its
    role while that costs nobody anything. A mysqld that was started since the verdict lost it, whatever it took then.
    """
    sight = case.sight
    if sight.cannot and sight.port == "open":
        return ComebackStep.REFUSE, f"it answers {sight.cannot}"
    if sight.closed and never_dead(sight, case.began) and case.by_silence and case.reversible:
        return ComebackStep.CALL_OFF, "it answers, and its mysqld was not restarted since it was found dead"
    if not case.new:
        return ComebackStep.GO_ON, str(sight)
    if case.ssh:
        return ComebackStep.SAVE, "it may have taken writes, and its host can be read"
    if sight.closed and case.receivable:
        return ComebackStep.RECEIVE, "it took writes, and the replicas can have them from it"
    return ComebackStep.LEAVE, "it may have taken writes, and nobody can read them now"


def never_dead(sight: Sight, began: float) -> bool:
    """Its mysqld was started before the verdict, as it says itself. In doubt it was restarted."""
    return sight.last is not None and sight.last.started + UPTIME < began


def refusal(step: ComebackStep, name: str, why: str) -> Refusal:
    """The refusal of a failover that is called off, or that may not open a second primary."""
    if step is ComebackStep.CALL_OFF:
        return Refusal(
            PRIMARY_ALIVE,
            f"{name} lives: {why}. Nothing was opened, it takes writes as before, and the replicas receive from it.",
            "Look at what kept it from answering.",
        )
    if step is ComebackStep.LEAVE:
        return Refusal(
            "transactions-missing",
            f"{name} came back and {why}, and salvage_policy is strict: nothing was opened for writes.",
            f"Let the replicas receive from {name}, or its host be read, and start again, or go on without them with "
            "--salvage_policy=safe.",
        )
    return Refusal(
        "not-fenced",
        f"{name} lives and may take writes: {why}.",
        "Power the host off or end its mysqld, then start the failover again.",
    )


@dataclass(frozen=True)
class Apart:
    """What only the old primary has: ``transactions`` is None where nobody can count them, ``where`` names them."""

    where: str
    transactions: int | None
    why: str = ""


def apart(kind: GtidKind, old: ServerState, new: ServerState) -> Apart | None:
    """With GTIDs: what the old primary has and the new one lacks, None for nothing. Not for file/position."""
    if kind is GtidKind.MYSQL and old.gtid_executed is not None and new.gtid_executed is not None:
        more = old.gtid_executed - new.gtid_executed
        return Apart(str(more), more.count()) if more else None
    lines, count = [], 0
    for gtid in old.gtid_binlog_state:
        known = _known(new, gtid)
        if gtid.seq > known:
            lines.append(f"{MariadbGtid(gtid.domain, gtid.server_id, known + 1)} to {gtid}")
            count += gtid.seq - known
    return Apart("; ".join(lines), count) if lines else None


def lacks(new: ServerState, gtid: Gtid | MariadbGtid | None) -> bool:
    """Whether the new primary lacks a transaction of the old one; what has no GTID counts as lacking."""
    if isinstance(gtid, MariadbGtid):
        return gtid.seq > _known(new, gtid)
    return gtid is None or new.gtid_executed is None or gtid not in new.gtid_executed


def _known(new: ServerState, gtid: MariadbGtid) -> int:
    """The last of that server's transactions in that domain that the new primary has.

    Its place alone does not tell: its own transactions, numbered on, stand in the same domain.
    """
    for each in new.gtid_binlog_state:
        if (each.domain, each.server_id) == (gtid.domain, gtid.server_id):
            return each.seq
    # Its own log does not reach back that far.
    return gtid.seq if new.mariadb_gtid is not None and new.mariadb_gtid.covers(gtid) else 0


@dataclass(frozen=True)
class Window:
    """How old the proof was: times in seconds since the epoch, the sights as they were told."""

    proven: float
    proof: str
    opened: float
    looked: float
    after: str

    def __str__(self) -> str:
        return (
            f"proven dead last at {_clock(self.proven)} ({self.proof}); the new one was opened at "
            f"{_clock(self.opened)}, {_ms(self.opened - self.proven)} later; looked at again at {_clock(self.looked)}, "
            f"{_ms(self.looked - self.opened)} after that ({self.after})"
        )


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%H:%M:%S.%f")[:-3]


def _ms(seconds: float) -> str:
    return f"{max(0.0, seconds) * 1000:.0f} ms"
