"""A receiver is heard when something new came: a position, or a heartbeat; connected is not enough."""

from __future__ import annotations

from typing import Any

import pytest

from prefect_mha.replication.detection.observation import Finding
from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.mysql.dialects.receiving import heartbeats, heartbeats_query, place
from prefect_mha.replication.probes.receiving import Heard, compare

HERE, THERE = ("mysql-bin.000001", "1000", "", "", "3"), ("mysql-bin.000001", "1000", "", "", "4")


@pytest.mark.parametrize(
    ("before", "place", "period", "now", "finding", "since"),
    [
        (None, HERE, 30.0, 100.0, Finding.RECEIVES, 100.0),
        (Heard(HERE, 90.0, 99.5, 30.0), THERE, 30.0, 100.0, Finding.MOVES, 100.0),
        (Heard(HERE, 90.0, 60.0, 30.0), THERE, 30.0, 100.0, Finding.RECEIVES, 100.0),  # when, nobody knows
        (Heard(HERE, 90.0, 99.5, 30.0), HERE, 30.0, 100.0, Finding.RECEIVES, 90.0),
        (Heard(HERE, 60.0, 99.5, 30.0), HERE, 30.0, 100.0, Finding.OVERDUE, 60.0),
        (Heard(HERE, 68.5, 99.5, 30.0), HERE, 30.0, 100.0, Finding.RECEIVES, 68.5),
        (Heard(HERE, 0.0, 99.5), HERE, None, 100.0, Finding.RECEIVES, 0.0),
    ],
)
def test_what_a_look_means_beside_the_one_before(
    before: Heard | None, place: tuple[str, ...], period: float | None, now: float, finding: Finding, since: float
) -> None:
    heard, found = compare(before, place, period, now)
    assert (found, heard.since, heard.at) == (finding, since, now)


@pytest.mark.parametrize(
    ("row", "answers", "count", "period"),
    [
        ({"Slave_received_heartbeats": 7, "Slave_heartbeat_period": 1.5}, [], "7", 1.5),
        (
            {},
            [
                {"Variable_name": "Slave_received_heartbeats", "Value": "7"},
                {"Variable_name": "Slave_heartbeat_period", "Value": "30.000"},
            ],
            "7",
            30.0,
        ),
        (
            {},
            [{"channel": "a", "heartbeats": 7, "period": 30}, {"channel": "", "heartbeats": 8, "period": 2}],
            "8",
            2.0,
        ),
        ({}, [], "", None),
        ({"Slave_received_heartbeats": 0, "Slave_heartbeat_period": 0.0}, [], "0", None),
    ],
)
def test_every_vendors_count_of_heartbeats(
    row: dict[str, Any], answers: list[dict[str, Any]], count: str, period: float | None
) -> None:
    assert heartbeats(row, answers, "") == (count, period)


def test_where_they_are_counted() -> None:
    assert heartbeats_query(Vendor.MARIADB, (10, 11, 6)) == ""
    assert "GLOBAL STATUS" in heartbeats_query(Vendor.MYSQL, (5, 6, 24))
    assert "performance_schema" in heartbeats_query(Vendor.MYSQL, (9, 7, 0))


def test_a_place_is_what_the_server_writes() -> None:
    old = {"Master_Log_File": "b.1", "Read_Master_Log_Pos": 4, "Gtid_IO_Pos": "0-1-2"}
    new = {"Source_Log_File": "b.1", "Read_Source_Log_Pos": 4, "Retrieved_Gtid_Set": "u:1-3"}
    assert place(old) == ("b.1", "4", "", "0-1-2")
    assert place(new) == ("b.1", "4", "u:1-3", "")
