"""What belongs to the primary's role: remembered on disk, and taken over only where no row waits in vain."""

from __future__ import annotations

from pathlib import Path

from prefect_mha.config import ClusterConfig
from prefect_mha.replication.actions.role_memory import LastRole, Role, waits_in_vain, without_memory
from prefect_mha.replication.actions.scheduled_events import ScheduledEvent

TICK = ScheduledEvent("app", "tick", "root@%", "ENABLED")


def test_it_is_remembered_for_that_primary_alone(tmp_path: Path) -> None:
    config = ClusterConfig(name="app1", path=Path("/etc/mha/app1.cnf"), servers=(), manager_workdir=tmp_path / "w")
    memory = LastRole(config)
    assert memory.of("10.0.0.1:3306") is None
    role = Role("10.0.0.1:3306", 12.0, (TICK,), "ON", {"source": 1, "replica": 0, "timeout": "4294967295"})
    memory.write(role)
    assert memory.of("10.0.0.1:3306") == role
    assert memory.of("10.0.0.2:3306") is None
    for text in ("", "[]", '{"key": "10.0.0.1:3306", "at": 1, "events": [1], "scheduler": "ON", "semi_sync": {}}'):
        memory.path.write_text(text)
        assert memory.of("10.0.0.1:3306") is None


def test_nobody_waits_in_vain() -> None:
    on, off = ({"source": value} for value in (1, 0))
    assert waits_in_vain(on, 1, 1) == waits_in_vain(off, 1, 0) == waits_in_vain({}, 1, 0) == ""
    assert "0 of the replicas" in waits_in_vain(on, 1, 0)
    assert "2 have to" in waits_in_vain(on, 2, 1)


def test_events_of_which_nothing_is_known_are_named() -> None:
    off = tuple(ScheduledEvent("app", f"e{number}", "root@%", "SLAVESIDE_DISABLED") for number in range(12))
    assert without_memory((TICK,)) == ""
    said = without_memory((TICK, *off))
    assert "app.e0, " in said
    assert "app.tick" not in said
    assert "2 more" in said
