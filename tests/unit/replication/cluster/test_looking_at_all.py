"""How long a look at all servers waits for who has not said a word."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from prefect_mha.config import ClusterConfig
from prefect_mha.replication.cluster.pool import ONCE_MORE, ConnectionPool
from prefect_mha.replication.mysql.server import Server
from tests.lab.hostile import HostileServer, Way
from tests.unit.replication.mysql.test_hostile_servers import config_of

#: Seconds that who has answered is waited for; nobody here may cost as much, on a busy machine either.
LONG = 60.0


def sessions_with(port: int) -> ConnectionPool:
    return ConnectionPool(ClusterConfig(name="app1", path=Path("app1.cnf"), servers=(config_of(port),)))


@pytest.mark.parametrize("way", [Way.SILENT, Way.NO_ANSWER, Way.SLOW_ANSWER], ids=lambda way: way.name.lower())
def test_a_session_on_which_nothing_was_answered_is_none(way: Way) -> None:
    with HostileServer(way) as hostile:
        sessions = sessions_with(hostile.port)
        began = time.monotonic()
        looked = sessions.observe(timeout=LONG, unconnected=0.5)
        assert time.monotonic() - began < LONG / 2
        assert [down.key for down in looked.down] == [f"127.0.0.1:{hostile.port}"]
        sessions.close()


def test_the_seconds_count_from_when_it_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "TIMEOUT", 3.0)
    with HostileServer(Way.NO_ANSWER) as hostile:
        sessions = sessions_with(hostile.port)
        server = sessions.server(f"127.0.0.1:{hostile.port}")
        assert server.silent_for == 0.0
        asking = threading.Thread(target=lambda: sessions.observe(timeout=LONG, unconnected=LONG), daemon=True)
        asking.start()
        ends = time.monotonic() + 20.0
        while not (server.silent_for or 0.0) > 0.3:
            assert time.monotonic() < ends
            time.sleep(0.02)
        began = time.monotonic()
        assert sessions.observe(timeout=LONG, unconnected=0.3).down
        assert time.monotonic() - began < LONG / 2
        asking.join(20.0)
        assert not asking.is_alive(), "who still waited for it was let go"
        sessions.close()


def test_who_owes_an_earlier_look_its_answer_is_not_waited_for_as_long_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answered on its session before, and stands still now: each further look cost another four seconds."""
    sessions, awake = sessions_with(1), threading.Event()
    server = sessions.server("127.0.0.1:1")
    monkeypatch.setattr(Server, "silent_for", None)
    monkeypatch.setattr(server, "observe", lambda: awake.wait(LONG))
    assert sessions.observe(timeout=0.1).down
    began = time.monotonic()
    assert sessions.observe(timeout=LONG, unconnected=0.1).down
    assert ONCE_MORE <= time.monotonic() - began < LONG / 2
    awake.set()
    sessions.close()


def test_who_has_no_session_after_the_warming_is_named() -> None:
    with HostileServer(Way.SILENT) as hostile:
        sessions = sessions_with(hostile.port)
        assert sessions.warm(timeout=1.0) == {f"127.0.0.1:{hostile.port}"}
        sessions.close()
