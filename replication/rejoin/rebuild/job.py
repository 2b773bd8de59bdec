"""One rebuild's belongings: those of a rejoin, the host that takes the data, and who is told how far it is."""

from __future__ import annotations

from dataclasses import replace

from ...cluster.pool import ConnectionPool
from ...memory.journal import Journal
from ...meter import Meter, Watcher
from ...model.state import ServerState
from ..job import RejoinJob
from ..observe import WhoIsBack
from ..plan import RejoinPlan
from .copying import Copying
from .left import Whose, cut_short
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

    @property
    def whose(self) -> Whose:
        """What the host notes of it."""
        plan, copying = self.plan, self.copying
        return Whose(copying.donor, plan.new, plan.kind.value, copying.method.value, self.journal.path.name)

    @property
    def chain(self) -> tuple[str, ...]:
        """The names of its journal, and of those of the rebuilds that it goes on with."""
        return cut_short(self.config.manager_workdir, self.config.name, self.plan.old, self.journal.path.name)

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
