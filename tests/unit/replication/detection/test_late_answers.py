"""A late answer is an answer: knocks and pings stay open, and how long answers take is remembered for an hour."""

from __future__ import annotations

import socket
import threading
import time

from prefect_mha.replication.detection.classic_rules import Ping
from prefect_mha.replication.detection.observation import Finding
from prefect_mha.replication.detection.round_trips import RoundTrips
from prefect_mha.replication.probes.pings import Pings
from prefect_mha.replication.probes.tcp import PortProbes


def test_a_greeting_that_comes_after_the_knock_was_over_is_heard_by_the_next() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        knocks = PortProbes(lambda: "127.0.0.1", server.getsockname()[1])
        assert knocks.probe(0.1)[0] is Finding.SILENT  # the kernel takes the connection
        first, _ = server.accept()
        first.send(b"J")
        found, why = knocks.probe(0.1)
        assert found is Finding.SLOW
        assert "after the knock" in why
        knocks.close()


def test_a_greeting_in_time_and_a_refusal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        knocks = PortProbes(lambda: "127.0.0.1", address[1], again=0.05)
        threading.Thread(target=lambda: server.accept()[0].send(b"J"), daemon=True).start()
        assert knocks.probe(1.0)[0] is Finding.ANSWERED
    assert knocks.probe(1.0) == (Finding.REFUSED, "connection refused")


def test_frozen_servers_knocks_do_not_pile_up() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=256) as server:
        knocks = PortProbes(lambda: "127.0.0.1", server.getsockname()[1], again=0.001)
        assert knocks.probe(0.2)[0] is Finding.SILENT
        assert len(knocks._open) <= 80
        knocks.close()


class SlowPinger:
    """A ping of it ends when it is let go."""

    connected = True

    def __init__(self) -> None:
        self.go, self.asked = threading.Event(), 0

    def ping(self, limit: float | None = None) -> tuple[Ping, str]:
        self.asked += 1
        return (Ping.ANSWERED, "") if self.go.wait(limit or 5.0) else (Ping.MISSED, "timed out")

    def abort(self) -> None:
        self.go.set()

    def close(self) -> None:
        self.go.set()


def test_a_ping_on_its_way_is_waited_for_and_heard_whenever_it_comes() -> None:
    pinger, trips = SlowPinger(), RoundTrips()
    pings = Pings(pinger, trips)  # type: ignore[arg-type]
    assert pings.ping(5.0, within=0.02) is None
    assert pings.now(5.0, within=0.02)[0] is Finding.SILENT
    assert pings.late() is None
    pinger.go.set()
    ends = time.monotonic() + 5.0
    while (late := pings.late()) is None:
        assert time.monotonic() < ends
        time.sleep(0.01)
    assert late[0] is Finding.ANSWERED
    assert pinger.asked == 1
    assert trips.longest() > 0.03
    pings.close()


def test_a_ping_that_was_missed_is_no_late_answer() -> None:
    pings = Pings(SlowPinger(), RoundTrips())  # type: ignore[arg-type]
    assert pings.ping(0.05, within=0.01) is None
    time.sleep(0.2)
    assert pings.late() is None
    pings.close()


def test_the_longest_answer_of_an_hour_and_no_longer() -> None:
    trips = RoundTrips()
    assert trips.longest() == 0.0
    trips.took(1.5, now=0.0)
    for minute in range(1, 59):
        trips.took(0.01, now=60.0 * minute)
        trips.took(0.02, now=60.0 * minute + 30)
    assert trips.longest(now=60.0 * 58) == 1.5
    assert trips.longest(now=60.0 * 58, minutes=2) == 0.02
    for minute in range(59, 200):
        trips.took(0.01, now=60.0 * minute)
    assert trips.longest(now=60.0 * 199) == 0.01
    assert len(trips._minutes) == 60


def test_a_limit_has_a_least_and_a_most() -> None:
    trips = RoundTrips()
    assert trips.limit(3.3, 2.0, 15.0) == 3.3
    trips.took(2.5)
    assert trips.limit(3.3, 2.0, 15.0) == 5.0
    trips.took(30.0)
    assert trips.limit(3.3, 2.0, 15.0) == 15.0
