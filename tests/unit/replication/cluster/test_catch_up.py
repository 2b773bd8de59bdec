"""What a replica that fetches from another one waits for."""

from __future__ import annotations

from prefect_mha.replication.cluster.catch_up import as_logged
from prefect_mha.replication.model.gtid import GtidSet, MariadbGtid, MariadbGtidPosition
from tests.unit.replication.build import server


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
