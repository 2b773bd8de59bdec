"""What applications write meanwhile keeps out of a replay what touches the same rows, and what builds upon that."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from prefect_mha.replication.binlog.rows.changes import Changes
from prefect_mha.replication.errors import LockLost, StatementFailed
from prefect_mha.replication.memory.journal import REJOIN, Journal
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.rejoin.diverged import own, replaying
from prefect_mha.replication.rejoin.diverged.comparison.choice import Choice
from prefect_mha.replication.rejoin.diverged.comparison.comparing import Comparing, Tail
from prefect_mha.replication.rejoin.diverged.comparison.sides import TheirLog
from prefect_mha.replication.rejoin.diverged.replaying import Replayed, replay
from prefect_mha.replication.rejoin.job import RejoinJob
from prefect_mha.replication.rejoin.remembered.rewound import replayed_since
from tests.unit.replication.binlog.rows.building import changes
from tests.unit.replication.build import configured
from tests.unit.replication.rejoin.diverged.test_comparing import T, insert


class Primary:
    """The new primary: what it committed is in its log, and so is what an application does just before a commit."""

    packet = 1 << 20

    def __init__(
        self, meanwhile: dict[int, Changes], refuses: frozenset[int] = frozenset(), before: Sequence[Changes] = ()
    ) -> None:
        self.place = BinlogPosition("new.000001", 4)
        self.committed: list[Changes] = []
        self.closed = False
        self._meanwhile, self._refuses = meanwhile, refuses
        self._log: list[Changes] = list(before)
        self._begun = 0

    def read(self) -> Iterator[Changes]:
        log, self._log = self._log, []
        yield from log

    @contextlib.contextmanager
    def transaction(self, transaction: Changes, *, named: bool = False) -> Iterator[None]:
        assert named
        number, self._begun = self._begun, self._begun + 1
        if number in self._refuses:
            raise StatementFailed("db2", "execute row events", "Duplicate entry", 1062)
        if number in self._meanwhile:
            self._log.append(self._meanwhile[number])
        yield
        self.committed.append(transaction)
        self._log.append(transaction)

    def while_it_lives(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def execute(self, sql: str) -> None:
        assert sql.startswith("BINLOG '")

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def run(tail: list[Changes], primary: Primary, may_commit: Callable[[], None] = lambda: None) -> Replayed:
        monkeypatch.setattr(replaying, "Session", lambda _: primary)
        comparing = Comparing(Tail(tail, {"app.t": T}))
        journal = Journal.new(tmp_path, "app1", REJOIN)
        (new,) = configured().servers
        done = replay(new, 102, comparing, cast(TheirLog, primary), Choice(all=True), journal, may_commit)
        assert replayed_since(tmp_path, "app1", new.address, 0.0) == primary.place
        assert primary.closed
        return done

    return run


def test_in_nobodys_way(replayed: Any) -> None:
    tail = [insert(1), changes(((1, "x"), (1, "y"))), insert(2)]
    primary = Primary({1: insert(50), 2: insert(51)})
    assert replayed(tail, primary) == Replayed((0, 1, 2), {})
    assert primary.committed == tail


def test_somebody_writes_the_same_row_while_it_is_replayed(replayed: Any) -> None:
    tail = [insert(1), insert(2), changes(((2, "x"), (2, "y"))), insert(3)]
    primary = Primary({1: insert(2, "by an application")})
    done = replayed(tail, primary)
    assert done.done == (0, 3)
    assert "changed a row" in done.left[1]
    assert "builds upon" in done.left[2]
    assert primary.committed == [tail[0], tail[3]]


def test_what_the_server_refuses_is_told_and_nothing_is_built_upon_it(replayed: Any) -> None:
    tail = [insert(1), changes(((1, "x"), None)), insert(3)]
    done = replayed(tail, Primary({}, frozenset({0})))
    assert done.done == (2,)
    assert "1062" in done.left[0]
    assert "builds upon" in done.left[1]


def test_a_row_too_large_for_a_statement_is_told(replayed: Any) -> None:
    primary = Primary({})
    primary.packet = 1000
    assert "max_allowed_packet is 1000" in replayed([insert(1)], primary).left[0]


def test_what_another_run_replayed_while_a_person_was_asked_is_not_done_again(replayed: Any) -> None:
    tail = [insert(1), changes(((9, "x"), (9, "y"))), insert(3)]
    primary = Primary({}, before=tail[:2])
    assert replayed(tail, primary) == Replayed((2,), {})
    assert primary.committed == tail[2:]


def test_what_an_application_does_just_the_same_in_the_last_moment_is_there(replayed: Any) -> None:
    tail = [changes(((1, "x"), (1, "y"))), insert(3)]
    primary = Primary({0: changes(((1, "x"), (1, "y")))})
    assert replayed(tail, primary) == Replayed((1,), {})
    assert primary.committed == tail[1:]


def test_what_the_server_refuses_because_somebody_did_just_the_same_is_there(replayed: Any) -> None:
    primary = Primary({1: insert(1)}, frozenset({0}))
    assert replayed([insert(1), insert(3)], primary) == Replayed((1,), {})


def test_without_the_lock_nothing_more_is_committed(replayed: Any) -> None:
    primary = Primary({})

    def lost() -> None:
        if primary.committed:
            raise LockLost("another manager may be acting by now")

    with pytest.raises(LockLost):
        replayed([insert(1), insert(2)], primary, lost)
    assert len(primary.committed) == 1
    assert primary.closed


def test_on_a_server_that_overwrites_nothing_is_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "executes_strictly", lambda _: False)
    sessions = SimpleNamespace(server=lambda _: None)
    job = cast(RejoinJob, SimpleNamespace(plan=SimpleNamespace(new="10.0.0.2:3306"), sessions=sessions))
    comparing = Comparing(Tail([insert(1), insert(2, table="app.u")], {"app.t": T}))
    against = own.Against(cast(own.Own, None), comparing, cast(TheirLog, Primary({})))
    done = own.replay_chosen(job, against, Choice(all=True), lambda: None)
    assert done.done == ()
    assert "slave_exec_mode" in done.left[0]
    assert "app.u is not there" in done.left[1]
