"""What follows when the old primary answers while it is being replaced, and how what it took is counted."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_mha.config import ServerConfig, load_cluster
from prefect_mha.replication.detection.rules import TABLE
from prefect_mha.replication.fencing.comeback import (
    PRIMARY_ALIVE,
    Comeback,
    ComebackStep,
    Window,
    apart,
    decide,
    lacks,
    refusal,
)
from prefect_mha.replication.fencing.last_look import OF_DISK
from prefect_mha.replication.fencing.lookout import Closing, Sight
from prefect_mha.replication.fencing.ports import PortTries
from prefect_mha.replication.fencing.read_only import Closed
from prefect_mha.replication.fencing.returning import rejoined
from prefect_mha.replication.memory.held_servers import HeldServers, config_of, reached_by
from prefect_mha.replication.memory.journal import Journal, opened_before
from prefect_mha.replication.model.gtid import Gtid, GtidSet, MariadbGtid, MariadbGtidPosition
from prefect_mha.replication.model.state import GtidKind, Vendor
from prefect_mha.replication.mysql.log_events import ends_of_transactions
from tests.unit.replication.build import UUID, channel, server

BEGAN = 1000.0
CLOSED = Closed(everyone=True, was_open=True, ended=1, seconds=0.01)
RESTARTED = Closing(1005.0, 1003.0, CLOSED, server(1))
NEVER_DEAD = Closing(1001.0, 20.0, CLOSED, server(1))
GONE = Sight(1005.0, "refused", process=False)
BACK = Sight(1005.0, "open", closed=True, appeared=1, last=RESTARTED)
ALIVE = replace(BACK, last=NEVER_DEAD)
CASE = Comeback(BACK, True, BEGAN, by_silence=True, reversible=True, ssh=True, receivable=True)


@pytest.mark.parametrize(
    ("case", "step"),
    [
        (CASE, ComebackStep.SAVE),
        (replace(CASE, ssh=False), ComebackStep.RECEIVE),
        (replace(CASE, ssh=False, receivable=False), ComebackStep.LEAVE),
        (replace(CASE, sight=GONE, new=False), ComebackStep.GO_ON),
        (replace(CASE, sight=GONE, ssh=False), ComebackStep.LEAVE),
        (replace(CASE, new=False), ComebackStep.GO_ON),
        (replace(CASE, sight=ALIVE), ComebackStep.CALL_OFF),
        (replace(CASE, sight=ALIVE, ssh=False), ComebackStep.CALL_OFF),
        (replace(CASE, sight=ALIVE, reversible=False), ComebackStep.SAVE),
        # An uptime of whole seconds makes a server a second older than it is.
        (replace(CASE, sight=replace(BACK, last=replace(RESTARTED, started=BEGAN - 0.9))), ComebackStep.SAVE),
        (replace(CASE, sight=ALIVE, by_silence=False, ssh=False), ComebackStep.RECEIVE),
        # It died after it was closed: what was never dead once is dead now.
        (replace(CASE, sight=replace(ALIVE, closed=False, port="refused")), ComebackStep.SAVE),
        (replace(CASE, sight=Sight(1005.0, "open", cannot="and refuses us: error 1040")), ComebackStep.REFUSE),
        (
            replace(CASE, sight=Sight(1005.0, "refused", cannot="and refuses us: error 1040"), new=False),
            ComebackStep.GO_ON,
        ),
    ],
)
def test_what_follows_before_anybody_is_open(case: Comeback, step: ComebackStep) -> None:
    assert decide(case)[0] is step


def test_a_server_that_was_never_dead_keeps_its_role_and_the_refusal_says_so() -> None:
    step, why = decide(replace(CASE, sight=ALIVE))
    told = refusal(step, "db1", why)
    assert told.code == PRIMARY_ALIVE
    assert "takes writes as before" in told.sentence


def test_verdicts_of_servers_that_may_answer_are_rows_of_the_table() -> None:
    assert {row.name for row in TABLE} >= OF_DISK


def test_mysqls_gtids_that_only_the_old_one_has_are_counted() -> None:
    old = server(1, gtid_executed=GtidSet.parse(f"{UUID}:1-150"))
    new = server(2, gtid_executed=GtidSet.parse(f"{UUID}:1-100,22222222-2222-2222-2222-222222222222:1-9"))
    found = apart(GtidKind.MYSQL, old, new)
    assert found is not None
    assert (found.transactions, found.where) == (50, f"{UUID}:101-150")
    assert apart(GtidKind.MYSQL, new, replace(new)) is None
    assert lacks(new, Gtid(UUID, 101))
    assert not lacks(new, Gtid(UUID, 100))


def test_mariadbs_gtids_are_counted_though_the_new_ones_own_are_numbered_on() -> None:
    maria = {"vendor": Vendor.MARIADB, "gtid_executed": None}
    old = server(1, gtid_binlog_state=(MariadbGtid(0, 1, 150),), **maria)
    new = server(
        2,
        gtid_binlog_state=(MariadbGtid(0, 1, 100), MariadbGtid(0, 2, 400)),
        mariadb_gtid=MariadbGtidPosition.parse("0-2-400"),
        **maria,
    )
    found = apart(GtidKind.MARIADB, old, new)
    assert found is not None
    assert (found.transactions, found.where) == (50, "0-1-101 to 0-1-150")
    assert lacks(new, MariadbGtid(0, 1, 101))
    assert not lacks(new, MariadbGtid(0, 1, 100))


def test_transactions_are_counted_in_what_a_server_shows_of_its_log() -> None:
    def row(kind: str, info: str, end: int) -> dict[str, object]:
        return {"Event_type": kind, "Info": info, "End_log_pos": end}

    mysql = [
        row("Format_desc", "Server ver", 120),
        row("Query", "BEGIN", 200),
        row("Query", "use `app`; INSERT INTO t VALUES (1)", 300),
        row("Xid", "COMMIT /* xid=9 */", 330),
        row("Query", "use `app`; CREATE TABLE u (i INT)", 400),
        row("Query", "BEGIN", 450),
        row("Query", "use `app`; INSERT INTO myisam VALUES (1)", 500),
        row("Query", "COMMIT", 550),
        row("Query", "BEGIN", 600),
        row("Query", "ROLLBACK", 650),
        row("Stop", "", 700),
    ]
    assert list(ends_of_transactions(mysql)) == [330, 400, 550]
    mariadb = [
        row("Gtid", "BEGIN GTID 0-1-5", 200),
        row("Annotate_rows", "INSERT", 250),
        row("Xid", "COMMIT /* xid=9 */", 330),
        row("Gtid", "GTID 0-1-6", 350),
        row("Query", "use `app`; CREATE TABLE u (i INT)", 400),
    ]
    assert list(ends_of_transactions(mariadb)) == [330, 400]


def test_the_window_is_told_in_one_sentence() -> None:
    told = str(Window(BEGAN, "its port refuses, no mysqld runs on its host", BEGAN + 0.012, BEGAN + 0.02, "gone"))
    assert "12 ms later" in told
    assert "8 ms after that (gone)" in told


def test_an_opening_that_a_last_look_forbade_is_none(tmp_path: Path) -> None:
    journal = Journal.new(tmp_path, "app1")
    journal.record("promote", "intent", "db2", dead="db1", kind="file/position", end_of_log="")
    assert opened_before(journal.entries()) is not None
    journal.record("promote", "not opened", "db2")
    assert opened_before(journal.entries()) is None
    journal.record("promote", "intent", "db2", dead="db1", kind="file/position", end_of_log="")
    assert opened_before(journal.entries()) is not None


def test_a_channel_of_a_former_life_is_no_return_into_the_cluster() -> None:
    primary = _server("db1", "10.0.0.1")
    assert rejoined(server(2, channel()), primary)
    assert not rejoined(server(2, channel(receiver="No")), primary)
    assert not rejoined(server(2, channel(receiver="Connecting")), primary)
    assert not rejoined(server(2, channel(applier_running=False)), primary)
    assert not rejoined(server(2, channel(), read_only=False), primary)


def test_an_applier_that_only_the_hold_stopped_is_a_return_into_the_cluster() -> None:
    primary = _server("db1", "10.0.0.1")
    stopped = channel(applier_running=False, applier_errno=1792)
    assert rejoined(server(2, stopped, tx_read_only=True), primary)
    assert not rejoined(server(2, stopped), primary), "lifting the hold would not start it"
    assert not rejoined(server(2, channel(applier_running=False, applier_errno=1062), tx_read_only=True), primary)


def test_a_hold_outlives_the_block_of_its_server(tmp_path: Path) -> None:
    conf = tmp_path / "app1.cnf"
    block = "[server{0}]\nhostname=10.0.0.{0}\nssh_port=222{0}\n"
    head = f"[server default]\nmanager_workdir={tmp_path}\nuser=mha\npassword=secret\n"
    conf.write_text(head + block.format(1) + block.format(2))
    before = load_cluster(conf, tmp_path / "none.cnf")
    holds = HeldServers(tmp_path, "app1")
    holds.replaced("10.0.0.1:3306", "db1", "10.0.0.2:3306", (), reached_by(before.servers[0]))
    assert "secret" not in holds.path.read_text()
    conf.write_text(head + block.format(2))
    after = load_cluster(conf, tmp_path / "none.cnf")
    (hold,) = HeldServers(tmp_path, "app1").current()
    found = config_of(hold, after.servers)
    assert found is not None
    assert found.model_dump() == before.servers[0].model_dump()
    assert config_of(hold, before.servers) == before.servers[0]
    holds.is_primary("10.0.0.1:3306")
    assert holds.current() == ()


def test_an_answer_that_comes_late_counts() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        knocks = PortTries("127.0.0.1", port)
        assert knocks.probe(0.2) == "refused"
        listener.listen()
        assert knocks.probe(0.2) == "open"
        began = time.monotonic()
        silent = PortTries("127.0.0.1", port)
        silent._begin = lambda now: ""  # type: ignore[method-assign,assignment]
        assert silent.probe(0.05) == "silent"
        assert time.monotonic() - began >= 0.05


def _server(name: str, ip: str) -> ServerConfig:
    return ServerConfig(block="server1", hostname=name, ip=ip, ssh_host=name, ssh_ip=ip)
