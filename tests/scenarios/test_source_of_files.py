"""Real replicas fetch a dead primary's tail from a source made of its files, with their own threads: as if it lived."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from prefect_mha.replication.source import Catalogue, Prover
from prefect_mha.replication.source.rebuilt import rebuild
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.scenarios.contents import Contents
from tests.scenarios.failing_over import MODES
from tests.scenarios.serving import (
    Dead,
    drain,
    everything,
    executed,
    identity,
    point,
    position,
    power,
    relay_logs,
    serving,
    wait_level,
)
from tests.scenarios.tails import Tails, wait_prepared
from tests.scenarios.test_rescue_contents import level


def some(*chosen: str) -> list:
    """These modes by default, the others with make test-all."""
    return [
        mode if mode.id in chosen else pytest.param(*mode.values, id=mode.id, marks=pytest.mark.slow) for mode in MODES
    ]


def least(cluster: Cluster) -> Host:
    """The replica that executed the least."""
    return min((cluster[2], cluster[3]), key=position)


def rescue(cluster: Cluster, tmp_path: Path) -> None:
    """Kill the primary, point both replicas at a source that has nothing to send yet, and then prove and publish."""
    gtid = cluster.gtid
    dead = Dead.of(cluster[1], tmp_path)
    for number in (2, 3):
        drain(cluster[number])
    start = position(least(cluster))
    catalogue = Catalogue(dead.who)
    prover = Prover(catalogue, start, executed(least(cluster)) if gtid else None)
    logs = [log for log in dead.logs if log.name >= start.file]
    with serving(cluster, catalogue) as (source, port):
        prover.head(logs[0])
        for number in (2, 3):
            point(cluster[number], cluster, source, port, by_gtid=gtid)
        for count in range(1, len(logs) + 1):
            prover.extend(logs[:count])
        catalogue.finish()
        for number in (2, 3):
            wait_level(cluster[number], source, by_gtid=gtid)


def assert_same(cluster: Cluster, expected: dict, *numbers: int) -> None:
    for number in numbers or (2, 3):
        found = everything(cluster[number])
        for what in expected.keys() | found.keys():
            assert found.get(what) == expected.get(what), (number, what)


@pytest.mark.parametrize(("kind", "gtid"), some("5.6-position", "9.7-gtid", "mariadb-gtid"))
def test_what_a_session_does_otherwise_than_an_applier(kind: str, gtid: bool, tmp_path: Path) -> None:
    """Statements logged with their error, CURRENT_USER, a database that is gone, a temporary table from before, rows of
    40 MB, XA, CTAS, two files: data, accounts, definers and comments are the dead primary's on both survivors."""
    with Cluster(kind, gtid=gtid, extra={0: "max_allowed_packet=256M"}) as cluster:
        tails = Tails(cluster)
        tails.prepare()
        level(cluster)
        cluster.stop_receiver(cluster[3])
        cluster[1].sql("INSERT INTO app.kept (t) VALUES ('on one replica')")
        level(cluster, 2)
        cluster.stop_receiver(cluster[2])
        tails.write()
        expected = everything(cluster[1])
        rescue(cluster, tmp_path)
        assert_same(cluster, expected)
        for number in (2, 3):
            if kind != "mysql56":
                wait_prepared(cluster[number], "left")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), MODES)
def test_every_kind_of_content_in_several_logs(kind: str, gtid: bool, tmp_path: Path) -> None:
    """Tagged GTIDs, compressed transactions and events, domains, two-phase ALTER, sequences, LOAD DATA, all formats."""
    with Cluster(kind, gtid=gtid) as cluster:
        cluster[1].sql("CREATE TABLE app.before (id INT PRIMARY KEY)")
        level(cluster)
        cluster.stop_receiver(cluster[3])
        Contents(cluster[1], gtid=gtid, part=1).write()
        cluster.stop_receiver(cluster[2])
        Contents(cluster[1], gtid=gtid, part=2).write()
        expected = everything(cluster[1])
        rescue(cluster, tmp_path)
        assert_same(cluster, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), MODES)
def test_checksums_that_are_switched_off_and_on_in_the_middle(kind: str, gtid: bool, tmp_path: Path) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        cluster[1].sql("CREATE TABLE app.t (id INT PRIMARY KEY)")
        level(cluster)
        for number in (2, 3):
            cluster.stop_receiver(cluster[number])
        for number, checksum in enumerate(("NONE", "CRC32", "NONE")):
            cluster[1].sql(f"INSERT INTO app.t VALUES ({2 * number})")
            cluster[1].sql(f"SET GLOBAL binlog_checksum={checksum}")
            cluster[1].sql(f"INSERT INTO app.t VALUES ({2 * number + 1})")
        expected = everything(cluster[1])
        rescue(cluster, tmp_path)
        assert_same(cluster, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), [m for m in MODES if m.id in ("9.7-position", "9.7-gtid", "mariadb-gtid")])
