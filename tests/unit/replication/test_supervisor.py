"""What systemd hears of a process, on a socket as its own is."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_mha.replication.supervisor import STILL, Supervisor


@pytest.fixture
def notified(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


def supervised(notified: socket.socket, watchdog: float = 0.0, pid: int = 0) -> Supervisor:
    environment = {"NOTIFY_SOCKET": notified.getsockname()}
    if watchdog:
        environment |= {"WATCHDOG_USEC": str(int(watchdog * 1e6)), "WATCHDOG_PID": str(pid or os.getpid())}
    return Supervisor(environment, os.getpid())


def heard(notified: socket.socket) -> list[str]:
    """Everything that has come by now."""
    notified.setblocking(False)
    found = []
    try:
        while True:
            found.append(notified.recv(4096).decode())
    except BlockingIOError:
        return found


def test_it_is_ready_once_and_says_what_it_does_in_one_line(notified: socket.socket) -> None:
    supervisor = supervised(notified)
    supervisor.ready()
    supervisor.ready()
    supervisor.says("app1: PING_OK\nREADY=0")
    assert heard(notified) == ["READY=1", "STATUS=app1: PING_OK READY=0"]


def test_an_abstract_socket_is_one_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0mha-test-{os.getpid()}")
        Supervisor({"NOTIFY_SOCKET": f"@mha-test-{os.getpid()}"}, 1).ready()
        assert heard(listening) == ["READY=1"]


def test_without_systemd_nothing_is_sent_and_nobody_who_is_gone_is_an_error(tmp_path: Path) -> None:
    Supervisor({}, 1).ready()
    Supervisor({"NOTIFY_SOCKET": str(tmp_path / "gone")}, 1).ready()


def test_whoever_does_not_read_is_not_waited_for(notified: socket.socket) -> None:
    supervisor = supervised(notified)
    began = time.monotonic()
    for _ in range(2000):
        supervisor.says("x" * 1000)
    assert time.monotonic() - began < 5.0


def test_a_watch_that_goes_on_feeds_the_watchdog_and_one_that_stands_still_does_not(notified: socket.socket) -> None:
    supervisor = supervised(notified, 0.4)
    pulse = supervisor.pulse("app1")
    assert notified.recv(100) == b"WATCHDOG=1"
    pulse.beat()
    ends = time.monotonic() + 5
    while not supervisor.stands_still(time.monotonic()):
        assert time.monotonic() < ends
        time.sleep(0.01)
    heard(notified)
    notified.settimeout(0.6)
    with pytest.raises(TimeoutError):
        notified.recv(100)
    pulse.beat()
    assert notified.recv(100) == b"WATCHDOG=1"


def test_one_of_many_that_stands_still_is_seen_and_not_while_another_acts(notified: socket.socket) -> None:
    supervisor = supervised(notified, 60.0)
    first, second = supervisor.pulse("app1"), supervisor.pulse("app2")
    first.beat()
    second.beat(1000.0)
    late = time.monotonic() + STILL * 60.0 + 1.0
    assert supervisor.stands_still(late) == "app1"
    with second.acting():
        assert supervisor.stands_still(late) == ""
    assert supervisor.stands_still(late) == "app1"
    first.rest()
    assert supervisor.stands_still(late) == ""


def test_a_watchdog_of_another_process_is_not_ours_to_feed(notified: socket.socket) -> None:
    assert supervised(notified, 5.0, pid=os.getpid() + 1).seconds == 0.0
