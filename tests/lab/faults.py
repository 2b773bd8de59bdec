"""What can befall a cluster: faults that kill its primary, and troubles that are no death.

A fault is a row of `FAULTS`, done by `broken`. A trouble lasts as long as its ``with`` block, or the seconds it is
given, and is taken back; `TROUBLES` has them all for whoever wants any of them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pymysql

from tests.lab.cluster import Cluster
from tests.lab.host import SMALLEST_DISK, Host
from tests.lab.hostile_globals import hostile_for_a_while
from tests.lab.kinds import ADMIN, ADMIN_PASSWORD
from tests.lab.network import sh
from tests.lab.weather import Rule, both_ways

# faults --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """What is done to a primary, and what is promised then.

    ``row`` of detection's table tells it, ``verdict`` seconds after the first sign; writes are ``back`` seconds after
    the fault, None where nothing is promised. ``disk``: MiB that the primary's data directory must have of its own.
    """

    row: str
    verdict: float
    back: float | None
    strike: Callable[[Host], object]
    disk: int = 0


def _signal(number: signal.Signals) -> Callable[[Host], None]:
    return lambda host: host.signal_mysqld(number)


DISK = SMALLEST_DISK + 100
FAULTS = {
    "kill -9": Fault("crashed process", 0.7, 1.0, _signal(signal.SIGKILL)),
    "shutdown": Fault("clean shutdown", 3.0, None, _signal(signal.SIGTERM)),
    "frozen": Fault("frozen process", 3.6, 6.0, _signal(signal.SIGSTOP)),
    "disk full": Fault("full or read-only disk", 2.6, 6.0, Host.fill_disk, DISK),
    "disk stalled": Fault("hung storage", 4.5, 6.0, lambda host: host.run("fsfreeze -f /var/lib/mysql"), DISK),
    "power off": Fault("host gone", 4.2, 5.0, Host.power_off),
}


@contextlib.contextmanager
def broken(primary: Host, name: str) -> Iterator[float]:
    """Break it; when that was, in seconds since the epoch. What would outlive the cluster is fixed at the end."""
    began = time.time()
    FAULTS[name].strike(primary)
    try:
        yield time.time() if name == "disk full" else began
    finally:
        if name == "disk stalled":
            primary.run("fsfreeze -u /var/lib/mysql", check=False)


# troubles ------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def cut_off(cluster: Cluster, *hosts: Host) -> Iterator[None]:
    """What these hosts send to the manager's host vanishes."""
    for host in hosts:
        host.blackhole(f"{cluster.subnet.prefix}.1")
    try:
        yield
    finally:
        for host in hosts:
            host.run(f"ip route del blackhole {cluster.subnet.prefix}.1/32")


@contextlib.contextmanager
def without_ssh(host: Host) -> Iterator[None]:
    """Its sshd is ended, and every session with it."""
    host.run("pkill '^sshd'", check=False)
    try:
        yield
    finally:
        host.start("/usr/sbin/sshd -o PermitRootLogin=yes -o UseDNS=no -o UsePAM=no -E /var/log/sshd.log")


@contextlib.contextmanager
def blocked(cluster: Cluster, *ports: tuple[Host, int]) -> Iterator[None]:
    """The manager's packets to these ports vanish; nobody else's."""
    there = f"ip netns exec {cluster.subnet.manager} ip rule"
    rules = [f"to {host.ip} ipproto tcp dport {port} pref 10 blackhole" for host, port in ports]
    for rule in rules:
        sh(f"{there} add {rule}")
    try:
        yield
    finally:
        for rule in rules:
            sh(f"{there} del {rule}")


def port_down_for_the_manager(cluster: Cluster, host: Host) -> contextlib.AbstractContextManager[None]:
    """The manager's packets to its mysqld vanish; nobody else's."""
    return blocked(cluster, (host, 3306))


@contextlib.contextmanager
def receiver_stopped(cluster: Cluster, host: Host) -> Iterator[None]:
    """That replica receives nothing."""
    cluster.stop_receiver(host)
    try:
        yield
    finally:
        cluster.start_receiver(host)


