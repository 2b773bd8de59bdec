"""One failover, planned switch, rejoin or drill as its journal has it: one frozen model, whatever it is shown as."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from ..approval import Answer
from ..ledger import LedgerLine, as_json, losses
from ..outage import Outage


class Kind(StrEnum):
    """What a journal is of; the value is the word in its name."""

    FAILOVER = "failover"
    SWITCH = "switch"
    REJOIN = "rejoin"
    DRILL = "drill"


class Ended(StrEnum):
    """How it came out, as far as the journal says. ``open``: it has no end, so it goes on, or was cut short."""

    DONE = "done"
    PARTLY = "done, but something is left to do"
    REFUSED = "refused"
    NOT_DONE = "not done"
    CLOSED = "closed"
    OPEN = "no end is recorded"


@dataclass(frozen=True)
class Step:
    """One step: began at (seconds since the epoch), took ``seconds``; both unknown ends are None.

    ``said`` is the error of one that failed.
    """

    name: str
    server: str
    began: float
    seconds: float | None
    ok: bool | None
    said: str = ""


@dataclass(frozen=True)
class Seen:
    """What somebody (``who``) saw at a time (seconds since the epoch), in a look of so many ``seconds``, in words."""

    at: float
    who: str
    said: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Asked:
    """Who wanted it, and who agreed. None is what the journal does not tell.

    ``automatic``: a manager found its primary dead, or brings a server back by itself. ``by`` is the user and host of
    the process that did it. ``answer`` is what a person said who was asked.
    """

    automatic: bool
    by: str | None
    answer: Answer | None

    def __str__(self) -> str:
        where = f" ({self.by})" if self.by else ""
        if self.answer is not None:
            return str(self.answer)
        if self.automatic:
            return f"nobody was asked: the manager acted{where}"
        return f"nobody was asked; started by {self.by}" if self.by else "unknown"


@dataclass(frozen=True)
class Incident:
    """One of them. Servers are named as in the log; times are seconds since the epoch, of the manager's clock.

    ``why`` is the verdict's sentence, or what was wanted. ``out`` is from when to when nobody took writes, ``held`` how
    many seconds a switch held them. ``opened``: a new primary took writes, as far as the journal says. ``ledger`` is
    None where nothing was counted, and empty where all was there. ``discards`` is what a rejoin was to take
    from its server, in words. ``then`` tells what became of one without an end. ``scorecard`` is a drill's. ``seen`` is
    what was seen when it was found dead, ``again`` after which failures steps were tried again.
    """

    id: str
    cluster: str
    kind: Kind
    began: float
    ended_at: float | None
    ended: Ended
    old: str
    new: str | None
    why: str | None
    asked: Asked
    opened: bool
    exit_code: int | None = None
    summary: str | None = None
    resumed: bool = False
    out: Outage | None = None
    held: float | None = None
    ledger: tuple[LedgerLine, ...] | None = None
    discards: str | None = None
    steps: tuple[Step, ...] = ()
    replicas: tuple[tuple[str, str], ...] = ()
    not_recovered: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    chosen_for: tuple[str, ...] = ()
    fenced: str | None = None
    saved: str | None = None
    address: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refusal: str | None = None
    remedy: str = ""
    evidence: tuple[str, ...] = ()
    then: str = ""
    scorecard: dict[str, Any] | None = None
    seen: tuple[Seen, ...] = ()
    again: tuple[Seen, ...] = ()

    @property
    def without_writes(self) -> float | None:
        """Seconds in which nobody took writes; None where that was not seen."""
        return self.out.seconds if self.out is not None else self.held

    @property
    def lost(self) -> tuple[LedgerLine, ...] | None:
        """The lines of what is lost or may be; None where nobody counted. A planned switch loses nothing."""
        if self.kind is Kind.SWITCH:
            return ()
        return losses(self.ledger) if self.ledger is not None else None

    def finished(self, then: str) -> Incident:
        """The same, with what became of it later."""
        return replace(self, then=then)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON: names as here; ``seconds_without_writes`` and ``lost`` are counted already."""
        told = asdict(self)
        told["ledger"] = as_json(self.ledger) if self.ledger is not None else None
        told["lost"] = as_json(self.lost) if self.lost is not None else None
        told["out"] = None
        told |= self.out.as_facts() if self.out is not None else {}
        told["asked"] |= {"text": str(self.asked)}
        told["replicas"], told["left_out"] = dict(self.replicas), dict(self.left_out)
        told["seconds_without_writes"] = None if self.without_writes is None else round(self.without_writes, 3)
        return told
