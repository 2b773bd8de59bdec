"""What was saved can be brought to no replica: the policy decides whether one is promoted without it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from ....replication.binlog.cutter import Cut
from ....replication.errors import MhaError, RefusalError, StoppedInTail, WayClosed
from ....replication.memory.journal import Entry, Journal
from ....replication.model.refusal import Refusal
from ....replication.model.state import GtidKind
from ....replication.planning.plan import FailoverPlan
from ....replication.rescue.saved import SavedBinlog

log = logging.getLogger("mha")

MISSING = "transactions-missing"
#: The step of a journal that tells that a replica is promoted without what was saved.
GIVEN_UP = "go on without what was saved"


def given_up_before(past: Iterable[Entry]) -> bool:
    """Whether a former run promoted a replica without what was saved: nobody else may be given it then."""
    return any(entry.step == GIVEN_UP for entry in past)


class ClosedWays:
    """The replicas that were tried in vain, why, and what follows when none is left.

    ``given_up`` is set once a replica is to be promoted without what was saved.
    """

    def __init__(self, policy: str, journal: Journal) -> None:
        self._policy, self._journal = policy, journal
        self._failed: dict[str, str] = {}
        self._closed: dict[str, WayClosed] = {}
        self.given_up = False

    def next_best(
        self,
        plan: FailoverPlan,
        error: MhaError,
        choose: Callable[[dict[str, str]], FailoverPlan],
        what: str = "it could not be brought level",
    ) -> FailoverPlan:
        """Whom to try after the plan's replica failed with this error, in ``what``. Raises RefusalError."""
        self._failed[plan.new_primary] = f"{what}: {error}"
        if isinstance(error, WayClosed) and error.kept is not None:
            self._closed[plan.new_primary] = error
        try:
            return choose(self._failed)
        except RefusalError as refused:
            if not self._closed or self.given_up:
                raise
            if self._policy == "strict":
                raise RefusalError(self._refusal(plan)) from refused
        self._journal.record(GIVEN_UP, "intent", why=[str(error) for error in self._closed.values()])
        self.given_up = True
        for key in self._least_lacking():
            del self._failed[key]
        log.error("No replica can be given what was saved: the most advanced one is promoted without it.")
        return choose(self._failed)

    def _least_lacking(self) -> list[str]:
        """Where no applier could execute all of it, those that came furthest; else everybody that was tried."""
        lacking = {key: error.kept.transactions for key, error in self._closed.items() if error.kept is not None}
        if not any(isinstance(error, StoppedInTail) for error in self._closed.values()):
            return list(lacking)
        return [key for key, count in lacking.items() if count == min(lacking.values())]

    @property
    def failed(self) -> dict[str, str]:
        """Who was tried in vain, by ``ip:port``, and why."""
        return dict(self._failed)

    def stopped(self, key: str) -> StoppedInTail | None:
        """The error of a replica that is to go on from where its applier stopped within what was saved."""
        error = self._closed.get(key)
        return error if self.given_up and isinstance(error, StoppedInTail) else None

    def left(self, key: str, lacks: Cut) -> None:
        """It stands there now, and lacks this."""
        self._closed[key].kept = lacks

    def may_follow(self, plan: FailoverPlan, key: str) -> bool:
        """Whether a replica that stopped within what was saved has nothing that the promoted one lacks."""
        new, other = self.stopped(plan.new_primary), self.stopped(key)
        if new is None or other is None or new.kept is None or other.kept is None:
            return False
        if plan.kind is GtidKind.POSITION:
            return bool(new.kept.transactions == other.kept.transactions)
        return bool(new.kept.transactions <= other.kept.transactions)

    def rescue(self, plan: FailoverPlan, rescue: SavedBinlog) -> SavedBinlog:
        """The rescue that is gone on with: as it is, or once given up, none, which tells what is missing and where."""
        error = self._closed.get(plan.new_primary)
        if not self.given_up or error is None:
            return rescue
        why = f"it was saved, and lies in {error.directory} on the manager, but {error}"
        return SavedBinlog(None, why, source=error.source, kept=error.kept)

    @property
    def undone(self) -> tuple[str, ...]:
        """For the report: what is left to do."""
        where = sorted({error.directory for error in self._closed.values()} - {""})
        if not self.given_up or not where:
            return ()
        return (f"what was saved of the dead primary is on no server: it lies in {', '.join(where)} on the manager",)

    def _refusal(self, plan: FailoverPlan) -> Refusal:
        return Refusal(
            MISSING,
            f"Transactions of {plan.dead_name} were saved, but no replica can be given them, and salvage_policy is "
            "strict: nothing was opened for writes.",
            "Fix what stopped their appliers, or open a way (rescue_port from the replicas to the manager, or SSH to "
            "their hosts), and start again, or go on without them with --salvage_policy=safe.",
            tuple(str(error) for error in self._closed.values()),
        )
