"""The statement for a replaced primary: whose account, in whose words, and when there is none."""

from __future__ import annotations

from typing import Any

import pytest

from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.model.state import GtidKind, Vendor
from prefect_mha.replication.mysql.dialects import Dialect
from prefect_mha.replication.reporting.ledger import Fate, LedgerLine
from prefect_mha.replication.reporting.statement import may_be_ahead, statement
from tests.unit.replication.checks.building import block

PLACE = BinlogPosition("mysql-bin.000004", 120)
LIKE = {"Source_Host": "10.0.0.1", "Source_User": "copier", "Connect_Retry": 60}


def said(vendor: Vendor, version: tuple[int, ...], kind: GtidKind, like: dict[str, Any], **old: Any) -> str:
    modern = vendor is Vendor.MYSQL and version >= (8, 0, 23)
    dialect = Dialect(vendor, version, modern, version >= (8, 4), vendor is Vendor.MYSQL and version >= (5, 7))
    return statement(dialect, "", block(1, **old), block(2), kind, PLACE, like)


@pytest.mark.parametrize(
    ("vendor", "version", "kind", "expected"),
    [
        (
            Vendor.MYSQL,
            (5, 6, 24),
            GtidKind.POSITION,
            "CHANGE MASTER TO MASTER_HOST='10.0.0.2', MASTER_PORT=3306, MASTER_USER='repl', "
            "MASTER_PASSWORD='xxx', "
            "MASTER_CONNECT_RETRY=60, MASTER_LOG_FILE='mysql-bin.000004', MASTER_LOG_POS=120;",
        ),
        (
            Vendor.MYSQL,
            (9, 7, 0),
            GtidKind.MYSQL,
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST='10.0.0.2', SOURCE_PORT=3306, SOURCE_USER='repl', "
            "SOURCE_PASSWORD='xxx', SOURCE_CONNECT_RETRY=60, SOURCE_AUTO_POSITION=1; "
            "-- CHANGE MASTER TO, as mysql spells it now",
        ),
        (
            Vendor.MARIADB,
            (10, 5, 23),
            GtidKind.MARIADB,
            "CHANGE MASTER TO MASTER_HOST='10.0.0.2', MASTER_PORT=3306, MASTER_USER='repl', "
            "MASTER_PASSWORD='xxx', "
            "MASTER_CONNECT_RETRY=60, MASTER_USE_GTID=current_pos;",
        ),
        (
            Vendor.MARIADB,
            (10, 11, 6),
            GtidKind.MARIADB,
            "CHANGE MASTER TO MASTER_HOST='10.0.0.2', MASTER_PORT=3306, MASTER_USER='repl', "
            "MASTER_PASSWORD='xxx', "
            "MASTER_CONNECT_RETRY=60, MASTER_USE_GTID=slave_pos, MASTER_DEMOTE_TO_SLAVE=1;",
        ),
    ],
)
def test_the_statement_in_each_dialect(vendor: Vendor, version: tuple[int, ...], kind: GtidKind, expected: str) -> None:
    assert said(vendor, version, kind, LIKE) == expected


def test_the_account_is_the_configured_one_else_that_of_the_replicas_and_the_host_as_they_write_it() -> None:
    text = said(Vendor.MYSQL, (5, 6, 24), GtidKind.POSITION, LIKE, repl_user=None)
    assert "MASTER_USER='copier'" in text
    named = said(Vendor.MYSQL, (5, 6, 24), GtidKind.POSITION, {**LIKE, "Source_Host": "db1"})
    assert "MASTER_HOST='db2'" in named
    odd = said(Vendor.MYSQL, (5, 6, 24), GtidKind.POSITION, LIKE, repl_user="o'neil %s")
    assert "MASTER_USER='o''neil %s'" in odd or "MASTER_USER='o\\'neil %s'" in odd


def test_nothing_is_offered_without_a_place_or_where_it_may_be_ahead() -> None:
    dialect = Dialect(Vendor.MYSQL, (5, 6, 24), False, False, False)
    assert statement(dialect, "", block(1), block(2), GtidKind.POSITION, None, LIKE) == ""
    assert may_be_ahead((), read=True, closed=True) == ""
    assert "read to the end" in may_be_ahead((), read=False, closed=True)
    assert "no more writes" in may_be_ahead((), read=True, closed=False)
    lost = LedgerLine(Fate.UNKNOWN, "everything behind mysql-bin.000001:4", "db1")
    assert "everything behind" in may_be_ahead((lost,), read=True, closed=True)
    torn = LedgerLine(Fate.INCOMPLETE, "what follows mysql-bin.000001:4", "db1")
    assert may_be_ahead((torn,), read=True, closed=True) == ""
