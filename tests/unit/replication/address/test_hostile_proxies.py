"""Whoever answers in place of a proxy: it is that proxy's error, in time, and ends neither a check nor a failover."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from prefect_mha.replication.address import AddressChain
from prefect_mha.replication.address.proxies.haproxy import HaproxyProvider
from prefect_mha.replication.address.proxies.haproxy_socket import HaproxySocket, parse_state
from prefect_mha.replication.address.proxies.proxysql import ProxysqlProvider
from prefect_mha.replication.errors import AddressError
from tests.lab.hostile import ASKS, HostileServer, Way
from tests.unit.replication.address.test_proxysql import NEW, OLD, config

SECONDS, SLACK = 0.6, 25.0
#: Answers of an HAProxy; make test-all makes 10,000.
ROUNDS = int(os.environ.get("MHA_FUZZ", "400"))
COLUMNS = "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_port"
STATE = f"1\n# {COLUMNS}\n3 mha_writer 1 db1 {OLD.ip} 2 0 3306\n3 mha_writer 2 db2 {NEW.ip} 2 1 3306\n"
STAT = "# pxname,svname,scur,\nmha_writer,db1,4,\nmha_writer,db2,,\n"
ODD = [
    b"",
    b"Unknown command.\n",
    STATE.replace(" 2 0 ", " 2 x ").encode(),
    STATE.replace("be_name", "").encode(),
    STATE.replace("srv_admin_state", "other").encode(),
    STATE.encode().replace(b"db1", b"\xff\x1b[2J;shutdown"),
    b"# pxname,svname,scur\n" + b"x" * 300_000,
    b"# pxname,svname,scur\nmha_writer,db1,many\n",
    b"\0" * 1000,
]


@contextlib.contextmanager
def saying(answer: bytes) -> Iterator[str]:
    """A port that gives this answer to whatever it is asked."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.recv(4096)
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


#: What a session makes of all of them, `test_hostile_servers` shows; endless answers take a busy machine half a minute.
WAYS = [way for way in Way if way not in (*ASKS, Way.HUGE, Way.COLUMNS, Way.ROWS, Way.RESULTS)]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name.lower())
def test_no_proxysql_ends_a_move_whatever_it_says(way: Way) -> None:
    with HostileServer(way) as hostile:
        provider = ProxysqlProvider(config(f"127.0.0.1:{hostile.port}", vip_timeout=SECONDS))
        chain, began = AddressChain([provider], "go_on"), time.monotonic()
        assert all(not check.ok for check in provider.check() if check.name in ("proxysql", "proxysql-servers"))
        chain.release(OLD, reachable=True)
        assert all(half.failed for half in chain.acquire(NEW).halves)
        assert not all(check.ok for check in chain.verify(NEW))
        assert time.monotonic() - began < 4 * 3 * SECONDS + SLACK


@pytest.mark.parametrize("answer", ODD, ids=range(len(ODD)))
def test_no_haproxy_ends_a_move_whatever_it_says(answer: bytes) -> None:
    with saying(answer) as url:
        provider = HaproxyProvider(config(haproxy_sockets=(url,), vip_timeout=SECONDS), drain=SECONDS)
        chain = AddressChain([provider], "go_on")
        assert any(check.failed for check in provider.check())
        chain.release(OLD, reachable=True)
        assert all(half.failed for half in chain.acquire(NEW).halves)
        assert not all(check.ok for check in chain.verify(NEW))


def test_any_answer_of_a_haproxy_is_read_or_is_its_error() -> None:
    chance = random.Random(25)
    proxy = HaproxySocket("tcp://127.0.0.1:1", OLD, "", SECONDS)
    said = ""
    proxy.ask = lambda *_, **__: said  # type: ignore[method-assign]
    assert len(parse_state(STATE)) == 2
    for _ in range(ROUNDS):
        data = bytearray(chance.choice((STATE, STAT)).encode())
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(data))
            data[at : at + chance.randint(0, 3)] = bytes(chance.choices(b'\0\n\r,;#" \xff9x-', k=chance.randint(0, 3)))
            data = data or bytearray(b"x")
        said = data.decode("utf-8", "replace")
        with contextlib.suppress(AddressError):
            proxy.servers()
        with contextlib.suppress(AddressError):
            proxy.sessions(["mha_writer/db1"])
