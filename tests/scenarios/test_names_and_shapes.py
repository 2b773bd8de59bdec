"""Names, directories and shapes of clusters as MHA's users have them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.lab.cluster import Cluster, Done
from tests.lab.host import Host
from tests.scenarios.naming import manager_knows


def with_names(conf: Path, cluster: Cluster) -> Path:
    """The same servers as db1, db2 and db3."""
    text = conf.read_text()
    for host in cluster.hosts:
        text = text.replace(f"hostname={host.ip}\n", f"hostname=db{host.number}\nip={host.ip}\n")
    conf.write_text(text)
    return conf


def follow_by(replica: Host, name: str, address: str) -> None:
    """The replica calls its source by that name from now on."""
    replica.run(f"echo '{address} {name}' >>/etc/hosts")
    word, p = replica.kind.word("REPLICA", "SLAVE"), replica.kind.word("SOURCE", "MASTER")
    what = replica.kind.word("REPLICATION SOURCE", "MASTER")
    replica.sql(f"STOP {word}")
    replica.sql(f"CHANGE {what} TO {p}_HOST='{name}'")
    replica.sql(f"START {word}")
    runs(replica)


def runs(replica: Host, seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while True:
        status = replica.replica_status()
        if (status.get("Replica_IO_Running"), status.get("Replica_SQL_Running")) == ("Yes", "Yes"):
            return
        assert time.monotonic() < ends, status
        time.sleep(0.1)


def switch(cluster: Cluster, conf: Path, to: str, *options: str) -> Done:
    words = ("--master_state=alive", f"--conf={conf}", "--interactive=0", f"--new_master_host={to}", *options)
    return cluster.command("masterha_master_switch", *words)


def test_a_source_by_another_name_or_in_another_case_and_logs_with_dots_and_blanks() -> None:
    folder = "/var/lib/mysql/my logs"
    with Cluster("mariadb", gtid=True, extra={0: f"log-bin={folder}/name.with.dots"}, up=False) as cluster:
        for host in cluster.hosts:
            host.run(f"mkdir '{folder}' && chown mysql: '{folder}'")
            host.start_mysqld(wait=False)
        for host in cluster.hosts:
            host.wait_for_mysqld()
        cluster.replicate_from(cluster[1])
        follow_by(cluster[2], "db1.lan", cluster[1].ip)
        follow_by(cluster[3], "DB1", cluster[1].ip)
        names = "\n".join(f"{host.ip} db{host.number}" for host in cluster.hosts)
        with manager_knows(cluster, f"{names}\n{cluster[1].ip} db1.lan"):
            conf = with_names(cluster.write_cnf(default=f"master_binlog_dir={folder}, /var/lib/mysql"), cluster)
            done = cluster.command("masterha_check_repl", f"--conf={conf}", "--verbose")
            assert done.code == 0, done
            assert "Traceback" not in done.output
            assert f"is in {folder} and can be read [ok]" in done.output
            assert done.output.count("its source is db1(") == 2
            done = switch(cluster, conf, "DB2", "--orig_master_is_new_slave")
            assert done.code == 0, done
            # By name, as they did before.
            assert cluster[3].replica_status()["Source_Host"] == "db2"
            manager = cluster.start_manager(conf, "--ignore_last_failover")
            for number in (1, 3):
                cluster.stop_receiver(cluster[number])
            cluster[2].sql("CREATE TABLE app.rescued (id INT PRIMARY KEY)")
            cluster[2].signal_mysqld(9)
            assert manager.wait(60) == 0, manager.log()
            new = next(host for host in (cluster[1], cluster[3]) if host.replica_status() == {})
            assert new.sql("SHOW TABLES IN app LIKE 'rescued'")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), [("mariadb", True), ("mysql97", True), ("mysql56", False)])
def test_shapes_of_a_switch(kind: str, gtid: bool) -> None:
    """An undeclared tier is refused; one of a pair needs no password; who follows was not written to."""
    with Cluster(kind, gtid=gtid) as cluster:
        word = cluster.kind.word("REPLICA", "SLAVE")
        forget = cluster.kind.word("RESET REPLICA ALL", "RESET SLAVE ALL")
        cluster[3].sql(f"STOP {word}")
        cluster[3].sql(forget)
        cluster.follow(cluster[3], cluster[2])
        runs(cluster[3])
        done = switch(cluster, cluster.write_cnf(), cluster[2].ip)
        assert done.code == 1, done
        assert "not from" in done.output
        cluster[3].sql(f"STOP {word}")
        cluster[3].sql(forget)
        cluster.follow(cluster[3], cluster[1])
        runs(cluster[3])

        # A pair: db1 follows db2 already, and nobody tells us the password.
        cluster.follow(cluster[1], cluster[2])
        cluster[1].sql("SET GLOBAL read_only=0")
        runs(cluster[1])
        conf = cluster.write_cnf()
        conf.write_text("\n".join(x for x in conf.read_text().splitlines() if not x.startswith("repl_password=")))
        done = switch(cluster, conf, cluster[2].ip, "--orig_master_is_new_slave")
        assert done.code == 0, done
        runs(cluster[1])
        cluster[2].sql("CREATE TABLE app.later (id INT PRIMARY KEY)")

        # The command died just before it noted its end; the next one finishes it.
        (journal,) = conf.with_suffix("").glob("*.switch-*.journal")
        lines = journal.read_text().splitlines(keepends=True)
        assert '"ended"' in lines[-1]
        journal.write_text("".join(lines[:-1]))
        done = switch(cluster, conf, cluster[2].ip, "--orig_master_is_new_slave")
        assert done.code == 0, done
        assert "rebuild it" not in done.output
        runs(cluster[1])


@pytest.mark.slow
def test_a_planned_switch_needs_no_log_of_updates_with_file_and_position() -> None:
    with Cluster("mariadb", gtid=False, extra={2: "log_slave_updates=0"}) as cluster:
        done = switch(cluster, cluster.write_cnf(), cluster[2].ip, "--orig_master_is_new_slave")
        assert done.code == 0, done
        cluster[2].sql("CREATE TABLE app.later (id INT PRIMARY KEY)")
        for replica in (cluster[1], cluster[3]):
            runs(replica)
            ends = time.monotonic() + 10
            while not replica.sql("SHOW TABLES IN app LIKE 'later'"):
                assert time.monotonic() < ends
                time.sleep(0.1)


@pytest.mark.slow
def test_a_named_connection_of_mariadb_is_well() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        cluster[2].sql("STOP SLAVE")
        cluster[2].sql("RESET SLAVE ALL")
        account = "MASTER_USER='repl', MASTER_PASSWORD='lab-repl-pw', MASTER_USE_GTID=slave_pos"
        cluster[2].sql(f"CHANGE MASTER 'App' TO MASTER_HOST='{cluster[1].ip}', {account}")
        cluster[2].sql("START SLAVE 'App'")
        ends = time.monotonic() + 20
        while (done := cluster.command("masterha_check_repl", f"--conf={cluster.write_cnf()}", "--verbose")).code:
            assert time.monotonic() < ends, done
            time.sleep(0.5)
        assert "relay-log-app.info can be read [ok]" in done.output


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), [("mariadb", True), ("mysql97", True), ("mysql56", False)])
def test_a_declared_tier_is_no_loss_and_a_dead_replica_is_told_as_dead(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid, n=4) as cluster:
        word = cluster.kind.word("REPLICA", "SLAVE")
        cluster[4].sql(f"STOP {word}")
        cluster[4].sql(cluster.kind.word("RESET REPLICA ALL", "RESET SLAVE ALL"))
        cluster.follow(cluster[4], cluster[2])
        runs(cluster[4])
        conf = cluster.write_cnf(default="multi_tier_slave=1", candidate=2)
        manager = cluster.start_manager(conf)
        cluster[1].signal_mysqld(9)
        assert manager.wait(60) == 0, manager.log()
        assert "left out" not in manager.log()
        for number in (3, 4):
            assert cluster[number].replica_status()["Source_Host"] == cluster[2].ip
            runs(cluster[number])
        cluster[3].signal_mysqld(9)
        manager = cluster.start_manager(cluster.write_cnf(default="start_checks=warn"), "--ignore_last_failover")
        cluster[2].signal_mysqld(9)
        assert manager.wait(60) == 10, manager.log()
        report = manager.log()[manager.log().rindex("Failover Report") :]
        assert f"{cluster[3].ip}(" in report
        assert "does not replicate from the dead primary" not in report
