"""A primary that was replaced comes back with older data, as of a snapshot: it would skip what bears its own id."""

from __future__ import annotations

import pytest

from tests.lab.cluster import Cluster
from tests.scenarios.test_late_rescue import TABLE, executed, run

pytestmark = pytest.mark.slow


def rows(first: int, last: int) -> list[str]:
    return [f"INSERT INTO app.t VALUES ({number}, 'row')" for number in range(first, last)]


@pytest.mark.parametrize(
    ("kind", "gtid"),
    [
        pytest.param("mysql97", True, id="9.7-gtid"),
        pytest.param("mysql56", True, id="5.6-gtid"),
        pytest.param("mariadb", True, id="mariadb-gtid"),
    ],
)
def test_an_older_copy_of_a_primary_does_not_follow(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(candidate=2)
        old, new = cluster[1], cluster[2]
        run(old, [TABLE, *rows(0, 50)])
        old.stop_mysqld()
        old.run("cp -a /var/lib/mysql /var/lib/yesterday")
        old.start_mysqld()
        run(old, rows(50, 100))
        for host in cluster.hosts[1:]:
            executed(host, old)
        old.power_off()
        words = ("--master_state=dead", f"--conf={conf}", f"--dead_master_host={old.ip}", "--interactive=0")
        failover = cluster.command("masterha_master_switch", *words, timeout=300.0)
        assert failover.code in (0, 10), failover
        run(new, rows(200, 220))
        old.power_on()
        old.run("rm -rf /var/lib/mysql && mv /var/lib/yesterday /var/lib/mysql")
        old.start_mysqld()
        back = (f"--conf={conf}", f"--host={old.ip}", "--yes")
        done = cluster.command("mha", "rejoin", *back, timeout=300.0)
        has = old.sql("SELECT COUNT(*) AS n FROM app.t")[0]["n"]
        assert (done.code, has) == (1, 50), (has, done)
        assert "lost-its-end" in done.output, done
        assert old.replica_status() == {}
        done = cluster.command("mha", "rejoin", *back, "--how=rebuild", timeout=300.0)
        assert done.code == 0, done
        executed(old, new)
        assert old.sql("SELECT COUNT(*) AS n FROM app.t") == [{"n": 120}], done
