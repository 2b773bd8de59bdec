"""What the lines of another host's look mean; a host that reaches nobody has no view, and the manager's no voice."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prefect_mha.config import ServerConfig
from prefect_mha.replication.detection.observation import Finding, Observation, Observer
from prefect_mha.replication.probes.replica import independent, neighbours, said
from prefect_mha.replication.scripts import script


def server(number: int, ip: str = "", **more: object) -> ServerConfig:
    ip = ip or f"10.0.0.{number}"
    known = {"block": f"server{number}", "hostname": f"db{number}", "ip": ip, "ssh_host": f"db{number}", "ssh_ip": ip}
    return ServerConfig.model_validate(known | more)


@pytest.mark.parametrize(
    ("lines", "finding"),
    [
        ("server accepted\nserver greeted\ndone", Finding.ANSWERED),
        ("server refused\ndone", Finding.REFUSED),
        ("server accepted\nother greeted\ndone", Finding.SILENT),
        ("host accepted\nhost greeted\ndone", Finding.SILENT),
        ("other accepted\ndone", Finding.UNANSWERED),
        ("other refused\ndone", Finding.UNANSWERED),
        ("done", Finding.ALONE),
        ("", Finding.NO_VIEW),
        ("Welcome to db2, server greeted", Finding.NO_VIEW),
        ("Welcome to db2\nother accepted\ndone", Finding.UNANSWERED),
    ],
)
def test_what_a_host_sees(lines: str, finding: Finding) -> None:
    assert said(lines, neighbours=True)[0] is finding


def test_where_there_is_nobody_else_to_reach_silence_is_silence() -> None:
    assert said("done", neighbours=False)[0] is Finding.UNANSWERED


def test_whom_an_observer_must_reach() -> None:
    one, two, three, beside = server(1), server(2), server(3), server(4, "10.0.0.1", port=3307)
    assert neighbours(two, one, (two, three, beside)) == [three]


@pytest.mark.parametrize(
    ("observer", "finding", "counts"),
    [
        (server(2), Finding.UNANSWERED, True),
        (server(2, "127.0.0.1"), Finding.UNANSWERED, False),
        (server(2, beside_manager=True), Finding.UNANSWERED, False),
        (server(2, beside_manager=True), Finding.SILENT, False),
        (server(2, "10.0.0.1", port=3307), Finding.REFUSED, False),
        (server(2, beside_manager=True), Finding.ANSWERED, True),
        (server(2, "10.0.0.1", port=3307), Finding.ANSWERED, True),
    ],
)
def test_whose_silence_is_a_second_voice(observer: ServerConfig, finding: Finding, counts: bool) -> None:
    view = independent(Observation(Observer.OBSERVER, "db2", finding), observer, server(1))
    assert view.finding is (finding if counts else Finding.NO_VOICE)


@contextmanager
def port(greeting: bytes = b"") -> Iterator[int]:
    """A port that takes connections, and greets if there is something to say."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            taken = []
            while True:
                try:
                    taken.append(listening.accept()[0])
                except OSError:
                    return
                if greeting:
                    taken[-1].send(greeting)

        if greeting:
            threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def look(*words: object) -> str:
    done = subprocess.run(
        ["bash", "-s", "--", *map(str, words)], input=script("knock.sh"), capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_host_that_lacks_a_program_cannot_look(tmp_path: Path) -> None:
    for tool in ("timeout", "head", "sleep"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    done = subprocess.run(
        ["/bin/bash", "-s", "--", "1", "127.0.0.1", "1", "1"],
        input=script("knock.sh"),
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (9, "")


def test_the_script_tells_what_came_back() -> None:
    with port(b"\x05hello") as greets, port() as silent:
        assert said(look(1, "127.0.0.1", greets, 1), neighbours=False)[0] is Finding.ANSWERED
        assert said(look(1, "127.0.0.1", 1, greets), neighbours=False)[0] is Finding.REFUSED
        seen = look(1.2, "127.0.0.1", silent, greets, "127.0.0.1", greets, "127.0.0.1", 1)
        assert said(seen, neighbours=True)[0] is Finding.SILENT
        assert {"other greeted", "host greeted", "server accepted"} <= set(seen.splitlines())
        assert "other refused" not in seen


def test_a_neighbour_whose_sshd_cannot_be_reached_is_tried_at_its_servers_port() -> None:
    with port() as silent, port(b"\x05hello") as greets, socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        # Its kernel answers nobody once two connections wait to be taken.
        waiting = [socket.create_connection(full.getsockname())]
        seen = look(1.5, "127.0.0.1", silent, silent, *full.getsockname(), "127.0.0.1", greets)
        assert "other greeted" in seen.splitlines()
        assert "other accepted" in seen.splitlines()
        waiting[0].close()
