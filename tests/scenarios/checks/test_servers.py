"""Each check has a broken cluster that makes it speak, and what its hint says fixes it; a healthy cluster says OK.

One cluster a kind is broken and fixed, one thing after another. Statements in the hints are run as they stand there.
"""

from __future__ import annotations

import json
import signal
import time
from typing import Any

import pytest

from tests.lab.cluster import Cluster
from tests.lab.kinds import REPL
from tests.lab.waiting import until
from tests.scenarios.checks.telling import HEALTHY, PASSED, UNHEALTHY, Told, aside, run_hint, statement, well_within
from tests.scenarios.failing_over import MODES

# a healthy cluster ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "gtid"), MODES)
def test_a_healthy_cluster_is_ok(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as well:
        conf = well.write_cnf()
        before = leftovers(well)
        done = well.command("masterha_check_repl", f"--conf={conf}")
        assert done.code == 0, done
        assert done.output.rstrip().splitlines()[-1] == HEALTHY
        assert f"GTID failover mode = {int(gtid and kind != 'mariadb')}" in done.output
        assert f"Current Alive Master: {well[1].ip}({well[1].ip}:3306)" in done.output
        assert f" +--{well[2].ip}({well[2].ip}:3306)" in done.output
        assert "[FAILED]" not in done.output
        ssh = well.command("masterha_check_ssh", f"--conf={conf}")
        assert (ssh.code, ssh.output.rstrip().splitlines()[-1]) == (0, PASSED), ssh
        both = well.command("mha", "check", "--conf", str(conf))
        assert both.code == 0, both
        assert both.output.rstrip().splitlines()[-2:] == [PASSED, HEALTHY]
        assert leftovers(well) == before


def leftovers(cluster: Cluster) -> list[Any]:
    """What a check might leave behind: files in the work directory, tables, positions in the logs."""
    seen: list[Any] = []
    for host in cluster.hosts:
        log = host.sql(f"SHOW {host.kind.word('BINARY LOG', 'MASTER')} STATUS")[0]
        tables = host.sql("SELECT table_schema, table_name FROM information_schema.tables ORDER BY 1, 2")
        seen.append((host.run("ls -A /var/tmp /tmp /root"), log, tables))
    return seen


# replication ---------------------------------------------------------------------------------------------------------


def test_a_stopped_receiver(cluster: Cluster) -> None:
    cluster.stop_receiver(cluster[2])
    told = Told(cluster)
    assert told.code == 1
    check = told.of("receiver-runs", cluster[2].ip)
    assert check["text"] == "the IO thread is stopped"
    assert statement(check) == f"START {cluster.kind.word('REPLICA', 'SLAVE')} IO_THREAD"
    assert "NULL" in told.of("lag", cluster[2].ip)["text"]
    run_hint(cluster[2], check)
    well_within(cluster, 5)


def test_an_applier_that_met_an_error(cluster: Cluster) -> None:
    cluster[1].sql("CREATE TABLE app.there (id INT PRIMARY KEY)")
    until(lambda: cluster[2].sql("SHOW TABLES IN app LIKE 'there'") != [])
    aside(cluster[2], "INSERT INTO app.there VALUES (1)")
    cluster[1].sql("INSERT INTO app.there VALUES (1)")
    until(lambda: cluster[2].replica_status()["Replica_SQL_Running"] == "No")
    told = Told(cluster)
    check = told.of("applier-runs", cluster[2].ip)
    assert "error 1062" in check["text"]
    assert "error 1062" in told.of("promotable", cluster[2].ip)["text"]
    aside(cluster[2], "DELETE FROM app.there")
    run_hint(cluster[2], check)
    well_within(cluster, 5)


def test_a_replica_that_is_late(cluster: Cluster) -> None:
    session = cluster[2].connect()
    with session.cursor() as cursor:
        cluster[1].sql("CREATE TABLE app.late (id INT PRIMARY KEY)")
        until(lambda: cluster[2].sql("SHOW TABLES IN app LIKE 'late'") != [])
        cursor.execute("LOCK TABLES app.late READ")
        cluster[1].sql("INSERT INTO app.late VALUES (1)")
        until(lambda: int(cluster[2].replica_status()["Seconds_Behind_Source"] or 0) >= 2)
        told = Told(cluster, None, "--seconds_behind_master=1")
        assert "more than 1 s" in told.of("lag", cluster[2].ip)["text"]
        assert Told(cluster, None, "--seconds_behind_master=300").code == 0
        cursor.execute("UNLOCK TABLES")
    session.close()
    well_within(cluster, 5)


# who is there, and who follows whom ----------------------------------------------------------------------------------


def test_a_server_that_is_down(cluster: Cluster) -> None:
    cluster[3].signal_mysqld(signal.SIGKILL)
    until(lambda: not cluster[3].mysqld_pids())
    done = cluster.command("masterha_check_repl", f"--conf={cluster.write_cnf()}")
    assert done.code == 1
    (line,) = [text for text in done.output.splitlines() if "server-answers" in text and "[FAILED]" in text]
    assert "[error]" in line
    assert f"{cluster[3].ip}({cluster[3].ip}:3306)" in line
    assert "error 2003" in line
    assert "is mysqld running there" in line
    assert done.output.rstrip().splitlines()[-1] == UNHEALTHY
    assert "Got exit code 1 (Not master dead)." in done.output
    cluster[3].start_mysqld()
    cluster[3].sql("SET GLOBAL read_only=1")
    cluster[3].sql(f"START {cluster.kind.word('REPLICA', 'SLAVE')}")
    well_within(cluster, 10)


def test_a_server_that_hangs_is_waited_for_a_few_seconds_only(cluster: Cluster) -> None:
    cluster[3].signal_mysqld(signal.SIGSTOP)
    try:
        began = time.monotonic()
        told = Told(cluster)
        assert time.monotonic() - began < 20
        assert told.code == 1
        told.of("server-answers", cluster[3].ip)
    finally:
        cluster[3].signal_mysqld(signal.SIGCONT)
    well_within(cluster, 10)


def test_a_primary_that_is_dead(cluster: Cluster) -> None:
    cluster[1].signal_mysqld(signal.SIGKILL)
    until(lambda: not cluster[1].mysqld_pids())
    conf = cluster.write_cnf()
    told = Told(cluster, conf)
    check = told.of("primary")
    assert "is dead" in check["text"]
    assert statement(check) == f"mha failover --conf {conf}"
    cluster[1].start_mysqld()
    for number in (2, 3):
        # MySQL 9 gives up after ten attempts.
        cluster[number].sql(f"START {cluster.kind.word('REPLICA', 'SLAVE')}")
        until(lambda n=number: cluster[n].replica_status()["Replica_IO_Running"] == "Yes")  # type: ignore[misc]
    well_within(cluster, 15)


def test_a_wrong_password(cluster: Cluster) -> None:
    told = Told(cluster, cluster.write_cnf("wrong", password="not it"))
    check = told.of("server-answers", cluster[1].ip)
    assert "error 1045" in check["text"]
    assert "check user and password" in check["text"]
    assert "not it" not in json.dumps(told.checks)


def test_configurations_that_do_not_fit(cluster: Cluster) -> None:
    told = Told(cluster, cluster.write_cnf("headless", apart=(1,)))
    assert told.code == 1
    assert "is no server of the configuration" in told.of("source-configured", cluster[2].ip)["text"]
    assert "no reachable server replicates from a configured one" in told.of("primary")["text"]
    no = {2: "no_master=1", 3: "no_master=1"}
    assert "no_master is set" in Told(cluster, cluster.write_cnf("nobody", servers=no)).of("candidate")["text"]


def test_a_server_that_left_the_cluster(cluster: Cluster) -> None:
    host, word = cluster[3], cluster.kind.word("REPLICA", "SLAVE")
    until(lambda: host.replica_status()["Seconds_Behind_Source"] == 0)
    host.sql(f"STOP {word}")
    place = host.replica_status()
    host.sql(f"RESET {word} ALL")
    told = Told(cluster)
    assert told.code == 1
    assert f"make it a replica of {cluster[1].ip}" in told.of("is-replica", host.ip)["hint"]
    host.sql("SET GLOBAL read_only=0")
    assert "beside the primary" in Told(cluster).of("primary")["text"]
    cluster.follow(host, cluster[1])
    if not cluster.gtid:
        host.sql(f"STOP {word}")
        p, what = cluster.kind.word("SOURCE", "MASTER"), cluster.kind.word("REPLICATION SOURCE", "MASTER")
        at = (place["Relay_Source_Log_File"], place["Exec_Source_Log_Pos"])
        host.sql(f"CHANGE {what} TO {p}_LOG_FILE=%s, {p}_LOG_POS=%s", at)
        host.sql(f"START {word}")
    well_within(cluster, 10)


def test_a_replica_of_a_replica(cluster: Cluster) -> None:
    if not cluster.gtid:
        # By position its place in the other log would have to be found first.
        assert not [c for c in Told(cluster).checks if c["name"] == "tier" and not c["ok"]]
        return
    host = cluster[3]
    host.sql(f"STOP {cluster.kind.word('REPLICA', 'SLAVE')}")
    cluster.follow(host, cluster[2])
    until(lambda: host.replica_status()["Replica_IO_Running"] == "Yes")
    check = Told(cluster).of("tier", host.ip)
    assert cluster[2].ip in check["text"]
    assert Told(cluster, cluster.write_cnf("tiers", default=statement(check))).code == 0
    host.sql(f"STOP {cluster.kind.word('REPLICA', 'SLAVE')}")
    cluster.follow(host, cluster[1])
    well_within(cluster, 10)


# accounts ------------------------------------------------------------------------------------------------------------


def account(cluster: Cluster, name: str, at: str = "%", grants: str = "USAGE") -> None:
    cluster[1].sql(f"CREATE USER '{name}'@'{at}' IDENTIFIED BY 'x-Y-z-1'")
    cluster[1].sql(f"GRANT {grants} ON *.* TO '{name}'@'{at}'")


def test_an_account_that_may_nothing_is_mended_by_what_is_said(cluster: Cluster) -> None:
    account(cluster, "few")
    conf = cluster.write_cnf("few", default="user=few\npassword=x-Y-z-1")
    until(lambda: Told(cluster, conf).of("server-answers", cluster[2].ip)["text"].find("1045") < 0)
    told = Told(cluster, conf)
    assert told.code == 1
    missing = [c for c in told.checks if not c["ok"] and c["name"].startswith("privilege-")]
    assert len([c for c in missing if c["subject"].startswith(cluster[1].ip)]) >= 9
    for check in missing:
        if check["subject"].startswith(cluster[1].ip):
            assert "'few'@'%'" in check["hint"]
            run_hint(cluster[1], check)

    def left() -> set[str]:
        told = Told(cluster, conf)
        return {name for name, _, _ in told.not_ok} if told.code == 0 else {"failed"}

    # Who may not read mysql.user is told that something is not known, and that is no trouble.
    until(lambda: left() <= {"account-lasts", "replication-account"})
    cluster[1].sql("DROP USER 'few'@'%'")


def test_an_account_for_the_manager_only(cluster: Cluster) -> None:
    manager = f"{cluster.subnet.prefix}.1"
    account(cluster, "near", manager, "ALL")
    conf = cluster.write_cnf("near", default="user=near\npassword=x-Y-z-1")
    until(lambda: not [c for c in Told(cluster, conf).checks if c["name"] == "server-answers" and not c["ok"]])
    told = Told(cluster, conf)
    for host in cluster.hosts:
        check = told.of("client-connects", host.ip)
        assert "ERROR 1045" in check["text"]
        assert f"'near'@'{host.ip}'" in check["hint"]
        account(cluster, "near", host.ip, "ALL")
    well_within(cluster, 5, conf)
    for at in (manager, *(host.ip for host in cluster.hosts)):
        cluster[1].sql(f"DROP USER 'near'@'{at}'")


def test_an_account_of_replicas_that_may_not_replicate(cluster: Cluster) -> None:
    aside(cluster[2], f"REVOKE REPLICATION SLAVE ON *.* FROM '{REPL}'@'%'")
    told = Told(cluster)
    assert told.code == 1
    check = told.of("replication-account", cluster[2].ip)
    assert f"may not replicate from it as {REPL}" in check["text"]
    cluster[1].sql(statement(check))
    well_within(cluster, 5)


# GTIDs ---------------------------------------------------------------------------------------------------------------


def test_other_gtids_than_the_others(cluster: Cluster) -> None:
    if not cluster.gtid:
        assert not [c for c in Told(cluster).checks if "gtid" in c["name"] and not c["ok"]]
        return
    host = cluster[3]
    if cluster.kind.mariadb:
        for how in ("no", "slave_pos"):
            host.sql("STOP SLAVE")
            host.sql(f"CHANGE MASTER TO MASTER_USE_GTID={how}")
            host.sql("START SLAVE")
            if how == "no":
                kinds = [c for c in Told(cluster).checks if c["name"] == "gtid-positioning" and not c["ok"]]
                assert len(kinds) == 1
                assert "the others by" in kinds[0]["text"]
    else:
        host.sql("SET GLOBAL gtid_mode=ON_PERMISSIVE")
        check = Told(cluster).of("gtid-mode", host.ip)
        assert check["text"] == "gtid_mode is ON_PERMISSIVE, elsewhere ON"
        host.sql("SET GLOBAL gtid_mode=ON")
    well_within(cluster, 5)


@pytest.mark.parametrize(
    "kind", [pytest.param("mysql97"), pytest.param("mysql56", marks=pytest.mark.slow), pytest.param("mariadb")]
)
def test_what_the_primary_never_sent_and_what_it_has_no_more(kind: str) -> None:
    """In a cluster of its own: errant and purged transactions are there to stay."""
    with Cluster(kind, gtid=True) as cluster:
        # A log that holds nothing is no witness of what others wrote.
        cluster[1].sql("CREATE DATABASE known")
        for number in (2, 3):
            until(lambda n=number: bool(cluster[n].sql("SHOW DATABASES LIKE 'known'")))  # type: ignore[misc]
        session = cluster[2].connect()
        with session.cursor() as cursor:
            if cluster.kind.mariadb:
                cursor.execute("SET gtid_domain_id=7")
            cursor.execute("CREATE DATABASE stray")
        session.close()
        told = Told(cluster)
        assert told.code == 0
        check = told.of("errant-transactions", cluster[2].ip)
        assert ("7-102-1" if cluster.kind.mariadb else ":1") in check["text"]
        assert f"until then {cluster[2].ip} is not promoted" in check["hint"]
        assert "errant" in told.of("promotable", cluster[2].ip)["text"]
        if cluster.kind.mariadb:
            return
        cluster.stop_receiver(cluster[3])
        cluster[1].sql("CREATE DATABASE gone")
        cluster[1].sql("FLUSH BINARY LOGS")
        logs = cluster[1].sql("SHOW BINARY LOGS")
        cluster[1].sql("PURGE BINARY LOGS TO %s", (logs[-1]["Log_name"],))
        (purged,) = [c for c in Told(cluster).checks if c["name"] == "gtid-purged" and not c["ok"]]
        assert (purged["severity"], cluster[1].ip in purged["text"]) == ("error", True)
        variable = "binlog_expire_logs_seconds" if cluster.kind.modern else "expire_logs_days"
        assert f"({variable})" in purged["hint"]
        assert cluster[1].sql(f"SELECT @@GLOBAL.{variable} AS v")
