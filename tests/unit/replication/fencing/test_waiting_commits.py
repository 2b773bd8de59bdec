"""A primary whose commits wait for nobody is closed first, and only then do they wait no longer."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from prefect_mha.replication.errors import StatementFailed
from prefect_mha.replication.fencing import waiting_commits
from prefect_mha.replication.fencing.waiting_commits import close_while_they_wait, waiting_variable

SWITCH = "rpl_semi_sync_source_enabled"


class Fake:
    """A server that is being closed by session 7, and whose commits wait as long as the switch is on."""

    thread_id = 7
    config = None

    def __init__(self) -> None:
        self.on, self.closing, self.said = threading.Event(), threading.Event(), list[str]()
        self.on.set()
        self.off = threading.Event()

    def query(self, sql: str, args: Any = (), *, action: str) -> list[dict[str, object]]:
        assert action
        if sql == "SHOW PROCESSLIST":
            state = "Waiting for global read lock" if self.closing.is_set() else "init"
            return [{"Id": 7, "State": state}, {"Id": 8, "State": None}]
        if sql.startswith("SHOW"):
            return [{"Variable_name": SWITCH, "Value": "ON" if self.on.is_set() else "OFF"}]
        self.said.append(sql)
        (self.off if sql.endswith("= 0") else self.on).set()
        return []

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

    def end(_: object) -> int:
        order.append("ended")
        return 3

    assert waiting_variable(server) == SWITCH
    assert close_while_they_wait(server, SWITCH, close, end) == 3
    assert order == ["ended", "closed"]
    assert server.said == [f"SET GLOBAL {SWITCH} = 0"]


def test_where_it_cannot_be_closed_they_wait_again(server: Any) -> None:
    def close() -> None:
        server.closing.set()
        assert server.off.wait(5)
        raise StatementFailed("db1", "set read_only", "Lock wait timeout exceeded", 1205)

    with pytest.raises(StatementFailed):
        close_while_they_wait(server, SWITCH, close, lambda _: 0)
    assert server.said == [f"SET GLOBAL {SWITCH} = {value}" for value in (0, 1)]
