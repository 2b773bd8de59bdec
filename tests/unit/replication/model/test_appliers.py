"""Which threads apply, which error stopped one of several, and what a receiver was told."""

from __future__ import annotations

import pytest

from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.mysql.dialects.appliers import causes_query, is_receiver, threads_query, with_causes
from prefect_mha.replication.mysql.dialects.connecting import in_a_hole

GAVE_WAY = {"Channel_Name": "", "Last_SQL_Errno": 3030, "Last_SQL_Error": "Coordinator stopped"}
DUPLICATE = {"channel": "", "errno": 1062, "message": "Duplicate entry '1'"}


@pytest.mark.parametrize(
    ("vendor", "version", "errno", "asks"),
    [
        (Vendor.MYSQL, (9, 7, 4), 3030, True),
        (Vendor.MYSQL, (5, 7, 40), 1756, True),
        (Vendor.MYSQL, (9, 7, 4), 1062, False),
        (Vendor.MYSQL, (9, 7, 4), 0, False),
        (Vendor.MYSQL, (5, 6, 24), 1756, False),
        (Vendor.MARIADB, (10, 11, 6), 1756, False),
    ],
)
def test_the_workers_are_asked_only_where_the_row_does_not_tell(
    vendor: Vendor, version: tuple[int, ...], errno: int, asks: bool
) -> None:
    assert bool(causes_query(vendor, version, [{**GAVE_WAY, "Last_SQL_Errno": errno}])) is asks


def test_the_first_error_is_told_in_place_of_its_consequence() -> None:
    later = {"channel": "", "errno": 1032, "message": "not found"}
    (row,) = with_causes([GAVE_WAY], [DUPLICATE, later])
    assert (row["Last_SQL_Errno"], row["Last_SQL_Error"]) == (1062, "Duplicate entry '1'")


@pytest.mark.parametrize(
    ("row", "answers"),
    [
        pytest.param(GAVE_WAY, [], id="nothing was told"),
        pytest.param(GAVE_WAY, [{**DUPLICATE, "channel": "other"}], id="another channel's worker"),
        pytest.param({**GAVE_WAY, "Last_SQL_Errno": 1205}, [DUPLICATE], id="the row has an error of its own"),
    ],
)
def test_a_row_stays_as_it_is(row: dict[str, object], answers: list[dict[str, object]]) -> None:
    assert with_causes([row], answers) == [row]


@pytest.mark.parametrize(
    ("vendor", "version", "tells"),
    [
        (Vendor.MYSQL, (9, 7, 4), True),
        (Vendor.MYSQL, (5, 6, 24), False),
        (Vendor.MARIADB, (10, 11, 6), False),
    ],
)
def test_whose_threads_they_are_is_asked_where_the_server_tells(
    vendor: Vendor, version: tuple[int, ...], tells: bool
) -> None:
    assert threads_query(vendor, version).count("%s") == (2 if tells else 0)


@pytest.mark.parametrize(
    ("command", "state", "receives"),
    [
        ("Slave_IO", "Waiting for master to send event", True),
        ("Connect", "Waiting for source to send event", True),
        ("Connect", "Waiting to reconnect after a failed source event read", True),
        ("Slave_SQL", "Slave has read all relay log; waiting for more updates", False),
        ("Query", "Waiting for an event from Coordinator", False),
        ("Query", "Waiting for preceding transaction to commit", False),
    ],
)
def test_who_receives_is_no_applier(command: str, state: str, receives: bool) -> None:
    assert is_receiver(command, state) is receives


def test_a_hole_in_a_sources_log_is_told_from_a_second_history() -> None:
    words = "Got fatal error 1236 from master when reading data from binary log: "
    hole = (
        "'The binlog on the master is missing the GTID 0-101-3 requested by the slave (even though both a prior and a "
        "subsequent sequence number does exist), and GTID strict mode is enabled'"
    )
    apart = (
        "'Error: connecting slave requested to start from GTID 0-101-9, which is not in the master's binlog. Since the "
        "master's binlog contains GTIDs with higher sequence numbers, it probably means that the slave has diverged "
        "due to executing extra erroneous transactions'"
    )
    assert in_a_hole(words + hole)
    assert not in_a_hole(words + apart)
