"""Promoted, and no application gets in: what keeps rows out of the chosen one is healed, or the next best is promoted.

What counts is the row of an application, by an account without SUPER.
"""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.kinds import APP, APP_PASSWORD
from tests.lab.writer import Writer
from tests.scenarios.failing_over import MODES, assert_survivors_agree, finish
from tests.scenarios.moving import wait_until
from tests.scenarios.test_returns_while_replaced import paused

SLOW = [
    mode if mode.id == "mariadb-gtid" else pytest.param(*mode.values, id=mode.id, marks=pytest.mark.slow)
    for mode in MODES
]
PROBE, PROBE_PASSWORD = "probe", "lab-probe-pw"


def with_probe(cluster: Cluster, **more: Any) -> str:
    """The lines of a configuration with an account that only writes the row, made on the primary."""
    primary = cluster[1]
    primary.sql("CREATE DATABASE IF NOT EXISTS infra")
    primary.sql(f"CREATE USER '{PROBE}'@'%' IDENTIFIED BY '{PROBE_PASSWORD}'")
    primary.sql(f"GRANT SELECT, INSERT ON infra.* TO '{PROBE}'@'%'")
    return f"probe_user={PROBE}\nprobe_password={PROBE_PASSWORD}\n"


def caught_up(cluster: Cluster) -> None:
    """Both replicas have the account."""
    for number in (2, 3):
        while not cluster[number].sql("SELECT 1 FROM mysql.user WHERE user=%s", (PROBE,)):
            pass


def takes_rows(host: Host) -> None:
    """An application's session writes a row."""
    session = host.connect(user=APP, password=APP_PASSWORD)
    with session.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS app.after_failover (id INT AUTO_INCREMENT PRIMARY KEY)")
        cursor.execute("INSERT INTO app.after_failover VALUES ()")
    session.close()


def closed_to_new_transactions(host: Host) -> str:
    """What keeps every new session's rows out there, by whatever name it has."""
    names = {row["Variable_name"] for row in host.sql("SHOW GLOBAL VARIABLES LIKE '%%_read_only'")}
    return "transaction_read_only" if "transaction_read_only" in names else "tx_read_only"


@pytest.mark.parametrize(("kind", "gtid"), SLOW)
def test_the_chosen_one_takes_only_reading_transactions(kind: str, gtid: bool) -> None:
    """It was "completed successfully", and no row ever got in."""
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(candidate=2)
        manager = cluster.start_manager(conf)
        writer = Writer(cluster)
        variable = closed_to_new_transactions(cluster[2])
        cluster[2].sql(f"SET GLOBAL {variable}=1")
        done = cluster.command("masterha_check_repl", f"--conf={conf}")
        assert "open-to-applications" in done.output or f"{variable} keeps applications out" in done.output, done
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        assert_survivors_agree(cluster, acks, 2, (3,))
        assert [ack for ack in acks if ack.host == cluster[2].ip], manager.log()
        takes_rows(cluster[2])
        assert f"had {variable} on" in manager.log()
        rows = cluster[3].sql("SELECT COUNT(*) AS n FROM infra.chk_masterha_proof")
        assert int(rows[0]["n"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("gtid", [True, False], ids=["gtid", "position"])
def test_the_chosen_one_is_offline(gtid: bool) -> None:
    """offline_mode (MySQL 5.7.5 and newer) lets in nobody but administrators, and no replica."""
    with Cluster("mysql97", gtid=gtid) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2))
        writer = Writer(cluster)
        cluster[2].sql("SET GLOBAL offline_mode=ON")
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        assert_survivors_agree(cluster, acks, 2, (3,))
        takes_rows(cluster[2])


#: What is done to db2 so that the account of an application is kept out of it.
KEPT_OUT = {
    "no account": lambda host: host.sql(f"DROP USER '{PROBE}'@'%'"),
    "init_connect": lambda host: host.sql("SET GLOBAL init_connect='SELECT nothing_of_the_kind()'"),
    "max_connections": lambda host: host.sql("SET GLOBAL max_connections=10"),
    "only TLS": lambda host: host.sql(f"ALTER USER '{PROBE}'@'%' REQUIRE SUBJECT '/CN=nobody'"),
}


