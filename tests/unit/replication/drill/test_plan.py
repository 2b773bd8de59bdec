"""A drill is held only where everything is as it has to be; else every reason is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from prefect_mha.config import ClusterConfig, load_cluster
from prefect_mha.replication.drill.kinds import DrillKind
from prefect_mha.replication.drill.plan import DrillPlan, Gates, decide, plan_text, within
from prefect_mha.replication.model.refusal import Refusal

NOON = datetime(2026, 11, 3, 12, 0)
DEFAULT = "user=mha\nprobe_user=probe\nprobe_password=x\ndrill_allowed=switch, kill, freeze, power, ssh-loss\n"


@pytest.fixture
def config(tmp_path: Any) -> ClusterConfig:
    return _config(tmp_path)


def _config(directory: Any, more: str = "", default: str = DEFAULT) -> ClusterConfig:
    path = directory / "app1.cnf"
    path.write_text(
        f"[server default]\n{default}{more}\n[server1]\nhostname=192.0.2.1\n[server2]\nhostname=192.0.2.2\n"
    )
    return load_cluster(path, None)


def gates(config: ClusterConfig, kind: DrillKind = DrillKind.KILL, **more: Any) -> Gates:
    made = Gates(config, kind, NOON, "192.0.2.1:3306", "db1(192.0.2.1:3306)", "db2(192.0.2.2:3306)")
    return replace(made, **more)


def code(found: DrillPlan | Refusal) -> str:
    return found.code if isinstance(found, Refusal) else ""


@pytest.mark.parametrize("kind", [kind for kind in DrillKind if kind is not DrillKind.POWER])
def test_it_is_held_where_all_is_well_and_its_plan_says_what_is_done(config: ClusterConfig, kind: DrillKind) -> None:
    plan = decide(gates(config, kind), "yesterday passed")
    assert isinstance(plan, DrillPlan)
    assert plan.target == 30.0
    told = plan_text(plan)
    assert "yesterday passed" in told
    assert ("Switch back" in told) == (kind is not DrillKind.SSH_LOSS)
    assert ("Wait for the manager" in told) == kind.fails_over
    assert plan.as_dict()["kind"] == kind.value


@pytest.mark.parametrize(
    ("why", "more"),
    [
        ("under-way", {"under_way": "a drill kill goes on in process 7"}),
        ("drill-open", {"unfinished": "the drill was cut short"}),
        ("held", {"held": ("db3",)}),
        ("too-soon", {"since_failover": 23 * 3600.0}),
        ("no-primary", {"primary": ""}),
        ("checks-failed", {"failed": ("replica-lag: db2 is late",)}),
        ("open-replicas", {"open_ones": ("db2",)}),
        ("no-manager", {"manager": "no manager of this host watches the cluster (NOT_RUNNING)"}),
        ("not-ready", {"blockers": ("no candidate",)}),
    ],
)
def test_each_thing_that_is_not_as_it_has_to_be_forbids_it(
    config: ClusterConfig, why: str, more: dict[str, Any]
) -> None:
    assert code(decide(gates(config, **more))) == why


def test_a_planned_switch_needs_no_manager(config: ClusterConfig) -> None:
    found = decide(gates(config, DrillKind.SWITCH, manager="none", blockers=("too soon",)))
    assert isinstance(found, DrillPlan)


def test_all_reasons_are_told_and_the_first_one_first(config: ClusterConfig) -> None:
    found = decide(gates(config, held=("db3",), failed=("a", "b"), manager="no manager"))
    assert isinstance(found, Refusal)
    assert found.code == "held"
    assert [line.partition(":")[0] for line in found.evidence] == ["checks-failed", "no-manager", "a", "b"]
    assert "And 2 more" in found.sentence


def test_nothing_is_allowed_by_itself_and_the_power_needs_a_command(tmp_path: Any) -> None:
    unsaid = _config(tmp_path, default="user=mha\nprobe_user=p\nprobe_password=x\n")
    assert {code(decide(gates(unsaid, kind))) for kind in DrillKind} == {"not-allowed"}
    assert code(decide(gates(_config(tmp_path), DrillKind.POWER))) == "no-power-command"
    assert code(decide(gates(_config(tmp_path, "drill_power_command=/bin/power\n"), DrillKind.POWER))) == ""
    assert code(decide(gates(_config(tmp_path, default="user=mha\ndrill_allowed=kill\n")))) == "no-probe-user"
    assert code(decide(gates(_config(tmp_path, "drill_pause=0\n"), since_failover=1.0))) == ""
    assert code(decide(gates(_config(tmp_path, "drill_window=13:00-15:00\n")))) == "outside-window"


@pytest.mark.parametrize(
    ("window", "hour", "minute", "inside"),
    [
        ("10:00-16:00", 10, 0, True),
        ("10:00-16:00", 16, 0, False),
        ("10:00-16:00", 9, 59, False),
        ("22:00-04:00", 23, 30, True),
        ("22:00-04:00", 3, 59, True),
        ("22:00-04:00", 4, 0, False),
        ("0:00-24:00", 23, 59, True),
    ],
)
def test_the_window_may_be_over_midnight(window: str, hour: int, minute: int, inside: bool) -> None:
    assert within(window, datetime(2026, 1, 1, hour, minute)) is inside
