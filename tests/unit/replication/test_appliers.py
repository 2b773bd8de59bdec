"""Which error stopped an applier with several workers."""

from __future__ import annotations

import pytest

from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.mysql.dialects.appliers import causes_query, with_causes

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
