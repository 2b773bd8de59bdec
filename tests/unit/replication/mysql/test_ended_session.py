"""Whoever ends a session waits for nobody: not for an answer, not for one that is being opened to a dark host."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from prefect_mha.config import ServerConfig
from prefect_mha.replication.errors import ServerUnreachable
from prefect_mha.replication.mysql import server as module
from prefect_mha.replication.mysql.server import Server


def configured(port: int) -> ServerConfig:
    here = "127.0.0.1"
    return ServerConfig(block="server1", hostname=here, ip=here, ssh_host=here, ssh_ip=here, port=port, user="mha")


@contextlib.contextmanager
def listener() -> Iterator[int]:
    """A port that takes calls and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_one_that_is_being_opened_is_closed_as_it_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at a host that is dark: nothing that could be broken off is there before TCP has answered."""
    began, may_go_on, closed = threading.Event(), threading.Event(), threading.Event()

    class Session:
        _sock = None

        def close(self) -> None:
            closed.set()

    def entered(*_: object) -> tuple[Session, bool]:
        began.set()
        may_go_on.wait(20)
        return Session(), False

    monkeypatch.setattr(module, "enter", entered)
    server = Server(configured(3306))
    failed: list[ServerUnreachable] = []

    def connect() -> None:
        try:
            server.connect()
        except ServerUnreachable as error:
            failed.append(error)

    opening = threading.Thread(target=connect)
    opening.start()
    assert began.wait(20)
    server.end()
    assert not closed.is_set()
    may_go_on.set()
    opening.join(20)
    assert closed.is_set()
    assert not server.connected
    assert "ended meanwhile" in str(failed[0])


def test_one_that_waits_for_an_answer_is_broken_off() -> None:
    with listener() as port:
        server = Server(configured(port))
        failed = threading.Event()

        def connect() -> None:
            with pytest.raises(ServerUnreachable):
                server.connect(timeout=30.0)
            failed.set()

        threading.Thread(target=connect).start()
        ends = time.monotonic() + 20.0
        while server._opening is None or server._opening._sock is None:
            assert time.monotonic() < ends
            time.sleep(0.01)
        server.end()
        assert failed.wait(20)
