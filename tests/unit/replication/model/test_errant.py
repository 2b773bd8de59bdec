"""A transaction that one replica has and nobody else is errant, unless the primary sent it or may have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from prefect_mha.replication.model.errant import errant
from prefect_mha.replication.model.gtid import GtidSet, MariadbGtid
from prefect_mha.replication.model.state import ReplicaChannel, ServerState
from tests.unit.replication.build import UUID, channel, server

TWO, THREE, OLD = (UUID.replace("1", n) for n in "234")


def mysql(number: int, executed: str, retrieved: str = "") -> tuple[ServerState, ReplicaChannel]:
    follows = channel(auto_position=True, retrieved=GtidSet.parse(retrieved))
    return server(number, follows, gtid_mode="ON", gtid_executed=GtidSet.parse(executed)), follows


@pytest.mark.parametrize(
    ("second", "third", "found"),
    [
        ((f"{UUID}:1-9",), (f"{UUID}:1-9",), ""),
        ((f"{UUID}:1-9,{TWO}:1-2",), (f"{UUID}:1-9",), f"{TWO}:1-2"),
        # The other one is behind: what the primary numbered came from it.
        ((f"{UUID}:1-9",), (f"{UUID}:1-5",), ""),
        # A former primary's, which everybody has, and one that is on its way to the other.
        ((f"{UUID}:1-9,{OLD}:1-7",), (f"{UUID}:1-9,{OLD}:1-7",), ""),
        ((f"{UUID}:1-9,{OLD}:1-7", f"{OLD}:7"), (f"{UUID}:1-9,{OLD}:1-6",), ""),
        ((f"{UUID}:1-9,{OLD}:1-7",), (f"{UUID}:1-9,{OLD}:1-6", f"{OLD}:7"), ""),
        ((f"{UUID}:1-9,{TWO}:tag:1",), (f"{UUID}:1-9",), f"{TWO}:tag:1"),
    ],
)
def test_mysql_transactions_that_nobody_else_has(second: tuple[str, ...], third: tuple[str, ...], found: str) -> None:
    assert errant([mysql(2, *second), mysql(3, *third)]).get("10.0.0.2:3306", "") == found


def test_what_came_through_another_channel_is_passed_on_while_it_is_in_the_log() -> None:
    state, follows = mysql(2, f"{UUID}:1-9,{TWO}:1-2,{THREE}:1-7")
    state = replace(state, channels=(follows, channel(name="other", source_uuid=THREE)))
    assert errant([(state, follows), mysql(3, f"{UUID}:1-9")]) == {state.key: f"{TWO}:1-2"}
    purged = replace(state, gtid_purged=GtidSet.parse(f"{THREE}:1-3"))
    assert errant([(purged, follows), mysql(3, f"{UUID}:1-9")]) == {state.key: f"{TWO}:1-2,{THREE}:1-3"}


def test_a_single_replica_has_nobody_to_be_compared_with() -> None:
    assert errant([mysql(2, f"{UUID}:1-9,{TWO}:1")]) == {}


def mariadb(number: int, *written: str, **changes: Any) -> tuple[ServerState, ReplicaChannel]:
    state = tuple(MariadbGtid.parse(text) for text in written)
    follows = channel(using_gtid="Slave_Pos")
    return server(number, follows, gtid_binlog_state=state, gtid_executed=None, **changes), follows


@pytest.mark.parametrize(
    ("second", "third", "found"),
    [
        (("0-1-9",), ("0-1-9",), ""),
        (("0-1-9", "0-2-10"), ("0-1-9",), "0-2-10"),
        (("0-1-9", "7-2-1"), ("0-1-9",), "7-2-1"),
        # It was the primary once: the other one logged what it received then.
        (("0-1-9", "0-2-4"), ("0-1-9", "0-2-4"), ""),
        (("0-1-9", "0-2-4"), (), ""),  # its log was emptied: no witness
    ],
)
def test_mariadb_transactions_that_nobody_else_logged(
    second: tuple[str, ...], third: tuple[str, ...], found: str
) -> None:
    assert errant([mariadb(2, *second), mariadb(3, *third)]).get("10.0.0.2:3306", "") == found


def test_a_replica_that_does_not_log_what_it_receives_is_no_witness() -> None:
    found = errant([mariadb(2, "0-1-9", "0-2-10"), mariadb(3, "0-3-1", log_replica_updates=False)])
    assert "10.0.0.2:3306" not in found
