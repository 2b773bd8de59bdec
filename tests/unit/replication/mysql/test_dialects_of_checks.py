"""What the checks ask of the dialects: versions of programs, spellings of variables, where a place is kept."""

from __future__ import annotations

import pytest

from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.mysql.dialects import Dialect, program_version
from prefect_mha.replication.mysql.dialects.variables import spelled, spellings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mysqlbinlog  Ver 3.4 for Linux at x86_64", None),
        ("mysqlbinlog Ver 3.5 for debian-linux-gnu at x86_64", None),
        ("mysqlbinlog  Ver 8.0.36-28 for Linux on x86_64 (Percona Server (GPL))", (Vendor.MYSQL, (8, 0, 36))),
        ("/usr/bin/mysqlbinlog  Ver 9.7.4-2 for Linux on x86_64 (Source distribution)", (Vendor.MYSQL, (9, 7, 4))),
        ("mysql  Ver 14.14 Distrib 5.6.51, for Linux (x86_64) using  EditLine wrapper", (Vendor.MYSQL, (5, 6, 51))),
        ("mysql  Ver 15.1 Distrib 10.11.6-MariaDB, for debian-linux-gnu", (Vendor.MARIADB, (10, 11, 6))),
        ("mariadb-binlog from 11.4.2-MariaDB, client 15.2 for Linux", (Vendor.MARIADB, (11, 4, 2))),
        ("error while loading shared libraries: libssl.so.3", None),
    ],
)
def test_version_of_a_program(text: str, expected: tuple[Vendor, tuple[int, ...]] | None) -> None:
    assert program_version(text) == expected


def test_a_variable_is_spelled_as_the_server_knows_it() -> None:
    assert spelled("log_replica_updates", {"log_slave_updates"}) == "log_slave_updates"
    assert spelled("log_replica_updates", {"log_slave_updates", "log_replica_updates"}) == "log_replica_updates"
    assert spelled("sync_binlog", set()) == "sync_binlog"
    assert spellings(["sync_binlog", "binlog_encryption"]) == ("sync_binlog", "binlog_encryption", "encrypt_binlog")


@pytest.mark.parametrize(
    ("vendor", "repository", "in_file"),
    [
        (Vendor.MARIADB, "", True),
        (Vendor.MYSQL, "FILE", True),
        (Vendor.MYSQL, "TABLE", False),
        (Vendor.MYSQL, "", False),
    ],
)
def test_where_a_replica_keeps_its_place(vendor: Vendor, repository: str, in_file: bool) -> None:
    dialect = Dialect(vendor, (8, 0, 36), replica_words=False, binary_log_status=False, multi_channel=False)
    assert dialect.keeps_place_in_file(repository) is in_file
