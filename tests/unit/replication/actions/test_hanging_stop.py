"""What is ended for a STOP that hangs: only towards that source, and nothing that may be a session with it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from prefect_mha.replication.actions.hanging_stop import Closes, DeadHost, closing_command, may_close
from prefect_mha.replication.errors import HostUnreachable
from prefect_mha.replication.fencing.kill import Present
from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.mysql.dialects import Dialect
from tests.unit.replication.build import block, channel

REPLICA = block(2, ssh_user="mha")


def test_only_sockets_that_are_not_connected_are_closed() -> None:
    command = closing_command(replace(channel(), source_host="10.0.0.1", source_port=3307), REPLICA)
    assert "ss -K -t state syn-sent dst 10.0.0.1 dport = :3307" in command


def test_sessions_are_closed_as_well_where_their_server_is_gone() -> None:
    command = closing_command(replace(channel(), source_host="10.0.0.1", source_port=3307), REPLICA, Closes.SESSIONS)
    assert "ss -K -t state syn-sent state established dst 10.0.0.1 dport = :3307" in command
    assert "mha-host-3306 part 10.0.0.1 3307" in command


@pytest.mark.parametrize(
    ("seen", "closes"),
    [
        (None, Closes.ATTEMPTS),
        (Present(runs=True), Closes.ATTEMPTS),
        (Present(runs=True, stranger=True), Closes.ATTEMPTS),
        (Present(runs=False), Closes.SESSIONS),
        (Present(runs=False, stranger=True), Closes.SESSIONS),
    ],
)
def test_a_session_is_never_closed_while_its_server_may_live(seen: Present | None, closes: Closes) -> None:
    assert may_close(seen) is closes


def test_a_host_is_asked_once_for_all_replicas_and_not_again_where_it_cannot_tell() -> None:
    asked: list[bool] = []

    def blind() -> Present:
        asked.append(False)
        raise HostUnreachable("db1", "see whether mysqld runs", "no route")

    def tells() -> Present:
        asked.append(True)
        return Present(runs=False, stranger=True)

    for ask, seen in ((tells, Present(runs=False, stranger=True)), (blind, None)):
        asked.clear()
        old = DeadHost(ask)
        with ThreadPoolExecutor(3) as pool:
            assert {future.result() for future in [pool.submit(old.seen) for _ in range(3)]} == {seen}
        assert len(asked) == 1


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
    assert dialect.kill_ends_a_login is (vendor is Vendor.MARIADB and not waits)
    assert dialect.stop_waits_for_connecting is waits
    assert dialect.read_only_for_everybody == variable
