"""Every connection of a server is taken (1040): the port that it keeps for administrators is the manager's way in.

A switch moves such a primary, a replica whose sessions with us broke is promoted, and what we open only to watch stays
out of the places that a DBA needs then.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest

from tests.lab.cluster import Cluster
from tests.lab.faults import end_sessions
from tests.lab.host import Host
from tests.lab.kinds import APP, APP_PASSWORD, REPL
from tests.scenarios.failing_over import kinds
from tests.scenarios.moving import wait_until
from tests.scenarios.test_who_is_primary import writable

MOST = 25
PORTS = {
    "mysql97": "admin_address=HOST\nadmin_port=33062\n",
    "mariadb": "extra_port=3307\nextra_max_connections=9\n",
}
NUMBERS = {"mysql97": 33062, "mariadb": 3307}
KINDS = kinds("mariadb-gtid", slow=("9.7-gtid", "9.7-position"))


def with_few(kind: str, *, port: bool = True) -> dict[int, str]:
    """Lines of my.cnf."""
    return {n: f"max_connections={MOST}\n{PORTS[kind] if port else ''}".replace("HOST", f"db{n}") for n in (1, 2, 3)}


@contextlib.contextmanager
def crowded(host: Host) -> Iterator[None]:
    """Applications have all of its connections, and the manager's sessions were ended; SUPER's place is free."""
    taken: list[pymysql.Connection[Any]] = []

    def take() -> None:
        with contextlib.suppress(pymysql.MySQLError):
            while len(taken) < 2 * MOST:
                taken.append(host.connect(user=APP, password=APP_PASSWORD))

    def taken_all() -> bool:
        take()
        with contextlib.suppress(pymysql.MySQLError), host.connect() as admin, admin.cursor() as cursor:
            end_sessions(admin, [admin])
            take()
            cursor.execute("SHOW PROCESSLIST")
            return sum(row["User"] in (APP, REPL) for row in cursor.fetchall()) == MOST
        return False

    try:
        wait_until(taken_all, "applications have every connection")
        yield
    finally:
        for connection in taken:
            connection.close()


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_a_switch_moves_a_primary_whose_connections_are_all_taken(kind: str, gtid: bool) -> None:
    """The command never saw it with a connection left: `admin_port` names the port."""
    with Cluster(kind, gtid=gtid, extra=with_few(kind)) as cluster:
        conf = cluster.write_cnf(candidate=2, default=f"admin_port={NUMBERS[kind]}")
        with crowded(cluster[1]):
            options = ("--master_state=alive", "--interactive=0", "--orig_master_is_new_slave")
            done = cluster.command("masterha_master_switch", f"--conf={conf}", *options)
            assert done.code == 0, done
        assert writable(cluster[2])
        assert cluster[1].replica_status()["Source_Host"] == cluster[2].ip


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_a_replica_whose_connections_are_all_taken_is_promoted(kind: str, gtid: bool) -> None:
    """The server itself told of the port when the manager looked at it first."""
    with Cluster(kind, gtid=gtid, extra=with_few(kind)) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2))
        with crowded(cluster[2]):
            cluster[1].signal_mysqld(signal.SIGKILL)
            wait_until(lambda: writable_by_port(cluster[2]), "db2 is open", 40.0)
        assert manager.wait(60.0) in (0, 10), manager.log()


def gets_in(host: Host) -> bool:
    with contextlib.suppress(pymysql.MySQLError), host.connect():
        return True
    return False


def writable_by_port(host: Host) -> bool:
    with host.connect(port=NUMBERS[host.kind.name]) as session, session.cursor() as cursor:
        cursor.execute("SELECT @@global.read_only AS r")
        row = cursor.fetchone()
    return row is not None and not int(row["r"])


@pytest.mark.slow
@pytest.mark.parametrize("port", [True, False], ids=["port", "super"])
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_who_watches_leaves_the_kept_places_to_a_dba(kind: str, gtid: bool, port: bool) -> None:
    """SUPER's one place, or MariaDB's two: the manager pings through them and is out again."""
    with Cluster(kind, gtid=gtid, extra=with_few(kind, port=port)) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2))
        with crowded(cluster[1]):
            for _ in range(10):
                wait_until(lambda: gets_in(cluster[1]), "a DBA gets in", 5.0)
        assert manager.process.poll() is None
        assert not list(manager.workdir.glob("*.failover-*.journal"))
