"""The health port of a manager, beset by clients that say nothing, too slowly, or nonsense, while its primary dies."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cluster import Cluster
from tests.lab.waiting import until
from tests.lab.writer import Writer
from tests.scenarios.failing_over import assert_survivors_agree, finish

PORT = 8900
CLIENTS = 120
WORDS = (b"", b"G", b"GET /pri", b"\x16\x03\x01\x02\x00", b"X" * 4000, b"GET / HTTP/1.1\r\nHost: ")


class Beset:
    """So many connections, opened again when they are closed; every other one says a byte now and then."""

    def __init__(self, cluster: Cluster, address: str) -> None:
        self.opened, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._run, args=(cluster, address), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(10)

    def _run(self, cluster: Cluster, address: str) -> None:
        held: list[socket.socket] = []
        with cluster.in_manager_net():
            while not self._over.is_set():
                while len(held) < CLIENTS:
                    with contextlib.suppress(OSError):
                        made = socket.create_connection((address, PORT), 2)
                        made.setblocking(False)
                        made.send(WORDS[self.opened % len(WORDS)] or b"?")
                        held.append(made)
                    self.opened += 1
                for each in held[::2]:
                    with contextlib.suppress(OSError):
                        each.send(b"x")
                left = []
                for each in held:
                    try:
                        alive = each.recv(4096) != b""
                    except BlockingIOError:
                        alive = True
                    except OSError:
                        alive = False
                    if alive:
                        left.append(each)
                    else:
                        each.close()
                held = left
                self._over.wait(0.1)
        for each in held:
            each.close()


@contextlib.contextmanager
def beset(cluster: Cluster, address: str) -> Iterator[Beset]:
    clients = Beset(cluster, address)
    try:
        yield clients
    finally:
        clients.stop()


def threads(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("Threads:")[2].split()[0])


@pytest.mark.slow
def test_clients_that_hold_the_health_port_delay_no_failover_and_cost_no_threads() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        address = f"{cluster.subnet.prefix}.1"
        conf = cluster.write_cnf(candidate=2, default=f"health_port={PORT}\nhealth_address={address}")
        manager = cluster.start_manager(conf)
        try:
            before = threads(manager.process.pid)
            with beset(cluster, address) as clients, cluster.in_manager_net():
                until(lambda: clients.opened >= 3 * CLIENTS, lambda: clients.opened, 20.0)
                for _ in range(5):
                    began = time.monotonic()
                    with urllib.request.urlopen(f"http://{address}:{PORT}/primary", timeout=5) as answer:
                        assert answer.status == 200
                    assert time.monotonic() - began < 2.0
                assert threads(manager.process.pid) <= before + 3
                writer = Writer(cluster)
                while len(writer.acks()) < 50:
                    time.sleep(0.05)
                cluster[1].signal_mysqld(signal.SIGKILL)
                code, acks = finish(manager, writer)
            assert code == 0, manager.log()
            assert_survivors_agree(cluster, acks, 2, (3,))
        finally:
            manager.stop()
