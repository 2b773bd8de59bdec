"""A rejoin is left, ended or taken back: by which failure, in which step, and never a server that works."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from prefect_mha.flows.deeds import rejoin as deed
from prefect_mha.flows.runbooks.returning import rejoin as runbook
from prefect_mha.flows.runbooks.returning import rewind as rewinding
from prefect_mha.flows.runbooks.returning.rejoin import RejoinRunbook
from prefect_mha.flows.runbooks.returning.take_back import end_what_was_cut_short, take_back_what_was_cut_short
from prefect_mha.replication.coordination.failover_lock import FailoverLock
from prefect_mha.replication.errors import AlreadyActing, LockLost, MhaError, RefusalError, StatementFailed
from prefect_mha.replication.local.interrupts import Interrupted
from prefect_mha.replication.memory.journal import END, REJOIN, Journal
from prefect_mha.replication.model.refusal import Refusal
from prefect_mha.replication.model.ways_back import How
from prefect_mha.replication.rejoin.job import RejoinJob
from prefect_mha.replication.rejoin.observe import WhoIsBack
from prefect_mha.replication.rejoin.outcome import RejoinOutcome
from prefect_mha.replication.rejoin.remembered.interrupted import LEFT, TAKE_BACK, last_of_each
from prefect_mha.tasks import rejoin as tasks
from tests.unit.replication.build import configured, server
from tests.unit.replication.rejoin.test_place import RUNS, there
from tests.unit.replication.rejoin.test_plan import facts, plan_of

OLD = "10.0.0.1:3306"
FIRST, CLOSE, AGAIN, POINT = (
    "Look whether it is still to be done",
    "Close the old server to writers",
    "Look again whether it has more than the primary",
    "Point it at the new primary",
)
#: What is done with the lock, between the steps.
LOCKED, UNLOCKED = "take the lock", "give it back"
SAME, COMPARE, START = "See the same primary", "Compare the tables that were changed", "Start replication"
REWIND = [
    *(FIRST, CLOSE, UNLOCKED),
    *("Copy what only the old server has", "See that it can be taken back", "Take back what only the old server has"),
    *(LOCKED, SAME, "Let it have executed what both have", AGAIN, POINT, UNLOCKED, COMPARE, LOCKED, SAME, START),
]


class Scene:
    """A runbook whose steps only say that they ran; ``fails`` are those that raise."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory, self.done = directory, list[str]()
        self.fails: dict[str, BaseException] = {}
        self.lost_in, self.works, self.pointed = "", False, False
        self.asked: Callable[[], bool] = lambda: False
        self.how, self.acting = How.FOLLOW, False
        monkeypatch.setattr(RejoinRunbook, "run", lambda _, task, *args, about: self._step(task.name))
        monkeypatch.setattr(runbook, "works", lambda _: self.works)
        monkeypatch.setattr(runbook, "FailoverLock", lambda _: self._lock())
        monkeypatch.setattr(rewinding, "look", lambda *_: facts())

    def _step(self, name: str) -> object:
        self.done.append(name)
        if name in self.fails:
            raise self.fails[name]
        return () if name == "Hold it no longer" else name

    def _verify(self) -> None:
        if self.lost_in and self.lost_in in self.done:
            raise LockLost("the failover lock was lost")

    def _lock(self) -> FailoverLock:
        lock = SimpleNamespace(verify=self._verify, take=self._take, release=lambda: self.done.append(UNLOCKED))
        return cast(FailoverLock, lock)

    def _take(self) -> None:
        self.done.append(LOCKED)
        if self.acting:
            raise AlreadyActing("another manager holds the failover lock")

    def run(self) -> RejoinOutcome:
        plan = replace(plan_of(facts()), how=self.how, pointed=self.pointed, block=False)
        job = SimpleNamespace(
            plan=plan,
            journal=Journal(self.directory / "app1.rejoin-1.journal"),
            old=None,
            who=None,
            sessions=None,
            config=SimpleNamespace(servers=()),
        )
        return RejoinRunbook(cast(RejoinJob, job), self._lock(), self.asked).outcome("me")

    @property
    def left(self) -> bool:
        return f'"event": "{LEFT}"' in (self.directory / "app1.rejoin-1.journal").read_text()

    @property
    def written(self) -> list[str]:
        journal = self.directory / "app1.rejoin-1.journal"
        return [step for step in (REJOIN, END) if f'"step": "{step}"' in journal.read_text()]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