@contextlib.contextmanager
def appliers_stopped(cluster: Cluster, *hosts: Host) -> Iterator[None]:
    """These replicas receive and execute nothing."""
    stop, start = (f"{verb} {cluster.kind.word('REPLICA', 'SLAVE')} SQL_THREAD" for verb in ("STOP", "START"))
    for host in hosts:
        host.sql(stop)
    try:
        yield
    finally:
        for host in hosts:
            host.sql(start)


@contextlib.contextmanager
def at_max_connections(host: Host) -> Iterator[Callable[[], None]]:
    """Every connection is taken and the manager's are ended; what it yields does so once more, for what was left free.

    The host's ``max_connections`` is to be small.
    """
    taken: list[pymysql.Connection[Any]] = []
    with host.connect() as admin:

        def again() -> None:
            with contextlib.suppress(pymysql.MySQLError):
                while len(taken) < 60:
                    taken.append(host.connect())
            end_sessions(admin, [admin, *taken])

        again()
        try:
            yield again
        finally:
            for connection in taken:
                connection.close()


@contextlib.contextmanager
def password_rotated(cluster: Cluster, host: Host) -> Iterator[None]:
    """The manager's account has another password there, and its sessions are ended."""
    with host.connect() as admin:
        _set_password(cluster, admin, "another-pw")
        end_sessions(admin, [admin])
        try:
            yield
        finally:
            _set_password(cluster, admin, ADMIN_PASSWORD)


@contextlib.contextmanager
def account_refused(cluster: Cluster, host: Host, *, locked: bool = False) -> Iterator[None]:
    """The password of the manager's account has expired there, or the account is locked where a server knows that.

    Another session fixes it: MySQL lets the one that had it expire do nothing else any more.
    """
    locks = locked and (cluster.kind.modern or cluster.kind.mariadb)
    with host.connect() as hand, host.connect() as admin, admin.cursor() as cursor:
        cursor.execute("SET sql_log_bin=0")
        with hand.cursor() as by_hand:
            by_hand.execute("SET sql_log_bin=0")
            by_hand.execute(f"ALTER USER {ADMIN}@'%' {'ACCOUNT LOCK' if locks else 'PASSWORD EXPIRE'}")
        end_sessions(admin, [hand, admin])
        try:
            yield
        finally:
            if locks:
                cursor.execute(f"ALTER USER {ADMIN}@'%' ACCOUNT UNLOCK")
            else:
                _set_password(cluster, admin, ADMIN_PASSWORD)


@contextlib.contextmanager
def hostile(cluster: Cluster) -> Iterator[None]:
    """The globals of every server are as no administrator would set them, and the manager's sessions begin anew."""
    with hostile_for_a_while(*cluster.hosts):
        for host in cluster.hosts:
            with host.connect() as admin:
                end_sessions(admin, [admin])
        yield


def stands_still(pid: int, seconds: float) -> None:
    """That process is stopped, as a virtual machine is that is moved."""
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)


def link_flaps(host: Host, seconds: float) -> None:
    """Its cable is out for two seconds and in for two, in turns."""
    _flaps(host.cut_cable, host.mend_cable, seconds)


def managers_link_flaps(cluster: Cluster, seconds: float) -> None:
    """The same of the manager's: it reaches nobody for two seconds."""
    inside = f"ip netns exec {cluster.subnet.manager} ip link set br0"
    _flaps(lambda: sh(f"{inside} down"), lambda: sh(f"{inside} up"), seconds)


