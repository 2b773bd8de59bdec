"""What belongs to the primary's role goes with it at a failover, too: events run, semi-sync waits for replicas."""

from __future__ import annotations

import signal
import time

import pytest

from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.waiting import until
from tests.lab.writer import Writer
from tests.scenarios.failing_over import MODES, assert_survivors_agree, finish

SLOW = [
    mode if mode.id == "mariadb-gtid" else pytest.param(*mode.values, id=mode.id, marks=pytest.mark.slow)
    for mode in MODES
]


def statuses(host: Host) -> dict[str, str]:
    rows = host.sql("SELECT EVENT_NAME AS n, STATUS AS s FROM information_schema.EVENTS WHERE EVENT_SCHEMA='app'")
    return {row["n"]: row["s"] for row in rows}


def semi_sync(cluster: Cluster, number: int) -> int:
    name = f"rpl_semi_sync_{cluster.kind.word('source', 'master')}_enabled"
    return int(cluster[number].sql(f"SELECT @@global.{name} AS v")[0]["v"])


def has_semi_sync(cluster: Cluster) -> bool:
    """Built into MariaDB, a plugin of 9.7; this 5.6 has none."""
    if cluster.kind.name == "mysql56":
        return False
    if not cluster.kind.mariadb:
        for host in cluster.hosts:
            install(host, "source")
            install(host, "replica")
    return True


def install(host: Host, half: str) -> None:
    """On that server alone."""
    session = host.connect()
    with session.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin=0")
        cursor.execute(f"INSTALL PLUGIN rpl_semi_sync_{half} SONAME 'semisync_{half}.so'")
    session.close()


@pytest.mark.parametrize(("kind", "gtid"), SLOW)
def test_events_and_semi_sync_stay_behind_on_a_dead_primary(kind: str, gtid: bool) -> None:
    """Seen before: SLAVESIDE_DISABLED for ever, and rows acknowledged that one server alone had."""
    with Cluster(kind, gtid=gtid) as cluster:
        primary = cluster[1]
        primary.sql("SET GLOBAL event_scheduler=ON")
        primary.sql("CREATE TABLE app.ticks (id INT AUTO_INCREMENT PRIMARY KEY)")
        primary.sql("CREATE EVENT app.tick ON SCHEDULE EVERY 1 SECOND DO INSERT INTO app.ticks VALUES ()")
        primary.sql("CREATE EVENT app.asleep ON SCHEDULE EVERY 1 SECOND DISABLE DO INSERT INTO app.ticks VALUES ()")
        waits = has_semi_sync(cluster)
        if waits:
            cluster.make_semi_synchronous(primary, [cluster[2], cluster[3]])
        until(lambda: {"tick", "asleep"} <= set(statuses(cluster[2])))
        manager = cluster.start_manager(cluster.write_cnf(candidate=2))
        until(lambda: (manager.workdir / "app1.role.json").exists())
        writer = Writer(cluster)
        until(writer.acks)
        primary.signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        new = cluster[2]
        assert statuses(new)["tick"] == "ENABLED"
        assert "DISABLED" in statuses(new)["asleep"]
        before = int(new.sql("SELECT COUNT(*) AS n FROM app.ticks")[0]["n"])
        until(lambda: int(new.sql("SELECT COUNT(*) AS n FROM app.ticks")[0]["n"]) > before)
        new.sql("SET GLOBAL event_scheduler=OFF")
        assert "events run now that ran on the old primary" in manager.log()
        if waits:
            assert semi_sync(cluster, 2) == 1
            assert semi_sync(cluster, 3) == 0
            assert "semi-synchronous replication is on" in manager.log()
        until(
            lambda: (
                cluster[3].sql("SELECT COUNT(*) AS n FROM app.ticks") == new.sql("SELECT COUNT(*) AS n FROM app.ticks")
            )
        )
        assert_survivors_agree(cluster, acks, 2, (3,))


@pytest.mark.slow
def test_nobody_is_left_to_acknowledge_and_rows_still_get_in() -> None:
    """Switched on there, semi-synchronous replication would let no row in for as long as its timeout says."""
    with Cluster("mariadb", gtid=True) as cluster:
        cluster.make_semi_synchronous(cluster[1], [cluster[2]])
        manager = cluster.start_manager(cluster.write_cnf(candidate=2))
        until(lambda: (manager.workdir / "app1.role.json").exists())
        writer = Writer(cluster)
        until(writer.acks)
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 10, manager.log()
        assert "no row would be acknowledged" in manager.log()
        assert semi_sync(cluster, 2) == 0
        assert_survivors_agree(cluster, acks, 2, (3,))


@pytest.mark.slow
@pytest.mark.parametrize("returns", [False, True], ids=["old-one-stays-away", "old-one-is-replica"])
@pytest.mark.parametrize("kind", ["mysql97", "mariadb"])
def test_a_planned_switch_to_the_only_one_that_acknowledges(kind: str, returns: bool) -> None:
    """Seen before: the new primary waited 49 days for each commit, and the switch reported success."""
    with Cluster(kind, gtid=True, n=2) as cluster:
        has_semi_sync(cluster)
        cluster.make_semi_synchronous(cluster[1], [cluster[2]])
        options = ("--orig_master_is_new_slave",) if returns else ()
        conf = f"--conf={cluster.write_cnf()}"
        new = f"--new_master_host={cluster[2].ip}"
        done = cluster.command("masterha_master_switch", "--master_state=alive", conf, new, "--interactive=0", *options)
        assert done.code == (0 if returns else 10), done.output
        assert ("no row would be acknowledged" in done.output) is not returns
        assert semi_sync(cluster, 2) == int(returns)
        began = time.monotonic()
        cluster[2].sql("CREATE TABLE app.after_it (id INT PRIMARY KEY)")
        assert time.monotonic() - began < 5.0
