"""A living primary refuses the account of the manager, in ways of real servers: told at once, nothing touched."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pymysql
import pytest

from tests.lab import faults
from tests.lab.cluster import Cluster, Manager
from tests.lab.host import Host
from tests.lab.kinds import ADMIN, ADMIN_PASSWORD
from tests.lab.waiting import until
from tests.lab.writer import Writer
from tests.scenarios.failing_over import assert_survivors_agree, finish, promoted

WATCHER, PASSWORD = "watcher", "watcher-pw"
ACCOUNT = f"'{WATCHER}'@'%'"
KINDS = {
    "5.6": ("mysql56", False),
    "9.7": ("mysql97", True),
    "mariadb": ("mariadb", True),
}
#: Seconds of each refusal: well past MHA's four misses.
LASTS = 7.0


def end_sessions(host: Host) -> None:
    """Those of the manager."""
    for row in host.sql("SHOW PROCESSLIST"):
        if row["User"] == WATCHER:
            with suppress(pymysql.MySQLError):
                host.sql(f"KILL {row['Id']}")


def says(statement: str) -> Callable[[Cluster], None]:
    """It replicates, as what an administrator types does; the manager loses every server at once."""

    def strike(cluster: Cluster) -> None:
        cluster[1].sql(statement.format(ACCOUNT))
        time.sleep(0.3)
        for host in cluster.hosts:
            end_sessions(host)

    return strike


def blocked(cluster: Cluster) -> None:
    """Connections from the manager's host that end without a login, and then its sessions."""
    cluster[1].sql("SET GLOBAL max_connect_errors=1")
    with cluster.in_manager_net():
        for _ in range(3):
            with socket.create_connection((cluster[1].ip, 3306), 2.0) as connection:
                connection.recv(64)
                connection.sendall(b"\x00")
    # From now on only its own host gets in.
    for line in on_its_host(cluster[1], "SHOW PROCESSLIST").splitlines():
        number, user, *_ = line.split("\t")
        if user == WATCHER:
            on_its_host(cluster[1], f"KILL {number}")


def on_its_host(host: Host, statement: str) -> str:
    return host.run(f"mysql -N -B -u{ADMIN} -p{ADMIN_PASSWORD} -e '{statement}'")


@dataclass(frozen=True)
class Refusal:
    """What is done, what the log then says, and how it is fixed."""

    strike: Callable[[Cluster], None]
    errors: tuple[int, ...]
    fix: Callable[[Cluster], object]
    kinds: tuple[str, ...]
    cnf: str = ""


def runs(statement: str) -> Callable[[Cluster], object]:
    return lambda cluster: cluster[1].sql(statement.format(ACCOUNT))


def password_given(cluster: Cluster) -> None:
    word = f"'{PASSWORD}'" if cluster.kind.modern else f"PASSWORD('{PASSWORD}')"
    cluster[1].sql(f"SET PASSWORD FOR {ACCOUNT} = {word}")


QUERIES = "GRANT USAGE ON *.* TO {} WITH MAX_QUERIES_PER_HOUR"
REFUSALS = {
    "password expired": Refusal(
        says("ALTER USER {} PASSWORD EXPIRE"), (1820, 1862), password_given, ("mariadb", "9.7", "5.6")
    ),
    "account locked": Refusal(
        says("ALTER USER {} ACCOUNT LOCK"), (3118, 4151), runs("ALTER USER {} ACCOUNT UNLOCK"), ("mariadb", "9.7")
    ),
    "queries used up": Refusal(says(f"{QUERIES} 3"), (1226,), runs(f"{QUERIES} 0"), ("mariadb", "5.6")),
    "host blocked": Refusal(
        blocked,
        (1129,),
        lambda cluster: on_its_host(cluster[1], "FLUSH HOSTS"),
        ("mariadb",),
        "skip-name-resolve=0",
    ),
}


def given_views(cluster: Cluster, views: str, stack: ExitStack) -> None:
    """Who may look: everybody, nobody over SSH, or hosts of replicas that have no bash to look with."""
    if views == "no ssh":
        for host in cluster.hosts:
            stack.enter_context(faults.without_ssh(host))
    elif views == "no bash":
        for host in cluster.hosts[1:]:
            host.run("sed -i 's#:/bin/bash#:/bin/sh#' /etc/passwd && mv /bin/bash /bin/was-bash")


