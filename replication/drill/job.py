"""One drill's belongings: its plan, its canary, its journal, how far it may go, and what was seen before it."""

from __future__ import annotations

from collections.abc import Callable

from ...config import ClusterConfig, ServerConfig
from ..cluster.pool import ConnectionPool
from ..deadline import Deadline
from ..memory.failover_flags import FailoverFlags
from ..memory.journal import Journal
from ..probes.host import ServerPaths
from ..reporting.job import Job
from .canary import Canary
from .past import ledger_of
from .plan import DrillPlan


class DrillJob(Job):
    """``load`` reads the configuration afresh: a manager may change it. ``places`` are where its data lies.

    ``former_failover`` is how many seconds ago the last failover was when this began, None for never.
    """

    def __init__(
        self,
        config: ClusterConfig,
        plan: DrillPlan,
        sessions: ConnectionPool,
        journal: Journal,
        load: Callable[[], ClusterConfig],
        places: ServerPaths,
    ) -> None:
        super().__init__(config, sessions, journal)
        self.plan, self.load, self.places = plan, load, places
        self.deadline = Deadline(config.drill_deadline)
        self.canary = Canary(config, plan.primary, ledger_of(journal.path), config.drill_deadline)
        self.former_failover = FailoverFlags(config.manager_workdir, config.name).complete_age()

    @property
    def primary(self) -> ServerConfig:
        """Who is the primary before it, and is to be again."""
        return self.config_of(self.plan.primary)