def test_semi_synchronous_replicas(kind: str, gtid: bool, tmp_path: Path) -> None:
    modern = "plugin-load-add=semisync_source.so\nplugin-load-add=semisync_replica.so\nrpl_semi_sync_replica_enabled=1"
    extra = modern if kind == "mysql97" else "rpl_semi_sync_slave_enabled=1"
    with Cluster(kind, gtid=gtid, extra={0: extra}) as cluster:
        cluster[1].sql("CREATE TABLE app.t (id INT PRIMARY KEY)")
        level(cluster)
        for number in (2, 3):
            cluster.stop_receiver(cluster[number])
        for number in range(20):
            cluster[1].sql(f"INSERT INTO app.t VALUES ({number})")
        expected = everything(cluster[1])
        rescue(cluster, tmp_path)
        assert_same(cluster, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), MODES)
def test_what_one_replica_received_is_served_to_the_other_from_its_relay_logs(
    kind: str, gtid: bool, tmp_path: Path
) -> None:
    """The primary's disk is gone; db2 has the tail in its relay logs, over two logs of the primary's, db3 lacks it."""
    with Cluster(kind, gtid=gtid) as cluster:
        cluster[1].sql("CREATE TABLE app.t (id INT PRIMARY KEY, t TEXT)")
        level(cluster)
        cluster.stop_receiver(cluster[3])
        for number in range(20):
            cluster[1].sql(f"INSERT INTO app.t VALUES ({number}, REPEAT('x', {number * 100}))")
            if number == 10:
                cluster[1].sql("FLUSH BINARY LOGS")
        level(cluster, 2)
        who, expected = identity(cluster[1]), everything(cluster[1])
        power(cluster[1], on=False)
        for number in (2, 3):
            drain(cluster[number])
        catalogue = Catalogue(who)
        start, before = position(cluster[3]), executed(cluster[3]) if gtid else None
        lent = relay_logs(cluster[2], tmp_path / "lent")
        rebuild(catalogue, lent, tmp_path / "made", start=start, by_gtid=gtid, before=before)
        catalogue.finish()
        with serving(cluster, catalogue, (3,)) as (source, port):
            point(cluster[3], cluster, source, port, by_gtid=gtid)
            wait_level(cluster[3], source, by_gtid=gtid)
        assert_same(cluster, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), [m for m in MODES if m.id in ("9.7-position", "9.7-gtid", "mariadb-gtid")])
def test_a_replica_that_is_killed_or_cut_off_while_it_is_served_goes_on_and_executes_nothing_twice(
    kind: str, gtid: bool, tmp_path: Path
) -> None:
    with Cluster(kind, gtid=gtid, extra={0: "relay_log_recovery=1"}) as cluster:
        cluster[1].sql("CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, t TEXT)")
        cluster[1].sql("CREATE TABLE app.sums (id INT PRIMARY KEY, n INT)")
        cluster[1].sql("INSERT INTO app.sums VALUES (1, 0)")
        level(cluster)
        for number in (2, 3):
            cluster.stop_receiver(cluster[number])
        for _ in range(300):
            cluster[1].sql("INSERT INTO app.t (t) VALUES (REPEAT('x', 5000))")
            cluster[1].sql("UPDATE app.sums SET n = n + 1")
        expected = everything(cluster[1])
        dead = Dead.of(cluster[1], tmp_path)
        for number in (2, 3):
            drain(cluster[number])
        catalogue = dead.catalogue(position(least(cluster)), executed(least(cluster)) if gtid else None)
        word = cluster.kind.word("REPLICA", "SLAVE")
        with serving(cluster, catalogue) as (source, port):
            for number in (2, 3):
                cluster[number].sql("SET GLOBAL slave_net_timeout=4" if not cluster.kind.modern else "DO 0")
                point(cluster[number], cluster, source, port, by_gtid=gtid)
            for _ in range(3):
                time.sleep(0.2)  # somewhere in the middle
                power(cluster[2], on=False)
                power(cluster[2], on=True)
                cluster[2].sql(f"START {word}")
            cluster[3].cut_cable()
            time.sleep(5.0)  # the network is away for so long
            cluster[3].mend_cable()
            for number in (2, 3):
                wait_level(cluster[number], source, by_gtid=gtid)
        assert_same(cluster, expected)
