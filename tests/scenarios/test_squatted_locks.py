"""Sessions of an account without any power hold MHA's named locks, which every account may, and take them again."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

import pymysql
import pytest

from prefect_mha.replication.coordination.failover_lock import FAILOVER_LOCK, MONITOR_LOCK
from prefect_mha.replication.coordination.quorum import STANDBY_LOCK
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.kinds import APP, APP_PASSWORD
from tests.lab.waiting import until
from tests.lab.writer import Writer
from tests.scenarios.failing_over import assert_survivors_agree, finish, kinds

KINDS = kinds("mariadb-gtid", slow=("9.7-gtid", "5.6-position"))


class Squatter:
    """``sessions`` of the application's account on each host that want one lock for ever; who is ended comes again."""

    def __init__(self, hosts: list[Host], lock: str, sessions: int = 3) -> None:
        self.ended, self._over = 0, threading.Event()
        self._connections: dict[int, pymysql.Connection] = {}
        self._threads = [
            threading.Thread(target=self._squat, args=(host, lock), daemon=True)
            for host in hosts
            for _ in range(sessions)
        ]
        for thread in self._threads:
            thread.start()
        until(lambda: not any(self.holder(host, lock) is None for host in hosts), "nobody got the lock", 20.0)

    @staticmethod
    def holder(host: Host, lock: str) -> int | None:
        return host.sql("SELECT IS_USED_LOCK(%s) AS n", (lock,))[0]["n"]

    def stop(self) -> None:
        self._over.set()
        for connection in list(self._connections.values()):
            with contextlib.suppress(pymysql.MySQLError, OSError, AttributeError):
                connection._sock.shutdown(2)  # type: ignore[attr-defined]
        for thread in self._threads:
            thread.join(10)

    def _squat(self, host: Host, lock: str) -> None:
        me = threading.get_ident()
        while not self._over.is_set():
            with contextlib.suppress(pymysql.MySQLError, OSError):
                connection = self._connections[me] = host.connect(user=APP, password=APP_PASSWORD, read_timeout=600)
                with connection.cursor() as cursor:
                    cursor.execute("SELECT GET_LOCK(%s, 600)", (lock,))
                    cursor.execute("SELECT SLEEP(600)")
            self.ended += 1
            self._over.wait(0.2)


@contextlib.contextmanager
def squatted(hosts: list[Host], lock: str) -> Iterator[Squatter]:
    squatter = Squatter(hosts, lock)
    try:
        yield squatter
    finally:
        squatter.stop()


def has_written(writer: Writer, rows: int = 50) -> None:
    until(lambda: len(writer.acks()) >= rows, "nothing is written", 20.0)


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_an_account_without_power_that_holds_the_locks_stops_no_failover(kind: str, gtid: bool) -> None:
    """The failover lock on every replica, before the manager looks and while it acts; the check names who it is."""
    with Cluster(kind, gtid=gtid) as cluster:
        with squatted(cluster.hosts[1:], FAILOVER_LOCK) as squatter:
            conf = cluster.write_cnf(candidate=2)
            checked = cluster.command("masterha_check_repl", f"--conf={conf}")
            assert f"({APP}@" in checked.output
            assert "named-locks" in checked.output or f"holds {FAILOVER_LOCK}" in checked.output
            manager = cluster.start_manager(conf)
            writer = Writer(cluster)
            has_written(writer)
            cluster[1].signal_mysqld(signal.SIGKILL)
            code, acks = finish(manager, writer)
            assert code == 0, manager.log()
            assert f"({APP}@" in manager.log()
            assert f"held {FAILOVER_LOCK}" in manager.log()
            assert squatter.ended
        assert_survivors_agree(cluster, acks, 2, (3,))


@pytest.mark.slow
@pytest.mark.parametrize("lock", [MONITOR_LOCK, STANDBY_LOCK])
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_an_account_without_power_has_no_vote_on_who_acts(kind: str, gtid: bool, lock: str) -> None:
    """It holds every server's lock of a manager that watches, or stands by, where there may be several managers."""
    with Cluster(kind, gtid=gtid) as cluster, squatted(cluster.hosts, lock):
        conf = cluster.write_cnf(candidate=2, default="managers=2")
        manager = cluster.start_manager(conf)
        writer = Writer(cluster)
        has_written(writer)
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        assert_survivors_agree(cluster, acks, 2, (3,))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_an_account_without_power_that_holds_the_locks_stops_no_switch(kind: str, gtid: bool) -> None:
    """Nor are its sessions spared where those of managers are."""
    with Cluster(kind, gtid=gtid) as cluster:
        with squatted(cluster.hosts, FAILOVER_LOCK), squatted(cluster.hosts[:1], MONITOR_LOCK):
            conf = cluster.write_cnf(candidate=2)
            done = cluster.command(
                "mha", "switchover", "--conf", str(conf), "--to", cluster[2].ip, "--keep-old-as-replica", "--yes"
            )
            assert done.code == 0, done
        assert cluster[2].replica_status() == {}
        assert cluster[1].replica_status()["Source_Host"] == cluster[2].ip
