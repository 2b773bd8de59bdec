"""Tables are compared without harm to the new primary, and without waiting for a server that is gone."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from prefect_mha.replication.errors import ServerBusy, ServerError, ServerGone, ServerUnreachable
from prefect_mha.replication.mysql.server import Server
from prefect_mha.replication.rejoin.diverged import equal


class Session:
    """Says what it was asked; ``lost`` from the statement on that begins so."""

    def __init__(self, lost: str = "") -> None:
        self.said: list[tuple[str, bool]] = []
        self._lost = lost

    def query(self, sql: str, *, same_session: bool = False, **_: Any) -> list[Any]:
        if self._lost and sql.startswith(self._lost):
            assert same_session, "a new session holds nothing"
            raise ServerUnreachable("db2", "query", "the session that this rests on has ended")
        self.said.append((sql, same_session))
        return []


def test_tables_of_the_primary_are_let_go_when_this_host_goes_dark() -> None:
    session = Session()
    with equal._held(cast(Server, session), ["app.t"]):
        assert len(session.said) == 2
    (wait, _), lock, let_go = session.said
    assert "wait_timeout = 20" in wait.split(",")[0]
    assert lock == ("LOCK TABLES `app`.`t` READ", True)
    assert let_go == ("UNLOCK TABLES", True)


def test_a_lock_that_was_lost_meanwhile_is_no_lock() -> None:
    with pytest.raises(ServerUnreachable), equal._held(cast(Server, Session("UNLOCK")), ["app.t"]):
        pass


@pytest.mark.parametrize(("said", "ended"), [(ServerGone, True), (ServerBusy, False)])
def test_a_sum_ends_with_its_server_and_no_sooner(
    monkeypatch: pytest.MonkeyPatch, said: type[ServerError], ended: bool
) -> None:
    asked, aborted = threading.Semaphore(0), threading.Event()

    def check(_: object) -> None:
        asked.release()
        raise said("db2", "see whether it lives", "no answer")

    monkeypatch.setattr(equal, "ASKED_EVERY", 0.001)
    monkeypatch.setattr(equal, "check_alive", check)
    monkeypatch.setattr(equal, "Server", lambda _: SimpleNamespace(close=lambda: None))
    session = cast(Server, SimpleNamespace(config=None, abort=aborted.set))
    with equal.ended_with_its_server(session):
        assert asked.acquire(timeout=10)
        assert aborted.wait(10) if ended else asked.acquire(timeout=10)
    assert aborted.is_set() == ended
    assert not any(thread.name == "lives it" for thread in threading.enumerate())
