"""A replica waits for acknowledgements from before its opening, and the manager dies in between."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.lab.acknowledging import MODERN, acknowledged, demand, waits
from tests.lab.cluster import Cluster
from tests.lab.copying import Copier
from tests.lab.restoring import works
from tests.lab.two_servers import closed
from tests.lab.waiting import until
from tests.lab.writer import Writer
from tests.scenarios.watching import SIGHT, Monitor

pytestmark = pytest.mark.slow

OPENING = "Open the new primary for writes"
#: The manager dies when this statement was executed, and nothing else of that step.
WAITS = "SET GLOBAL rpl_semi_sync_source_enabled"


@pytest.mark.parametrize("gtid", [True, False], ids=["9.7-gtid", "9.7-position"])
@pytest.mark.parametrize("returns", [True, False], ids=["the-old-one-is-back", "the-old-one-stays-dead"])
def test_the_manager_dies_between_the_two(gtid: bool, returns: bool, copiers: list[Copier]) -> None:
    """The next one takes it back where the old primary lives: its applier would wait for replicas that it has not."""
    with Cluster("mysql97", gtid=gtid, n=2, extra={0: MODERN}) as cluster:
        db1, db2 = cluster[1], cluster[2]
        copier = Copier(cluster, block="binlog_ack=1", default="semi_sync=require").start()
        copiers.append(copier)
        copier.wait(lambda: copier.health().get("behind") == 0, "level", 60.0)
        demand(db1)
        acknowledged(copier, db1)
        words = ("-m", "tests.lab.dying", OPENING, WAITS, "masterha_manager", f"--conf={copier.manager_conf}")
        manager = cluster.run_there(sys.executable, *words)
        log = copier.manager_conf.with_suffix("") / "manager.log"
        until(lambda: log.exists() and SIGHT in log.read_text(), "it watches")
        writer = Writer(cluster)
        until(writer.acks, "rows")
        db1.signal_mysqld(signal.SIGKILL)
        assert manager.wait(90) == -signal.SIGKILL, log.read_text()
        assert waits(db2)["enabled"] == "ON"
        assert closed(db2)
        if returns:
            db1.start_mysqld("--rpl-semi-sync-source-enabled=1", "--rpl-semi-sync-source-timeout=3600000")
        seen = len(writer.acks())
        monitor = Monitor(cluster, copier.manager_conf, sight=False)
        try:
            until(lambda: len(writer.acks()) > seen + 20, "rows again", seconds=90.0)
            if returns:
                until(lambda: waits(db2)["enabled"] == "OFF" and works(db2, db1), "db2 is a replica as before")
                assert "no longer waits for acknowledgements" in monitor.log()
            else:
                assert not closed(db2)
                assert waits(db2)["enabled"] == "ON"
        finally:
            monitor.stop()
            writer.stop()
