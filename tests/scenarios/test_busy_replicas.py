"""A busy replica keeps nobody waiting: writes are back without it, and it comes later, by itself."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.kinds import APP, APP_PASSWORD
from tests.lab.writer import Ack, Writer
from tests.scenarios.moving import wait_until
from tests.scenarios.test_chains_of_faults import has_received_all, journals, modes, rows_on
from tests.scenarios.test_who_is_primary import writable
from tests.scenarios.watching import Monitor

#: Seconds from the verdict until writes are back, the rescue of the lab's few rows included.
BACK = 10.0


def execute_long(cluster: Cluster, seconds: int, *numbers: int) -> None:
    """Take a statement on the primary that these replicas execute for so long."""
    ids = ", ".join(str(100 + number) for number in numbers)
    session = cluster[1].connect()
    with session.cursor() as cursor:
        cursor.execute("SET SESSION binlog_format = STATEMENT")
        cursor.execute(
            f"UPDATE app.slow SET v = v + 1 WHERE SLEEP(IF(@@global.server_id IN ({ids}), {seconds}, 0)) = 0"
        )
    session.commit()
    session.close()


def executes(host: Host) -> bool:
    return any(row["User"] == "system user" and row["State"] == "User sleep" for row in host.sql("SHOW PROCESSLIST"))


def first_row(cluster: Cluster, workdir: Path, limit: float = 100.0) -> float:
    """Seconds from the verdict to the first row that another server acknowledges to an application."""
    began = time.time()
    while (now := time.time() - began) < limit:
        for host in cluster.hosts[1:]:
            with contextlib.suppress(pymysql.MySQLError):
                session = host.connect(user=APP, password=APP_PASSWORD)
                with session.cursor() as cursor:
                    cursor.execute("INSERT INTO app.rows_written VALUES (77, 1, @@server_id, 'the first')")
                session.commit()
                return time.time() - verdict_at(workdir)
        time.sleep(0.1)
    raise AssertionError(f"no row after {now:.0f} s")


def verdict_at(workdir: Path) -> float:
    """When the primary was found dead (seconds since the epoch)."""
    return float(re.findall(r'"t": ([\d.]+), "step": "verdict"', journals(workdir))[-1])


def prepared(cluster: Cluster) -> Writer:
    """An application writes, and there is a table for `execute_long`."""
    cluster[1].sql("CREATE TABLE app.slow (id INT PRIMARY KEY, v INT)")
    cluster[1].sql("INSERT INTO app.slow VALUES (1, 1)")
    writer = Writer(cluster, seconds=400.0)
    wait_until(lambda: len(writer.acks()) > 20, "the application writes")
    return writer


def follows(host: Host, new: Host) -> bool:
    status = host.replica_status()
    running = (status.get("Replica_IO_Running"), status.get("Replica_SQL_Running")) == ("Yes", "Yes")
    return running and status["Source_Host"] == new.ip


def die(cluster: Cluster, writer: Writer, disk: str) -> list[Ack]:
    """The primary dies once db2 has received all: its host with it (dark), or its mysqld alone (readable)."""
    acks = writer.stop()
    wait_until(lambda: has_received_all(cluster), "db2 received all")
    if disk == "readable":
        cluster.stop_receiver(cluster[2])
        cluster[1].sql("INSERT INTO app.slow VALUES (2, 2)")
    cluster[1].power_off() if disk == "dark" else cluster[1].signal_mysqld(signal.SIGKILL)
    return acks


def comes_later(cluster: Cluster, acks: list[Ack], late: Host, new: Host, seconds: float) -> None:
    """It follows by itself, and nothing is lost on either."""
    wait_until(lambda: follows(late, new), f"{late.name} follows {new.name}", seconds)
    result = account(acks, [new, late])
    assert result.rows_lost == 0, result
    assert result.equal, result


@pytest.mark.parametrize(
    ("seconds", "disk"),
    [
        pytest.param(15, "dark", id="dark"),
        pytest.param(15, "readable", id="readable", marks=pytest.mark.slow),
        pytest.param(200, "dark", id="dark-200-s", marks=pytest.mark.slow),
        pytest.param(200, "readable", id="readable-200-s", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(("kind", "gtid"), modes("mariadb-gtid"))
def test_a_long_statement_on_the_most_advanced_replica_keeps_nobody_waiting(
    kind: str, gtid: bool, seconds: int, disk: str
) -> None:
    """It alone received the last rows; the other one gets them out of its relay logs, or from the dead one's disk."""
    with Cluster(kind, gtid=gtid) as cluster:
        monitor = Monitor(cluster, cluster.write_cnf(candidate=2))
        writer = prepared(cluster)
        rows_on(cluster, writer, 2, rows=10)
        execute_long(cluster, seconds, 2)
        wait_until(lambda: executes(cluster[2]), "db2 executes it", 10.0)
        before = len(writer.acks())
        wait_until(lambda: len(writer.acks()) > before + 10, "rows behind it")
        acks = die(cluster, writer, disk)
        took = first_row(cluster, monitor.workdir)
        print(f"first row after {took:.1f} s")
        assert took < BACK, monitor.log()
        assert writable(cluster[3]), monitor.log()
        comes_later(cluster, acks, cluster[2], cluster[3], seconds + 30.0)
        monitor.stop()


