"""How a source waits goes with its role, by whatever name the server has for it."""

from __future__ import annotations

from typing import Any

import pytest

from prefect_mha.replication.actions.semi_sync import (
    REQUIRED,
    acknowledgements,
    acknowledging,
    read_roles,
    take_roles,
)

OLD = {
    "rpl_semi_sync_master_enabled": "OFF",
    "rpl_semi_sync_slave_enabled": "ON",
    "rpl_semi_sync_master_timeout": "10000",
    "rpl_semi_sync_master_wait_point": "AFTER_COMMIT",
    "rpl_semi_sync_master_wait_no_slave": "ON",
}
NEW = {
    "rpl_semi_sync_source_enabled": "OFF",
    "rpl_semi_sync_source_timeout": "10000",
    "rpl_semi_sync_source_wait_point": "AFTER_SYNC",
    "rpl_semi_sync_source_wait_for_replica_count": "2",
    "rpl_semi_sync_source_wait_no_replica": "OFF",
}


class Fake:
    """A server with these variables, and as many clients each time it is asked."""

    def __init__(self, variables: dict[str, str], *clients: int) -> None:
        self.variables, self.clients, self.set = dict(variables), list(clients), list[tuple[str, object]]()

    def query(self, sql: str, args: Any = (), *, action: str) -> list[dict[str, object]]:
        assert action
        if sql.startswith("SET GLOBAL "):
            name, _, value = sql.removeprefix("SET GLOBAL ").partition(" = ")
            self.set.append((name, args[0] if args else int(value)))
            return []
        if "STATUS" in sql:
            return [{"Value": str(self.clients.pop(0))}] if self.clients else []
        return [{"Variable_name": n, "Value": v} for n, v in self.variables.items() if n in args]


def test_what_is_read() -> None:
    told = read_roles(Fake(OLD))  # type: ignore[arg-type]
    assert told == {
        "source": 0,
        "replica": 1,
        "timeout": "10000",
        "wait_point": "AFTER_COMMIT",
        "alone": "ON",
    }
    assert read_roles(Fake({})) == {}  # type: ignore[arg-type]


def test_a_new_source_waits_as_is_demanded_before_it_is_switched_on() -> None:
    old, new = Fake(OLD), Fake(NEW)
    assert take_roles(old, REQUIRED)  # type: ignore[arg-type]
    assert old.set == [
        ("rpl_semi_sync_master_timeout", 4294967295),
        ("rpl_semi_sync_master_wait_point", "AFTER_SYNC"),
        ("rpl_semi_sync_master_enabled", 1),
    ]
    assert take_roles(new, {**REQUIRED, "acknowledgements": "1"})  # type: ignore[arg-type]
    assert new.set == [
        ("rpl_semi_sync_source_timeout", 4294967295),
        ("rpl_semi_sync_source_wait_for_replica_count", 1),
        ("rpl_semi_sync_source_wait_no_replica", "ON"),
        ("rpl_semi_sync_source_enabled", 1),
    ]


def test_who_is_no_source_waits_for_nobody_and_keeps_its_settings() -> None:
    server = Fake(OLD)
    assert not take_roles(server, {"source": 0, "replica": 1, "timeout": "1"})  # type: ignore[arg-type]
    assert server.set == []


@pytest.mark.parametrize(("variables", "expected"), [(OLD, 1), (NEW, 2), ({}, 1)])
def test_how_many_have_to(variables: dict[str, str], expected: int) -> None:
    assert acknowledgements(Fake(variables)) == expected  # type: ignore[arg-type]


def test_who_acknowledges_is_waited_for() -> None:
    assert acknowledging(Fake({}, 0, 0, 1), 1, 5.0) == 1  # type: ignore[arg-type]
    assert acknowledging(Fake({}, 0, 1), 1, 0.0) == 0  # type: ignore[arg-type]
    assert acknowledging(Fake({}), 1, 5.0) == 0  # type: ignore[arg-type]
