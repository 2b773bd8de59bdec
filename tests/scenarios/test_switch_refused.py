"""Planned switches that may not be: each is refused in words with exit code 1, and no server is other than it was.

One cluster a kind stands for all cases; each breaks one thing, asks, and mends it again.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest

from prefect_mha.config import load_cluster
from prefect_mha.replication.cluster.pool import ConnectionPool
from prefect_mha.replication.coordination.failover_lock import FAILOVER_LOCK, MONITOR_LOCK
from prefect_mha.replication.model.refusal import Refusal
from prefect_mha.replication.switchover.plan import SwitchOptions, SwitchPlan, make_switch_plan
from prefect_mha.replication.workload.activity import observe_activities
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.kinds import APP, APP_PASSWORD
from tests.lab.waiting import until
from tests.lab.writer import Writer

#: What passes by itself on a server at rest, of a replica's status.
PASSING = (
    *("Seconds_Behind_Master", "Seconds_Behind_Source", "SQL_Remaining_Delay", "Last_IO_Error_Timestamp"),
    *("Slave_SQL_Running_State", "Replica_SQL_Running_State", "Slave_IO_State", "Replica_IO_State"),
    # A receiver that connects anew begins a new relay log.
    *("Relay_Log_File", "Relay_Log_Pos", "Relay_Log_Space"),
)
#: A manager's account that may do everything but set read_only, or more than that where SUPER is not divided.
POOR_PASSWORD = "Poor-1.pw"
PRIVILEGES = {
    "mysql56": "SELECT, RELOAD, PROCESS, REPLICATION CLIENT",
    "mysql97": "SELECT, RELOAD, PROCESS, REPLICATION CLIENT, REPLICATION_SLAVE_ADMIN, CONNECTION_ADMIN, SYSTEM_USER",
    "mariadb": "SELECT, RELOAD, PROCESS, SUPER",
}


@dataclass
class Case:
    """What is asked of one broken cluster: what the refusal says, the configuration, the command's options."""

    says: str
    conf: Path | None = None
    options: tuple[str, ...] = ()


Breakage = Callable[[Cluster], contextlib.AbstractContextManager[Case]]


def decide(cluster: Cluster, conf: Path) -> SwitchPlan | Refusal:
    """Look at every server and decide, as the command does before it touches anything."""
    with cluster.in_manager_net():
        config = load_cluster(conf, None)
        sessions = ConnectionPool(config)
        try:
            seen = sessions.observe()
            return make_switch_plan(config, seen, observe_activities(sessions, seen), SwitchOptions())
        finally:
            sessions.close()


def ask_for_a_switch(cluster: Cluster, conf: Path, *options: str) -> tuple[int, str]:
    """The command's exit code and what it said, on the terminal and in its log."""
    log = conf.with_suffix("") / "manager.log"
    log.unlink(missing_ok=True)
    words = (f"--conf={conf}", "--master_state=alive", "--interactive=0")
    done = cluster.command("masterha_master_switch", *words, *options)
    return done.code, done.output + (log.read_text() if log.exists() else "")


def files(cluster: Cluster) -> dict[str, bytes]:
    """Every file in the manager's seat but the log, and what Prefect keeps for itself."""
    found = (path for path in cluster.seat.rglob("*") if path.is_file() and ".prefect" not in path.parts)
    # Whom the manager meets first it remembers, whatever becomes of the switch.
    found = (path for path in found if path.suffix != ".known_servers")
    return {str(path): path.read_bytes() for path in found if path.name != "manager.log"}


def everything(cluster: Cluster) -> dict[str, Any]:
    """Whatever SHOW tells of every server that runs, and which sessions the application has."""
    seen: dict[str, Any] = {}
    log, replica = cluster.kind.word("BINARY LOG", "MASTER"), cluster.kind.word("REPLICA", "SLAVE")
    shown = [f"{log} STATUS", "BINARY LOGS", "DATABASES", "GRANTS", "EVENTS FROM app", "TABLE STATUS FROM app"]
    for host in cluster.hosts:
        try:
            session = host.connect()
        except pymysql.MySQLError as error:
            seen[host.name] = str(error)
            continue
        with session, session.cursor() as cursor:

            def ask(statement: str, cursor: Any = cursor) -> list[dict[str, Any]]:
                cursor.execute(statement)
                return list(cursor.fetchall())

            for what in ("GLOBAL VARIABLES", *shown):
                seen[f"{host.name} {what}"] = ask(f"SHOW {what}")
            status = ask(f"SHOW {replica} STATUS")
            seen[f"{host.name} replica"] = [{k: v for k, v in row.items() if k not in PASSING} for row in status]
            seen[f"{host.name} accounts"] = ask("SELECT User, Host FROM mysql.user ORDER BY User, Host")
            sessions = ask("SHOW FULL PROCESSLIST")
            seen[f"{host.name} application"] = [(p["Id"], p["Info"]) for p in sessions if p["User"] == APP]
    return seen


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What is other than it was."""
    differing = [key for key in before.keys() | after if after.get(key) != before.get(key)]
    return [f"{key} was {before.get(key)}, is {after.get(key)}" for key in sorted(differing)]


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
    """The last case: it is not mended. MariaDB's gets a domain of its own, so that replication goes on."""
    with cluster[2].connect() as session, session.cursor() as cursor:
        if cluster.kind.mariadb:
            cursor.execute("SET SESSION gtid_domain_id=7")
        cursor.execute("CREATE DATABASE stray")
    yield Case("it has transactions that", options=(f"--new_master_host={cluster[2].ip}",))


