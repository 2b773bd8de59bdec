"""What is run on a replica's host to end an attempt to connect: only what is not connected, only to that source."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prefect_mha.config import ServerConfig
from prefect_mha.replication.actions.hanging_stop import closing_command
from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.mysql.dialects import Dialect
from tests.unit.replication.build import channel

REPLICA = ServerConfig(block="s2", hostname="db2", ip="10.0.0.2", ssh_host="db2", ssh_ip="10.0.0.2", ssh_user="mha")


def test_only_sockets_that_are_not_connected_are_closed() -> None:
    command = closing_command(replace(channel(), source_host="10.0.0.1", source_port=3307), REPLICA)
    assert "ss -K -t state syn-sent dst 10.0.0.1 dport = :3307" in command


def test_an_address_of_the_newer_kind_is_in_brackets() -> None:
    assert "'[2001:db8::1]'" in closing_command(replace(channel(), source_host="2001:db8::1"), REPLICA)


def test_a_name_without_an_address_is_an_error() -> None:
    with pytest.raises(OSError):
        closing_command(replace(channel(), source_host="nobody.invalid"), REPLICA)


@pytest.mark.parametrize(
    ("vendor", "version", "waits", "variable"),
    [
        (Vendor.MARIADB, (10, 5, 23), False, "tx_read_only"),
        (Vendor.MARIADB, (10, 11, 6), False, "tx_read_only"),
        (Vendor.MARIADB, (11, 8, 9), True, "transaction_read_only"),
        (Vendor.MYSQL, (5, 6, 24), False, "tx_read_only"),
        (Vendor.MYSQL, (5, 7, 44), False, ""),
        (Vendor.MYSQL, (9, 7, 4), False, ""),
    ],
)
def test_who_needs_what(vendor: Vendor, version: tuple[int, ...], waits: bool, variable: str) -> None:
    dialect = Dialect(vendor, version, replica_words=False, binary_log_status=False, multi_channel=False)
    assert dialect.stop_waits_for_connecting is waits
    assert dialect.read_only_for_everybody == variable
