"""What belongs to one failover, or to one switch: what it is about, the warm sessions it uses, its journal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...config import ClusterConfig, ServerConfig
from ..address import AddressChain, FailoverCalls, chain_of
from ..cluster.pool import ConnectionPool, reachable
from ..coordination.failover_lock import FailoverLock
from ..detection.observation import SOMEBODY_ELSE
from ..fencing.last_look import ANSWER_THOUGH_DEAD
from ..maintenance.binlog_server.withholding import Withheld
from ..memory.journal import VERDICT, Entry, Journal
from ..model.state import ClusterState
from ..notify.events import EventHooks
from ..planning.plan import FailoverOptions
from ..planning.waits import Waits
from ..probes.host import ServerPaths

if TYPE_CHECKING:
    from ..rescue.ahead import CopyAhead
    from .approval import Answer


class Job:
    """Handed from step to step. A plain class on purpose: an engine that looks into arguments finds nothing to copy.

    ``past`` are the entries of one of this cluster that was interrupted, if there is one; ``events`` tells the site's
    own commands what happens; ``address`` is what moves the address that applications use. ``writes_out`` is called
    when writes are out, or about to be held, ``writes_back`` as soon as the new primary takes them; neither may block.
    """

    address: AddressChain

    def __init__(
        self, config: ClusterConfig, sessions: ConnectionPool, journal: Journal, past: tuple[Entry, ...] = ()
    ) -> None:
        self.config, self.sessions, self.journal, self.past = config, sessions, journal, past
        self.events = EventHooks(config)
        self.writes_out: Callable[[], object] = lambda: None
        self.writes_back: Callable[[], object] = lambda: None

    def config_of(self, key: str) -> ServerConfig:
        """The configuration of the server at ``ip:port``."""
        return next(s for s in self.config.servers if s.address == key)


class FailoverJob(Job):
    """One failover's.

    ``approval`` is the answer of the person who was asked, None on the automatic path. ``before_opening`` is called
    right before the new primary is opened, and raises CameBack when the dead one is not known to be dead any more.
    ``answers_though_dead``: the verdict is about its disk, and it
    may well answer, or about its process while something else answers (``somebody_else``). ``lock`` is the right to
    act, on whose session a server is opened; ``withheld`` is what no binlog server acknowledges any more. ``places``
    are what the dead one said of itself while it lived: by them it is told from other servers of its host.
    ``remembered`` is the cluster as the watch saw it last, None without a watch, and ``since`` when that saw the first
    sign of trouble (seconds since the epoch), 0 without one; ``unseen`` is since when nobody was seen to reach it.
    ``waits`` is how its commits waited for a second disk, and ``ahead`` its log, copied while it is fenced.
    """

    def __init__(
        self,
        config: ClusterConfig,
        dead: ServerConfig,
        options: FailoverOptions,
        sessions: ConnectionPool,
        journal: Journal,
        *,
        past: tuple[Entry, ...] = (),
    ) -> None:
        super().__init__(config, sessions, journal, past)
        self.dead, self.options = dead, options
        self.address = chain_of(config, sessions, FailoverCalls(config, dead))
        self.approval: Answer | None = None
        self.lock = FailoverLock([])
        self.withheld = Withheld()
        self.before_opening: Callable[[], object] = lambda: None
        verdicts = [e.facts for e in past if e.step == VERDICT]
        self.answers_though_dead = any(facts.get("row") in ANSWER_THOUGH_DEAD for facts in verdicts)
        self.somebody_else = any(facts.get("row") == SOMEBODY_ELSE for facts in verdicts)
        self.places = ServerPaths.parse(verdicts[-1] if verdicts else {}, dead)
        self.remembered: ClusterState | None = None
        self.since = self.unseen = 0.0
        self.waits: Waits | None = None
        self.ahead: CopyAhead | None = None

    def dead_lets_in(self) -> bool:
        """Whether the dead primary's host answers over SSH now."""
        return reachable(self.sessions.host(self.dead.address), float(self.dead.ssh_connection_timeout))

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