def refused(code: str) -> RefusalError:
    return RefusalError(Refusal(code, f"it is {code}.", "look"))


def test_it_is_looked_at_before_it_is_closed_and_after(scene: Scene) -> None:
    assert scene.run().exit_code == 0
    assert scene.done[:4] == [FIRST, CLOSE, AGAIN, POINT]
    assert scene.written == [REJOIN, END]


def test_a_primary_by_now_is_not_closed(scene: Scene) -> None:
    scene.fails[FIRST] = refused("is-the-primary")
    outcome = scene.run()
    assert (outcome.exit_code, outcome.refusal and outcome.refusal.code) == (1, "is-the-primary")
    assert scene.done == [FIRST]
    assert scene.written == [], "one that was cut short before is still what is remembered"


@pytest.mark.parametrize("step", [CLOSE, AGAIN])
def test_whoever_ends_it_before_it_is_pointed_has_ended_it(scene: Scene, step: str) -> None:
    scene.fails[step] = Interrupted("SIGINT")
    with pytest.raises(Interrupted):
        scene.run()
    assert scene.written == [REJOIN, END]


@pytest.mark.parametrize("after", [FIRST, CLOSE, AGAIN])
def test_a_failover_does_not_wait_for_what_is_not_pointed_yet(scene: Scene, after: str) -> None:
    scene.asked = lambda: after in scene.done
    with pytest.raises(Interrupted):
        scene.run()
    assert scene.done[-1] == after
    assert scene.written == ([] if after == FIRST else [REJOIN]), "the next watch goes on with it"
    assert scene.left == (after != FIRST)


def test_what_is_pointed_goes_to_its_end(scene: Scene) -> None:
    scene.asked = lambda: POINT in scene.done
    assert scene.run().exit_code == 0


@pytest.mark.parametrize(
    ("error", "works", "back"),
    [
        (refused("has-more"), False, True),
        (refused("may-have-more"), False, True),
        (refused("purged"), False, True),
        (refused("lost-its-end"), False, True),
        (refused("has-more"), True, False),
        (refused("primary-read-only"), False, False),
        (refused("replication-credentials"), False, False),
        (StatementFailed("db1", "look", "no"), False, False),
    ],
)
def test_one_that_was_pointed_before_is_taken_back_only_for_good(
    scene: Scene, error: MhaError, works: bool, back: bool
) -> None:
    scene.pointed, scene.works, scene.fails[AGAIN] = True, works, error
    assert scene.run().exit_code == 1
    assert (TAKE_BACK in scene.done) == back
    assert scene.written == ([REJOIN, END] if back else [REJOIN])
    assert scene.left != back


def test_what_was_just_pointed_and_does_not_start_is_taken_back(scene: Scene) -> None:
    scene.fails["Start replication"] = StatementFailed("db1", "follow", "no")
    assert scene.run().exit_code == 1
    assert scene.done[-1] == TAKE_BACK


def test_without_the_lock_nothing_is_taken_back(scene: Scene) -> None:
    scene.fails["Start replication"] = StatementFailed("db1", "follow", "no")
    scene.lost_in = "Start replication"
    outcome = scene.run()
    assert TAKE_BACK not in scene.done
    assert "was left" in outcome.notes[0]
    assert scene.written == [REJOIN], "who goes on with it looks what is done"
    assert scene.left


@pytest.mark.parametrize(
    ("changes", "back"),
    [
        ({"new": server(2)}, False),
        ({"replaced": None}, True),
        ({"replaced": None, "old": server(1, there())}, True),
        ({"replaced": None, "old": server(1, RUNS)}, False),
    ],
)
def test_a_passing_refusal_takes_nothing_back(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], back: bool
) -> None:
    taken: list[str] = []
    who = SimpleNamespace(old=SimpleNamespace(name="db1", hostname="db1"), config=SimpleNamespace(path="app1.cnf"))
    case = facts(unfinished=True, **changes)
    monkeypatch.setattr(deed, "look", lambda *_: case)
    monkeypatch.setattr(deed, "under_way", lambda _: None)
    monkeypatch.setattr(deed, "take_back_what_was_cut_short", lambda *_: taken.append("back"))
    with pytest.raises(RefusalError):
        deed._plan(cast(Any, who), cast(Any, None), How.FOLLOW, alone=False, dry_run=False)
    assert bool(taken) == back


