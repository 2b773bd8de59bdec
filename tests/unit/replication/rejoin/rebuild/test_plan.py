"""From whom a server gets its data, by which means; or why it cannot, in one sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from prefect_mha.replication.model.refusal import Refusal
from prefect_mha.replication.model.ways_back import How, Method
from prefect_mha.replication.rejoin.plan import RejoinPlan
from prefect_mha.replication.rejoin.rebuild.facts import DonorView, RebuildFacts, TargetView
from prefect_mha.replication.rejoin.rebuild.observe import outside
from prefect_mha.replication.rejoin.rebuild.plan import ranked, rebuild_plan, room_for
from tests.unit.replication.build import UUID
from tests.unit.replication.rejoin.test_plan import facts, gtid

MB = 1 << 20
VERSION = "10.11.6-MariaDB"
PRIMARY = DonorView("10.0.0.2:3306", "db2", True, 100 * MB, None, "", "active", VERSION, True)
REPLICA = DonorView("10.0.0.3:3306", "db3", False, 100 * MB, 0, "", "active", VERSION, True)
TARGET = TargetView(
    data=90 * MB,
    free=1000 * MB,
    room="/var/lib/.mysql.mha-rebuild",
    clone="active",
    backup=VERSION,
    mbstream=True,
    client=True,
)


def about(*donors: DonorView, modern: bool = False, maria: bool = False, held: str = "", **target: Any) -> RebuildFacts:
    return RebuildFacts(donors or (PRIMARY, REPLICA), replace(TARGET, **target), modern, maria, held)


def by_position(*donors: DonorView) -> RebuildFacts:
    return replace(about(*donors, modern=True), by_position=True)


PARALLEL = replace(REPLICA, workers=4, in_order=False)


def planned(around: RebuildFacts, wish: str = "auto", keep: bool = True) -> RejoinPlan | Refusal:
    return rebuild_plan(facts(), around, wish=wish, rate=0, keep=keep)


def test_no_way_leads_over_logs_that_stay_with_the_old_data() -> None:
    """A swap, or a load that fails, would leave the one's tables with the other's redo log."""
    for method in Method:
        refusal = planned(about(maria=True, modern=True, apart="innodb_log_group_home_dir"), method.value)
        assert isinstance(refusal, Refusal)
        assert "innodb_log_group_home_dir lies outside of its data directory" in refusal.sentence
    loaded = planned(about(elsewhere="/data/app.ibd"), "dump")
    assert isinstance(loaded, RejoinPlan)
    assert any("is not kept: /data/app.ibd" in warning for warning in loaded.warnings)


def test_places_outside_of_the_data_directory() -> None:
    places = {"a": "./", "b": "/var/lib/mysql/undo", "c": "../redo", "d": "", "e": "/var/lib/mysql2", "f": "."}
    assert outside("/var/lib/mysql/", places) == ["c", "e"]


def test_one_with_replicas_of_its_own_is_not_rebuilt() -> None:
    found = rebuild_plan(facts(below=("db4",)), about(), wish="auto", rate=0, keep=True)
    assert isinstance(found, Refusal)
    assert found.code == "has-replicas"


@pytest.mark.parametrize(
    ("around", "method"),
    [
        (about(), Method.DUMP),
        (about(modern=True), Method.CLONE),
        (about(maria=True), Method.BACKUP),
        (about(maria=True, mbstream=False), Method.DUMP),
        (about(modern=True, beside=False), Method.DUMP),
        (about(modern=True, elsewhere="/data/app.ibd"), Method.DUMP),
        (about(replace(REPLICA, backup="10.5.1-MariaDB"), maria=True), Method.DUMP),
    ],
)
def test_the_best_way_that_all_allow(around: RebuildFacts, method: Method) -> None:
    plan = planned(around)
    assert isinstance(plan, RejoinPlan), plan
    assert plan.copying is not None
    assert plan.how is How.REBUILD
    assert (plan.copying.method, plan.copying.donor) == (method, REPLICA.key)
    assert RejoinPlan.parse(json.loads(json.dumps(plan.as_dict()))) == plan


def test_a_replica_that_is_level_before_one_that_is_late_before_the_primary() -> None:
    late, none = replace(REPLICA, key="l", behind=900), replace(REPLICA, key="n", behind=None)
    broken = replace(REPLICA, key="b", broken="error 1062")
    assert [d.key for d in ranked((PRIMARY, late, broken, REPLICA, none))] == [REPLICA.key, "n", "l", PRIMARY.key]


def test_the_primary_gives_it_where_no_replica_can_and_the_plan_says_what_that_costs() -> None:
    plan = planned(about(PRIMARY, replace(REPLICA, broken="error 1062")))
    assert isinstance(plan, RejoinPlan)
    assert any("writers wait" in line for line in plan.warnings)


@pytest.mark.parametrize(
    ("around", "wish", "code", "words"),
    [
        (about(free=50 * MB, maria=True), "backup", "no-way", "has no room: 172.0 MB are needed"),
        (about(free=50 * MB), "auto", "no-way", "has no room"),
        (about(replace(PRIMARY, broken="gone"), replace(REPLICA, broken="late")), "auto", "no-donor", "db2: gone"),
        (about(modern=True, clone="disabled"), "clone", "no-way", "clone plugin cannot be used: disabled"),
        (about(), "clone", "no-way", "has no clone plugin"),
        (about(maria=True, backup=""), "backup", "no-way", "mariadb-backup is not on its host"),
        (about(held="it is held super_read_only"), "dump", "no-way", "super_read_only"),
        (about(trouble="no route"), "auto", "no-host", "no route"),
        (about(root=False), "auto", "no-rights", "SSH user"),
        (about(stoppable=False), "auto", "no-start", "how its mysqld is started"),
        (by_position(PRIMARY), "clone", "no-way", "a clone of db2, the primary, tells no place"),
        (by_position(PARALLEL), "clone", "no-way", "in parallel and in any order"),
        (by_position(PARALLEL), "dump", "no-way", "its place may lie before its data"),
    ],
)
def test_a_refusal_is_one_sentence(around: RebuildFacts, wish: str, code: str, words: str) -> None:
    refusal = planned(around, wish)
    assert isinstance(refusal, Refusal)
    assert refusal.code == code
    assert words in refusal.sentence


def test_what_only_it_has_is_archived_or_else_its_old_data_stays() -> None:
    known = rebuild_plan(
        gtid("u:1-9".replace("u", UUID), "u:1-5".replace("u", UUID), user="repl", password=True),
        about(),
        wish="auto",
        rate=0,
        keep=False,
    )
    assert isinstance(known, RejoinPlan)
    assert known.copying is not None
    assert (known.copying.archive, known.copying.keep) == (True, False)
    unknown = rebuild_plan(facts(replaced=None, tail=None), about(), wish="auto", rate=0, keep=False)
    assert isinstance(unknown, RejoinPlan)
    assert unknown.copying is not None
    assert (unknown.copying.archive, unknown.copying.keep) == (False, True)
    assert any("its old data stays" in line for line in unknown.warnings)


def test_a_dump_needs_room_for_the_old_data_once_more_and_for_what_it_grows_by() -> None:
    assert room_for(REPLICA, Method.DUMP, TARGET) == (64 + 90 + 10) * MB
    assert room_for(REPLICA, Method.DUMP, replace(TARGET, old="/x/old")) == (64 + 10) * MB
    assert room_for(REPLICA, Method.BACKUP, TARGET) == (64 + 100) * MB


def test_appliers_in_order_note_their_place_in_a_clone_and_gtids_need_none() -> None:
    for around in (by_position(replace(PARALLEL, in_order=True)), about(PARALLEL, modern=True)):
        plan = planned(around, "clone")
        assert isinstance(plan, RejoinPlan), plan


def test_what_another_rebuild_left_is_told_of_and_is_not_its_old_data() -> None:
    plan = planned(about(kept="/var/lib/.mysql.mha-rebuild/old"))
    assert isinstance(plan, RejoinPlan)
    assert any("kept under a name with the date" in line for line in plan.warnings)
    own = gtid("u:1-9".replace("u", UUID), "u:1-5".replace("u", UUID), user="repl", password=True)
    for around, archived in (
        (about(kept="/x/old"), True),
        (about(old="/x/old", state="swapped"), False),
        (about(old="/x/old", state="placed"), True),
    ):
        found = rebuild_plan(own, around, wish="auto", rate=0, keep=True)
        assert isinstance(found, RejoinPlan)
        assert found.copying is not None
        assert found.copying.archive is archived
