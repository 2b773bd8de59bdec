"""A step goes by what the host and the server say now, and puts back only what is of its own rebuild."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from prefect_mha.replication.errors import ServerUnreachable
from prefect_mha.replication.memory.journal import Entry
from prefect_mha.replication.model.gtid import GtidSet
from prefect_mha.replication.model.state import GtidKind, ServerState
from prefect_mha.replication.model.ways_back import Method
from prefect_mha.replication.rejoin.rebuild import steps
from prefect_mha.replication.rejoin.rebuild.job import RebuildJob
from prefect_mha.replication.rejoin.rebuild.left import Left, Whose
from prefect_mha.replication.rejoin.rebuild.place import Place
from prefect_mha.replication.rejoin.remembered.interrupted import POINT, START
from tests.unit.replication.build import UUID, configured, server

CONFIG = configured({}, {})
OLD, NEW, DONOR = (s.address for s in CONFIG.servers)
MINE = Whose(DONOR, NEW, GtidKind.MYSQL.value, "backup", "now")


class There:
    """The host."""

    def __init__(self, left: Left) -> None:
        self.what, self.done = left, list[str]()

    def left(self) -> Left:
        return self.what

    def state(self) -> str:
        return self.what.state

    def begin(self, of: Whose, *, apart: bool = False) -> None:
        self.done.append(f"begin {of.journal}{' apart' if apart else ''}")

    def claim(self, of: Whose) -> None:
        self.done.append(f"claim {of.journal}")

    def step(self, verb: str, word: str = "", **_: Any) -> list[str]:
        self.done.append(verb)
        return []

    def stop(self) -> None:
        self.done.append("stop")

    def start(self, _: Any) -> None:
        self.done.append("start")


class Session:
    """The server, as it says of itself now."""

    def __init__(self, state: ServerState, answers: bool = True) -> None:
        self.state, self.answers = state, answers

    def observe(self) -> ServerState:
        if not self.answers:
            raise ServerUnreachable("db1", "connect", "refused")
        return self.state

    def close(self) -> None: ...


def job(left: Left, kind: GtidKind = GtidKind.MYSQL, *, answers: bool = True) -> tuple[RebuildJob, There]:
    there, state = There(left), server(1, gtid_executed=GtidSet.parse(f"{UUID}:1-9"))
    made = SimpleNamespace(
        there=there,
        whose=replace(MINE, kind=kind.value),
        chain=("now", "before"),
        config=CONFIG.model_copy(update={"manager_workdir": "/nowhere"}),
        plan=SimpleNamespace(old=OLD, new=NEW, kind=kind, channel=""),
        new=CONFIG.servers[1],
        copying=SimpleNamespace(method=Method.BACKUP),
        sessions=SimpleNamespace(server=lambda _: Session(state, answers)),
        journal=SimpleNamespace(path=SimpleNamespace(name="now"), record=lambda *_, **__: None),
        kept_in="/old",
        stands_at=lambda _: None,
    )
    return cast(RebuildJob, made), there


def past(monkeypatch: pytest.MonkeyPatch, *entries: Entry) -> None:
    monkeypatch.setattr(steps, "every_entry", lambda *_: entries)


@pytest.mark.parametrize(
    ("of", "begun"), [("before", "claim now"), ("now", "claim now"), ("months ago", "begin now apart")]
)
def test_what_is_placed_is_gone_on_with_by_who_goes_on(of: str, begun: str) -> None:
    made, there = job(Left("placed", "/old", replace(MINE, journal=of)))
    steps.made_ready(made)
    assert there.done == [begun]


@pytest.mark.parametrize(
    ("step", "begun"), [(POINT, "claim now"), (START, "begin now apart"), ("Compare its data", "begin now apart")]
)
def test_without_gtids_one_that_ran_and_points_there_no_more_is_copied_anew(
    step: str, begun: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    past(monkeypatch, Entry(1.0, step, "began", OLD, {}, "before"))
    made, there = job(
        Left("placed", "/old", replace(MINE, kind=GtidKind.POSITION.value, journal="before")), GtidKind.POSITION
    )
    steps.made_ready(made)
    assert there.done == [begun]


def test_its_place_is_what_it_says_now_and_not_what_a_journal_said(monkeypatch: pytest.MonkeyPatch) -> None:
    past(monkeypatch, Entry(1.0, steps.PLACE, "set", OLD, {"gtids": f"{UUID}:1-3"}, "before"))
    set_to = list[Place]()
    monkeypatch.setattr(steps, "set_place", lambda _, __, found, ___: set_to.append(found))
    made, _ = job(Left("placed", "/old", MINE))
    assert steps.placed(made, None) == Place(f"{UUID}:1-9")
    assert set_to == [Place(f"{UUID}:1-9")]


@pytest.mark.parametrize(
    ("left", "answers", "done"),
    [
        (Left("swapped", "/old", MINE), True, ["stop", "back", "start"]),
        (Left("swapped", "/old", replace(MINE, journal="before")), True, ["stop", "back", "start"]),
        (Left("placed", "/old", MINE), True, ["stop", "back", "start"]),
        (Left("placed", "/old", replace(MINE, journal="before")), True, []),
        (Left("swapped", "/old", replace(MINE, journal="months ago")), True, []),
        (Left("swapped", "/old", replace(MINE, journal="months ago")), False, ["start"]),
        (Left("copying", "", MINE), True, ["drop"]),
    ],
)
def test_only_its_own_is_taken_back(
    left: Left, answers: bool, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "close_for_writes", lambda _: "closed")
    made, there = job(left, answers=answers)
    steps.taken_back(made)
    assert there.done == done
