"""SSH of a server's block leads to another cluster's host, where another mysqld has the same port."""

from __future__ import annotations

import signal

import pytest

from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.writer import Writer
from tests.scenarios.failing_over import finish


def another_cluster(host: Host) -> None:
    """A primary of its own, of the same version, with the same paths and port."""
    word = "REPLICA" if host.kind.modern else "SLAVE"
    for statement in (f"STOP {word}", f"RESET {word} ALL", "SET GLOBAL read_only=0"):
        host.sql(statement)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mariadb", "mysql97"])
def test_the_mysqld_that_ssh_leads_to_is_no_part_of_the_cluster(kind: str) -> None:
    """The check says it; at a failover that one lives on, and nothing is believed or read there."""
    with Cluster(kind, gtid=True, n=4) as cluster:
        another_cluster(cluster[4])
        lives = cluster[4].mysqld_pids()
        conf = cluster.write_cnf(
            candidate=2, default="start_checks=warn", servers={1: f"ssh_host={cluster[4].ip}"}, apart=(4,)
        )
        checked = cluster.command("masterha_check_repl", f"--conf={conf}")
        print(checked.output)
        manager = cluster.start_manager(conf)
        writer = Writer(cluster, only=",".join(host.ip for host in cluster.hosts[:3]))
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        print(code, manager.log())
        assert cluster[4].mysqld_pids() == lives, manager.log()
        assert cluster[4].sql("SELECT @@read_only AS it")[0]["it"] == 0
        assert code in (0, 10), manager.log()
        result = account(acks, [cluster[2], cluster[3]])
        assert result.equal and not result.split, result
        assert checked.code == 1 and "leads to another host" in checked.output, checked.output
