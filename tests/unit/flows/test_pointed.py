"""Replicas that an interrupted failover had pointed at the new primary, and that do not follow it yet."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from prefect_mha.flows.runbooks.leveling.pointed import start_those_pointed
from prefect_mha.replication.errors import StatementFailed
from prefect_mha.replication.memory.journal import Entry
from tests.unit.replication.build import channel, cluster, server

NEW = SimpleNamespace(hostname="db2", ip="10.0.0.2", port=3306)
PLAN = SimpleNamespace(new_primary="10.0.0.2:3306", new_primary_name="db2")


class Run:
    """Records who is started; ``refused`` is whom its server refuses."""

    def __init__(self, *begun: str, refused: str = "") -> None:
        past = tuple(Entry(0.0, "Point a replica at the new primary", "began", name, {}) for name in begun)
        self.job = SimpleNamespace(past=past, config_of=lambda _: NEW)
        self.started: list[str] = []
        self._refused = refused

    def run(self, _task: Any, _job: Any, _plan: Any, key: str, *_: Any, about: str) -> None:
        if about == self._refused:
            raise StatementFailed(about, "follow db2", "refused")
        self.started.append(key)


def start(run: Run, *states: Any) -> tuple[str, ...]:
    return start_those_pointed(run, PLAN, cluster(*states), None)  # type: ignore[arg-type]


def test_who_was_pointed_and_does_not_receive_is_started() -> None:
    there = {"source_host": "10.0.0.2"}
    third, fourth, fifth = server(3, channel(**there, receiver="No")), server(4, channel(**there)), server(5, channel())
    run = Run(third.name, fourth.name, fifth.name)
    assert start(run, server(2), third, fourth, fifth) == ()
    assert run.started == [third.key]


def test_whom_that_failover_did_not_point_stays_as_somebody_left_it() -> None:
    run = Run("db9")
    assert start(run, server(2), server(3, channel(source_host="10.0.0.2", receiver="No"))) == ()
    assert run.started == []


def test_who_cannot_be_started_is_left_to_do_and_the_others_are_started() -> None:
    third, fourth = (server(n, channel(source_host="10.0.0.2", applier_running=False)) for n in (3, 4))
    run = Run(third.name, fourth.name, refused=third.name)
    (line,) = start(run, third, fourth)
    assert line.startswith(f"{third.name} points at db2 and does not follow it: ")
    assert run.started == [fourth.key]
