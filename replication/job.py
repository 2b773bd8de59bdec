"""One failover's belongings: what it is about, the warm sessions it uses, its journal, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config import ClusterConfig, ServerConfig
from replication.binlog.cutter import Cut
from replication.fence import Fenced
from replication.journal import Entry, Journal
from replication.plan import FailoverOptions, FailoverPlan, Refusal
from replication.positions import BinlogPosition
from replication.salvage import Mirror
from replication.sessions import Sessions


class FailoverJob:
    """Handed from step to step. A plain class on purpose: an engine that looks into arguments finds nothing to copy.

    ``past`` are the entries of a failover of this cluster that was cut short, if there is one.
    """

    def __init__(
        self,
        config: ClusterConfig,
        dead: ServerConfig,
        options: FailoverOptions,
        sessions: Sessions,
        journal: Journal,
        *,
        past: tuple[Entry, ...] = (),
    ) -> None:
        self.config, self.dead, self.options = config, dead, options
        self.sessions, self.journal, self.past = sessions, journal, past

    @property
    def workdir(self) -> Path:
        """Where files of this failover lie on the manager."""
        return self.config.manager_workdir

    @property
    def stamp(self) -> str:
        """YYYYMMDDHHMMSS of this failover, as file names carry it."""
        return self.journal.path.name.removeprefix(f"{self.config.name}.failover-").split("-")[0]

    def config_of(self, key: str) -> ServerConfig:
        """The configuration of the server at ``ip:port``."""
        return next(s for s in self.config.servers if s.address == key)


@dataclass(frozen=True)
class Rescue:
    """What was saved from the dead primary. ``copy`` is None when nothing could be read; ``why_not`` says why.

    When the copy is of another replica's relay logs, ``begin`` is where a replica's part begins in it, and ``end``
    the place in the dead primary's log that it must reach.
    """

    copy: Mirror | None
    why_not: str = ""
    begin: BinlogPosition | None = None
    end: BinlogPosition | None = None

    def __str__(self) -> str:
        if self.copy is None:
            return self.why_not
        return f"{self.copy.bytes} bytes from {self.copy.start} to {self.copy.end}"


@dataclass(frozen=True)
class Recovered:
    """A replica that executed everything there is. ``cut`` is what was applied beyond what it had received.

    ``end_of_log`` is the end of its own binary log then: where position replicas will read from it.
    """

    key: str
    name: str
    cut: Cut | None
    end_of_log: BinlogPosition | None
    seconds_applying: float = 0.0


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
class Outcome:
    """What came of a failover. ``exit_code`` is the predecessor's: 0 done, 10 something is left to do, 1 not done."""

    exit_code: int
    summary: str
    plan: FailoverPlan | None = None
    refusal: Refusal | None = None
    fenced: Fenced | None = None
    rescue: Rescue | None = None
    promoted: Recovered | None = None
    replicas: tuple[ReplicaOutcome, ...] = ()
    notes: tuple[str, ...] = ()
    timeline: tuple[StepTime, ...] = field(default=())
    writes_back_at: float | None = None

    @property
    def began_phase_2(self) -> bool:
        """Something was changed; the predecessor sends its report only then."""
        return self.fenced is not None or self.promoted is not None

    def as_dict(self) -> dict[str, Any]:
        """A short form for JSON."""
        return {
            "exit_code": self.exit_code,
            "summary": self.summary,
            "new_primary": self.promoted.name if self.promoted else None,
            "refusal": self.refusal.code if self.refusal else None,
            "replicas": {r.name: r.detail for r in self.replicas},
            "steps": [{"step": t.step, "server": t.server, "seconds": round(t.seconds, 4)} for t in self.timeline],
        }