def starved(pid: int, seconds: float) -> None:
    """That process runs a twentieth of the time."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.95)
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.05)


def _weather(*rules: Rule) -> Callable[[Cluster, int, Host, float], None]:
    return lambda c, _, __, s: _during(c.weather.during(*rules), s)


def _of_primary(**weather: float) -> Callable[[Cluster, int, Host, float], None]:
    return lambda c, _, __, s: _during(c.weather.during(*both_ways(c[1].ip, **weather)), s)  # type: ignore[arg-type]


def heard_by_one_replica(cluster: Cluster, replica: Host) -> tuple[Rule, ...]:
    """Whatever the primary says to anybody else is lost."""
    others = [host.ip for host in cluster.hosts[1:] if host is not replica]
    return tuple(Rule(a=cluster[1].ip, b=each, loss=1.0) for each in (*others, f"{cluster.subnet.prefix}.1"))


def _flaps(down: Callable[[], object], up: Callable[[], object], seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        down()
        time.sleep(2.0)
        up()
        time.sleep(2.0)


def _full(cluster: Cluster, seconds: float) -> None:
    ends = time.monotonic() + seconds
    with at_max_connections(cluster[1]) as again:
        while time.monotonic() < ends:
            again()
            time.sleep(0.5)


def _during(trouble: contextlib.AbstractContextManager[object], seconds: float) -> None:
    with trouble:
        time.sleep(seconds)


#: Seconds that a manager stands still beyond those of its turn: longer than servers wait for one (wait_timeout).
STILL = 30.0
#: Each is given a cluster with weather whose primary is db1 and has few ``max_connections``, the manager's process, one
#: of the replicas, and the seconds that it is to last.
TROUBLES: dict[str, Callable[[Cluster, int, Host, float], None]] = {
    "manager cut off from the primary": lambda c, _, __, s: _during(cut_off(c, c[1]), s),
    "manager cut off from all": lambda c, _, __, s: _during(cut_off(c, *c.hosts), s),
    "SSH of the primary down": lambda c, _, __, s: _during(without_ssh(c[1]), s),
    "MySQL port down for the manager": lambda c, _, __, s: _during(port_down_for_the_manager(c, c[1]), s),
    "a replica's receiver stopped": lambda c, _, replica, s: _during(receiver_stopped(c, replica), s),
    "applier stopped on all": lambda c, _, __, s: _during(appliers_stopped(c, *c.hosts[1:]), s),
    "primary at max_connections": lambda c, _, __, s: _full(c, s),
    "password rotated": lambda c, _, __, s: _during(password_rotated(c, c[1]), s),
    "password expired": lambda c, _, __, s: _during(account_refused(c, c[1]), s),
    "account locked": lambda c, _, __, s: _during(account_refused(c, c[1], locked=True), s),
    "hostile globals": lambda c, _, __, s: _during(hostile(c), s),
    "manager stands still": lambda _, pid, __, s: stands_still(pid, s),
    "manager stands still for long": lambda _, pid, __, s: stands_still(pid, STILL + s),
    "manager starved of CPU": lambda _, pid, __, s: starved(pid, s),
    "primary's link flaps": lambda c, _, __, s: link_flaps(c[1], s),
    "manager's link flaps": lambda c, _, __, s: managers_link_flaps(c, s),
    "primary's link is slow": _of_primary(delay=0.6),
    "primary's link is very slow": _of_primary(delay=1.2),
    "primary's link loses": _of_primary(loss=0.4),
    "primary's link is slow and loses": _of_primary(delay=0.25, loss=0.3),
    "all links are slow": _weather(Rule(delay=0.4)),
    "all links lose": _weather(Rule(loss=0.3)),
    "only one replica hears the primary": lambda c, _, r, s: _during(c.weather.during(*heard_by_one_replica(c, r)), s),
}


def end_sessions(admin: pymysql.Connection[Any], ours: list[pymysql.Connection[Any]]) -> None:
    """End every session of the manager; ``ours`` have its account and stay."""
    kept = {connection.thread_id() for connection in ours}
    with admin.cursor() as cursor:
        cursor.execute("SHOW PROCESSLIST")
        for row in cursor.fetchall():
            if row["User"] == ADMIN and row["Id"] not in kept:
                with contextlib.suppress(pymysql.MySQLError):
                    cursor.execute(f"KILL {row['Id']}")


def _set_password(cluster: Cluster, session: pymysql.Connection[Any], password: str) -> None:
    words = "ALTER USER %s@'%%' IDENTIFIED BY %s" if cluster.kind.modern else "SET PASSWORD FOR %s@'%%' = PASSWORD(%s)"
    with session.cursor() as cursor:
        cursor.execute("SET sql_log_bin=0")
        cursor.execute(words, (ADMIN, password))
