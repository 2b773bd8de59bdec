"""Whom to promote, and when not to: MHA's rules as tables, and laws that hold for any cluster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_mha.config import ClusterConfig, ServerConfig
from prefect_mha.replication.model.gtid import GtidSet
from prefect_mha.replication.model.refusal import Refusal
from prefect_mha.replication.model.state import ClusterState, Filters, GtidKind
from prefect_mha.replication.model.topology import find_primary, opened_by_another
from prefect_mha.replication.planning.plan import FailoverOptions, FailoverPlan, make_plan
from prefect_mha.replication.planning.selection import MAX_BYTES_BEHIND, bytes_behind, followers_of, gtid_kind, rank
from tests.unit.replication.build import UUID, at, channel, cluster, server


def configured(*blocks: dict[str, Any], **app: Any) -> ClusterConfig:
    """db1 is the primary; a block a further server."""
    servers = [
        ServerConfig(
            block=f"server{n}",
            hostname=f"db{n}",
            ip=f"10.0.0.{n}",
            ssh_host=f"db{n}",
            ssh_ip=f"10.0.0.{n}",
            ssh_user="root",
            **block,
        )
        for n, block in enumerate(({}, *blocks), 1)
    ]
    return ClusterConfig(name="app1", path=Path("app1.cnf"), servers=tuple(servers), **app)


def planned(config: ClusterConfig, state: ClusterState, **options: Any) -> FailoverPlan | Refusal:
    return make_plan(config, config.servers[0], state, FailoverOptions(**options))


def chosen(config: ClusterConfig, *states: Any) -> str:
    result = planned(config, cluster(*states))
    assert isinstance(result, FailoverPlan), result
    return result.new_primary.split(":")[0].rsplit(".", 1)[1]


BEHIND = {"received": at(500), "executed": at(500)}


@pytest.mark.parametrize(
    ("blocks", "app", "channels", "expected"),
    [
        pytest.param([{}, {}], {}, [{}, {}], "2", id="level: the first in the configuration"),
        pytest.param([{}, {}], {}, [BEHIND, {}], "3", id="the most advanced"),
        pytest.param([{}, {"candidate_master": True}], {}, [{}, {}], "3", id="the candidate"),
        pytest.param([{}, {"candidate_master": True}], {}, [{}, BEHIND], "3", id="the candidate although behind"),
        pytest.param([{"candidate_master": True}] * 2, {}, [BEHIND, {}], "3", id="of two candidates the most advanced"),
        pytest.param(
            [{"candidate_master": True}] * 2, {"latest_priority": False}, [BEHIND, {}], "2", id="order before position"
        ),
        pytest.param([{}, {}], {"latest_priority": False}, [BEHIND, {}], "2", id="order alone"),
        pytest.param([{"no_master": True}, {}], {}, [{}, BEHIND], "3", id="never no_master"),
        pytest.param(
            [{"no_master": True, "candidate_master": True}, {}],
            {},
            [{}, {}],
            "3",
            id="no_master beats candidate_master",
        ),
        pytest.param([{}, {}], {}, [{"applier_errno": 1062}, BEHIND], "3", id="never one whose applier is broken"),
    ],
)
def test_who_is_chosen(
    blocks: list[dict[str, Any]], app: dict[str, Any], channels: list[dict[str, Any]], expected: str
) -> None:
    states = [server(n, channel(**changes)) for n, changes in enumerate(channels, 2)]
    assert chosen(configured(*blocks, **app), *states) == expected


@pytest.mark.parametrize(
    ("changes", "block", "reason"),
    [
        ({}, {"no_master": True}, "no_master is set"),
        ({"log_bin": False}, {}, "log_bin is off"),
        ({"version": (9, 0, 0)}, {}, "newer than 8.4"),
        ({"executed": at(900), "applier_errno": 1032, "applier_error": "gone"}, {}, "error 1032"),
        ({"executed": at(4, 1), "received": at(MAX_BYTES_BEHIND + 5, 1)}, {}, "bytes behind"),
        ({"executed": at(4, 1), "received": at(10, 9)}, {}, "8 log files behind"),
        ({"delay": 3600}, {}, "delayed by 3600 s"),
    ],
)
def test_every_bar_is_told_with_its_reason(changes: dict[str, Any], block: dict[str, Any], reason: str) -> None:
    of_channel = {k: v for k, v in changes.items() if k not in ("log_bin", "version")}
    of_server = {k: v for k, v in changes.items() if k not in of_channel}
    config = configured(block, {})
    end = changes.get("received", at(1000))
    state = cluster(server(2, channel(**of_channel), **of_server), server(3, channel(received=end, executed=end)))
    followers = followers_of(config.servers[0], config, state)
    selection = rank(config, config.servers[0], followers, {})
    barred = next(c for c in selection.candidates if c.key == "10.0.0.2:3306")
    assert any(reason in text for text in barred.barred), barred
    assert selection.chosen is not None
    assert selection.chosen.key == "10.0.0.3:3306"


def test_check_repl_delay_0_lifts_only_the_delay_rule() -> None:
    late = channel(executed=at(4, 1), received=at(10, 9))
    assert chosen(configured({"check_repl_delay": False}, {}), server(2, late), server(3, channel())) == "2"


@pytest.mark.parametrize(
    ("executed", "furthest", "expected"),
    [
        (at(100), at(400), 300),
        (at(400), at(100), 0),
        (at(900_000_000, 4), at(150, 5), 150),  # a rotation alone does not make a replica late
        (at(4, 1), at(4, 9), None),
        (None, at(4), None),
    ],
)
def test_distance_across_files_is_a_lower_bound(executed: Any, furthest: Any, expected: int | None) -> None:
    assert bytes_behind(executed, furthest) == expected


@pytest.mark.parametrize(
    ("state", "code"),
    [
        pytest.param(cluster(down=(2, 3)), "no-server-reachable", id="nobody answers"),
        pytest.param(cluster(server(2), server(3)), "no-replica", id="nobody replicates"),
        pytest.param(
            cluster(server(2, channel()), server(3, read_only=False)), "another-primary", id="a stray takes writes"
        ),
        pytest.param(cluster(server(2, channel(), log_bin=False), down=(3,)), "no-candidate", id="all barred"),
    ],
)
def test_refusals_have_a_code_and_evidence(state: ClusterState, code: str) -> None:
    result = planned(configured({}, {}), state)
    assert isinstance(result, Refusal)
    assert result.code == code
    assert result.sentence
    assert result.remedy
    assert result.evidence


def test_a_dead_and_a_broken_replica_are_left_out_not_a_reason_to_refuse() -> None:
    config = configured({}, {}, {})
    state = cluster(server(2, channel(applier_errno=1062, applier_error="Duplicate")), server(3, channel()), down=(4,))
    result = planned(config, state)
    assert isinstance(result, FailoverPlan)
    assert result.new_primary == "10.0.0.3:3306"
    assert [name for name, _ in result.left_out] == ["db4(10.0.0.4:3306)"]
    assert [x.broken for x in result.others] == ["its applier stopped with error 1062: Duplicate"]


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [("db3", 3306, None), ("10.0.0.3", 3306, None), ("db9", 3306, "unknown-target"), ("db2", 3306, "target-barred")],
)
def test_a_forced_target_is_taken_or_refused_never_replaced(host: str, port: int, expected: str | None) -> None:
    result = planned(
        configured({"no_master": True}, {}),
        cluster(server(2, channel()), server(3, channel(**BEHIND))),
        new_master_host=host,
        new_master_port=port,
    )
    if expected is None:
        assert isinstance(result, FailoverPlan)
        assert result.new_primary == "10.0.0.3:3306"
    else:
        assert isinstance(result, Refusal)
        assert result.code == expected


def test_a_replica_that_leaves_out_a_schema_is_not_promoted_unless_told_so() -> None:
    filtered = channel(filters=Filters(ignore_db="audit"))
    states = (server(2, filtered), server(3, channel()), server(4, channel()))
    assert chosen(configured({}, {}, {}), *states) == "3"
    assert chosen(configured({}, {}, {}, check_repl_filter=False), *states) == "2"


def test_a_replica_of_a_replica_is_left_alone_with_multi_tier_slave() -> None:
    states = (server(2, channel()), server(3, channel()), server(4, channel(source_host="db2")))
    for multi_tier, expected in ((True, []), (False, ["db4(10.0.0.4:3306)"])):
        result = planned(configured({}, {}, {}, multi_tier_slave=multi_tier), cluster(*states))
        assert isinstance(result, FailoverPlan)
        assert [name for name, _ in result.left_out] == expected


def test_who_was_not_looked_at_again_is_as_the_earlier_plan_has_it() -> None:
    """After the receivers are stopped only the replicas of the dead primary are looked at."""
    config = configured({}, {}, {}, {}, multi_tier_slave=True)
    replicas = (server(2, channel()), server(3, channel()))
    first = planned(config, cluster(*replicas, server(4, channel(source_host="db2")), down=(5,)))
    again = planned(config, cluster(*replicas))
    assert isinstance(first, FailoverPlan)
    assert isinstance(again, FailoverPlan)
    assert "does not replicate from the dead primary" in str(again.left_out)
    both = again.with_others_of(first)
    assert both.left_out == first.left_out
    assert [name for name, _ in both.left_out] == ["db5(10.0.0.5:3306)"]
    assert "does not replicate" not in str([c for c in both.candidates if c.key == "10.0.0.5:3306"])
    one = planned(config, cluster(server(2, channel()), down=(3,)))
    assert isinstance(one, FailoverPlan)
    assert [name for name, _ in one.with_others_of(first).left_out] == ["db5(10.0.0.5:3306)", "db3(10.0.0.3:3306)"]


GTIDS = {"gtid_mode": "ON", "gtid_executed": GtidSet.parse(f"{UUID}:1-5")}


@pytest.mark.parametrize(
    ("states", "auto", "expected"),
    [
        ([server(2, channel(), **GTIDS), server(3, channel(auto_position=True), **GTIDS)], True, GtidKind.MYSQL),
        ([server(2, channel(), **GTIDS), server(3, channel(auto_position=True), **GTIDS)], False, GtidKind.POSITION),
        ([server(2, channel(auto_position=True), **GTIDS), server(3, channel())], True, GtidKind.POSITION),
        ([server(2, channel(), gtid_mode="ON", gtid_executed=GtidSet())], True, GtidKind.POSITION),
        (
            [server(2, channel(using_gtid="Slave_Pos")), server(3, channel(using_gtid="Current_Pos"))],
            True,
            GtidKind.MARIADB,
        ),
        ([server(2, channel(using_gtid="Slave_Pos")), server(3, channel())], True, GtidKind.POSITION),
    ],
)
def test_how_the_cluster_replicates(states: list[Any], auto: bool, expected: GtidKind) -> None:
    config = configured({}, {})
    assert gtid_kind(followers_of(config.servers[0], config, cluster(*states)), auto) is expected


def test_a_replica_that_cannot_pass_on_what_it_received_is_barred_with_gtids_only() -> None:
    quiet = {"log_replica_updates": False}
    assert chosen(configured({}, {}), server(2, channel(), **quiet), server(3, channel())) == "2"
    gtid = channel(auto_position=True)
    assert chosen(configured({}, {}), server(2, gtid, **quiet, **GTIDS), server(3, gtid, **GTIDS)) == "3"


def test_a_new_plan_tells_what_it_would_do_otherwise() -> None:
    config = configured({}, {})
    before = planned(config, cluster(server(2, channel()), server(3, channel())))
    after = planned(config, cluster(server(3, channel()), down=(2,)))
    assert isinstance(before, FailoverPlan)
    assert isinstance(after, FailoverPlan)
    assert before.difference(before) == ()
    assert before.difference(after) == (
        "promote db3(10.0.0.3:3306) instead of db2(10.0.0.2:3306)",
        "leave out db2(10.0.0.2:3306)",
    )


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (cluster(server(1, read_only=False), server(2, channel()), server(3, channel())), "10.0.0.1:3306"),
        (cluster(server(2, channel()), server(3, channel()), down=(1,)), "10.0.0.1:3306"),
        (
            cluster(server(1, channel(source_host="db2"), read_only=False), server(2, channel()), server(3, channel())),
            "10.0.0.1:3306",
        ),
        (cluster(server(1, channel(source_host="db2")), server(2, channel())), "multi-master"),
        (cluster(server(1, read_only=False), server(2, channel()), server(3, read_only=False)), "two-primaries"),
        (cluster(server(1, read_only=False), server(2), server(3)), "no-replica"),
        (cluster(down=(1, 2, 3)), "no-server-reachable"),
    ],
)
def test_who_the_primary_is(state: ClusterState, expected: str) -> None:
    found = find_primary(configured({}, {}), state)
    assert (found.code if isinstance(found, Refusal) else found.address) == expected


def test_what_another_managers_failover_had_opened() -> None:
    """A replica that was left writable, or that somebody stopped, was not; nor one that has merely given up."""
    dead = configured({}, {}).servers[0]
    stopped, trying = channel(receiver="No"), channel(receiver="Connecting")
    opened = server(2, stopped, read_only=False)
    assert opened_by_another(dead, cluster(opened, server(3, trying), down=(1,))) == opened
    assert opened_by_another(dead, cluster(server(2, trying, read_only=False), server(3, stopped), down=(1,))) is None
    gave_up = replace(stopped, receiver_gave_up=True)
    assert opened_by_another(dead, cluster(server(2, gave_up, read_only=False), down=(1,))) is None
    late = server(2, replace(gave_up, applier_running=False), read_only=False)
    assert opened_by_another(dead, cluster(late, server(3, gave_up), down=(1,))) == late


numbers = st.integers(4, 10_000)
replicas = st.lists(
    st.tuples(numbers, st.booleans(), st.booleans(), st.booleans(), st.sampled_from([0, 1062])), min_size=1, max_size=5
)


@given(replicas, st.booleans())
def test_never_a_barred_one_and_always_one_when_there_is_one(drawn: list[Any], latest: bool) -> None:
    blocks = [{"candidate_master": c, "no_master": n} for _, c, n, _, _ in drawn]
    states = [
        server(number, channel(received=at(pos), executed=at(pos), applier_errno=errno), log_bin=log)
        for number, (pos, _, _, log, errno) in enumerate(drawn, 2)
    ]
    result = planned(configured(*blocks, latest_priority=latest), cluster(*states))
    fit = [n for n, (_, _, no, log, errno) in enumerate(drawn, 2) if not no and log and not errno]
    if isinstance(result, Refusal):
        assert not fit
        return
    number = int(result.new_primary.split(":")[0].rsplit(".", 1)[1])
    assert number in fit
    candidates = [n for n in fit if drawn[n - 2][1]]
    assert not candidates or number in candidates
