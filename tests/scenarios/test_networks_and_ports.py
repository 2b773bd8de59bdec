"""Clusters whose replicas talk over a network of their own, and whose servers all have another port than the usual."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.writer import Writer
from tests.scenarios.failing_over import finish, kinds
from tests.scenarios.moving import wait_until
from tests.scenarios.naming import manager_knows
from tests.scenarios.test_names_and_shapes import runs, switch, with_names

pytestmark = pytest.mark.slow

KINDS = kinds("mariadb-gtid", "9.7-gtid", "5.6-position")


def second(host: Host) -> str:
    """Its address on the network that only servers are on."""
    return host.ip.replace("10.77.", "10.88.", 1)


def replicate_over_it(cluster: Cluster) -> None:
    """Every replica calls its source by that address; the manager has no way there."""
    p, what = cluster.kind.word("SOURCE", "MASTER"), cluster.kind.word("REPLICATION SOURCE", "MASTER")
    word = cluster.kind.word("REPLICA", "SLAVE")
    for host in cluster.hosts:
        host.run(f"ip addr add {second(host)}/24 dev eth0")
    for replica in cluster.hosts[1:]:
        replica.sql(f"STOP {word}")
        replica.sql(f"CHANGE {what} TO {p}_HOST='{second(cluster[1])}'")
        replica.sql(f"START {word}")
        runs(replica)


def named_by(how: str, cluster: Cluster, conf: Path) -> Path:
    """A configuration that names both addresses of each server: MHA's way, or by replication_host."""
    text = conf.read_text()
    for host in cluster.hosts:
        both = {
            "hostname": f"hostname={second(host)}\nip={host.ip}\nssh_host={host.ip}\n",
            "replication_host": f"hostname={host.ip}\nreplication_host={second(host)}\n",
        }
        text = text.replace(f"hostname={host.ip}\n", both[how])
    conf.write_text(text)
    return conf


@pytest.mark.parametrize("how", ["hostname", "replication_host"])
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_replicas_stay_on_the_network_of_replication(kind: str, gtid: bool, how: str) -> None:
    """They were moved to the manager's; a switch and a failover, one after the other."""
    with Cluster(kind, gtid=gtid) as cluster:
        replicate_over_it(cluster)
        conf = named_by(how, cluster, cluster.write_cnf(candidate=3))
        done = cluster.command("masterha_check_repl", f"--conf={conf}")
        assert done.code == 0, done
        writer = Writer(cluster)
        wait_until(lambda: len(writer.acks()) > 20, "the application writes")
        name = second(cluster[2]) if how == "hostname" else cluster[2].ip
        done = switch(cluster, conf, name, "--orig_master_is_new_slave")
        assert done.code == 0, done
        for number in (1, 3):
            runs(cluster[number])
            assert cluster[number].replica_status()["Source_Host"] == second(cluster[2])
        manager = cluster.start_manager(conf, "--ignore_last_failover")
        for number in (1, 3):
            cluster.stop_receiver(cluster[number])
        before = len(writer.acks())
        wait_until(lambda: len(writer.acks()) > before + 20, "rows that nobody received")
        cluster[2].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        assert cluster[1].replica_status()["Source_Host"] == second(cluster[3])
        runs(cluster[1])
        assert {ack.host for ack in acks} == {host.ip for host in cluster.hosts}
        result = account(acks, [cluster[3], cluster[1]])
        assert (result.rows_lost, result.equal) == (0, True), result


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_every_server_has_the_same_other_port_and_no_command_names_it(kind: str, gtid: bool) -> None:
    """It was "10.77.0.11 is not a server of app1", for a switch as for a failover by hand; and names in any case."""
    with Cluster(kind, gtid=gtid, extra={0: "port=3307"}, up=False) as cluster:
        for host in cluster.hosts:
            host.port = 3307
            host.start_mysqld(wait=False)
        for host in cluster.hosts:
            host.wait_for_mysqld()
        cluster.replicate_from(cluster[1])
        for number in (2, 3):
            runs(cluster[number])
        with manager_knows(cluster):
            conf = with_names(cluster.write_cnf(default="port=3307"), cluster)
            done = cluster.command("masterha_check_repl", f"--conf={conf}")
            assert done.code == 0, done
            done = switch(cluster, conf, "DB3", "--orig_master_is_new_slave")
            assert done.code == 0, done
            for number in (1, 2):
                runs(cluster[number])
                assert cluster[number].replica_status()["Source_Port"] == 3307
            cluster[3].sql("CREATE TABLE app.later (id INT PRIMARY KEY)")
            cluster[3].signal_mysqld(signal.SIGKILL)
            dead = ("--master_state=dead", f"--dead_master_host={cluster[3].ip}", "--interactive=0")
            more = (f"--new_master_host={cluster[1].ip}", "--ignore_last_failover")
            done = cluster.command("masterha_master_switch", f"--conf={conf}", *dead, *more)
            assert done.code == 0, done
            runs(cluster[2])
            status = cluster[2].replica_status()
            assert (status["Source_Host"], status["Source_Port"]) in ((cluster[1].ip, 3307), ("db1", 3307))
            assert cluster[1].sql("SHOW TABLES IN app LIKE 'later'")
