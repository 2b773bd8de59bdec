"""What a replica that fetches from another one waits for."""

from __future__ import annotations

import pytest

from prefect_mha.replication.actions.repoint import in_unlogged
from prefect_mha.replication.cluster import catch_up
from prefect_mha.replication.cluster.catch_up import as_logged, check_alive
from prefect_mha.replication.errors import ServerGone
from prefect_mha.replication.model.gtid import GtidSet, MariadbGtid, MariadbGtidPosition
from prefect_mha.replication.mysql.server import Server
from tests.lab.hostile import HostileServer, Way
from tests.unit.replication.build import server
from tests.unit.replication.mysql.test_hostile_servers import config_of


def test_what_mariadb_executed_and_did_not_log_nobody_can_fetch() -> None:
    state = server(
        2,
        mariadb_gtid=MariadbGtidPosition.parse("0-101-6,5-9-3"),
        gtid_binlog_state=tuple(map(MariadbGtid.parse, ("0-101-5", "0-102-2"))),
    )
    assert as_logged(state).mariadb_gtid == MariadbGtidPosition.parse("0-101-5")


@pytest.mark.parametrize(
    ("place", "told", "logged", "unlogged"),
    [
        pytest.param("0-101-6", "0-102-7", "0-101-5,0-102-7", True, id="left-out-and-more-since"),
        pytest.param("0-101-6", "0-101-6", "0-101-5", False, id="left-out-and-nothing-since"),
        pytest.param("0-101-6", "0-102-7", "0-101-6,0-102-7", False, id="logged"),
        pytest.param("0-103-8", "0-102-7", "0-101-6,0-102-9", False, id="never-told"),
        pytest.param("0-101-6,5-9-3", "0-102-7,5-9-3", "0-101-6,0-102-7,5-9-2,5-1-4", True, id="in-one-domain"),
        pytest.param("", "0-102-7", "0-102-7", False, id="nowhere"),
    ],
)
def test_a_replica_stands_at_what_its_source_was_told_and_did_not_log(
    place: str, told: str, logged: str, unlogged: bool
) -> None:
    written = tuple(map(MariadbGtid.parse, logged.split(",")))
    source = server(1, mariadb_gtid=MariadbGtidPosition.parse(told), gtid_binlog_state=written)
    assert in_unlogged(server(2, mariadb_gtid=MariadbGtidPosition.parse(place)), source) is unlogged
    assert not in_unlogged(server(2), server(1))


def test_mysql_logs_all_that_it_executed() -> None:
    state = server(2, gtid_executed=GtidSet.parse("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5"))
    assert as_logged(state) is state


def test_who_is_asked_twice_whether_it_lives_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "ALIVE_WITHIN", 0.2)
    with HostileServer(Way.SILENT) as hostile, pytest.raises(ServerGone, match="timed out"):
        check_alive(Server(config_of(hostile.port)))
    check_alive(None)
