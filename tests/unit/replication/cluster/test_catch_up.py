"""What a replica that fetches from another one waits for."""

from __future__ import annotations

import pytest

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


def test_mysql_logs_all_that_it_executed() -> None:
    state = server(2, gtid_executed=GtidSet.parse("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5"))
    assert as_logged(state) is state


def test_who_is_asked_twice_whether_it_lives_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "ALIVE_WITHIN", 0.2)
    with HostileServer(Way.SILENT) as hostile, pytest.raises(ServerGone, match="timed out"):
        check_alive(Server(config_of(hostile.port)))
    check_alive(None)
