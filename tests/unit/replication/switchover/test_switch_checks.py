"""Every precondition of a planned switch: what makes it fail, that it fails alone, and what its words say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from prefect_mha.replication.checks.switch import RULES, switch_checks
from prefect_mha.replication.coordination.failover_lock import MONITOR_LOCK
from prefect_mha.replication.model.check import failed
from prefect_mha.replication.model.state import Filters, SemiSync
from prefect_mha.replication.mysql.grants import Grants
from prefect_mha.replication.planning.switch_options import SwitchOptions
from prefect_mha.replication.workload.activity import AdvisoryLock, OpenTransaction
from tests.unit.replication.build import UUID, channel, cluster, process, server
from tests.unit.replication.switchover.breakages import (
    ERRORS,
    STRAY,
    WRITTEN,
    Scene,
    a_filter,
    accounts_with_super_cannot_be_kept_out,
    another_command_acts,
    errant_transactions,
)


def test_with_file_and_position_the_target_need_not_log_what_it_received() -> None:
    scene = Scene()
    scene.state(2, log_replica_updates=False)
    assert failed(scene.checks()) == ()


def test_one_of_a_pair_needs_no_credentials_to_become_a_replica() -> None:
    scene = Scene()
    scene.options = SwitchOptions(orig_master_is_new_slave=True)
    assert [check.name for check in failed(scene.checks())] == ["replication-credentials"]
    scene.state(1, channels=(channel(source_host="10.0.0.2"),))
    scene.state(2, read_only=True)
    assert "replication-credentials" not in [check.name for check in failed(scene.checks())]


def test_nothing_stands_in_the_way_of_a_cluster_that_is_well() -> None:
    checks = Scene().checks()
    assert not failed(checks)
    assert [c.name for c in checks if not c.ok] == ["address-hook"]
    assert all(check.text and "\n" not in check.text for check in checks)


def test_accounts_with_super_may_be_let_in_when_told_so() -> None:
    scene = Scene(options=SwitchOptions(allow_super_writers=True))
    accounts_with_super_cannot_be_kept_out(scene)
    assert not failed(scene.checks())


def test_tx_read_only_keeps_accounts_with_super_out() -> None:
    scene = Scene()
    scene.state(1, super_read_only=None, tx_read_only=False)
    assert not failed(scene.checks())


@pytest.mark.parametrize(("breakage", "name", "subject", "says"), ERRORS)
def test_each_breakage_refuses_for_its_own_reason(
    breakage: Callable[[Scene], None], name: str, subject: str, says: str
) -> None:
    scene = Scene()
    breakage(scene)
    wrong = failed(scene.checks())
    # RELOAD is what two powers need on MySQL.
    assert {check.name for check in wrong} - {"privilege-reset-replication"} == {name}, wrong
    (check,) = (c for c in wrong if c.name == name)
    assert check.subject.startswith(subject)
    assert says in check.text
    assert check.hint


ALL_BUT_EVENTS = frozenset(
    {"PROCESS", "REPLICATION CLIENT", "REPLICATION SLAVE", "RELOAD", "SUPER", "SYSTEM_USER"}
    | {"REPLICATION_SLAVE_ADMIN", "CONNECTION_ADMIN", "SYSTEM_VARIABLES_ADMIN"}
)


def a_target_that_filters(scene: Scene) -> None:
    for number in (2, 3):
        scene.channel(number, filters=Filters(do_db="app"))


WARNINGS: list[tuple[Callable[[Scene], None], str, str]] = [
    (lambda s: s.state(3, read_only=False), "read-only", "db3"),
    (lambda s: s.gtid(db3=f"{WRITTEN},{STRAY}"), "errant-transactions", "db3"),
    (a_target_that_filters, "target-unfiltered", "db2"),
    (lambda s: s.runs(2, grants=Grants(ALL_BUT_EVENTS)), "privilege-move-events", "db2"),
    (lambda s: s.state(1, version=(9, 0, 0)), "version-of-target", "db2"),
    (lambda s: s.runs(1, sessionless=(OpenTransaction(5, 2),)), "prepared-transactions", "db1"),
    (lambda s: s.runs(3, unseen=("accounts: error 1142: denied",)), "activity-seen", "db3"),
    (lambda s: s.state(1, semi_sync=SemiSync(source_enabled=True)), "semi-sync-source", "db2"),
]


@pytest.mark.parametrize(("breakage", "name", "subject"), WARNINGS, ids=[w[1] for w in WARNINGS])
def test_what_is_told_but_does_not_refuse(breakage: Callable[[Scene], None], name: str, subject: str) -> None:
    scene = Scene()
    breakage(scene)
    checks = scene.checks()
    assert not failed(checks)
    told = [c for c in checks if not c.ok and c.name != "address-hook"]
    assert [(c.name, c.subject.split("(")[0]) for c in told] == [(name, subject)]
    assert told[0].hint


def test_every_check_of_a_switch_has_a_scene_that_makes_it_speak() -> None:
    spoken = {case.values[1] for case in ERRORS} | {name for _, name, _ in WARNINGS} | {"address-hook"}
    assert {rule.name for rule in RULES} - spoken == {"events"}, "which is only told"


def test_errant_transactions_may_be_accepted() -> None:
    scene = Scene()
    errant_transactions(scene)
    scene.block(2, check_errant=False)
    assert not failed(scene.checks())


def test_what_the_primary_wrote_after_it_was_looked_at_is_not_errant() -> None:
    scene = Scene()
    scene.gtid(db2=f"{UUID}:1-120", db3=f"{UUID}:1-130")
    assert all(check.ok for check in scene.checks() if check.name == "errant-transactions")


def filters_in_another_order(scene: Scene) -> None:
    scene.channel(2, filters=Filters(do_table="a.b,a.c"))
    scene.channel(3, filters=Filters(do_table="a.c, a.b"))


def our_manager_of_another_host(scene: Scene) -> None:
    """It holds the lock of every server, MHA's that of the primary alone."""
    for number in (1, 2, 3):
        scene.runs(number, advisory=(AdvisoryLock(MONITOR_LOCK, 9, "mha", "10.0.0.8", False),))