@pytest.mark.parametrize(
    ("kind", "gtid", "what"),
    [
        pytest.param(
            *mode.values,
            what,
            id=f"{mode.id}-{what}",
            marks=pytest.mark.slow,
        )
        for mode in MODES
        for what in KEPT_OUT
        if (mode.values[0], what) != ("mysql56", "only TLS")
    ],
)
def test_who_lets_no_application_in_is_passed_over(kind: str, gtid: bool, what: str) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        probe = with_probe(cluster)
        caught_up(cluster)
        manager = cluster.start_manager(cluster.write_cnf(candidate=2, default=probe))
        writer = Writer(cluster)
        without_log(cluster[2], KEPT_OUT[what])
        kept = fill(cluster[2]) if what == "max_connections" else []
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        for session in kept:
            session.close()
        assert code == 10, manager.log()
        assert "was passed over" in manager.log()
        assert_survivors_agree(cluster, acks, 3, (2,))
        takes_rows(cluster[3])


def without_log(host: Host, work: Any) -> None:
    """Do it on that server alone: what it does goes into no log that others read."""
    session = host.connect()
    with session.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin=0")

        class Alone:
            @staticmethod
            def sql(statement: str) -> None:
                cursor.execute(statement)

        work(Alone)
    session.close()


def fill(host: Host) -> list[Any]:
    """Take every connection that an application could have."""
    kept = []
    while True:
        try:
            kept.append(host.connect(user=APP, password=APP_PASSWORD))
        except Exception:  # noqa: BLE001 - it is full then
            return kept


def break_its_table(cluster: Cluster) -> None:
    """The table of the row is broken on db2 alone."""
    cluster[1].sql("CREATE DATABASE IF NOT EXISTS infra")
    cluster[1].sql(
        "CREATE TABLE infra.chk_masterha_proof (id BIGINT UNSIGNED NOT NULL PRIMARY KEY, val MEDIUMTEXT NOT NULL)"
    )
    for number in (2, 3):
        while not cluster[number].sql("SELECT 1 FROM information_schema.tables WHERE table_schema='infra'"):
            pass
    without_log(cluster[2], lambda host: host.sql("ALTER TABLE infra.chk_masterha_proof DROP COLUMN val"))


@pytest.mark.parametrize(("kind", "gtid"), SLOW)
def test_a_row_that_fails_after_the_opening_closes_it_again(kind: str, gtid: bool) -> None:
    """It is opened, proven shut, closed, and db3 is opened."""
    with Cluster(kind, gtid=gtid) as cluster:
        break_its_table(cluster)
        manager = cluster.start_manager(cluster.write_cnf(candidate=2))
        cluster[1].signal_mysqld(signal.SIGKILL)
        code = manager.wait(40)
        assert code == 10, manager.log()
        assert "opened and closed again" in manager.log()
        assert cluster[3].replica_status() == {}
        assert int(cluster[2].sql("SELECT @@global.read_only AS r")[0]["r"]) == 1
        assert int(cluster[3].sql("SELECT @@global.read_only AS r")[0]["r"]) == 0
        assert cluster[2].replica_status()["Source_Host"] == cluster[3].ip
        takes_rows(cluster[3])
        entries = [json.loads(line) for path in manager.workdir.glob("*.journal") for line in path.open()]
        opened = [(e["event"], e["server"].split(":")[0]) for e in entries if e["step"] == "promote"]
        assert opened == [("intent", cluster[2].ip), ("not opened", cluster[2].ip), ("intent", cluster[3].ip)]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), [MODES[1], MODES[2], MODES[5]])
def test_what_was_to_close_it_again_comes_late(kind: str, gtid: bool) -> None:
    """It stands still when it is to be closed: nobody else is opened, and it wakes read-only."""
    with Cluster(kind, gtid=gtid) as cluster, paused(cluster, "Close it again", "began") as manager:
        break_its_table(cluster)
        cluster[1].signal_mysqld(signal.SIGKILL)
        manager.reached()
        cluster[2].signal_mysqld(signal.SIGSTOP)
        (manager.place / "go").touch()
        wait_until(lambda: "cannot be closed again" in manager.log(), "it cannot be closed", seconds=60)
        cluster[2].signal_mysqld(signal.SIGCONT)
        assert manager.process.wait(60) == 10, manager.log()
        assert "set read_only: error 2013" in manager.log(), "it was not sent what comes late"
        takes_rows(cluster[2])
        assert cluster[3].replica_status()["Source_Host"] == cluster[2].ip
