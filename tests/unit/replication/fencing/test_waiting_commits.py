"""A primary whose commits wait for nobody: their clients are cut off, and only then do they wait no longer."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from prefect_mha.replication.errors import CannotRemember, ServerBusy, StatementFailed
from prefect_mha.replication.fencing import waiting_commits
from prefect_mha.replication.fencing.waiting_commits import close_while_they_wait, wait_again, waiting_variable
from prefect_mha.replication.memory.journal import Journal
from prefect_mha.replication.memory.last_writable import ASKED_TO_CLOSE, CLOSED, OLD_PRIMARY, TAKEN_OVER, WAITED_BY
from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.mysql.dialects import Dialect
from prefect_mha.replication.planning.reopening import Reopening
from prefect_mha.replication.watch import reopen
from prefect_mha.tasks import comeback
from tests.unit.replication.build import configured

SWITCH = "rpl_semi_sync_source_enabled"


class Fake:
    """A server that is being closed by session 7, and whose commits wait as long as the switch is on."""

    thread_id = 7
    config = None
    dialect = Dialect(Vendor.MARIADB, (10, 11, 14), False, False, False)
    full = False

    def __init__(self) -> None:
        self.on, self.closing, self.said = threading.Event(), threading.Event(), list[str]()
        self.on.set()
        self.off = threading.Event()

    def query(self, sql: str, args: Any = (), *, action: str) -> list[dict[str, object]]:
        assert action
        if sql == "SHOW PROCESSLIST":
            state = "Waiting for global read lock" if self.closing.is_set() else "init"
            waits = "Waiting for semi-sync ACK from slave" if self.on.is_set() and not self.off.is_set() else None
            return [{"Id": 7, "State": state}, {"Id": 8, "State": waits}, {"Id": 9, "State": "Commit"}]
        if sql.startswith("SHOW"):
            return [{"Variable_name": SWITCH, "Value": "ON" if self.on.is_set() else "OFF"}]
        self.said.append(sql)
        (self.off if sql.endswith("= 0") else self.on).set()
        return []

    def connect(self) -> None:
        """A session beside it."""
        if self.full:
            raise ServerBusy("db1", "connect", "Too many connections", 1040)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    fake = Fake()
    monkeypatch.setattr(waiting_commits, "Server", lambda _: fake)
    return fake


def test_they_are_let_go_once_the_statement_that_closes_waits(server: Any) -> None:
    order: list[str] = []

    def close() -> None:
        assert not server.off.wait(0.2), "let go while new commits get through"
        server.closing.set()
        assert server.off.wait(5)
        order.append("closed")

    def end(_: object, kill: str) -> int:
        order.append(kill)
        return 3

    assert waiting_variable(server) == SWITCH

    def note(variable: str) -> None:
        assert server.said == [], "switched off before it was written down"
        order.append(variable)

    assert close_while_they_wait(server, SWITCH, close, end, note) == 3
    assert order == ["KILL SOFT CONNECTION", SWITCH, "closed"]
    assert server.said == [f"SET GLOBAL {SWITCH} = 0"]


def test_a_kill_that_lets_a_group_of_commits_go_is_none_of_those_that_come_first(server: Any) -> None:
    """MariaDB's KILL of the one that waits for its group acknowledges the others."""
    order: list[tuple[str, bool]] = []

    def close() -> None:
        server.closing.set()
        assert hard.wait(5)

    def end(_: object, kill: str) -> int:
        order.append((kill, server.off.is_set()))
        if kill == "KILL":
            hard.set()
        return 3

    hard = threading.Event()
    assert close_while_they_wait(server, SWITCH, close, end, lambda _: None) == 3
    assert order == [("KILL SOFT CONNECTION", False), ("KILL", True)]
    assert Dialect(Vendor.MYSQL, (9, 7, 4), True, True, True).kill_unheard == "KILL"


def test_where_nobody_waits_once_the_clients_are_cut_off_nothing_is_switched(server: Any) -> None:
    gone = threading.Event()

    def close() -> None:
        server.closing.set()
        assert gone.wait(5)

    def end(*_: object) -> int:
        gone.set()
        return 1

    assert close_while_they_wait(server, SWITCH, close, end, lambda _: None) == 1
    assert server.said == []


def test_where_every_connection_is_taken_the_session_that_closes_makes_room_first(server: Any) -> None:
    server.full = True
    ended: list[tuple[bool, str]] = []

    def close() -> None:
        server.closing.set()
        assert server.off.wait(5)

    def end(_: object, kill: str) -> int:
        ended.append((server.closing.is_set(), kill))
        return 1

    assert close_while_they_wait(server, SWITCH, close, end, lambda _: None) == 2
    assert ended == [(False, "KILL SOFT CONNECTION"), (True, "KILL SOFT CONNECTION")]


