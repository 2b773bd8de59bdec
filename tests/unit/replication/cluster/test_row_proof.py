"""A server that is closed in any way is not open, whatever read_only says; and who writes the row of a promotion."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from prefect_mha.replication.cluster.row_proof import RowProof, as_application
from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.mysql.dialects import Dialect
from tests.unit.replication.build import server
from tests.unit.replication.checks.building import block


def test_every_way_to_keep_applications_out_counts() -> None:
    assert server(1, read_only=False).closed_by == ()
    assert server(1).closed_by == ("read_only",)
    assert server(1, read_only=False, offline_mode=True).closed_by == ("offline_mode",)
    everything = server(1, super_read_only=True, offline_mode=True, tx_read_only=True)
    assert everything.closed_by == ("read_only", "offline_mode", "transaction_read_only")


@pytest.mark.parametrize(
    ("vendor", "version", "name"),
    [
        (Vendor.MYSQL, (5, 6, 24), "tx_read_only"),
        (Vendor.MYSQL, (5, 7, 20), "transaction_read_only"),
        (Vendor.MYSQL, (9, 7, 0), "transaction_read_only"),
        (Vendor.MARIADB, (10, 11, 6), "tx_read_only"),
        (Vendor.MARIADB, (11, 8, 2), "transaction_read_only"),
    ],
)
def test_each_server_is_told_by_its_own_name(vendor: Vendor, version: tuple[int, ...], name: str) -> None:
    dialect = Dialect(vendor, version, replica_words=False, binary_log_status=False, multi_channel=False)
    assert dialect.variable("transaction_read_only") == name
    assert dialect.variable("read_only") == "read_only"


def test_the_row_is_written_by_the_account_that_is_configured_for_it() -> None:
    ours = block(1, password=SecretStr("ours"))
    assert as_application(ours) is ours
    probe = as_application(block(1, password=SecretStr("ours"), probe_user="app", probe_password=SecretStr("theirs")))
    assert (probe.user, probe.password.get_secret_value(), probe.address) == ("app", "theirs", ours.address)
    same = as_application(block(1, password=SecretStr("ours"), probe_user="app"))
    assert same.password.get_secret_value() == "ours"


def test_a_proof_says_what_it_is_worth() -> None:
    assert str(RowProof(7, seconds=0.0123)) == "a row was written within 12 ms"
    assert str(RowProof(error="error 1290")) == "error 1290"
    assert str(RowProof(unproven="error 1142")) == "error 1142"
