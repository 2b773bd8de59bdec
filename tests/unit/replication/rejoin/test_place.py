"""A channel that names the new primary already, and the place at which one without GTIDs may begin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from prefect_mha.replication.model.state import GtidKind, ReplicaChannel
from prefect_mha.replication.rejoin.facts import RejoinFacts
from prefect_mha.replication.rejoin.plan import unattended
from tests.unit.replication.build import UUID, at, channel, server
from tests.unit.replication.rejoin.test_plan import HOLD, OTHER, REPLACED, facts, gtid, plan_of, refusal_of

SILENT = {"log_replica_updates": False}


def there(**changes: Any) -> ReplicaChannel:
    """Stopped, at the place where the new primary began."""
    well = channel(
        source_host="10.0.0.2",
        receiver="No",
        applier_running=False,
        received=REPLACED.begins,
        executed=REPLACED.begins,
    )
    return replace(well, **changes)


ELSEWHERE = there(received=at(900, file=3), executed=at(900, file=3))
RUNS = there(receiver="Yes", applier_running=True)


# where it begins ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        facts(hold=None),
        facts(hold=None, pointed=True),
        facts(old=server(1, **SILENT)),
    ],
)
def test_it_begins_where_the_new_primary_did_when_it_has_executed_nothing_since(case: RejoinFacts) -> None:
    assert plan_of(case).position == REPLACED.begins


@pytest.mark.parametrize(
    "case",
    [
        facts(old=server(1, **SILENT), hold=None),
        facts(old=server(1, **SILENT), pointed=True),
        facts(old=server(1, **SILENT), hold=replace(HOLD, instead="10.0.0.3:3306")),
    ],
)
def test_what_it_may_have_executed_already_is_not_executed_twice(case: RejoinFacts) -> None:
    refusal = refusal_of(case)
    assert refusal.code == "no-place"
    assert "twice" in refusal.sentence


# a channel that is there -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "follows"),
    [
        (facts(old=server(1, there())), True),
        (facts(old=server(1, ELSEWHERE)), False),
        (facts(old=server(1, ELSEWHERE), pointed=True), True),
        (facts(old=server(1, there()), replaced=None), False),
        (facts(old=server(1, there(using_gtid="Slave_Pos"))), False),
        (facts(old=server(1, there(auto_position=True)), kind=GtidKind.MYSQL), True),
        (facts(old=server(1, there()), kind=GtidKind.MYSQL), False),
    ],
)
def test_a_channel_counts_only_by_its_kind_and_its_place(case: RejoinFacts, follows: bool) -> None:
    assert case.there is not None
    assert (case.follows is not None) == follows


def test_a_place_that_nobody_knows_is_not_gone_on_from() -> None:
    refusal = refusal_of(facts(old=server(1, ELSEWHERE)))
    assert refusal.code == "no-place"
    assert str(at(900, file=3)) in refusal.sentence


def test_a_channel_of_another_kind_is_made_anew_by_gtids() -> None:
    case = gtid(f"{UUID}:1-9", f"{UUID}:1-9,{OTHER}:1-3")
    plan = plan_of(replace(case, old=replace(case.old, channels=(there(),))))
    assert not plan.pointed
    assert any(step.startswith("Point") for step in plan.steps)


def test_what_a_person_stopped_is_not_started_by_itself() -> None:
    stopped = facts(old=server(1, there()))
    assert "somebody may have stopped it" in unattended(stopped, plan_of(stopped))
    cut_short = replace(stopped, unfinished=True)
    assert unattended(cut_short, plan_of(cut_short)) == ""


def test_what_was_cut_short_after_the_hold_ended_is_gone_on_with() -> None:
    case = facts(old=server(1, RUNS), hold=None, unfinished=True)
    assert unattended(case, plan_of(case)) == ""


def test_a_healthy_replica_is_left_alone() -> None:
    assert refusal_of(facts(old=server(3, RUNS), hold=None)).code == "already-a-replica"
    assert refusal_of(facts(old=server(3, replace(RUNS, receiver="Connecting")), hold=None)).code == "already-a-replica"


@pytest.mark.parametrize("changes", [{"hold": HOLD}, {"hold": None, "unfinished": True}])
def test_one_that_runs_and_is_held_or_was_cut_short_is_set_free(changes: dict[str, Any]) -> None:
    assert plan_of(facts(old=server(1, RUNS), **changes)).pointed
