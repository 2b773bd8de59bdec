"""apply_diff_relay_logs against what a session of a client would do otherwise: the target's own threads execute it."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from prefect_mha.replication.model.one_time_account import is_one_time_user
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.scenarios.failing_over import MODES
from tests.scenarios.serving import everything, position
from tests.scenarios.tails import Tails, wait_prepared
from tests.scenarios.test_node_commands import PASSWORD, apply, place_of, save
from tests.scenarios.test_rescue_contents import level
from tests.scenarios.test_tail_is_replicated import differences, port_closed, some

ROWS = tuple(f"INSERT INTO app.parted VALUES ({n})" for n in range(1, 6))
STATEMENTS = ("CREATE TABLE app.late (id INT PRIMARY KEY)", "INSERT INTO app.late VALUES (1)")


def left(cluster: Cluster, statements: tuple[str, ...]) -> tuple[Host, Path, dict[str, object]]:
    """The replica, a file of what it lacks of its dead primary's log, and what that had."""
    primary, replica = cluster.hosts
    primary.sql("CREATE TABLE app.parted (id INT PRIMARY KEY) ENGINE=InnoDB")
    level(cluster, 2)
    cluster.stop_receiver(replica)
    start = position(replica)
    for statement in statements:
        primary.sql(statement)
    expected = everything(primary)
    primary.signal_mysqld(signal.SIGKILL)
    saved = cluster.seat / "saved.binlog"
    assert save(cluster, start, saved).code == 0
    return replica, saved, expected


def channel(replica: Host) -> tuple[object, ...]:
    """Whom it names."""
    status = replica.replica_status()
    return status["Source_Host"], status["Source_Port"], status["Source_User"]


@pytest.mark.parametrize(("kind", "gtid"), some())
def test_a_tail_that_a_session_would_change_is_as_on_the_primary(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid, n=2, extra={0: "max_allowed_packet=256M"}) as cluster:
        primary, replica = cluster.hosts
        tails = Tails(cluster)
        tails.prepare()
        level(cluster, 2)
        cluster.stop_receiver(replica)
        start, before = position(replica), channel(replica)
        tails.write()
        expected = everything(primary)
        primary.signal_mysqld(signal.SIGKILL)
        saved = cluster.seat / "saved.binlog"
        assert save(cluster, start, saved).code == 0
        applied = apply(cluster, replica, saved)
        assert applied.code == 0, applied
        assert "received from" in applied.output
        assert differences(replica, expected) == {}
        if kind != "mysql56":
            wait_prepared(replica, "left")
        assert channel(replica) == before
        again = apply(cluster, replica, saved)
        assert again.code == 0, again
        assert "has everything" in again.output


@pytest.mark.parametrize(("kind", "gtid"), some())
def test_without_a_way_rows_are_replayed_and_statements_are_refused(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid, n=2) as cluster, port_closed(cluster):
        replica, saved, expected = left(cluster, ROWS)
        before = channel(replica)
        applied = apply(cluster, replica, saved)
        assert applied.code == 0, applied
        assert "replayed by a session" in applied.output
        assert differences(replica, expected) == {}
        assert channel(replica) == before
    with Cluster(kind, gtid=gtid, n=2) as cluster, port_closed(cluster):
        replica, saved, _ = left(cluster, (*ROWS, *STATEMENTS))
        refused = apply(cluster, replica, saved)
        assert refused.code == 1, refused
        assert "nothing was applied" in refused.output
        assert "it holds more than rows" in refused.output
        assert replica.sql("SELECT COUNT(*) AS n FROM app.parted") == [{"n": 0}]


@pytest.mark.parametrize(("kind", "gtid"), some())
def test_a_conflict_is_22_and_once_it_is_mended_the_same_file_goes_on(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid, n=2) as cluster:
        replica, saved, expected = left(cluster, (*ROWS, *STATEMENTS))
        before = channel(replica)
        unlogged(replica, "INSERT INTO app.parted VALUES (4)")
        failed = apply(cluster, replica, saved)
        assert failed.code == 22, failed
        assert "1062" in failed.output
        assert channel(replica) == before
        assert {row["id"] for row in replica.sql("SELECT id FROM app.parted")} == {1, 2, 3, 4}
        unlogged(replica, "DELETE FROM app.parted WHERE id = 4")
        applied = apply(cluster, replica, saved)
        assert applied.code == 0, applied
        assert differences(replica, expected) == {}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), MODES)
def test_a_command_that_is_killed_is_gone_on_with_by_the_next_one(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid, n=2) as cluster:
        many = tuple(f"INSERT INTO app.parted VALUES ({n})" for n in range(1, 1500))
        replica, saved, expected = left(cluster, (*many, *STATEMENTS))
        before = channel(replica)
        words = ["--command=apply", *place_of(cluster, replica), f"--apply_files={saved}"]
        process = cluster.run_there(
            sys.executable, "-m", "prefect_mha.commands.apply_diff_relay_logs", *words, env=PASSWORD
        )
        ends = time.monotonic() + 30
        while not is_one_time_user(str(channel(replica)[2])) or not replica.sql("SELECT 1 FROM app.parted LIMIT 1"):
            assert time.monotonic() < ends
        process.kill()
        process.wait(10)
        assert is_one_time_user(str(channel(replica)[2]))
        cluster.stop_receiver(replica)
        applied = apply(cluster, replica, saved)
        assert applied.code == 0, applied
        assert differences(replica, expected) == {}
        assert channel(replica) == before


def unlogged(host: Host, statement: str) -> None:
    """A statement that its binary log knows nothing of."""
    session = host.connect()
    try:
        with session.cursor() as cursor:
            cursor.execute("SET SESSION sql_log_bin=0")
            cursor.execute(statement)
        session.commit()
    finally:
        session.close()