def filters_nobody_compares(scene: Scene) -> None:
    a_filter(scene)
    scene.config = scene.config.model_copy(update={"check_repl_filter": False})


FINE: list[tuple[str, Callable[[Scene], None]]] = [
    ("a short update", lambda s: s.runs(1, process("UPDATE t SET a = 1", 1))),
    ("a read of nine seconds", lambda s: s.runs(1, process("SELECT 1", 9))),
    ("a session asleep for an hour", lambda s: s.runs(1, process("", 3600))),
    (
        "an open transaction that only read",
        lambda s: s.runs(1, process("", 3600, transaction=OpenTransaction(3600, 0))),
    ),
    ("a long update on the target is its applier's", lambda s: s.runs(2, process("UPDATE t", 99, user="system user"))),
    ("a dump thread", lambda s: s.runs(1, process("", 9999, command="Binlog Dump GTID", user="repl"))),
    ("filters in another order", filters_in_another_order),
    ("our own manager watches", lambda s: s.runs(1, advisory=(AdvisoryLock(MONITOR_LOCK, 9, "mha", "m", True),))),
    ("our manager of another host", our_manager_of_another_host),
    ("an older primary that does not follow", lambda s: s.state(1, version=(8, 0, 1))),
    ("a lag of thirty seconds", lambda s: s.channel(3, seconds_behind=30)),
    ("a delayed replica beside the target", lambda s: s.channel(3, delay=5)),
    ("filters nobody compares", filters_nobody_compares),
]  # fmt: skip


@pytest.mark.parametrize("arrange", [f[1] for f in FINE], ids=[f[0] for f in FINE])
def test_what_does_not_stand_in_the_way(arrange: Callable[[Scene], Any]) -> None:
    scene = Scene()
    arrange(scene)
    assert not failed(scene.checks())


def test_limits_are_the_options() -> None:
    scene = Scene(options=SwitchOptions(running_updates_limit=60, running_seconds_limit=120, seconds_behind_master=90))
    scene.runs(1, process("UPDATE t SET a = 1", 60))
    scene.channel(3, seconds_behind=90)
    assert not failed(scene.checks())


def test_whoever_holds_the_failover_lock_himself_is_not_in_his_own_way() -> None:
    scene = Scene()
    another_command_acts(scene)
    states, target = cluster(*scene.states), scene.config.server("db2")
    assert not failed(switch_checks(scene.config, states, scene.activities, scene.options, target, acting=True))


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("%", True), ("10.0.0.3", True), ("10.0.%", True), ("10.0.0._", True), ("db3", True), ("10.0.0.0/24", True),
        ("10.0.0.0/255.255.255.0", True), ("db%.example.org", True), ("10.0.0.4", False), ("192.168.%", False),
        ("10.1.0.0/255.255.0.0", False),
    ],
)  # fmt: skip
def test_host_patterns_of_the_replication_account(pattern: str, fits: bool) -> None:
    scene = Scene()
    scene.runs(2, replication_accounts=frozenset({("repl", pattern)}))
    assert ("replication-account" not in {c.name for c in failed(scene.checks())}) is fits


def test_a_cluster_without_a_primary_says_so_and_who_is_down() -> None:
    scene = Scene(states=[server(1, read_only=False), server(2), server(3)])
    assert [c.name for c in failed(scene.checks())] == ["primary"]
