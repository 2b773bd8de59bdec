"""What a planned switch will do: whom it promotes, what it says, when it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from prefect_mha.config import ClusterConfig
from prefect_mha.replication.model.gtid import GtidSet
from prefect_mha.replication.model.refusal import Refusal
from prefect_mha.replication.model.state import GtidKind, ServerState
from prefect_mha.replication.switchover.plan import SwitchOptions, SwitchPlan, make_switch_plan
from tests.unit.replication.build import UUID, activity, at, channel, cluster, configured, process, server


def planned(
    config: ClusterConfig, *states: ServerState, down: tuple[int, ...] = (), **options: Any
) -> SwitchPlan | Refusal:
    runs = {s.key: activity(int(s.hostname[2:])) for s in states}
    return make_switch_plan(config, cluster(*states, down=down), runs, SwitchOptions(**options))


def plan_of(config: ClusterConfig, *states: ServerState, **options: Any) -> SwitchPlan:
    result = planned(config, *states, **options)
    assert isinstance(result, SwitchPlan), result
    return result


def well(**changes: Any) -> tuple[ServerState, ...]:
    return server(1, read_only=False, **changes), server(2, channel(), **changes), server(3, channel(), **changes)


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        pytest.param([{}, {}], "db2", id="the first in the configuration"),
        pytest.param([{}, {"candidate_master": True}], "db3", id="the candidate"),
        pytest.param([{"no_master": True}, {}], "db3", id="never no_master"),
    ],
)
def test_whom_it_promotes(blocks: list[dict[str, Any]], expected: str) -> None:
    assert plan_of(configured(*blocks), *well()).new_primary_name.startswith(expected)


def test_all_replicas_are_regarded_as_latest() -> None:
    behind = channel(received=at(500), executed=at(500), seconds_behind=3)
    plan = plan_of(configured({}, {}), server(1, read_only=False), server(2, behind), server(3, channel()))
    assert plan.new_primary == "10.0.0.2:3306"
    assert plan.target.received == at(500)
    assert all("received the most" not in c.merits for c in plan.candidates)


def test_the_named_one_is_promoted() -> None:
    plan = plan_of(configured({}, {}), *well(), new_master_host="db3")
    assert (plan.old, plan.new_primary) == ("10.0.0.1:3306", "10.0.0.3:3306")
    assert [x.key for x in plan.others] == ["10.0.0.2:3306"]
    assert plan.candidates[0].key == plan.new_primary
    assert plan.channel_of("10.0.0.2:3306") == ""


def test_the_old_one_becomes_a_replica_with_the_account_the_others_use() -> None:
    config = configured({}, {}, repl_password=None)
    first = config.servers[0].model_copy(update={"repl_password": SecretStr("s3cret")})
    config = config.model_copy(update={"servers": (first, *config.servers[1:])})
    plan = plan_of(config, *well(), orig_master_is_new_slave=True)
    assert (plan.orig_is_new_replica, plan.repl_user) == (True, "repl")
    assert any("make db1(10.0.0.1:3306) a replica" in step for step in plan.steps)
    assert "s3cret" not in json.dumps(plan.as_dict(), default=str)
    assert plan_of(config, *well()).repl_user == ""


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, GtidKind.POSITION),
        ({"gtid_mode": "ON", "gtid_executed": GtidSet.parse(f"{UUID}:1-9")}, GtidKind.MYSQL),
    ],
)
def test_how_it_replicates(changes: dict[str, Any], kind: GtidKind) -> None:
    plan = plan_of(configured({}, {}), *well(**changes))
    assert plan.kind is kind
    assert {x.how for x in plan.levelings} == {kind}


def test_replicas_of_replicas_are_left_alone_and_told() -> None:
    below = server(4, channel(source_host="10.0.0.2"))
    plan = plan_of(configured({}, {}, {}, multi_tier_slave=True), *well(), below)
    assert [name for name, _ in plan.left_out] == ["db4(10.0.0.4:3306)"]
    assert isinstance(planned(configured({}, {}, {}), *well(), below), Refusal)


def test_a_refusal_names_the_first_failure_and_lists_them_all() -> None:
    states = (
        server(1, read_only=False),
        server(2, channel(applier_running=False)),
        server(3, channel(seconds_behind=99)),
    )
    refusal = planned(configured({}, {}), *states)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "applier-runs"
    assert refusal.sentence == "The planned switch of app1 is refused: db2(10.0.0.2:3306): the SQL thread is stopped."
    assert refusal.remedy.startswith("`START REPLICA SQL_THREAD` on db2")
    assert [line.split(":")[0] for line in refusal.evidence] == ["db2(10.0.0.2", "db3(10.0.0.3"]


@pytest.mark.parametrize(
    ("states", "options", "code"),
    [
        pytest.param([server(2, channel()), server(3, channel())], {"down": (1,)}, "server-answers", id="primary-dead"),
        pytest.param(well()[:2], {"down": (3,)}, "server-answers", id="replica-dead"),
        pytest.param([], {"down": (1, 2, 3)}, "no-server-reachable", id="all-dead"),
        pytest.param(well(), {"new_master_host": "db1"}, "target-is-another", id="the-primary-itself"),
        pytest.param(well(), {"new_master_host": "db9"}, "target-known", id="unknown"),
        pytest.param(
            [server(1, read_only=False), *(server(n, channel(), log_bin=False) for n in (2, 3))], {}, "no-candidate",
            id="nobody-may",
        ),
    ],
)  # fmt: skip
def test_refusals(states: list[ServerState], options: dict[str, Any], code: str) -> None:
    refusal = planned(configured({}, {}), *states, **options)
    assert isinstance(refusal, Refusal)
    assert refusal.code == code
    assert refusal.sentence
    assert refusal.remedy
    assert refusal.evidence


def test_what_runs_is_asked() -> None:
    states = well()
    runs = {s.key: activity(int(s.hostname[2:])) for s in states}
    runs["10.0.0.1:3306"] = activity(1, process("DELETE FROM t WHERE a = 'secret'", 5))
    refusal = make_switch_plan(configured({}, {}), cluster(*states), runs, SwitchOptions())
    assert isinstance(refusal, Refusal)
    assert refusal.code == "running-updates"
    assert "secret" not in str(refusal.evidence)


def test_the_steps_tell_the_options() -> None:
    plan = plan_of(
        configured({}, {}, master_ip_online_change_script="/bin/vip"),
        *well(),
        skip_lock_all_tables=True,
        flush_tables=False,
    )
    text = "\n".join(plan.steps)
    assert (
        text.index("/bin/vip --command=stop") < text.index("stop all writes") < text.index("/bin/vip --command=start")
    )
    assert "flush tables" not in text
    assert "global read lock" not in text
    assert "leave db1(10.0.0.1:3306) read-only" in text
