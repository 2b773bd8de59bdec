"""Redo and undo logs outside of the data directory: no rebuild puts one server's tables beside another's logs."""

from __future__ import annotations

import pytest

from tests.lab.cluster import Cluster
from tests.scenarios.test_late_rescue import TABLE, Apart

pytestmark = pytest.mark.slow
REDO = "innodb_log_group_home_dir=/var/lib/redo"
MOVED = "install -d -o mysql /var/lib/redo && mv /var/lib/mysql/*innodb_redo /var/lib/mysql/ib_logfile* /var/lib/redo/"


@pytest.mark.parametrize("kind", [pytest.param("mysql97", id="9.7-gtid"), pytest.param("mariadb", id="mariadb-gtid")])
def test_no_rebuild_leaves_a_redo_log_behind(kind: str) -> None:
    with Cluster(kind, gtid=True, up=False, backup=kind == "mariadb", extra={1: REDO}) as cluster:
        cluster[1].run(MOVED, check=False)
        for host in cluster.hosts:
            host.start_mysqld()
        cluster.replicate_from(cluster[1])
        apart = Apart(cluster, [TABLE], ["INSERT INTO app.t VALUES (1, 'only there')"])
        done = apart.rejoin("--how=rebuild")
        assert done.code == 1, done
        assert "innodb_log_group_home_dir lies outside of its data directory" in done.output, done
        assert apart.old.sql("SELECT id FROM app.t") == [{"id": 1}]
        third, old = cluster[3], apart.old
        third.sql("STOP " + third.kind.word("REPLICA", "SLAVE"))
        cluster.follow(third, old)
        done = apart.rejoin("--how=rewind")
        assert (done.code, "Refused (has-replicas)" in done.output, third.ip in done.output) == (1, True, True), done
