"""The primary's host has been dark for a while: receivers connect to it in vain, and are to be stopped all the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from prefect_mha.replication.memory.journal import read_journal
from tests.lab.checker import account
from tests.lab.cluster import Cluster, Done
from tests.lab.faults import without_ssh
from tests.lab.writer import Writer
from tests.scenarios.test_chains_of_faults import rows_on
from tests.scenarios.test_returns_while_replaced import paused
from tests.scenarios.test_who_is_primary import writable


def dark(cluster: Cluster, number: int = 1) -> None:
    """A host, the primary's, loses power, and its packets vanish for good: nobody says that there is no such host.

    In one network a host that does not answer is unreachable after three seconds, behind a router it never is.
    """
    lost = cluster[number]
    mac = lost.run("ip -o link show eth0 | sed -n 's/.*link.ether \\([^ ]*\\).*/\\1/p'").strip()
    for host in cluster.hosts[1:]:
        if host is not lost:
            host.run(f"ip neigh replace {lost.ip} lladdr {mac} dev eth0 nud permanent")
    lost.power_off()


def connecting(cluster: Cluster, seconds: float = 60.0) -> None:
    """Wait until every replica's receiver has noticed, and tries to connect."""
    ends = time.monotonic() + seconds
    while any(host.replica_status()["Replica_IO_Running"] != "Connecting" for host in cluster.hosts[1:]):
        assert time.monotonic() < ends, [host.replica_status() for host in cluster.hosts[1:]]
        time.sleep(0.2)


@contextmanager
def dark_for_a_while(kind: str, gtid: bool, *, restarted: bool) -> Iterator[Cluster]:
    """A cluster whose primary's host is dark, and whose receivers connect to it with 60 s for each attempt.

    ``restarted``: somebody has started replication anew since. Otherwise the receivers found out by themselves.
    """
    with Cluster(kind, gtid=gtid, extra={0: "" if restarted else "slave_net_timeout=20\n"}) as cluster:
        writer = Writer(cluster, seconds=1.0)
        time.sleep(1.5)
        writer.stop()
        dark(cluster)
        word = cluster.kind.word("REPLICA", "SLAVE")
        for host in cluster.hosts[1:] if restarted else ():
            host.sql(f"STOP {word} IO_THREAD")
            host.sql(f"START {word} IO_THREAD")
        connecting(cluster)
        time.sleep(0.5)
        yield cluster


def fail_over(cluster: Cluster) -> tuple[Done, float]:
    conf = cluster.write_cnf(candidate=2)
    began = time.monotonic()
    done = cluster.command(
        "masterha_master_switch",
        *("--master_state=dead", f"--conf={conf}", f"--dead_master_host={cluster[1].ip}", "--interactive=0"),
    )
    took = time.monotonic() - began
    log = cluster.seat / "app1" / "manager.log"
    return Done(done.code, done.output + log.read_text()), took


def holds(cluster: Cluster, done: Done) -> None:
    """A new primary, one replica of it, equal data."""
    assert done.code == 0, done
    new, other = cluster[2], cluster[3]
    assert not int(new.sql("SELECT @@global.read_only AS r")[0]["r"])
    assert new.replica_status() == {}, done
    assert other.replica_status()["Source_Host"] == new.ip, done
    new.sql("CREATE TABLE app.after_it (id INT PRIMARY KEY)")
    ends = time.monotonic() + 10
    while not other.sql("SHOW TABLES IN app LIKE 'after_it'"):
        assert time.monotonic() < ends, other.replica_status()
        time.sleep(0.05)
    assert account([], [new, other]).equal


ALL = [
    pytest.param("mariadb118", True, id="11.8-gtid"),
    pytest.param("mariadb118", False, id="11.8-position", marks=pytest.mark.slow),
    pytest.param("mariadb105", True, id="10.5-gtid", marks=pytest.mark.slow),
    pytest.param("mariadb", True, id="10.11-gtid", marks=pytest.mark.slow),
    pytest.param("mysql56", False, id="5.6-position", marks=pytest.mark.slow),
    pytest.param("mysql97", True, id="9.7-gtid", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("kind", "gtid"), ALL)
def test_a_failover_by_hand_while_receivers_connect_to_the_dark_host(kind: str, gtid: bool) -> None:
    """MariaDB 11 lets STOP wait for the attempt, for a minute; both replicas were then given up."""
    with dark_for_a_while(kind, gtid, restarted=True) as cluster:
        done, took = fail_over(cluster)
        holds(cluster, done)
        print(f"{cluster.name}: {took:.1f} s")
        assert took < 40.0, done


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "gtid"),
    [pytest.param(*mode.values, id=mode.id) for mode in ALL],
)
def test_a_failover_by_hand_after_the_receivers_timed_out(kind: str, gtid: bool) -> None:
    """The host has been dark for longer than slave_net_timeout."""
    with dark_for_a_while(kind, gtid, restarted=False) as cluster:
        done, _ = fail_over(cluster)
        holds(cluster, done)


@pytest.mark.slow
def test_a_failover_by_hand_where_nobody_can_end_the_attempts() -> None:
    """Without SSH to the replicas it takes as long as an attempt, and is done."""
    with (
        dark_for_a_while("mariadb118", True, restarted=True) as cluster,
        without_ssh(cluster[2]),
        without_ssh(cluster[3]),
    ):
        done, _ = fail_over(cluster)
        holds(cluster, done)


@pytest.mark.slow
def test_a_manager_that_is_started_late_fails_over() -> None:
    with dark_for_a_while("mariadb118", True, restarted=True) as cluster:
        conf = cluster.write_cnf(candidate=2)
        done = cluster.command("masterha_manager", f"--conf={conf}", timeout=120)
        log = (conf.with_suffix("") / "manager.log").read_text()
        holds(cluster, Done(done.code, done.output + log))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), [param for param in ALL if param.values[1]])
def test_a_donor_that_goes_dark_as_it_is_asked_is_not_waited_for(kind: str, gtid: bool) -> None:
    """The chosen one connects to it in vain, and its receiver is to be stopped: what only the donor had is told."""
    with Cluster(kind, gtid=gtid) as cluster, paused(cluster, "CHANGE ", "sends") as manager:
        writer = Writer(cluster)
        rows_on(cluster, writer, 3)
        writer.stop()
        dark(cluster)
        manager.reached()
        dark(cluster, 3)
        struck = time.time()
        code = manager.go()
        told = manager.log()
        assert code == 10, told
        assert writable(cluster[2]), told
        (journal,) = manager.workdir.glob("*.failover-*.journal")
        steps = [e for e in read_journal(journal) if (e.step, e.event) == ("Open the new primary for writes", "done")]
        assert steps[-1].at - struck < 35.0, told