def hold(host: Host, statement: str) -> Any:
    """A session that keeps what the statement takes until it is closed."""
    session = host.connect()
    with session.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(statement)
    return session


READ_LOCK = "FLUSH TABLES WITH READ LOCK"
ROW = "SELECT * FROM app.slow WHERE id = 1 FOR UPDATE"


def keep_waiting(cluster: Cluster, writer: Writer, statement: str) -> Any:
    """db2 has received all, db3 lacks some, and a session on db2 keeps its applier waiting."""
    rows_on(cluster, writer, 2, rows=10)
    session = hold(cluster[2], statement)
    cluster[1].sql("UPDATE app.slow SET v = 77 WHERE id = 1")
    before = len(writer.acks())
    wait_until(lambda: len(writer.acks()) > before + 10, "rows behind it")
    return session


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(READ_LOCK, id="read-lock"),
        pytest.param("LOCK TABLES app.slow READ", id="table", marks=pytest.mark.slow),
        pytest.param(ROW, id="row", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(("kind", "gtid"), modes())
def test_a_lock_on_the_most_advanced_replica_keeps_nobody_waiting(kind: str, gtid: bool, statement: str) -> None:
    """Somebody else is promoted and the lock is left alone; once it is given back, that replica follows."""
    with Cluster(kind, gtid=gtid) as cluster:
        monitor = Monitor(cluster, cluster.write_cnf(candidate=2))
        writer = prepared(cluster)
        session = keep_waiting(cluster, writer, statement)
        acks = die(cluster, writer, "dark")
        took = first_row(cluster, monitor.workdir)
        print(f"first row after {took:.1f} s")
        assert took < BACK + 5.0, monitor.log()
        assert writable(cluster[3]), monitor.log()
        monitor.wait_for("it waits for a lock")
        session.rollback()
        session.close()
        comes_later(cluster, acks, cluster[2], cluster[3], 30.0)
        monitor.stop()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), modes())
def test_a_lock_on_a_level_candidate_is_met_in_the_tail_and_keeps_nobody_waiting(kind: str, gtid: bool) -> None:
    """It has executed all that it received; what was saved it cannot, so the other one is promoted with it."""
    with Cluster(kind, gtid=gtid) as cluster:
        monitor = Monitor(cluster, cluster.write_cnf(candidate=2))
        writer = prepared(cluster)
        rows_on(cluster, writer, 0, rows=10)
        session = hold(cluster[2], READ_LOCK)
        acks = writer.stop()
        cluster[1].signal_mysqld(signal.SIGKILL)
        took = first_row(cluster, monitor.workdir)
        print(f"first row after {took:.1f} s")
        assert took < BACK + 5.0, monitor.log()
        assert writable(cluster[3]), monitor.log()
        session.close()
        comes_later(cluster, acks, cluster[2], cluster[3], 30.0)
        monitor.stop()


