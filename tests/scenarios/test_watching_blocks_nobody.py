"""A primary that counts broken handshakes: whoever looks at it, however often, is not locked out by it (error 1129)."""

from __future__ import annotations

import json
import time

import pymysql
import pytest

from prefect_mha.config import load_cluster
from prefect_mha.replication.detection.observation import Finding
from prefect_mha.replication.probes.forwarded import look_through
from prefect_mha.replication.probes.replica import look_from
from prefect_mha.replication.probes.tcp import PortProbes, probe_port
from prefect_mha.replication.ssh.host import SshHost
from tests.lab.cluster import Cluster, Manager
from tests.lab.faults import port_down_for_the_manager
from tests.lab.waiting import until

#: So many broken handshakes lock a host out, and so many looks are taken.
MOST, LOOKS = 5, 12
COUNTS = {0: f"skip-name-resolve=0\nmax_connect_errors={MOST}"}
KINDS = ["mariadb", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("mysql97", "mysql56"))]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_look_finishes_its_handshake(kind: str) -> None:
    """From the manager, from a replica's host with its own tools, and through that host's sshd."""
    with Cluster(kind, n=2, extra=COUNTS) as cluster:
        with cluster.in_manager_net():
            primary, replica = load_cluster(cluster.write_cnf(), None).servers
            knocks = PortProbes(lambda: primary.ip, 3306)
            host = SshHost(replica)
            try:
                for _ in range(LOOKS):
                    assert probe_port(primary.ip, 3306, 2.0)[0] is Finding.ANSWERED
                    assert knocks.probe(2.0)[0] is Finding.ANSWERED
                for _ in range(LOOKS):
                    assert look_from(host, primary).finding is Finding.ANSWERED
                    assert look_through(host, primary, timeout=2.0).finding is Finding.ANSWERED
            finally:
                knocks.close()
                host.close()
        assert int(cluster[1].sql("SELECT @@global.max_connect_errors AS n")[0]["n"]) == MOST
        assert_received_again(cluster, 2)


@pytest.mark.parametrize(
    "kind", [pytest.param("mariadb", marks=pytest.mark.slow), pytest.param("mysql97", marks=pytest.mark.slow)]
)
def test_a_manager_that_is_cut_off_for_long_locks_no_replica_out(kind: str) -> None:
    """Only its way to the primary is gone: round by round the replicas' hosts are asked whether they reach it."""
    with Cluster(kind, extra=COUNTS) as cluster:
        manager = cluster.start_manager(cluster.write_cnf())
        with port_down_for_the_manager(cluster, cluster[1]):
            until(lambda: rounds(manager) >= 3 * MOST + 10, manager.log, 120.0)
            for number in (2, 3):
                assert_received_again(cluster, number)
        assert manager.process.poll() is None, manager.log()
        assert "only the manager cannot reach it" in manager.log()
        manager.stop()


def rounds(manager: Manager) -> int:
    """How often everybody was asked."""
    lines = [line for path in manager.workdir.glob("*.incident-*.jsonl") for line in path.read_text().splitlines()]
    return sum(json.loads(line)["line"] == "round" for line in lines if line.endswith("}"))


def assert_received_again(cluster: Cluster, number: int) -> None:
    """A receiver that connects anew is let in."""
    host, ends = cluster[number], time.monotonic() + 20.0
    cluster.stop_receiver(host)
    cluster.start_receiver(host)
    while (status := host.replica_status())["Replica_IO_Running"] != "Yes":
        assert time.monotonic() < ends, (status["Last_IO_Errno"], status["Last_IO_Error"])
        time.sleep(0.1)
    with pytest.raises(pymysql.MySQLError):
        cluster[1].connect(user="mha-look", password="")
