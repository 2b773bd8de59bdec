"""Empty transactions in the place of errant ones: for a replica that runs, by MySQL's GTIDs, and for nobody else."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from prefect_mha.replication.errors import RefusalError
from prefect_mha.replication.memory.held_servers import Hold
from prefect_mha.replication.model.gtid import Gtid, GtidSet
from prefect_mha.replication.model.refusal import Refusal
from prefect_mha.replication.model.state import GtidKind
from prefect_mha.replication.model.ways_back import How
from prefect_mha.replication.rejoin.diverged.empties import errant_of, plan_for
from prefect_mha.replication.rejoin.facts import RejoinFacts
from prefect_mha.replication.rejoin.outcome import rejoin_question
from prefect_mha.replication.rejoin.plan import RejoinPlan
from prefect_mha.tasks import rejoin
from tests.unit.replication.build import UUID, channel, server

OWN = UUID.replace("1", "2")
PRIMARYS = UUID.replace("1", "3")


def facts(own: str = f"{OWN}:1-6", other_channel: str = "", **changes: Any) -> RejoinFacts:
    """db3 follows db2 by GTIDs, and has executed that, too."""
    follows = channel(source_host="10.0.0.2", source_uuid=PRIMARYS, auto_position=True)
    others = (channel(name="other", source_host="10.0.0.9", source_uuid=other_channel),) if other_channel else ()
    has = GtidSet.parse(f"{UUID}:1-9")
    more = GtidSet.parse(own)
    well = RejoinFacts(
        cluster="app1",
        old=server(3, follows, *others, gtid_mode="ON", gtid_executed=has | more),
        new=server(2, read_only=False, gtid_mode="ON", gtid_executed=has, server_uuid=PRIMARYS),
        kind=GtidKind.MYSQL,
        channel="",
    )
    return replace(well, **changes)


def test_each_of_them_is_in_the_plan_and_in_the_question() -> None:
    plan = plan_for(facts(), How.EMPTIES)
    assert isinstance(plan, RejoinPlan)
    assert "6 empty transactions" in plan.copies
    assert f"{OWN}:1-6" in plan.copies
    assert len(plan.steps) == 2
    assert "empty transactions" in rejoin_question(plan).sentence
    assert RejoinPlan.parse(plan.as_dict()) == plan


def test_what_came_after_the_question_is_another_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = plan_for(facts(), How.EMPTIES)
    monkeypatch.setattr(rejoin, "look", lambda *_: facts(own=f"{OWN}:1-7"))
    job = SimpleNamespace(who=None, sessions=None, plan=shown, config=SimpleNamespace(name="app1"))
    with pytest.raises(RefusalError, match=r"and has .*:1-7"):
        rejoin._as_planned(cast(Any, job))


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (facts(kind=GtidKind.MARIADB), "no-empties"),
        (facts(kind=GtidKind.POSITION), "no-empties"),
        (facts(own=""), "nothing-errant"),
        # It would follow with data of its own.
        (facts(hold=Hold("10.0.0.3:3306", "db3", 0.0, "10.0.0.2:3306")), "no-replica"),
        (replace(facts(), old=replace(facts().old, channels=())), "no-replica"),
        (facts(own=f"{PRIMARYS}:7"), "primarys-own"),
        (facts(own=f"{OWN}:1-10001"), "too-many"),
        # Its other channel brought it that, and whoever follows it gets it from there.
        (facts(other_channel=OWN), "nothing-errant"),
    ],
)
def test_what_it_is_refused_for(seen: RejoinFacts, code: str) -> None:
    plan = plan_for(seen, How.EMPTIES)
    assert isinstance(plan, Refusal)
    assert plan.code == code


def test_a_set_is_walked_through_one_by_one() -> None:
    assert list(GtidSet.parse(f"{UUID}:1-2:tag:5,{OWN}:4")) == [
        Gtid(UUID, 1),
        Gtid(UUID, 2),
        Gtid(UUID, 5, "tag"),
        Gtid(OWN, 4),
    ]
    assert errant_of(facts()) == GtidSet.parse(f"{OWN}:1-6")
