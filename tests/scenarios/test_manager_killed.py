"""The manager is killed with -9 in the middle of a failover: the next start finishes it, and nothing is done twice."""

from __future__ import annotations

import signal
import time

import pytest

from tests.lab.checker import account, lent_settings, writers_overlap
from tests.lab.cluster import Cluster, Manager
from tests.lab.writer import Writer


def kill_at(manager: Manager, words: str, *, seconds: float = 40.0) -> None:
    """Kill the manager the moment its journal holds these words."""
    ends = time.monotonic() + seconds
    while True:
        journals = list(manager.workdir.glob("*.journal"))
        if journals and words in journals[0].read_text():
            manager.process.kill()
            manager.process.wait(10)
            return
        assert time.monotonic() < ends, manager.log()
        assert manager.process.poll() is None, manager.log()


INSTANTS = [
    '"step": "failover"',
    '"step": "Stop every receiver"',
    '"step": "Fence the old primary", "event": "done"',
    '"step": "Save the dead primary\'s binary log"',
    '"step": "apply", "event": "intent"',
    '"step": "Apply what was saved", "event": "done"',
    '"step": "promote", "event": "intent"',
    '"step": "Point a replica at the new primary"',
    '"step": "Point a replica at the new primary", "event": "done"',
    '"step": "Verify every server"',
]


@pytest.mark.parametrize("words", INSTANTS, ids=lambda w: w.replace('"', "").replace("step: ", "").replace(",", ""))
@pytest.mark.parametrize(
    ("kind", "gtid"),
    [
        pytest.param("mariadb", True, id="mariadb-gtid"),
        pytest.param("mysql97", False, id="9.7-position", marks=pytest.mark.slow),
    ],
)
def test_the_next_start_finishes(kind: str, gtid: bool, words: str) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf()
        settings = [lent_settings(cluster[n]) for n in (2, 3)]
        manager = cluster.start_manager(conf)
        writer = Writer(cluster)
        time.sleep(0.5)
        cluster.stop_receiver(cluster[3])
        time.sleep(0.3)
        cluster.stop_receiver(cluster[2])
        time.sleep(0.5)
        cluster[1].signal_mysqld(signal.SIGKILL)
        kill_at(manager, words)
        done = cluster.command("masterha_manager", f"--conf={conf}")
        told = done.output + manager.log()
        assert done.code == 0, told
        time.sleep(0.5)
        acks = writer.stop()
        result = account(acks, [cluster[2], cluster[3]])
        assert result.rows_lost == 0, told
        assert result.equal, told
        assert not writers_overlap(acks)
        assert cluster[2].replica_status() == {}
        assert cluster[3].replica_status()["Source_Host"] == cluster[2].ip
        rows = cluster[2].sql("SELECT COUNT(*) AS n, COUNT(DISTINCT writer, id) AS d FROM app.rows_written")[0]
        assert rows["n"] == rows["d"]
        assert [lent_settings(cluster[n]) for n in (2, 3)] == settings
