"""One failover's belongings: what it is about, the warm sessions it uses, its journal, and what was saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prefect_mha.config import ClusterConfig, ServerConfig
from prefect_mha.replication.actions.drained import Drained
from prefect_mha.replication.address import FailoverCalls, chain_of
from prefect_mha.replication.binlog.cutter import Cut
from prefect_mha.replication.cluster.pool import Sessions
from prefect_mha.replication.coordination.failover_lock import FailoverLock
from prefect_mha.replication.detection.observation import SOMEBODY_ELSE
from prefect_mha.replication.fencing.last_look import ANSWER_THOUGH_DEAD
from prefect_mha.replication.memory.journal import VERDICT, Entry, Journal
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.model.state import ClusterState
from prefect_mha.replication.notify.events import EventHooks
from prefect_mha.replication.planning.plan import FailoverOptions
from prefect_mha.replication.probes.host import Places
from prefect_mha.replication.rescue.salvage import Mirror
from prefect_mha.replication.source.identity import Whose

if TYPE_CHECKING:
    from prefect_mha.replication.reporting.approval import Answer


class FailoverJob:
    """Handed from step to step. A plain class on purpose: an engine that looks into arguments finds nothing to copy.

    ``past`` are the entries of a failover of this cluster that was cut short, if there is one; ``address`` is what
    moves the address that applications use; ``events`` tells the site's own commands what happens; ``approval`` is the
    answer of the person who was asked, None on the automatic path. ``writes_back`` is called as soon as the new primary
    takes writes, and must not block; ``before_opening`` right before it, and raises CameBack when the dead one is not
    known to be dead any more. ``answers_though_dead``: the verdict is about its disk, and it may well answer, or
    about its process while something else answers (``somebody_else``). ``lock`` is the right to act, on whose session a
    server is opened. ``places`` are what the dead one said of itself while it lived: by them it is told from other
    servers of its host. ``remembered`` is the cluster as the watch saw it last, None without a watch, and
    ``since`` when that saw the first sign of trouble (seconds since the epoch), 0 without one.
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
        self.address = chain_of(config, sessions, FailoverCalls(config, dead))
        self.events = EventHooks(config)
        self.approval: Answer | None = None
        self.lock = FailoverLock([])
        self.before_opening: Callable[[], object] = lambda: None
        verdicts = [e.facts for e in past if e.step == VERDICT]
        self.answers_though_dead = any(facts.get("row") in ANSWER_THOUGH_DEAD for facts in verdicts)
        self.somebody_else = any(facts.get("row") == SOMEBODY_ELSE for facts in verdicts)
        self.places = Places.parse(verdicts[-1] if verdicts else {}, dead)
        self.writes_back: Callable[[], object] = lambda: None
        self.remembered: ClusterState | None = None
        self.since = 0.0

    @property
    def workdir(self) -> Path:
        """Where files of this failover lie on the manager."""
        return self.config.manager_workdir

    @property
    def stamp(self) -> str:
        """YYYYMMDDHHMMSS of this failover, as file names carry it."""
        return self.journal.path.name.removeprefix(f"{self.config.name}.failover-").split("-")[0]

    @property
    def salvage_policy(self) -> str:
        """strict, safe or availability."""
        return self.options.salvage_policy or self.config.salvage_policy

    def config_of(self, key: str) -> ServerConfig:
        """The configuration of the server at ``ip:port``."""
        return next(s for s in self.config.servers if s.address == key)


@dataclass(frozen=True)
class Rescue:
    """What was saved, and from where. ``copy`` is None when nothing could be read; ``why_not`` says why.

    ``source`` names it in words: the dead primary, a binlog server, another replica's relay logs. When the copy is of
    relay logs, ``begin`` is where a replica's part begins in it, and ``end`` the place in the dead primary's log that
    it reaches. ``kept`` is what was saved and lies there, but could be brought to nobody.
    ``of_relay_logs``: the copy is of relay logs. ``of`` is whose log it is, where that is another server than the one
    that the replica's channel names: an earlier primary, or a replica. ``continues``: the replica that it is for is
    proven to have all that stands before it. ``no_room``: it could be read, and no place on the manager took it.
    ``by_gtid``: its place is one in another server's log, so that only its GTIDs tell where its part begins.
    ``log_end``: nobody can read the dead primary's log, and by its size it ends there.
    """

    copy: Mirror | None
    why_not: str = ""
    begin: BinlogPosition | None = None
    end: BinlogPosition | None = None
    source: str = ""
    kept: Cut | None = None
    of_relay_logs: bool = False
    of: Whose | None = None
    continues: bool = False
    no_room: bool = False
    by_gtid: bool = False
    log_end: BinlogPosition | None = None

    def __str__(self) -> str:
        if self.copy is None:
            return self.why_not
        return f"{self.copy.bytes} bytes from {self.copy.start} to {self.copy.end}"


@dataclass(frozen=True)
class Recovered:
    """A replica that executed everything there is. ``cut`` is what was applied beyond what it had received.

    ``end_of_log`` is the end of its own binary log then: where position replicas will read from it. ``source`` is the
    rescue's that was cut. ``proof`` is a new one where the replica received what was saved by its own channel;
    ``means`` is how it got it, in words. ``of_relay_logs``: the cut is of another replica's relay logs. ``left_out`` of
    the transactions change only what its ``filters`` leave out.
    """

    key: str
    name: str
    cut: Cut | None
    end_of_log: BinlogPosition | None
    seconds_applying: float = 0.0
    source: str = ""
    proof: Drained | None = None
    means: str = ""
    of_relay_logs: bool = False
    left_out: int = 0
    filters: str = ""
