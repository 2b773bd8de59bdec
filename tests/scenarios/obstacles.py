"""What may stand in the way of a planned switch, put there one at a time on a real cluster."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pymysql

from prefect_mha.replication.coordination.failover_lock import FAILOVER_LOCK, MONITOR_LOCK
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.kinds import APP, APP_PASSWORD
from tests.lab.waiting import until

#: A manager's account that may do everything but set read_only, or more than that where SUPER is not divided.
POOR_PASSWORD = "Poor-1.pw"


@dataclass
class Case:
    """What is asked of one broken cluster: what the refusal says, the configuration, the command's options."""

    says: str
    conf: Path | None = None
    options: tuple[str, ...] = ()


Breakage = Callable[[Cluster], contextlib.AbstractContextManager[Case]]


# what is broken --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def application(host: Host, *statements: str, last: str = "", seconds: float = 0.0) -> Iterator[int]:
    """A session of the application that executed the statements and now executes ``last``, for so many seconds."""
    session = host.connect(user=APP, password=APP_PASSWORD, database="app")
    number = session.thread_id()
    cursor = session.cursor()
    for statement in statements:
        cursor.execute(statement)

    def work() -> None:
        with contextlib.suppress(pymysql.MySQLError):
            cursor.execute(last)

    thread = threading.Thread(target=work, daemon=True)
    if last:
        thread.start()
    until(lambda: any(p["Id"] == number and p["Time"] >= seconds for p in host.sql("SHOW PROCESSLIST")))
    try:
        yield number
    finally:
        host.sql(f"KILL {number}")
        if last:
            thread.join(10)
        until(lambda: all(p["Id"] != number for p in host.sql("SHOW PROCESSLIST")))


def replica(cluster: Cluster, host: Host, *verbs: str) -> None:
    """``STOP %``, ``START % SQL_THREAD``: the word for a replica stands where the percent sign is."""
    for verb in verbs:
        host.sql(verb.replace("%", cluster.kind.word("REPLICA", "SLAVE")))


def level(cluster: Cluster) -> None:
    """Both replicas replicate and are level."""

    def done() -> bool:
        states = [cluster[n].replica_status() for n in (2, 3)]
        return all(
            (s["Replica_IO_Running"], s["Replica_SQL_Running"], s["Seconds_Behind_Source"]) == ("Yes", "Yes", 0)
            for s in states
        )

    until(done)


@contextlib.contextmanager
def a_long_select_on_the_primary(cluster: Cluster) -> Iterator[Case]:
    with application(cluster[1], last="/* nightly */ SELECT SLEEP(60) FROM t", seconds=1):
        yield Case("SELECT SLEEP(?) FROM t", options=("--running_seconds_limit=1",))


@contextlib.contextmanager
def a_long_select_on_the_target(cluster: Cluster) -> Iterator[Case]:
    with application(cluster[2], last="SELECT SLEEP(60) FROM t", seconds=1):
        yield Case(f"{cluster[2].ip}:3306): statements have run", options=("--running_seconds_limit=1",))


@contextlib.contextmanager
def a_long_update(cluster: Cluster) -> Iterator[Case]:
    with application(cluster[1], last="UPDATE t SET v = SLEEP(60) + 4711 WHERE id = 1", seconds=2):
        yield Case("UPDATE t SET v = SLEEP(?) + ? WHERE id = ?")


@contextlib.contextmanager
def an_open_transaction_that_wrote(cluster: Cluster) -> Iterator[Case]:
    with application(cluster[1], "BEGIN", "INSERT INTO t VALUES (7, 7)", seconds=2):
        yield Case("1 rows changed")


@contextlib.contextmanager
def an_alter(cluster: Cluster) -> Iterator[Case]:
    with (
        application(cluster[1], "BEGIN", "SELECT * FROM t"),
        application(cluster[1], last="ALTER TABLE t ADD w INT", seconds=1),
    ):
        yield Case("ALTER TABLE t ADD w INT, Waiting for table metadata lock")


@contextlib.contextmanager
def tables_locked_for_reading(cluster: Cluster) -> Iterator[Case]:
    with locked(cluster[1], "LOCK TABLES app.t READ"):
        yield Case("app.t is locked")


@contextlib.contextmanager
def tables_locked_for_writing_on_the_target(cluster: Cluster) -> Iterator[Case]:
    with locked(cluster[2], "LOCK TABLES app.t WRITE"):
        yield Case(f"{cluster[2].ip}:3306): app.t is locked")


@contextlib.contextmanager
def locked(host: Host, statement: str) -> Iterator[None]:
    """The administrator holds that lock; the application has no privilege for it."""
    with host.connect() as session, session.cursor() as cursor:
        cursor.execute(statement)
        yield


