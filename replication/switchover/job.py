"""One planned switch's belongings: what it is about, the warm sessions it uses, its journal, and what it lent."""

from __future__ import annotations

from dataclasses import dataclass

from ...config import ClusterConfig, ServerConfig
from ..actions.scheduled_events import ScheduledEvent
from ..actions.semi_sync import Roles
from ..address import OnlineChangeCalls, chain_of
from ..cluster.pool import ConnectionPool
from ..memory.journal import Journal
from ..model.gtid import MariadbGtidPosition
from ..model.position import BinlogPosition
from ..mysql.server import Row
from ..planning.switch_options import SwitchOptions
from ..reporting.job import Job
from .plan import SwitchPlan
from .write_lock import EndOfLog, FormerSettings, WriteLock


@dataclass(frozen=True)
class Preparation:
    """What was read while writes still flowed, so that nothing of it has to be asked while they are held.

    ``former`` is of the old primary, ``target_former`` of the new one; ``like`` the status row of the target's channel.
    """

    former: FormerSettings
    target_former: FormerSettings
    target_gtids: MariadbGtidPosition | None
    events: tuple[ScheduledEvent, ...]
    old_roles: Roles
    target_roles: Roles
    like: Row


@dataclass(frozen=True)
class HandedOver:
    """The new primary is open. ``end`` is where the old one's log ended, ``target_end`` where the new one's began.

    ``seconds`` are those from the first statement that could make a client wait to the opening, ``parts`` what they
    went to, ``ended`` how many sessions of applications were ended on the old one.
    """

    end: EndOfLog
    target_end: BinlogPosition | None
    seconds: float
    parts: tuple[tuple[str, float], ...]
    ended: int = 0


class SwitchJob(Job):
    """One planned switch's.

    ``may_be_open`` that the statement which opens the new primary was about to be sent, ``lifted`` that the new primary
    was closed to everybody, as one of before, and is not any more.
    """

    def __init__(
        self,
        config: ClusterConfig,
        plan: SwitchPlan,
        options: SwitchOptions,
        sessions: ConnectionPool,
        journal: Journal,
    ) -> None:
        super().__init__(config, sessions, journal)
        self.plan, self.options = plan, options
        self.stop = WriteLock(self.config_of(plan.old), lock=not options.skip_lock_all_tables)
        calls = OnlineChangeCalls(config, self.old, self.new, old_is_new_replica=plan.orig_is_new_replica)
        self.address = chain_of(config, sessions, calls)
        self.may_be_open = self.lifted = False

    @property
    def old(self) -> ServerConfig:
        """The primary whose role moves."""
        return self.config_of(self.plan.old)

    @property
    def new(self) -> ServerConfig:
        """The server that becomes the primary."""
        return self.config_of(self.plan.new_primary)
