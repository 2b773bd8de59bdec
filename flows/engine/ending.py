"""How the flow run of a failover, a switch, a rejoin or a drill ends in Prefect's UI: its state and its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...replication.drill.outcome import DrillOutcome
from ...replication.planning.role_plan import RolePlan
from ...replication.rejoin.outcome import RejoinOutcome
from ...replication.reporting.outcome import RoleOutcome
from .record import StateName

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


@dataclass(frozen=True)
class Ending:
    """The state that a flow run ends in; without a ``name`` it is called as its type."""

    type: StateName
    message: str
    name: str = ""

    def as_state(self) -> State[Any]:
        """What a flow returns."""
        from prefect.client.schemas.objects import State, StateType

        return State(type=StateType(self.type), name=self.name or None, message=self.message)


def ended(outcome: RoleOutcome | RejoinOutcome | DrillOutcome, failed: str = "") -> Ending:
    """How it ended; ``failed`` is the state's name where it was neither done nor refused."""
    if outcome.exit_code == 0:
        return Ending("COMPLETED", outcome.summary)
    if outcome.exit_code == 10:
        return Ending("COMPLETED", f"{outcome.summary}; something is left to do, see the report", "Partly done")
    if outcome.stopped:
        return Ending("CANCELLED", outcome.summary, "Stopped")
    return Ending("FAILED", outcome.summary, "Refused" if outcome.refusal else failed)


def run_name(deed: str, cluster: str, outcome: RoleOutcome, plan: RolePlan | None) -> str:
    """``failover app1: db1 → db2``"""
    return plan.title if plan is not None else f"{deed} {cluster}: {'refused' if outcome.refusal else 'failed'}"
