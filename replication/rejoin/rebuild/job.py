"""One rebuild's belongings: those of a rejoin, the host that takes the data, and who is told how far it is."""

from __future__ import annotations

from dataclasses import replace

from ...cluster.pool import ConnectionPool
from ...memory.journal import Journal
from ...model.state import ServerState
from ..job import RejoinJob
from ..observe import WhoIsBack
from ..plan import RejoinPlan
from .copying import Copying
from .meter import Meter, Watcher
from .on_host import OnHost
from .place import Place


class RebuildJob(RejoinJob):
    """``state`` is the server as it was before anything was done: where its data lies."""

    def __init__(
        self,
        who: WhoIsBack,
        plan: RejoinPlan,
        sessions: ConnectionPool,
        journal: Journal,
        state: ServerState,
        tell: Watcher,
    ) -> None:
        super().__init__(who, plan, sessions, journal)
        self.there = OnHost.of(sessions.host(who.old.address), who.old, state)
        self.state, self._tell = state, tell

    @property
    def copying(self) -> Copying:
        """How its data is got."""
        assert self.plan.copying is not None, "a plan of a rebuild"
        return self.plan.copying

    @property
    def kept_in(self) -> str:
        """Where its old data is."""
        return f"{self.copying.room}/old"

    def meter(self, step: str) -> Meter:
        """Counts the bytes of a step."""
        return Meter(step, self.copying.bytes, self.copying.rate, self._tell)

    def left_on_host(self, traces: tuple[str, ...]) -> None:
        """Option files that are taken away once it is a replica."""
        self.plan = replace(self.plan, traces=tuple(dict.fromkeys((*self.plan.traces, *traces))))

    def goes_on(self) -> None:
        """It points at the primary already, as a rebuild that was cut short left it."""
        self.plan = replace(self.plan, pointed=True)

    def stands_at(self, place: Place) -> None:
        """Its data is that of this place in the primary's log: from there it goes on."""
        self.plan = replace(self.plan, position=place.position)