CASES: list[Breakage] = [
    a_long_select_on_the_primary,
    a_long_select_on_the_target,
    a_long_update,
    an_open_transaction_that_wrote,
    an_alter,
    tables_locked_for_reading,
    tables_locked_for_writing_on_the_target,
    lag,
    a_stopped_applier,
    a_stopped_receiver,
    a_dead_replica,
    a_filter,
    an_account_without_super,
    the_target_is_the_primary,
    no_master,
    an_unknown_target,
    no_password_for_the_old_primary,
    another_command_acts,
    another_manager_watches,
    an_errant_transaction,
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "gtid"),
    [
        pytest.param("mysql56", False, id="5.6-position"),
        pytest.param("mysql97", True, id="9.7-gtid"),
        pytest.param("mariadb", True, id="mariadb-gtid"),
    ],
)
def test_refused_in_words_and_nothing_changed(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        cluster[1].sql("CREATE TABLE app.t (id INT PRIMARY KEY, v INT) ENGINE=InnoDB")
        cluster[1].sql("INSERT INTO app.t VALUES (1, 1)")
        cluster[1].sql(f"CREATE USER poor@'%%' IDENTIFIED BY '{POOR_PASSWORD}'")
        cluster[1].sql(f"GRANT {PRIVILEGES[kind]} ON *.* TO poor@'%%'")
        conf = cluster.write_cnf()
        level(cluster)
        wrong = []
        for breakage in CASES:
            if breakage is an_errant_transaction and not gtid:
                continue
            with breakage(cluster) as case:
                before = everything(cluster) | files(cluster)
                code, told = ask_for_a_switch(cluster, case.conf or conf, *case.options)
                after = everything(cluster) | files(cluster)
            name = breakage.__name__
            if code != 1 or case.says not in told or "Traceback" in told:
                wrong.append(f"{name}: exit {code}\n{told}")
            wrong += [f"{name}: {change}" for change in changes(before, after)]
        assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "gtid"),
    [
        pytest.param("mysql97", True, id="9.7-gtid", marks=pytest.mark.slow),
        pytest.param("mariadb", True, id="mariadb-gtid"),
    ],
)
def test_a_busy_cluster_is_not_refused_and_a_hidden_lock_is_found(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        cluster[1].sql("CREATE TABLE app.t (id INT PRIMARY KEY) ENGINE=InnoDB")
        conf = cluster.write_cnf()
        level(cluster)
        writer = Writer(cluster, sessions=8, interval=0.1)
        try:
            time.sleep(1.0)
            for _ in range(30):
                plan = decide(cluster, conf)
                assert isinstance(plan, SwitchPlan), plan
            with locked(cluster[1], "LOCK TABLES app.t READ"):
                refusal = decide(cluster, conf)
            assert isinstance(refusal, Refusal)
            assert "app.t is locked" in refusal.sentence
        finally:
            writer.stop()


def test_a_check_and_a_dry_run_leave_no_trace() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        conf = cluster.write_cnf()
        level(cluster)
        (conf.with_suffix("")).mkdir()
        before = everything(cluster) | files(cluster)
        code, told = ask_for_a_switch(cluster, conf, "--check_only", "--orig_master_is_new_slave")
        assert (code, f"open {cluster[2].ip}" in told) == (0, True), told
        done = cluster.command("mha", "switchover", f"--conf={conf}", "--dry-run")
        assert done.code == 0, done
        assert f"open {cluster[2].ip}" in done.output
        after = everything(cluster) | files(cluster)
        assert changes(before, after) == []


@pytest.mark.parametrize("kind", ["mysql97", "mariadb"])
def test_the_performance_schema_names_the_holder(kind: str) -> None:
    settings = "performance_schema=ON\nperformance-schema-instrument='wait/lock/metadata/sql/mdl=ON'"
    with Cluster(kind, gtid=True, n=2, extra={0: settings}) as cluster:
        conf = cluster.write_cnf()
        with cluster[1].connect(program_name="masterha_manager") as session, session.cursor() as cursor:
            holder = f"session {session.thread_id()} (mha@"
            for statement, code, undo in (
                ("FLUSH TABLES WITH READ LOCK", "table-locks", "UNLOCK TABLES"),
                ("LOCK TABLES mysql.proxies_priv WRITE", "table-locks", "UNLOCK TABLES"),
                (f"SELECT GET_LOCK('{MONITOR_LOCK}', 1)", "no-other-manager", f"DO RELEASE_LOCK('{MONITOR_LOCK}')"),
            ):
                cursor.execute(statement)
                refusal = decide(cluster, conf)
                cursor.execute(undo)
                assert isinstance(refusal, Refusal)
                assert refusal.code == code, refusal
                assert holder in refusal.sentence
        with cluster.in_manager_net():
            ours = ConnectionPool(load_cluster(conf, None))
        try:
            with cluster.in_manager_net():
                ours.server(f"{cluster[1].ip}:3306").query(f"DO GET_LOCK('{MONITOR_LOCK}', 1)", action="watch")
            assert isinstance(decide(cluster, conf), SwitchPlan)
        finally:
            ours.close()
