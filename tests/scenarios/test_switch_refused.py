"""Planned switches that may not be: each is refused in words with exit code 1, and no server is other than it was.

One cluster a kind stands for all cases; each breaks one thing, asks, and fixes it again.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pymysql
import pytest

from prefect_mha.config import load_cluster
from prefect_mha.replication.cluster.pool import ConnectionPool
from prefect_mha.replication.coordination.failover_lock import MONITOR_LOCK
from prefect_mha.replication.model.refusal import Refusal
from prefect_mha.replication.switchover.plan import SwitchOptions, SwitchPlan, make_switch_plan
from prefect_mha.replication.workload.activity import observe_activities
from tests.lab.cluster import Cluster
from tests.lab.kinds import APP
from tests.lab.writer import Writer
from tests.scenarios.failing_over import kinds
from tests.scenarios.obstacles import (
    POOR_PASSWORD,
    Breakage,
    a_dead_replica,
    a_filter,
    a_long_select_on_the_primary,
    a_long_select_on_the_target,
    a_long_update,
    a_stopped_applier,
    a_stopped_receiver,
    an_account_without_super,
    an_alter,
    an_errant_transaction,
    an_open_transaction_that_wrote,
    an_unknown_target,
    another_command_acts,
    another_manager_watches,
    lag,
    level,
    locked,
    no_master,
    no_password_for_the_old_primary,
    tables_locked_for_reading,
    tables_locked_for_writing_on_the_target,
    the_target_is_the_primary,
)

#: What passes by itself on a server at rest, of a replica's status.
PASSING = (
    *("Seconds_Behind_Master", "Seconds_Behind_Source", "SQL_Remaining_Delay", "Last_IO_Error_Timestamp"),
    *("Slave_SQL_Running_State", "Replica_SQL_Running_State", "Slave_IO_State", "Replica_IO_State"),
    # A receiver that connects anew begins a new relay log.
    *("Relay_Log_File", "Relay_Log_Pos", "Relay_Log_Space"),
)
PRIVILEGES = {
    "mysql56": "SELECT, RELOAD, PROCESS, REPLICATION CLIENT",
    "mysql97": "SELECT, RELOAD, PROCESS, REPLICATION CLIENT, REPLICATION_SLAVE_ADMIN, CONNECTION_ADMIN, SYSTEM_USER",
    "mariadb": "SELECT, RELOAD, PROCESS, SUPER",
}


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
@pytest.mark.parametrize(("kind", "gtid"), kinds("5.6-position", "9.7-gtid", "mariadb-gtid"))
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
@pytest.mark.parametrize(("kind", "gtid"), kinds("mariadb-gtid", slow=("9.7-gtid",)))
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