@contextmanager
def refused(cluster: Cluster, refusal: Refusal, views: str, tmp: Path) -> Iterator[Manager]:
    """A manager with an account of its own, which is refused for a while; nothing may be touched by it."""
    cluster[1].sql(f"CREATE USER {ACCOUNT} IDENTIFIED BY '{PASSWORD}'")
    cluster[1].sql(f"GRANT ALL ON *.* TO {ACCOUNT}")
    told = tmp / "told"
    hook = tmp / "hook.sh"
    hook.write_text(f'#!/bin/sh\necho "$MHA_EVENT $MHA_TEXT" >>{told}\n')
    hook.chmod(0o755)
    conf = cluster.write_cnf(default=f"on_suspect={hook}\non_recovered={hook}\nstart_checks=warn", candidate=2)
    conf.write_text(conf.read_text().replace("user=mha\n", f"user={WATCHER}\n").replace("lab-admin-pw", PASSWORD))
    with ExitStack() as stack:
        given_views(cluster, views, stack)
        manager = cluster.start_manager(conf)
        pids = cluster[1].mysqld_pids()
        time.sleep(2.0)
        refusal.strike(cluster)
        ends = time.monotonic() + 15.0
        while "lives and refuses our pings" not in (told.read_text() if told.exists() else ""):
            assert time.monotonic() < ends, manager.log()
            assert manager.process.poll() is None, manager.log()
            time.sleep(0.1)
        time.sleep(LASTS)
        yield manager
        assert any(f"error {number}" in told.read_text() for number in refusal.errors), told.read_text()
        assert manager.process.poll() is None, manager.log()
        assert cluster[1].mysqld_pids() == pids
        assert not list(manager.workdir.glob("*.journal")), manager.log()


def followers(cluster: Cluster) -> list[tuple[object, ...]]:
    """What a failover would change."""
    names = ("Source_Host", "Replica_IO_Running", "Replica_SQL_Running")
    status = [host.replica_status() for host in cluster.hosts[1:]]
    return [tuple(each.get(name) for name in names) for each in status]


CASES = [
    pytest.param(
        name,
        kind,
        views,
        id=f"{name}, {kind}, {views}",
        marks=()
        if (name, kind, views)
        in (("password expired", "mariadb", "no ssh"), ("password expired", "mariadb", "no bash"))
        else pytest.mark.slow,
    )
    for name, refusal in REFUSALS.items()
    for kind in refusal.kinds
    for views in ("ssh", "no ssh", "no bash")
]


@pytest.mark.parametrize(("name", "kind", "views"), CASES)
def test_a_living_primary_that_refuses_the_manager_is_neither_failed_over_nor_killed(
    name: str, kind: str, views: str, tmp_path: Path
) -> None:
    refusal = REFUSALS[name]
    server, gtid = KINDS[kind]
    with Cluster(server, gtid=gtid, extra={0: refusal.cnf} if refusal.cnf else None) as cluster:
        until(lambda: all(each[1:] == ("Yes", "Yes") for each in followers(cluster)), "they receive", seconds=20.0)
        before = followers(cluster)
        with refused(cluster, refusal, views, tmp_path) as manager:
            by_hand = cluster.command(
                "masterha_master_switch",
                f"--conf={manager.workdir}.cnf",
                "--master_state=dead",
                f"--dead_master_host={cluster[1].ip}",
                "--interactive=0",
                "--ignore_last_failover",
            )
            assert by_hand.code == 1, by_hand.output
            assert followers(cluster) == before
            # Fixed as its error says, on the primary: that replicates.
            refusal.fix(cluster)
            until(lambda: "takes our pings again" in manager.log(), manager.log, 20.0)
        if views == "ssh":
            writer = Writer(cluster)
            time.sleep(4.0)
            cluster[1].signal_mysqld(signal.SIGKILL)
            code, acks = finish(manager, writer)
            assert code == 0, manager.log()
            new_primary = promoted(cluster)
            assert_survivors_agree(cluster, acks, new_primary, (5 - new_primary,))
        manager.stop()


@pytest.mark.parametrize(
    "kind", [pytest.param("mariadb", id="mariadb"), pytest.param("mysql97", id="9.7", marks=pytest.mark.slow)]
)
def test_a_check_tells_days_before_that_an_account_will_be_refused(kind: str) -> None:
    with Cluster(kind, gtid=True, n=2) as cluster:
        conf = cluster.write_cnf()
        done = cluster.command("masterha_check_repl", f"--conf={conf}", "--verbose")
        assert "account-lasts: the accounts of the manager and of replicas last [ok]" in done.output, done.output
        cluster[1].sql(f"ALTER USER '{ADMIN}'@'%' PASSWORD EXPIRE INTERVAL 8 DAY")
        cluster[1].sql("ALTER USER 'repl'@'%' PASSWORD EXPIRE INTERVAL 2 DAY")
        time.sleep(1.0)
        done = cluster.command("mha", "check", f"--conf={conf}", "--output=json")
        assert done.code == 1
        # From when it was set, which is when the server's image was made.
        for account, days in ((ADMIN, "[78]"), ("repl", "[12]")):
            told = rf"the account '{account}'@'%' has a password that expires in {days}\.\d days"
            assert re.search(told, done.output), done.output
