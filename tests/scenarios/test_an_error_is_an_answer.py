"""Whatever a server says in its own protocol, it lives: no failover, no kill, and people are told within two pings."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from prefect_mha.config import ClusterConfig, load_cluster
from prefect_mha.replication.cluster.pool import ConnectionPool
from prefect_mha.replication.detection.classic_rules import Ping
from prefect_mha.replication.probes.ping import Pinger
from prefect_mha.replication.watch.listener import Listener
from prefect_mha.tasks.detect import confirm_dead, watch
from tests.lab.stub_errors import ErrorServer, Moment

#: Every number that MySQL and MariaDB give to what clients are told, and what proxies in between say.
NUMBERS = (*range(1000, 2100), *range(3000, 5300), 9001, 13000, 40000, 65535)
#: What they say to whom they do not let in, or not now (the issue's list, and what else is known of it).
TOLD = (
    *(1040, 1041, 1042, 1043, 1044, 1045, 1047, 1053, 1129, 1130, 1135, 1142, 1152, 1184, 1203, 1205, 1226, 1227, 1251),
    *(1275, 1290, 1524, 1698, 1820, 1862, 1927, 2013, 3032, 3118, 3159, 3169, 3955, 4031, 4151),
)
SAYS = (Moment.CONNECT, Moment.LOGIN, Moment.PING)


def cluster_of(tmp_path: Path, ports: tuple[int, ...], **settings: Any) -> ClusterConfig:
    """Three servers on the loopback; nobody gets in over SSH, so there is no other view."""
    tmp_path.mkdir(parents=True, exist_ok=True)
    lines = [f"{name}={value}" for name, value in settings.items()]
    text = "\n".join(["[server default]", f"manager_workdir={tmp_path}", "user=u", "password=p", "repl_user=r", *lines])
    for number, port in enumerate(ports, 1):
        text += f"\n[server{number}]\nhostname=127.0.0.1\nport={port}\nssh_port=9\n"
    path = tmp_path / "app1.cnf"
    path.write_text(text)
    return load_cluster(str(path), None)


@pytest.mark.parametrize("moment", SAYS, ids=lambda moment: moment.name.lower())
def test_an_error_of_any_number_is_an_answer_to_a_ping(moment: Moment, tmp_path: Path) -> None:
    with ErrorServer(moment) as server:
        pinger = Pinger(cluster_of(tmp_path, (server.port,)), cluster_of(tmp_path, (server.port,)).servers[0])
        for server.number in NUMBERS:
            ping, said = pinger.ping()
            assert ping is Ping.ALIVE_BUT_REFUSED, said
            assert f"error {server.number}: says the stub" in said
        pinger.close()


@pytest.mark.parametrize(
    ("moment", "ping", "words"),
    [
        (Moment.PLUGIN, Ping.ALIVE_BUT_REFUSED, "caching_sha2_password"),
        (Moment.TLS, Ping.ALIVE_BUT_REFUSED, "TLS cannot be agreed on"),
        (Moment.NOTHING, Ping.MISSED, "timed out"),
        (Moment.NOT_LISTENED, Ping.MISSED, "Lost connection"),
    ],
    ids=lambda value: value.name.lower() if isinstance(value, Moment) else "",
)
def test_what_is_no_number_but_an_answer_and_what_is_none(
    moment: Moment, ping: Ping, words: str, tmp_path: Path
) -> None:
    with ErrorServer(moment) as server:
        config = cluster_of(tmp_path, (server.port,))
        seen, said = Pinger(config, config.servers[0]).ping()
    assert (seen, words in said) == (ping, True), said


def test_an_error_without_a_reason_is_an_answer(tmp_path: Path) -> None:
    for moment in SAYS:
        with ErrorServer(moment, 1045, text="") as server:
            config = cluster_of(tmp_path, (server.port,))
            assert Pinger(config, config.servers[0]).ping()[0] is Ping.ALIVE_BUT_REFUSED


class Told(Listener):
    """What a watch tells, and when."""

    def __init__(self) -> None:
        self.alarms: list[str] = []
        self.recoveries: list[str] = []
        self.answers = 0

    def answered(self) -> None:
        self.answers += 1

    def alarm(self, why: str) -> None:
        self.alarms.append(why)

    def recovered(self, why: str) -> None:
        self.recoveries.append(why)


@contextmanager
def watched(
    moment: Moment, number: int, detection: str, directory: Path, others: tuple[int, ...]
) -> Iterator[tuple[ErrorServer, Told, Any]]:
    """A watch over a primary that refuses; its replicas answer, and no host can be asked for its view."""
    with ErrorServer(moment, number) as primary:
        ports = (primary.port, *others)
        config = cluster_of(directory, ports, ping_interval=1, detection=detection, ssh_connection_timeout=1)
        sessions, stop, told = ConnectionPool(config), threading.Event(), Told()
        with ThreadPoolExecutor(1) as pool:
            end = pool.submit(watch, config, config.servers[0], sessions, stop, told)
            try:
                yield primary, told, end
            finally:
                stop.set()
                sessions.close()


@pytest.mark.parametrize(
    "moments", [pytest.param(1, id="one moment"), pytest.param(3, id="each moment", marks=pytest.mark.slow)]
)
def test_no_error_at_all_is_a_death_and_people_are_told_at_the_second_ping(moments: int, tmp_path: Path) -> None:
    """Every number at once, each with a watch of its own, for longer than four missed pings; each detection in turn."""
    numbered = [(SAYS[(n + m) % 3], number) for n, number in enumerate(TOLD) for m in range(moments)]
    cases = [
        (*case, detection)
        for n, case in enumerate((*numbered, *2 * ((Moment.PLUGIN, 0), (Moment.TLS, 0))))
        for detection in (("fast", "classic") if moments > 1 else (("fast", "classic")[(n // 2) % 2],))
    ]
    with ExitStack() as stack:
        others = tuple(stack.enter_context(ErrorServer(Moment.NONE)).port for _ in range(2))
        watches = [
            (case, stack.enter_context(watched(*case, tmp_path / str(n), others))) for n, case in enumerate(cases)
        ]
        time.sleep(7.0)
        for case, (server, told, end) in watches:
            assert not end.done(), (case, end.result())
            assert len(told.alarms) == 1, (case, told.alarms)
            assert "lives and refuses our pings" in told.alarms[0]
            assert told.recoveries == []
            server.moment = Moment.NONE
        ends = time.monotonic() + 15.0
        while any(not told.recoveries for _, (_, told, _) in watches) and time.monotonic() < ends:
            time.sleep(0.1)
        for case, (_, told, end) in watches:
            assert not end.done(), case
            assert told.recoveries == ["the primary takes our pings again"], (case, told.recoveries)


def test_a_person_is_not_told_that_it_is_dead_either(tmp_path: Path) -> None:
    for moment in (*SAYS, Moment.PLUGIN, Moment.TLS):
        with ErrorServer(moment, 1862) as primary, ErrorServer(Moment.NONE) as other:
            config = cluster_of(tmp_path, (primary.port, other.port))
            sessions = ConnectionPool(config)
            verdict = confirm_dead.fn(config, config.servers[0], sessions)
            sessions.close()
        assert not verdict.dead
        assert "is reachable via MySQL" in verdict.why


def test_a_disk_error_of_the_insert_ping_is_looked_at_and_not_asked_for_without_pause(tmp_path: Path) -> None:
    """Nobody can look at the disk: it is told, and pinged at the usual pace."""
    with ErrorServer(Moment.PING, 1021, "Disk full") as primary, ErrorServer(Moment.NONE) as other:
        config = cluster_of(tmp_path, (primary.port, other.port), ping_interval=1, ping_type="INSERT")
        sessions, stop, told = ConnectionPool(config), threading.Event(), Told()
        with ThreadPoolExecutor(1) as pool:
            end = pool.submit(watch, config, config.servers[0], sessions, stop, told)
            time.sleep(6.0)
            assert not end.done()
            stop.set()
            sessions.close()
    assert len(told.alarms) == 1
    assert "Disk full" in told.alarms[0]
    assert primary.asked < 30, "a session a ping, a knock and a written row a round"
    assert len(list(tmp_path.glob("*.incident-*.jsonl"))) <= 3