@contextlib.contextmanager
def lag(cluster: Cluster) -> Iterator[Case]:
    host, change = cluster[3], f"CHANGE {cluster.kind.word('REPLICATION SOURCE TO SOURCE', 'MASTER TO MASTER')}_DELAY"
    replica(cluster, host, "STOP %")
    host.sql(f"{change}=600")
    replica(cluster, host, "START %")
    cluster[1].sql("INSERT INTO app.t VALUES (100, 1)")
    try:
        until(lambda: (host.replica_status()["Seconds_Behind_Source"] or 0) > 2)
        yield Case("s behind, more than 1", options=("--seconds_behind_master=0",))
    finally:
        replica(cluster, host, "STOP %")
        host.sql(f"{change}=0")
        replica(cluster, host, "START %")
        level(cluster)


@contextlib.contextmanager
def a_stopped_applier(cluster: Cluster) -> Iterator[Case]:
    replica(cluster, cluster[2], "STOP % SQL_THREAD")
    try:
        yield Case("the SQL thread is stopped")
    finally:
        replica(cluster, cluster[2], "START % SQL_THREAD")
        level(cluster)


@contextlib.contextmanager
def a_stopped_receiver(cluster: Cluster) -> Iterator[Case]:
    cluster.stop_receiver(cluster[3])
    try:
        yield Case("the IO thread is stopped")
    finally:
        cluster.start_receiver(cluster[3])
        level(cluster)


@contextlib.contextmanager
def a_dead_replica(cluster: Cluster) -> Iterator[Case]:
    stop(cluster[3])
    try:
        yield Case(f"is refused: {cluster[3].ip}({cluster[3].ip}:3306): ")
    finally:
        cluster[3].start_mysqld()
        replica(cluster, cluster[3], "START %")
        level(cluster)


@contextlib.contextmanager
def a_filter(cluster: Cluster) -> Iterator[Case]:
    stop(cluster[3])
    cluster[3].start_mysqld("--replicate-ignore-db=elsewhere")
    replica(cluster, cluster[3], "START %")
    level(cluster)
    try:
        yield Case("replicate_ignore_db=elsewhere, but ")
    finally:
        stop(cluster[3])
        cluster[3].start_mysqld()
        replica(cluster, cluster[3], "START %")
        level(cluster)


def stop(host: Host) -> None:
    """End mysqld in order."""
    host.signal_mysqld(signal.SIGTERM)
    until(lambda: not host.mysqld_pids())


@contextlib.contextmanager
def an_account_without_super(cluster: Cluster) -> Iterator[Case]:
    conf = cluster.write_cnf("poor", password=POOR_PASSWORD)
    conf.write_text(conf.read_text().replace("user=mha", "user=poor", 1))
    yield Case("the account 'poor'@'%%' may not set and clear read_only", conf)


@contextlib.contextmanager
def the_target_is_the_primary(cluster: Cluster) -> Iterator[Case]:
    yield Case("it is the current primary", options=(f"--new_master_host={cluster[1].ip}",))


@contextlib.contextmanager
def no_master(cluster: Cluster) -> Iterator[Case]:
    conf = cluster.write_cnf("never", servers={2: "no_master=1"})
    yield Case("no_master is set", conf, (f"--new_master_host={cluster[2].ip}",))


@contextlib.contextmanager
def an_unknown_target(cluster: Cluster) -> Iterator[Case]:
    yield Case("db77: it is not a server of app1", options=("--new_master_host=db77",))


@contextlib.contextmanager
def no_password_for_the_old_primary(cluster: Cluster) -> Iterator[Case]:
    conf = cluster.write_cnf("silent")
    conf.write_text("".join(line for line in conf.open() if not line.startswith("repl_password")))
    yield Case("repl_password is not set", conf, ("--orig_master_is_new_slave",))


@contextlib.contextmanager
def another_command_acts(cluster: Cluster) -> Iterator[Case]:
    with locked(cluster[3], f"SELECT GET_LOCK('{FAILOVER_LOCK}', 1)"):
        yield Case("holds the failover lock")


@contextlib.contextmanager
def another_manager_watches(cluster: Cluster) -> Iterator[Case]:
    """With an account of its own, that could do a manager's work."""
    cluster[1].sql(f"CREATE USER other@'%%' IDENTIFIED BY '{POOR_PASSWORD}'")
    cluster[1].sql("GRANT ALL ON *.* TO other@'%%'")
    with (
        cluster[1].connect(user="other", password=POOR_PASSWORD) as session,
        session.cursor() as cursor,
    ):
        cursor.execute(f"SELECT GET_LOCK('{MONITOR_LOCK}', 1)")
        yield Case("it is no manager of this system")
    cluster[1].sql("DROP USER other@'%%'")


@contextlib.contextmanager
def an_errant_transaction(cluster: Cluster) -> Iterator[Case]:
    """The last case: it is not fixed. MariaDB's gets a domain of its own, so that replication goes on."""
    with cluster[2].connect() as session, session.cursor() as cursor:
        if cluster.kind.mariadb:
            cursor.execute("SET SESSION gtid_domain_id=7")
        cursor.execute("CREATE DATABASE stray")
    yield Case("it has transactions that", options=(f"--new_master_host={cluster[2].ip}",))
