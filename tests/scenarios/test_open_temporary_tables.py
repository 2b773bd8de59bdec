"""A session of the primary's has a temporary table that only statements tell of: what it wrote with it is not lost."""

from __future__ import annotations

import signal

import pytest

from tests.lab.cluster import Cluster
from tests.scenarios.moving import wait_until
from tests.scenarios.test_chains_of_faults import has_received_all, modes
from tests.scenarios.test_rescue_contents import level
from tests.scenarios.test_who_is_primary import writable

OPEN = "SHOW GLOBAL STATUS LIKE 'Slave_open_temp_tables'"


@pytest.mark.slow
@pytest.mark.parametrize("disk", ["readable", "dark"])
@pytest.mark.parametrize("chosen", [2, 3], ids=["most-advanced", "behind"])
@pytest.mark.parametrize(("kind", "gtid"), [p for p in modes() if p.values[0] != "mysql97"])
def test_rows_out_of_a_temporary_table_reach_everybody(kind: str, gtid: bool, chosen: int, disk: str) -> None:
    """Both replicas hold it open; the statements that read it come from the dead disk, or from db2's relay logs."""
    with Cluster(kind, gtid=gtid) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=chosen))
        cluster[1].sql("CREATE TABLE app.kept (id INT PRIMARY KEY)")
        session = cluster[1].connect()
        run = session.cursor().execute
        run("SET SESSION binlog_format = MIXED")
        run("CREATE TEMPORARY TABLE app.passing (id INT)")
        run("INSERT INTO app.passing VALUES (1)")
        session.commit()
        level(cluster)
        for host in cluster.hosts[1:]:
            wait_until(lambda h=host: h.sql(OPEN)[0]["Value"] == "1", f"{host.name} holds it open")  # type: ignore[misc]
        cluster.stop_receiver(cluster[3])
        run("INSERT INTO app.kept SELECT id FROM app.passing")
        session.commit()
        wait_until(lambda: has_received_all(cluster), "db2 received all")
        if disk == "readable":
            cluster.stop_receiver(cluster[2])
            run("INSERT INTO app.kept SELECT id + 1 FROM app.passing")
            session.commit()
            cluster[1].signal_mysqld(signal.SIGKILL)
        else:
            cluster[1].power_off()
        assert manager.wait(90.0) == 0, manager.log()
        assert writable(cluster[chosen]), manager.log()
        rows = 2 if disk == "readable" else 1
        for host in cluster.hosts[1:]:
            assert host.sql("SELECT COUNT(*) AS n FROM app.kept")[0]["n"] == rows, (host.name, manager.log())