def test_what_cannot_be_written_down_is_not_done(server: Any) -> None:
    """Nobody would know that it is to be taken back."""

    def refuse(_: str) -> None:
        raise CannotRemember("the disk is full")

    def close() -> None:
        server.closing.set()
        assert not server.off.wait(0.3)
        raise StatementFailed("db1", "set read_only", "Lock wait timeout exceeded", 1205)

    with pytest.raises(StatementFailed):
        close_while_they_wait(server, SWITCH, close, lambda *_: 0, refuse)
    assert f"SET GLOBAL {SWITCH} = 0" not in server.said


def test_only_a_variable_by_which_commits_wait_is_switched_on(server: Any) -> None:
    for name in (SWITCH, "", "read_only"):
        wait_again(server, name)
    assert server.said == [f"SET GLOBAL {SWITCH} = 1"]


def test_who_is_opened_again_waits_first(server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = configured({}, {}, {}).model_copy(update={"manager_workdir": tmp_path})
    dead = config.servers[0]
    monkeypatch.setattr(comeback, "Server", lambda _: server)
    monkeypatch.setattr(comeback, "open_for_writes", lambda _: server.said.append("open"))
    with closing(Journal(tmp_path / f"{config.name}.failover-1.journal")) as journal:
        journal.record(OLD_PRIMARY, ASKED_TO_CLOSE, dead.address, **{WAITED_BY: SWITCH})
        journal.record(OLD_PRIMARY, CLOSED, dead.address, how="set read-only")
        job: Any = SimpleNamespace(dead=dead, config=config, journal=journal, past=())
        comeback.reopen.fn(job, "it was never dead")
        assert server.said == [f"SET GLOBAL {SWITCH} = 1", "open"]
        comeback.reopen.fn(job, "again")
        assert server.said[2:] == ["open"]


def test_a_watch_that_opens_what_a_killed_failover_closed_lets_it_wait_first(
    server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = configured({}, {}, {}).model_copy(update={"manager_workdir": tmp_path})
    primary = config.servers[0]
    server.key = primary.address
    with closing(Journal(tmp_path / f"{config.name}.failover-1.journal")) as journal:
        journal.record(OLD_PRIMARY, ASKED_TO_CLOSE, primary.address, **{WAITED_BY: SWITCH})
        journal.record(OLD_PRIMARY, TAKEN_OVER, primary.address)
    monkeypatch.setattr(reopen, "FailoverLock", MagicMock())
    monkeypatch.setattr(reopen, "open_for_writes", lambda *_: server.said.append("open"))
    sessions, right = MagicMock(), MagicMock()
    sessions.server.return_value = server
    watch = reopen.Reopener(config, primary, sessions, right)
    judged = SimpleNamespace(act=Reopening.OPEN, why="nobody else took writes")
    monkeypatch.setattr(watch, "_judged", lambda **_: reopen.Looked((), judged, 1000))  # type: ignore[arg-type]
    for _ in range(2):
        looked = watch._opened()
        assert looked is not None
        assert looked.opened
    assert server.said == [f"SET GLOBAL {SWITCH} = 1", "open", "open"]


def test_where_it_cannot_be_closed_they_wait_again(server: Any) -> None:
    def close() -> None:
        server.closing.set()
        assert server.off.wait(5)
        raise StatementFailed("db1", "set read_only", "Lock wait timeout exceeded", 1205)

    with pytest.raises(StatementFailed):
        close_while_they_wait(server, SWITCH, close, lambda *_: 0, lambda _: None)
    assert server.said == [f"SET GLOBAL {SWITCH} = {value}" for value in (0, 1)]


def test_who_is_late_lets_nobody_go_once_it_could_not_be_closed(server: Any) -> None:
    """Its clients were being cut off when the statement that closes gave up: commits wait on."""
    begun, failed = threading.Event(), threading.Event()

    def close() -> None:
        server.closing.set()
        assert begun.wait(5)
        failed.set()
        raise StatementFailed("db1", "set read_only", "Lock wait timeout exceeded", 1205)

    def end(*_: object) -> int:
        begun.set()
        assert failed.wait(5)
        return 1

    noted: list[str] = []
    with pytest.raises(StatementFailed):
        close_while_they_wait(server, SWITCH, close, end, noted.append)
    assert noted == []
    assert f"SET GLOBAL {SWITCH} = 0" not in server.said
