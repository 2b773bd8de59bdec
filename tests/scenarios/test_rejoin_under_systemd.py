"""A server that systemd starts: masked when it was fenced, started read-only, and left to systemd as a replica."""

from __future__ import annotations

import pytest

from tests.lab.booted import missing
from tests.lab.cluster import Cluster
from tests.lab.database_under_systemd import UNIT, DatabaseUnderSystemd
from tests.scenarios.test_rejoin_follows import Scene

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing() or "it is here")]


def test_a_masked_unit_is_started_read_only_and_the_next_start_is_a_replicas() -> None:
    with Cluster("mariadb", gtid=True, up=False, backup=True) as cluster, DatabaseUnderSystemd(cluster, 1) as machine:
        old = cluster[1]
        old.run("mkdir -p /etc/mysql/conf.d && printf '\\n!includedir /etc/mysql/conf.d/\\n' >>/etc/my.cnf")
        machine.run(f"systemctl start {UNIT}")
        for host in cluster.hosts[1:]:
            host.start_mysqld()
        cluster.replicate_from(old)
        scene = Scene(cluster)
        assert machine.shows(UNIT, "LoadState") == "masked"
        done = scene.rejoin("--yes")
        assert done.code == 0, done
        assert "its mysqld is started, read-only" in done.output, done
        assert (machine.shows(UNIT, "LoadState"), machine.shows(UNIT, "ActiveState")) == ("loaded", "active")
        assert "mha" not in old.run("ls /etc/mysql/conf.d")
        scene.assert_is_a_replica()
        done = scene.rejoin("--yes", "--how=rebuild")
        assert done.code == 0, done
        assert machine.shows(UNIT, "ActiveState") == "active"
        assert int(machine.shows(UNIT, "MainPID")) in old.mysqld_pids()
        assert "mha" not in old.run("ls /etc/mysql/conf.d")
