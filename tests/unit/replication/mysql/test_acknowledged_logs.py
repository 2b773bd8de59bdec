"""Of which servers an acknowledging copy is made."""

from __future__ import annotations

import pytest

from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.mysql.dialects import Dialect


@pytest.mark.parametrize(
    ("vendor", "version", "fit"),
    [
        (Vendor.MYSQL, (5, 6, 24), True),
        (Vendor.MYSQL, (9, 7, 4), True),
        (Vendor.MARIADB, (10, 11, 18), True),
        (Vendor.MARIADB, (11, 8, 9), False),
    ],
)
def test_mariadb_11_is_not_fit_for_it(vendor: Vendor, version: tuple[int, ...], fit: bool) -> None:
    dialect = Dialect(vendor, version, replica_words=False, binary_log_status=False, multi_channel=False)
    assert dialect.log_may_be_acknowledged is fit
