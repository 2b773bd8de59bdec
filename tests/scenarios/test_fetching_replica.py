"""A replica had fetched from another one what only that received when its manager is gone, or may act no more."""

from __future__ import annotations

import time

import pytest

from prefect_mha.replication.coordination.failover_lock import FAILOVER_LOCK
from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.writer import Writer
from tests.scenarios.failing_over import MODES
from tests.scenarios.moving import wait_until
from tests.scenarios.test_returns_while_replaced import paused
from tests.scenarios.watching import Monitor


def take_the_lock_away(host: Host) -> None:
    """The session that holds the failover lock there is ended."""
    holder = host.sql("SELECT IS_USED_LOCK(%s) AS id", (FAILOVER_LOCK,))[0]["id"]
    host.sql(f"KILL {int(holder)}")


def follows(replica: Host, primary: Host) -> bool:
    """One takes writes, and the other one replicates from it."""
    if int(primary.sql("SELECT @@global.read_only AS r")[0]["r"]):
        return False
    status = replica.replica_status()
    running = (status.get("Replica_IO_Running"), status.get("Replica_SQL_Running"))
    return status.get("Source_Host") == primary.ip and running == ("Yes", "Yes")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "lock-lost"])
@pytest.mark.parametrize(("kind", "gtid"), [MODES[1], MODES[3], MODES[5]])
def test_it_follows_whoever_is_promoted_then(kind: str, gtid: bool, how: str) -> None:
    """Its source is its sibling now, so the next failover does not take it for a replica of the dead primary."""
    step = "Catch up from the most advanced replica"
    with Cluster(kind, gtid=gtid) as cluster, paused(cluster, step, "done") as manager:
        writer = Writer(cluster)
        time.sleep(0.5)
        cluster.stop_receiver(cluster[2])
        time.sleep(0.5)
        cluster[1].power_off()
        manager.reached()
        if how == "killed":
            manager.process.kill()
            manager.process.wait(10)
        else:
            for number in (2, 3):
                take_the_lock_away(cluster[number])
            manager.go()
        monitor = Monitor(cluster, manager.conf, sight=False)
        try:
            pairs = ((cluster[2], cluster[3]), (cluster[3], cluster[2]))
            wait_until(lambda: any(follows(*pair) for pair in pairs), "one follows the other", seconds=90.0)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{monitor.log()}") from error
        finally:
            monitor.stop()
            writer.stop()
        assert account([], [cluster[2], cluster[3]]).equal, monitor.log()
