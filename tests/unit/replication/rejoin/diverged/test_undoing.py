"""What a rewound server says that it has executed: all that both have, and nothing that it would execute twice."""

from __future__ import annotations

import pytest

from prefect_mha.replication.model.gtid import MariadbGtid, MariadbGtidPosition
from prefect_mha.replication.rejoin.diverged.undoing import gtids_of_both
from tests.unit.replication.binlog.rows.building import changes
from tests.unit.replication.build import UUID
from tests.unit.replication.rejoin.test_plan import gtid, mariadb


@pytest.mark.parametrize(
    ("old", "new", "stood", "slave_pos", "first", "both"),
    [
        ("0-1-102", "0-1-100,0-2-120", "0-1-100", "", "0-1-101", "0-1-100"),
        # It followed for a while, and then somebody wrote to it.
        ("0-1-5001,0-2-5000", "0-1-100,0-2-6000", "0-1-100", "0-2-5000", "0-1-5001", "0-2-5000"),
        # So it did without logging that (log_slave_updates=OFF).
        ("0-1-5001", "0-1-100,0-2-6000", "0-1-100", "0-2-5000", "0-1-5001", "0-2-5000"),
        ("0-1-5001", "0-2-6000", "0-1-100", "0-2-5000", "0-1-101", "0-2-5000"),
        # What it wrote lies before what it received.
        ("0-1-102,0-2-105", "0-1-100,0-2-110", "0-1-100", "0-2-105", "0-1-101", "0-2-105"),
        # Numbers may jump.
        ("0-1-1000", "0-1-100,0-2-500", "0-1-100", "", "0-1-1000", "0-1-100"),
        # Its disk lost what the new primary received of it.
        ("0-1-98,7-1-3", "0-1-100,0-2-500", "0-1-100", "", "7-1-1", "0-1-98"),
        # Of another domain only the journal tells, or nobody.
        ("0-1-102", "0-1-100,0-2-120", "0-1-100,7-9-4", "", "0-1-101", "0-1-100,7-9-4"),
        ("0-1-102", "", "", "", "0-1-101", "0-1-100"),
    ],
)
def test_a_mariadb_goes_on_behind_the_last_that_both_have(
    old: str, new: str, stood: str, slave_pos: str, first: str, both: str
) -> None:
    tail = [changes((None, (1, "x")), gtid=MariadbGtid.parse(first))]
    assert gtids_of_both(mariadb(old, new, stood), tail, MariadbGtidPosition.parse(slave_pos)) == both


def test_a_mysql_has_what_is_in_both_sets() -> None:
    case = gtid(f"{UUID}:1-11", f"{UUID}:1-9:20")
    assert gtids_of_both(case, [], MariadbGtidPosition()) == f"{UUID}:1-9"
