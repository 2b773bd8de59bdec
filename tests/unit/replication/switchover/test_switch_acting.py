"""What the acting half of a planned switch decides and words: hooks, statements, journals, ways on and back."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from prefect_mha.config import ClusterConfig, ServerConfig
from prefect_mha.replication.local.site_scripts import online_change_args, password_environment
from prefect_mha.replication.memory.failover_flags import FailoverFlags
from prefect_mha.replication.memory.journal import BEGIN, END, SWITCH, Journal, unfinished
from prefect_mha.replication.model.gtid import MariadbGtidPosition
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.model.refusal import Refusal
from prefect_mha.replication.model.state import GtidKind, Vendor
from prefect_mha.replication.model.topology import find_primary
from prefect_mha.replication.mysql.dialects import Dialect, Repoint
from prefect_mha.replication.planning.role_plan import ReplicaRecovery
from prefect_mha.replication.reporting.outcome import ReplicaOutcome
from prefect_mha.replication.switchover.job import HandedOver, Preparation
from prefect_mha.replication.switchover.outcome import SwitchOutcome, plan_text, result_line
from prefect_mha.replication.switchover.plan import SwitchPlan
from prefect_mha.replication.switchover.resume import (
    InterruptedSwitch,
    facts_of,
    facts_of_ready,
    interrupted_switch,
    may_give_back,
)
from prefect_mha.replication.switchover.write_lock import EndOfLog, FormerSettings, lacking
from tests.unit.replication.build import block, channel, cluster, server

#: A number that no process has: beyond the largest that Linux gives.
GONE = (1 << 22) + 1
NAMES = {n: f"db{n}(10.0.0.{n}:3306)" for n in (1, 2, 3)}
PLAN = SwitchPlan(
    cluster="app1",
    old="10.0.0.1:3306",
    old_name=NAMES[1],
    new_primary="10.0.0.2:3306",
    new_primary_name=NAMES[2],
    kind=GtidKind.POSITION,
    levelings=tuple(
        ReplicaRecovery(f"10.0.0.{n}:3306", NAMES[n], "", GtidKind.POSITION, None, None, delay=60 * (n == 3))
        for n in (2, 3)
    ),
    orig_is_new_replica=True,
    repl_user="repl",
    left_out=(),
    candidates=(),
    checks=(),
    steps=("stop all writes",),
)
READY = Preparation(
    former=FormerSettings(False, False, "ON"),
    target_former=FormerSettings(True, True, "OFF"),
    target_gtids=None,
    events=(),
    old_roles={"source": 1},
    target_roles={"replica": 1},
    like={"Source_Host": "10.0.0.1", "Connect_Retry": 1, "Replica_IO_Running": "Yes"},
)


def config(number: int, **changes: Any) -> ServerConfig:
    return block(number, **{"ssh_user": "mysql", "user": "mha", "password": f"p w{number}", **changes})


# the site's script -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["stop", "start"])
def test_both_servers_are_named_for_both_commands(command: Any) -> None:
    expected = (
        f"--command={command} --ssh_user=mysql --orig_master_host=db1 --orig_master_ip=10.0.0.1 "
        "--orig_master_port=3306 "
        "--orig_master_user=mha --new_master_host=db2 --new_master_ip=10.0.0.2 --new_master_port=3306 "
        "--new_master_user=mha --orig_master_ssh_user=mysql --new_master_ssh_user=mysql"
    ).split()
    passwords = ["--orig_master_password=p w1", "--new_master_password=p w2"]
    assert online_change_args(command, config(1), config(2)) == expected + passwords
    becomes_replica = online_change_args(command, config(1), config(2), old_is_new_replica=True)
    assert becomes_replica == [*expected, "--orig_master_is_new_slave", *passwords]


def test_passwords_stay_off_the_command_line_when_asked() -> None:
    arguments = online_change_args("stop", config(1), config(2), pass_password=False)
    assert arguments[-2:] == ["--orig_master_password=", "--new_master_password="]
    assert password_environment(config(2), config(1)) == {
        "MHA_ORIG_MASTER_PASSWORD": "p w1",
        "MHA_NEW_MASTER_PASSWORD": "p w2",
    }


# statements ------------------------------------------------------------------------------------------------------


def dialect(vendor: Vendor, *version: int) -> Dialect:
    modern = vendor is Vendor.MYSQL and version >= (8, 0, 22)
    return Dialect(vendor, version, modern, version >= (8, 4), vendor is Vendor.MYSQL and version >= (5, 7))


@pytest.mark.parametrize(
    ("speaks", "channel_name", "expected"),
    [
        (dialect(Vendor.MYSQL, 5, 6, 24), "", "SELECT IF(MASTER_POS_WAIT(%s, %s, %s) >= 0, 0, 1)"),
        (dialect(Vendor.MYSQL, 5, 7, 44), "c", "SELECT IF(MASTER_POS_WAIT(%s, %s, %s, 'c') >= 0, 0, 1)"),
        (dialect(Vendor.MYSQL, 9, 7, 0), "", "SELECT IF(SOURCE_POS_WAIT(%s, %s, %s, '') >= 0, 0, 1)"),
        (dialect(Vendor.MARIADB, 10, 11, 6), "c", "SELECT IF(MASTER_POS_WAIT(%s, %s, %s, 'c') >= 0, 0, 1)"),
    ],
)
def test_waiting_for_a_place_in_each_servers_words(speaks: Dialect, channel_name: str, expected: str) -> None:
    assert speaks.wait_for_place(channel_name) == expected


def test_a_new_replica_connects_as_the_others_do() -> None:
    to = Repoint("10.0.0.2", 3306, "position", BinlogPosition("mysql-bin.000004", 99))
    like = {"Connect_Retry": 7, "Source_SSL_Allowed": "No", "Get_Source_public_key": 1}
    sql, args = dialect(Vendor.MYSQL, 9, 7, 0).become_replica("", to, "repl", "s", like)
    assert sql == (
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST=%s, SOURCE_PORT=%s, SOURCE_USER=%s, SOURCE_PASSWORD=%s, "
        "SOURCE_CONNECT_RETRY=%s, SOURCE_SSL=%s, GET_SOURCE_PUBLIC_KEY=%s, SOURCE_LOG_FILE=%s, SOURCE_LOG_POS=%s"
        " FOR CHANNEL ''"
    )
    assert args == ("10.0.0.2", 3306, "repl", "s", 7, 0, 1, "mysql-bin.000004", 99)


def test_a_new_replica_uses_tls_where_the_others_do() -> None:
    to = Repoint("db2", 3306, "mariadb_gtid")
    like = {"Master_SSL_Allowed": "Yes", "Master_SSL_CA_File": "/ca", "Master_SSL_Verify_Server_Cert": "Yes"}
    like |= {"Master_SSL_Cert": "/c", "Master_SSL_Key": "/k", "Master_SSL_Cipher": ""}
    sql, args = dialect(Vendor.MARIADB, 10, 11, 6).become_replica("", to, "repl", "s", like)
    assert sql.startswith("CHANGE MASTER TO MASTER_HOST=%s, MASTER_PORT=%s, MASTER_USER=%s, MASTER_PASSWORD=%s, ")
    tls = "MASTER_SSL=%s, MASTER_SSL_VERIFY_SERVER_CERT=%s, MASTER_SSL_CA=%s, MASTER_SSL_CERT=%s, MASTER_SSL_KEY=%s"
    assert sql.endswith(f"{tls}, MASTER_USE_GTID=slave_pos")
    assert args == ("db2", 3306, "repl", "s", 1, 1, "/ca", "/c", "/k")


def test_a_new_replica_demands_tls_where_the_manager_does() -> None:
    to = Repoint("10.0.0.2", 3306, "gtid")
    sql, args = dialect(Vendor.MYSQL, 9, 7, 0).become_replica("", to, "repl", "s", {}, tls=True)
    assert "SOURCE_SSL=%s" in sql
    assert args == ("10.0.0.2", 3306, "repl", "s", 1)


def test_mariadb_is_not_asked_for_what_its_own_log_has() -> None:
    end = EndOfLog(BinlogPosition("mysql-bin.000001", 4), "0-1-50,1-2-9")
    assert lacking(end, MariadbGtidPosition.parse("1-2-9,0-1-49")) == "0-1-50"
    assert lacking(end, None) == "0-1-50,1-2-9"


# a switch that was interrupted -------------------------------------------------------------------------------------


def began(workdir: Path, pid: int) -> Journal:
    journal = Journal.new(workdir, "app1", SWITCH)
    journal.record(SWITCH, "began", PLAN.old, pid=pid, **facts_of(PLAN))
    return journal


def test_the_plan_and_what_was_read_come_back_from_the_journal(tmp_path: Path) -> None:
    journal = began(tmp_path, GONE)
    cut = interrupted_switch(tmp_path, "app1")
    assert cut is not None
    assert (cut.ready, cut.handed) == (None, None)
    journal.record("hold", "intent", PLAN.old, **facts_of_ready(READY))
    journal.record("open", "intent", PLAN.new_primary, end="mysql-bin.000001:99", gtids="", target_end="b.000002:7")
    cut = interrupted_switch(tmp_path, "app1")
    assert cut is not None
    assert cut.plan.levelings == PLAN.levelings
    assert (cut.plan.kind, cut.plan.repl_user, cut.plan.orig_is_new_replica) == (GtidKind.POSITION, "repl", True)
    assert cut.ready is not None
    assert (cut.ready.former, cut.ready.target_former) == (READY.former, READY.target_former)
    assert cut.ready.like == {"Source_Host": "10.0.0.1", "Connect_Retry": 1}
    assert cut.handed is not None
    assert (str(cut.handed.end.position), str(cut.handed.target_end)) == ("mysql-bin.000001:99", "b.000002:7")


def test_a_switch_that_runs_or_ended_is_not_interrupted(tmp_path: Path) -> None:
    assert interrupted_switch(tmp_path, "app1") is None
    journal = began(tmp_path, os.getpid())
    assert interrupted_switch(tmp_path, "app1") is None
    journal.path.unlink()
    journal = began(tmp_path, GONE)
    assert interrupted_switch(tmp_path, "app2") is None
    assert interrupted_switch(tmp_path, "app1") is not None
    journal.record(END, "ended")
    assert interrupted_switch(tmp_path, "app1") is None


def test_after_a_failover_nobody_goes_back_to_an_old_switch(tmp_path: Path) -> None:
    began(tmp_path, GONE)
    time.sleep(0.01)
    FailoverFlags(tmp_path, "app1").mark_complete()
    assert interrupted_switch(tmp_path, "app1") is None


def test_a_failover_and_a_switch_do_not_take_each_other_for_their_own(tmp_path: Path) -> None:
    began(tmp_path, GONE)
    assert unfinished(tmp_path, "app1") == ()
    Journal.new(tmp_path, "app1").record(BEGIN, "began", "10.0.0.1:3306")
    assert len(unfinished(tmp_path, "app1")) == 1
    assert len(unfinished(tmp_path, "app1", kind=SWITCH)) == 1


READ_ONLY_OLD = server(1)
TARGET = server(2, channel())


@pytest.mark.parametrize(
    ("seen", "opening", "why_not"),
    [
        (cluster(READ_ONLY_OLD, TARGET, server(3, channel())), True, ""),
        (
            cluster(READ_ONLY_OLD, server(2, channel(), read_only=False, super_read_only=False)),
            True,
            "takes writes now",
        ),
        (cluster(READ_ONLY_OLD, TARGET, server(3, read_only=False, super_read_only=False)), False, "takes writes now"),
        (cluster(TARGET, down=(1,)), False, "cannot be reached"),
        (cluster(server(1, channel(source_host="10.0.0.3")), TARGET), False, "replicates from"),
        (cluster(READ_ONLY_OLD, down=(2,)), True, "may have been opened"),
        (cluster(READ_ONLY_OLD, down=(2,)), False, ""),
    ],
    ids=["as-left", "target-open", "third-open", "old-down", "old-follows", "target-unknown", "target-never-touched"],
)
def test_writes_come_back_only_where_nobody_else_can_have_them(seen: Any, opening: bool, why_not: str) -> None:
    end = EndOfLog(BinlogPosition("mysql-bin.000001", 99))
    handed = HandedOver(end, None, 0.0, ()) if opening else None
    told = may_give_back(InterruptedSwitch(PLAN, READY, handed, ()), seen)
    assert (why_not in told) if why_not else told == ""


def test_the_one_that_takes_writes_is_the_primary_when_a_replica_was_left_behind() -> None:
    cluster_config = ClusterConfig(name="app1", path=Path("app1.cnf"), servers=tuple(config(n) for n in (1, 2, 3)))
    left_behind = server(3, channel())
    new = server(2, read_only=False, super_read_only=False)
    fourth = server(4, channel(source_host="10.0.0.2"))
    found = find_primary(cluster_config, cluster(READ_ONLY_OLD, new, left_behind, fourth))
    assert isinstance(found, ServerConfig)
    assert found.address == "10.0.0.2:3306"
    switched_off = find_primary(cluster_config, cluster(new, left_behind, fourth, down=(1,)))
    assert isinstance(switched_off, ServerConfig)
    assert switched_off.address == "10.0.0.2:3306"


# words -----------------------------------------------------------------------------------------------------------


def test_the_lines_people_grep_for() -> None:
    replicas = (ReplicaOutcome("10.0.0.3:3306", NAMES[3], True, "fine"),)
    done = SwitchOutcome(0, "s", plan=PLAN, opened=True, replicas=replicas)
    assert result_line(done) == f"Switching master to {NAMES[2]} completed successfully."
    partly = SwitchOutcome(10, "s", plan=PLAN, opened=True)
    assert result_line(partly) == f"Switching master to {NAMES[2]} done, but switching slaves partially failed."
    assert result_line(SwitchOutcome(1, "the reason", plan=PLAN)) == "Got ERROR: the reason"
    assert SwitchOutcome(1, "s", refusal=Refusal("lag", "late", "wait", ("a",))).as_dict()["evidence"] == ["a"]


def test_the_question_shows_the_tree_before_and_after() -> None:
    text = plan_text(PLAN)
    before, after = text.index("From:"), text.index("To:")
    assert text.index(f"{NAMES[1]} (current master)") > before
    assert f"{NAMES[2]} (new master)\n +--{NAMES[3]}\n +--{NAMES[1]}" in text[after:]
