"""SHOW GRANTS of three families of servers, and what each job needs there."""

from __future__ import annotations

import pytest

from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.mysql.dialects.privileges import Power
from prefect_mha.replication.mysql.grants import Duty, Grants, needs, parse_grants

MYSQL56 = """GRANT RELOAD, PROCESS, SUPER, REPLICATION CLIENT ON *.* TO 'mha'@'10.%' IDENTIFIED BY PASSWORD '*2470C0C0'
GRANT SELECT, INSERT (a, b), EVENT ON `my``app`.* TO 'mha'@'10.%' WITH GRANT OPTION
GRANT EXECUTE ON PROCEDURE `app`.`p` TO 'mha'@'10.%'"""
MYSQL97 = """GRANT SELECT, RELOAD, PROCESS, REPLICATION CLIENT ON *.* TO `mha`@`%`
GRANT CONNECTION_ADMIN,REPLICATION_SLAVE_ADMIN,SYSTEM_VARIABLES_ADMIN ON *.* TO `mha`@`%` WITH GRANT OPTION
REVOKE SELECT ON `mysql`.* FROM `mha`@`%`
GRANT `dba`@`%` TO `mha`@`%`
GRANT PROXY ON ``@`` TO `mha`@`%` WITH GRANT OPTION"""
MARIADB = """GRANT RELOAD, PROCESS, BINLOG MONITOR, CONNECTION ADMIN, REPLICATION SLAVE ADMIN, SLAVE MONITOR ON *.* \
TO `mha`@`%` IDENTIFIED BY PASSWORD '*2470'
GRANT ALL PRIVILEGES ON `app`.`orders to ship` TO `mha`@`%`
SET DEFAULT ROLE NONE FOR `mha`@`%`"""


def lacking(text: str, vendor: Vendor, version: tuple[int, ...], job: Duty = Duty.SWITCH) -> set[str]:
    found = needs(parse_grants(text.splitlines()), job, vendor, version)
    return {need.power.value for need in found if not need.granted and not need.optional}


def test_what_is_granted_where() -> None:
    old = parse_grants(MYSQL56.splitlines())
    assert old.everywhere == {"RELOAD", "PROCESS", "SUPER", "REPLICATION CLIENT"}
    assert old.elsewhere >= {("SELECT", "myapp.*"), ("INSERT", "myapp.*"), ("EXECUTE", "app.p")}
    new = parse_grants(MYSQL97.splitlines())
    assert {"SELECT", "CONNECTION_ADMIN", "SYSTEM_VARIABLES_ADMIN"} <= new.everywhere
    assert "PROXY" not in new.everywhere
    assert new.has("SELECT")
    assert new.has_on("app", "SELECT")
    assert not new.has_on("mysql", "SELECT")
    theirs = parse_grants(MARIADB.splitlines())
    assert ("ALL PRIVILEGES", "app.orders to ship") in theirs.elsewhere
    assert not theirs.has("SELECT")


@pytest.mark.parametrize(
    ("text", "vendor", "version", "missing"),
    [
        (MYSQL56, Vendor.MYSQL, (5, 6, 24), set()),
        (MYSQL56.replace(", SUPER", ""), Vendor.MYSQL, (5, 7, 44),
         {"run-replication", "set-read-only", "pass-read-only", "set-variables", "end-sessions"}),
        (MYSQL56.replace("RELOAD, ", ""), Vendor.MYSQL, (5, 6, 24), {"reset-replication", "flush"}),
        (MYSQL56, Vendor.MYSQL, (9, 7, 0), set()),
        (MYSQL97, Vendor.MYSQL, (8, 0, 36), set()),
        (MYSQL97.replace("CONNECTION_ADMIN,", ""), Vendor.MYSQL, (9, 7, 0), {"pass-read-only", "end-sessions"}),
        (MYSQL97, Vendor.MYSQL, (5, 7, 44),
         {"run-replication", "set-read-only", "pass-read-only", "set-variables", "end-sessions"}),
        # SUPER gives neither of the read-only powers on MariaDB 10.11, all the others; none of them on 11.4.
        (MARIADB.replace("SLAVE MONITOR", "SUPER"), Vendor.MARIADB, (10, 11, 6), {"set-read-only", "pass-read-only"}),
        (MARIADB.replace("SLAVE MONITOR", "SUPER"), Vendor.MARIADB, (10, 6, 20), set()),
        (MARIADB.replace("SLAVE MONITOR", "SUPER"), Vendor.MARIADB, (11, 4, 2),
         {"set-read-only", "pass-read-only", "see-replication"}),
        (MARIADB.replace("SLAVE MONITOR", "REPLICA MONITOR, READ_ONLY ADMIN, SUPER"), Vendor.MARIADB, (11, 4), set()),
        ("GRANT ALL PRIVILEGES ON *.* TO `mha`@`%`", Vendor.MARIADB, (11, 4, 2), set()),
        ("GRANT USAGE ON *.* TO `mha`@`%`", Vendor.MYSQL, (8, 4, 0),
         {"see-replication", "see-log", "see-sessions", "run-replication", "reset-replication", "set-read-only",
          "pass-read-only", "set-variables", "end-sessions", "flush"}),
    ],
)  # fmt: skip
def test_what_is_missing_for_a_switch(text: str, vendor: Vendor, version: tuple[int, ...], missing: set[str]) -> None:
    assert lacking(text, vendor, version) == missing


def test_watching_needs_less_than_switching() -> None:
    watcher = "GRANT REPLICATION CLIENT ON *.* TO `w`@`%`"
    assert lacking(watcher, Vendor.MYSQL, (8, 4, 0), Duty.WATCH) == set()
    assert lacking(watcher, Vendor.MYSQL, (8, 4, 0), Duty.REPOINT) == {"run-replication"}


def test_every_need_says_what_it_is_for_and_what_to_grant() -> None:
    for vendor in Vendor:
        for need in needs(Grants(), Duty.SWITCH, vendor, (11, 4, 0)):
            assert need.meaning
            assert need.any_of
    assert {need.power for need in needs(Grants(), Duty.SWITCH, Vendor.MYSQL, (8, 4, 0))} >= {Power.FLUSH}