def test_what_nobody_can_go_on_with_is_ended(tmp_path: Path) -> None:
    config = configured({}, manager_workdir=tmp_path)
    journal = Journal(tmp_path / "app1.rejoin-1.journal")
    journal.record(REJOIN, "began", OLD, pid=0, by="me", plan={"how": "follow"})
    journal.close()
    end_what_was_cut_short(config, last_of_each(tmp_path, "app1")[OLD], "it is unknown")
    last = last_of_each(tmp_path, "app1")[OLD]
    assert last.ended
    assert (last.by, last.plan) == ("me", {"how": "follow"})


def test_a_failover_does_not_wait_for_what_takes_long(scene: Scene) -> None:
    scene.how = How.REWIND
    assert scene.run().exit_code == 0
    assert scene.done[: len(REWIND)] == REWIND


def test_a_failover_meanwhile_has_it(scene: Scene) -> None:
    scene.how, scene.acting = How.REWIND, True
    outcome = scene.run()
    assert outcome.exit_code == 1
    assert "how far it came is remembered" in outcome.notes[0]
    assert scene.done == REWIND[:7], "no log is deleted"
    assert scene.left


def test_another_primary_by_then_is_not_followed(scene: Scene) -> None:
    scene.how, scene.fails[SAME] = How.REWIND, refused("cluster-changed")
    assert scene.run().exit_code == 1
    assert scene.done == REWIND[:8]


@pytest.mark.parametrize("acting", [False, True])
def test_what_differs_is_taken_back_under_the_lock_or_left_to_its_holder(scene: Scene, acting: bool) -> None:
    scene.how, scene.fails[COMPARE] = How.REWIND, StatementFailed("db1", "compare it", "app.t differ")

    def take() -> None:
        scene.done.append(LOCKED)
        if acting and COMPARE in scene.done:
            raise AlreadyActing("another manager holds the failover lock")

    scene._take = take  # type: ignore[method-assign]
    assert scene.run().exit_code == 1
    assert scene.done[-2:] == ([COMPARE, LOCKED] if acting else [LOCKED, TAKE_BACK])
    assert START not in scene.done


def test_one_at_a_time_where_the_lock_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured({}, manager_workdir=tmp_path)
    who = cast(WhoIsBack, SimpleNamespace(config=config, old=SimpleNamespace(address=OLD, name="db1")))
    journal = Journal(tmp_path / "app1.rejoin-1.journal")
    assert tasks.under_way(who) is None
    journal.record(REJOIN, "began", OLD, pid=os.getpid(), by="me", plan={"how": "rewind"})
    assert tasks.under_way(who) is None, "it is this one"
    monkeypatch.setattr(tasks.os, "getpid", lambda: 1)
    refusal = tasks.under_way(who)
    assert refusal is not None
    assert refusal.code == "already-rejoining"
    journal.record(REJOIN, LEFT, OLD)
    assert tasks.under_way(who) is None


@pytest.mark.parametrize(
    "plan",
    [
        "follow",
        {"how": "follow"},
        {"how": "sideways", "kind": "GTID"},
        {"how": "follow", "kind": "GTID", "position": 7},
    ],
)
def test_a_plan_of_another_version_is_a_sentence(tmp_path: Path, plan: object) -> None:
    config = configured({}, manager_workdir=tmp_path)
    journal = Journal(tmp_path / "app1.rejoin-1.journal")
    journal.record(REJOIN, "began", OLD, pid=0, by="me", plan=plan)
    journal.record("Point it at the new primary", "began", OLD)
    who = cast(WhoIsBack, SimpleNamespace(config=config, old=SimpleNamespace(address=OLD, name="db1")))
    with pytest.raises(RefusalError, match=r"cannot be read .* another version wrote it") as raised:
        take_back_what_was_cut_short(who, cast(Any, None))
    assert raised.value.refusal.code == "unknown-plan"
