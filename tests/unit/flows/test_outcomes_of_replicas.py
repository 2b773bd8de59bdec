"""What became of the other replicas: trouble of one is told of that one; a new primary that is gone ends it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from prefect_mha.flows.runbooks.leveling.new_primary import outcomes_of
from prefect_mha.replication.errors import LockLost, MhaError, ServerGone, StatementFailed
from prefect_mha.replication.reporting.outcome import ReplicaOutcome

PLAN: Any = SimpleNamespace(
    new_primary_name="db2",
    others=[SimpleNamespace(key="3", name="db3", delay=60), SimpleNamespace(key="4", name="db4", delay=0)],
)
WELL = ReplicaOutcome("4", "db4", True, "replicates from db2")


def test_what_went_wrong_with_one_is_told_of_that_one() -> None:
    (third, fourth) = outcomes_of(PLAN, [StatementFailed("db3", "follow db2", "no"), WELL])
    assert (third.ok, fourth) == (False, WELL)
    assert "its delay of 60 s may be lifted" in third.detail


def test_a_new_primary_that_is_gone_ends_it_and_a_donor_that_is_does_not() -> None:
    with pytest.raises(ServerGone):
        outcomes_of(PLAN, [ServerGone("db2", "see whether it lives", "timed out"), WELL])
    (third, _) = outcomes_of(PLAN, [ServerGone("db4", "see whether it lives", "timed out"), WELL])
    assert not third.ok


@pytest.mark.parametrize("error", [LockLost("db2", "another manager acts"), KeyError("x")])
def test_a_lock_that_is_lost_is_nobodys_outcome(error: Exception) -> None:
    with pytest.raises((MhaError, KeyError)) as raised:
        outcomes_of(PLAN, [error, WELL])
    assert raised.value is error