@pytest.mark.parametrize("ends", ["ends", pytest.param("waits", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("kind", "gtid"), modes())
def test_the_only_candidate_is_freed_of_a_locked_row_or_waited_for(kind: str, gtid: bool, ends: str) -> None:
    """The session is named, and ended with end_blockers; without, nobody touches it, and the failover waits."""
    is_freed_or_waited_for(kind, gtid, ROW, ends)


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["ends", "waits"])
@pytest.mark.parametrize(("kind", "gtid"), [mode for mode in modes() if mode.values[0] != "mysql56"])
def test_the_only_candidate_is_freed_of_a_read_lock_or_waited_for(kind: str, gtid: bool, ends: str) -> None:
    """As above; MySQL 5.6 does not tell who holds such a lock."""
    is_freed_or_waited_for(kind, gtid, READ_LOCK, ends)


def is_freed_or_waited_for(kind: str, gtid: bool, statement: str, ends: str) -> None:
    """One failover whose only candidate cannot execute what it received."""
    instrumented = "performance_schema=ON\nperformance_schema_instrument='wait/lock/metadata/sql/mdl=ON'\n"
    with Cluster(kind, gtid=gtid, extra={2: instrumented if kind != "mysql56" else ""}) as cluster:
        default = f"end_blockers={int(ends == 'ends')}"
        conf = cluster.write_cnf(default=default, servers={2: "candidate_master=1", 3: "no_master=1"})
        monitor = Monitor(cluster, conf)
        writer = prepared(cluster)
        session = keep_waiting(cluster, writer, statement)
        number = session.thread_id()
        acks = die(cluster, writer, "dark")
        monitor.wait_for("because nobody is ready sooner" if ends == "waits" else "was ended on")
        assert f"session {number} of mha@" in monitor.log()
        if ends == "waits":
            session.rollback()
            session.close()
        took = first_row(cluster, monitor.workdir)
        print(f"first row after {took:.1f} s")
        assert took < BACK + 5.0, monitor.log()
        assert writable(cluster[2]), monitor.log()
        comes_later(cluster, acks, cluster[3], cluster[2], 30.0)
        monitor.stop()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), modes())
def test_refuse_opens_nobody_while_the_chosen_one_is_busy(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2, default="busy_candidate=refuse"))
        writer = prepared(cluster)
        session = keep_waiting(cluster, writer, ROW)
        die(cluster, writer, "dark")
        assert manager.wait(40.0) == 1, manager.log()
        assert "busy_candidate is refuse" in manager.log()
        assert not writable(cluster[2]) and not writable(cluster[3]), manager.log()
        for host in cluster.hosts[1:]:
            assert host.replica_status()["Replica_IO_Running"] != "No", manager.log()
        session.close()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), modes())
def test_everybody_executes_the_same_statement_and_the_first_to_end_is_promoted(kind: str, gtid: bool) -> None:
    """The primary's own long statement is on all of them at once: nobody is passed over in vain, nobody gives up."""
    with Cluster(kind, gtid=gtid) as cluster:
        monitor = Monitor(cluster, cluster.write_cnf(candidate=2, default="drain_timeout=8"))
        writer = prepared(cluster)
        execute_long(cluster, 25, 2, 3)
        wait_until(lambda: executes(cluster[2]) and executes(cluster[3]), "both execute it", 10.0)
        acks = die(cluster, writer, "dark")
        took = first_row(cluster, monitor.workdir)
        print(f"first row after {took:.1f} s")
        assert took < 35.0, monitor.log()
        new, late = (2, 3) if writable(cluster[2]) else (3, 2)
        comes_later(cluster, acks, cluster[late], cluster[new], 40.0)
        monitor.stop()
