"""Where a backup stands, as mariadb-backup of each version notes it."""

from __future__ import annotations

import pytest

from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.model.state import GtidKind
from prefect_mha.replication.rejoin.rebuild.place import Place, of_backup

BINLOG = "binlog_info mysql-bin.000003\t1234\t0-102-55"
BY_GTID = "slave_info SET GLOBAL gtid_slave_pos = '0-101-25'; CHANGE MASTER TO master_use_gtid = slave_pos;"
BY_PLACE = "slave_info CHANGE MASTER TO MASTER_LOG_FILE='mysql-bin.000007', MASTER_LOG_POS=4711; "


@pytest.mark.parametrize(
    ("lines", "kind", "primary", "place"),
    [
        ([BY_GTID, BINLOG, "done"], GtidKind.MARIADB, False, Place(gtids="0-101-25")),
        ([BINLOG, "done"], GtidKind.MARIADB, True, Place(gtids="0-102-55")),
        ([BY_PLACE, BINLOG], GtidKind.POSITION, False, Place(position=BinlogPosition("mysql-bin.000007", 4711))),
        ([BINLOG], GtidKind.POSITION, True, Place(position=BinlogPosition("mysql-bin.000003", 1234))),
        ([BINLOG], GtidKind.POSITION, False, None),
        ([], GtidKind.MARIADB, False, None),
    ],
)
def test_what_a_backup_notes(lines: list[str], kind: GtidKind, primary: bool, place: Place | None) -> None:
    assert of_backup(lines, kind, primary=primary) == place
