"""How the flow run of a failover, or of a switch, ends in Prefect's UI: its state and its name."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from ...replication.planning.role_plan import RolePlan
from ...replication.reporting.outcome import RoleOutcome


def ended(outcome: RoleOutcome, failed: str = "Failed") -> State[Any]:
    """The state; ``failed`` is its name where it was neither done nor refused."""
    if outcome.exit_code == 0:
        return Completed(message=outcome.summary)
    if outcome.exit_code == 10:
        return Completed(name="Partly done", message=f"{outcome.summary}; something is left to do, see the report")
    if outcome.stopped:
        return Cancelled(name="Stopped", message=outcome.summary)
    return Failed(name="Refused" if outcome.refusal else failed, message=outcome.summary)


def run_name(deed: str, cluster: str, outcome: RoleOutcome, plan: RolePlan | None) -> str:
    """``failover app1: db1 → db2``"""
    return plan.title if plan is not None else f"{deed} {cluster}: {'refused' if outcome.refusal else 'failed'}"
