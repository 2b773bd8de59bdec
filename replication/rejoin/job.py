"""One rejoin's belongings: what it is about, the sessions that it uses, its journal."""

from __future__ import annotations

from ...config import ClusterConfig, ServerConfig
from ..cluster.pool import ConnectionPool
from ..memory.journal import Journal
from ..notify.events import EventHooks
from .observe import WhoIsBack
from .plan import RejoinPlan


class RejoinJob:
    """Handed from step to step. A plain class on purpose: an engine that looks into arguments finds nothing to copy."""

    def __init__(self, who: WhoIsBack, plan: RejoinPlan, sessions: ConnectionPool, journal: Journal) -> None:
        self.who, self.plan, self.sessions, self.journal = who, plan, sessions, journal
        self.events = EventHooks(who.config)

    @property
    def config(self) -> ClusterConfig:
        """The configuration, with the old server in it."""
        return self.who.config

    @property
    def old(self) -> ServerConfig:
        """The server that is back."""
        return self.who.old

    @property
    def new(self) -> ServerConfig:
        """The primary that it is to follow."""
        return next(s for s in self.config.servers if s.address == self.plan.new)
