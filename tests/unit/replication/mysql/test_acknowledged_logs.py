"""Of which servers an acknowledging copy is made."""

from __future__ import annotations

import pytest

from prefect_mha.replication.mysql.dialects import Dialect


@pytest.mark.parametrize(
    ("version", "fit"),
    [("8.4.0", True), ("5.6.24-log", True), ("10.11.18-MariaDB", True), ("11.8.9-MariaDB-ubu2404", False)],
)
def test_mariadb_11_is_not_fit_for_it(version: str, fit: bool) -> None:
    assert Dialect.detect(version).log_may_be_acknowledged is fit
