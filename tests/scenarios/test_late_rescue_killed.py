"""A late rescue and a rewind are killed with -9 in each step: the next call goes on, and does nothing twice."""

from __future__ import annotations

import os
import signal
import time
from functools import partial

import pytest

from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.scenarios.failing_over import kinds
from tests.scenarios.test_late_rescue import ROWS, TABLE, Apart
from tests.scenarios.test_rejoin_follows import read_only
from tests.scenarios.test_rejoin_killed import begun_until, killed_in

pytestmark = pytest.mark.slow
#: Steps of a rewind, as they follow each other.
REWIND = (
    "Close the old server to writers",
    "Copy what only the old server has",
    "See that it can be taken back",
    "Take back what only the old server has",
    "Let it have executed what both have",
    "Point it at the new primary",
    "Compare the tables that were changed",
    "Start replication",
    "Hold it no longer",
)
THREE = kinds("5.6-position", "9.7-gtid", "mariadb-gtid")


@pytest.mark.parametrize(("kind", "gtid"), THREE)
def test_a_rewind_is_killed_in_each_step(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        apart = Apart(cluster, [TABLE], ROWS, ["INSERT INTO app.t VALUES (1000, 'new')"])
        for step in REWIND:
            killed_in(apart, step, "--how=rewind")
        done = apart.rejoin()
        assert done.code == 0, done
        assert cluster[1].sql("SELECT COUNT(*) AS n FROM app.t")[0]["n"] == 1
        apart.assert_equal("app.t")


@pytest.mark.parametrize(("kind", "gtid"), THREE)
def test_a_replay_is_killed_in_its_middle(kind: str, gtid: bool) -> None:
    """Rows without a key would be there twice if anything was done twice."""
    with Cluster(kind, gtid=gtid) as cluster:
        keyless = "CREATE TABLE app.k (v VARCHAR(40)) ENGINE=InnoDB"
        rows = [f"INSERT INTO app.k VALUES ('row {number}')" for number in range(100)]
        apart = Apart(cluster, [TABLE, keyless], [*ROWS, *rows])
        new = apart.new

        def so_many(count: int) -> bool:
            found = new.sql("SELECT (SELECT COUNT(*) FROM app.t) + (SELECT COUNT(*) FROM app.k) AS n")
            return bool(found[0]["n"] >= count)

        for count in (50, 320):
            how = ("--how=rescue", "--replay=all")
            killed_in(apart, "Replay it on the new primary", *how, until=partial(so_many, count))
        done = apart.rejoin("--how=rescue", "--replay=all")
        assert done.code == 0, done
        for host in cluster.hosts:
            assert host.sql("SELECT COUNT(*) AS n FROM app.k")[0]["n"] == 100, done
        apart.assert_equal("app.t", "app.k")


@pytest.mark.parametrize(("kind", "gtid"), THREE)
@pytest.mark.parametrize(
    "step", ["Take back what only the old server has", "Compare the tables that were changed"], ids=["undo", "compare"]
)
def test_the_new_primary_dies_while_a_rewind_stands_still(kind: str, gtid: bool, step: str) -> None:
    """A failover does not wait for its lock, and does not open the server that nothing proves to be equal."""
    with Cluster(kind, gtid=gtid) as cluster:
        apart = Apart(cluster, [TABLE], ROWS)
        process = begun_until(apart, step, "--how=rewind")
        os.killpg(process.pid, signal.SIGSTOP)
        apart.new.power_off()
        words = ("--master_state=dead", f"--conf={apart.conf}", f"--dead_master_host={apart.new.ip}")
        more = ("--interactive=0", "--ignore_last_failover")
        failover = cluster.command("masterha_master_switch", *words, *more, timeout=300.0)
        os.killpg(process.pid, signal.SIGCONT)
        assert failover.code in (0, 10), failover
        assert not read_only(cluster[3]), failover
        assert read_only(apart.old), failover
        assert process.wait(120) == 1
        assert read_only(apart.old)


@pytest.mark.parametrize(("kind", "gtid"), THREE)
def test_the_new_primary_goes_dark_while_a_replay_waits_for_it(kind: str, gtid: bool) -> None:
    """A replay holds the failover lock: it gives that back as soon as the server is known to be gone."""
    with Cluster(kind, gtid=gtid) as cluster:
        apart = Apart(cluster, [TABLE], ROWS)
        new, holder = apart.new, apart.new.connect()
        with holder.cursor() as cursor:
            # Its statement waits for this row when the power goes.
            cursor.execute("BEGIN")
            cursor.execute("INSERT INTO app.t VALUES (1000, 'in the way')")
        process = begun_until(
            apart,
            "Replay it on the new primary",
            *("--how=rescue", "--replay=all"),
            until=lambda: waits_for_a_row(new),
        )
        new.power_off()
        began = time.monotonic()
        assert process.wait(20) == 1
        # No manager runs that would hold it, and a rescue closes nobody.
        apart.old.sql("SET GLOBAL read_only = 1")
        print(f"{cluster.name}: the replay ended {time.monotonic() - began:.1f} s after its primary went dark")
        words = ("--master_state=dead", f"--conf={apart.conf}", f"--dead_master_host={new.ip}")
        more = ("--interactive=0", "--ignore_last_failover")
        failover = cluster.command("masterha_master_switch", *words, *more, timeout=300.0)
        assert failover.code in (0, 10), failover
        assert not read_only(cluster[3]), failover


def waits_for_a_row(host: Host) -> bool:
    """By a counter: information_schema.INNODB_TRX is not read anew for who asks too often."""
    return int(host.sql("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")[0]["Value"]) > 0
