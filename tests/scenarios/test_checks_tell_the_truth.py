"""Each check has a broken cluster that makes it speak, and what its hint says mends it; a healthy cluster says OK.

One cluster a kind is broken and mended, one thing after another. Statements in the hints are run as they stand there.
"""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cluster import Cluster
from tests.lab.host import SMALLEST_DISK, Host
from tests.lab.kinds import REPL
from tests.lab.waiting import until
from tests.scenarios.failing_over import MODES

HEALTHY, UNHEALTHY = "MySQL Replication Health is OK.", "MySQL Replication Health is NOT OK!"
PASSED, NOT_PASSED = "All SSH connection tests passed successfully.", "SSH Configuration Check Failed!"
#: What the lab's clusters are told of, however well they are: it defines no scripts, no server keeps a port for
#: administrators, and db3 has a small disk.
USUAL = {"server-proven", "script-defined", "super-read-only", "free-disk", "kept-port"}
#: What a user without rights is told that he lacks.
LACKING = ("fence", "relay-log-info", "host-tools", "host-helper")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("mariadb", True), id="mariadb-gtid"),
        pytest.param(("mysql97", True), id="9.7-gtid", marks=pytest.mark.slow),
        pytest.param(("mysql56", False), id="5.6-position", marks=pytest.mark.slow),
    ],
)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster that every test of this module mends again."""
    kind, gtid = request.param
    with Cluster(kind, gtid=gtid, disk={3: SMALLEST_DISK + 200}) as shared:
        yield shared


class Told:
    """What masterha_check_repl said: exit code, and every check that was not well."""

    def __init__(self, cluster: Cluster, conf: Path | None = None, *options: str) -> None:
        done = cluster.command(
            "masterha_check_repl", f"--conf={conf or cluster.write_cnf()}", "--output=json", *options
        )
        text = done.output[done.output.index("{\n") :]
        told = json.loads(text[: text.rindex("}") + 1])
        self.code, self.checks = done.code, told["checks"]
        assert told["result"] == (HEALTHY if done.code == 0 else UNHEALTHY)
        assert told["exit_code"] == done.code
        assert "Traceback" not in done.output

    def of(self, name: str, subject: str = "") -> dict[str, Any]:
        """The one check of that name (and subject) that was not well."""
        found = [c for c in self.checks if not c["ok"] and c["name"] == name and c["subject"].startswith(subject)]
        assert len(found) == 1, (name, subject, found, self.not_ok)
        return dict(found[0])

    @property
    def not_ok(self) -> list[tuple[str, str, str]]:
        """Everything but what is usual here."""
        return [(c["name"], c["subject"], c["text"]) for c in self.checks if not c["ok"] and c["name"] not in USUAL]

    def assert_well(self) -> None:
        """All is well again."""
        assert (self.code, self.not_ok) == (0, [])


def statement(check: dict[str, Any]) -> str:
    """The first thing in backquotes of a hint."""
    found = re.search(r"`([^`]+)`", check["hint"])
    assert found, check
    return found[1]


def well_within(cluster: Cluster, seconds: float, conf: Path | None = None) -> None:
    """It may take a moment until a replica has caught up."""
    ends = time.monotonic() + seconds
    while (told := Told(cluster, conf)).not_ok and time.monotonic() < ends:
        time.sleep(0.2)
    told.assert_well()


def run_hint(host: Host, check: dict[str, Any]) -> None:
    """Do what the hint says, on the server that it names."""
    assert host.ip in check["hint"]
    host.sql(statement(check))


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


def aside(host: Host, *statements: str) -> None:
    """Statements that are written to no log, in one session."""
    session = host.connect()
    with session.cursor() as cursor:
        for each in ("SET sql_log_bin=0", *statements):
            cursor.execute(each)
    session.close()


# settings that can be changed while the server runs ------------------------------------------------------------------

#: name, whom it is set on, what is set, what is said, the severity with file/position and with GTIDs
SETTINGS = [
    ("read-only", 2, "read_only=0", "read_only is off", "info", "info"),
    ("relay-log-purge", 2, "relay_log_purge=1", "relay_log_purge is on", "warning", "info"),
    ("binlog-format", 1, "binlog_format=STATEMENT", "binlog_format is STATEMENT", "warning", "warning"),
    ("binlog-row-image", 1, "binlog_row_image=MINIMAL", "binlog_row_image is MINIMAL", "info", "info"),
    (
        "durability",
        2,
        "sync_binlog=0, GLOBAL innodb_flush_log_at_trx_commit=2",
        "sync_binlog is 0, inno",
        "info",
        "info",
    ),
]


def test_settings_that_a_statement_mends(cluster: Cluster) -> None:
    for _, number, setting, _, _, _ in SETTINGS:
        cluster[number].sql(f"SET GLOBAL {setting}")
    told = Told(cluster)
    assert told.code == 0
    for name, number, _, text, by_position, by_gtid in SETTINGS:
        check = told.of(name, cluster[number].ip)
        assert check["text"].startswith(text)
        assert check["severity"] == (by_gtid if cluster.gtid else by_position)
        run_hint(cluster[number], check)
    Told(cluster).assert_well()


def test_super_read_only_where_it_is_known(cluster: Cluster) -> None:
    if not cluster.kind.modern:
        assert not [c for c in Told(cluster).checks if c["name"] == "super-read-only"]
        return
    for number in (2, 3):
        run_hint(cluster[number], Told(cluster).of("super-read-only", cluster[number].ip))
    assert not [c for c in Told(cluster).checks if c["name"] == "super-read-only" and not c["ok"]]
    for number in (2, 3):
        cluster[number].sql("SET GLOBAL super_read_only=0")


def test_two_servers_with_one_id(cluster: Cluster) -> None:
    cluster[3].sql("SET GLOBAL server_id=102")
    told = Told(cluster)
    assert told.code == 1
    check = told.of("server-id", cluster[3].ip)
    assert "server_id 102 is also that of" in check["text"]
    assert told.of("server-id", cluster[2].ip)
    run_hint(cluster[3], check)
    assert not [c for c in Told(cluster).checks if c["name"] == "server-id" and not c["ok"]]
    cluster[3].sql("SET GLOBAL server_id=103")


def test_half_of_semi_synchronous_replication(cluster: Cluster) -> None:
    if not cluster.kind.mariadb:
        # These images have it as a plugin that is not installed.
        assert not [c for c in Told(cluster).checks if c["name"] == "semi-sync" and not c["ok"]]
        return
    cluster[1].sql("SET GLOBAL rpl_semi_sync_master_enabled=1")
    told = Told(cluster)
    assert told.code == 0
    for number in (2, 3):
        check = told.of("semi-sync", cluster[number].ip)
        assert check["severity"] == "warning"
        run_hint(cluster[number], check)
    # MariaDB's own default shows rows that no replica has, and waits for 10 s.
    assert "AFTER_COMMIT" in told.of("semi-sync-waits", cluster[1].ip)["text"]
    run_hint(cluster[1], told.of("semi-sync-waits", cluster[1].ip))
    run_hint(cluster[1], Told(cluster).of("semi-sync-waits", cluster[1].ip))
    # A replica says so to its source only when it connects.
    assert "restart their IO threads" in Told(cluster).of("semi-sync", cluster[1].ip)["text"]
    for number in (2, 3):
        cluster.stop_receiver(cluster[number])
        cluster.start_receiver(cluster[number])
    well_within(cluster, 5)
    for host in cluster.hosts:
        host.sql("SET GLOBAL rpl_semi_sync_master_enabled=0, GLOBAL rpl_semi_sync_slave_enabled=0")
    well_within(cluster, 5)


# settings that need a restart ----------------------------------------------------------------------------------------


@contextmanager
def restarted(cluster: Cluster, host: Host, *options: str) -> Iterator[None]:
    """The server with other options for a while."""
    restart(cluster, host, *options)
    try:
        yield
    finally:
        restart(cluster, host)
        well_within(cluster, 10)


def restart(cluster: Cluster, host: Host, *options: str) -> None:
    host.signal_mysqld(signal.SIGTERM)
    until(lambda: not host.mysqld_pids(), seconds=30)
    host.start_mysqld(*options)
    host.sql("SET GLOBAL read_only=1")
    host.sql(f"START {cluster.kind.word('REPLICA', 'SLAVE')}")
    until(lambda: host.replica_status()["Replica_IO_Running"] == "Yes")


def test_settings_that_need_a_restart(cluster: Cluster) -> None:
    updates = cluster.kind.word("log_replica_updates", "log_slave_updates")
    by_position = not cluster.gtid
    options = ["--replicate-ignore-table=app.odd", "--binlog-ignore-db=odd", "--relay-log-recovery=1"]
    options.append(f"--{updates.replace('_', '-')}=0")
    with restarted(cluster, cluster[2], *options):
        told = Told(cluster)
        assert told.code == 1
        filters = [c for c in told.checks if c["name"] == "replication-filters" and not c["ok"]]
        assert len(filters) == 1
        assert "replicate_ignore_table=app.odd" in filters[0]["text"]
        assert "binlog_ignore_db=odd" in told.of("binlog-filters", cluster[2].ip)["text"]
        recovery = told.of("relay-log-recovery", cluster[2].ip)
        assert recovery["severity"] == ("warning" if by_position else "info")
        logs = told.of("log-replica-updates", cluster[2].ip)
        assert logs["severity"] == ("info" if by_position else "warning")
        assert statement(logs) == f"{updates}=1"


def test_a_replica_without_a_log(cluster: Cluster) -> None:
    with restarted(
        cluster, cluster[3], "--skip-log-bin", *(["--log-slave-updates=0"] if not cluster.kind.modern else [])
    ):
        told = Told(cluster)
        assert told.code == 0
        check = told.of("binary-log", cluster[3].ip)
        assert (check["severity"], check["text"]) == ("warning", "log_bin is off. This host cannot be a master")
        assert "log_bin is off" in told.of("promotable", cluster[3].ip)["text"]


def test_a_data_directory_that_was_copied(cluster: Cluster) -> None:
    if cluster.kind.mariadb:
        # Its servers have no UUID.
        assert "server-uuid" not in {check["name"] for check in Told(cluster).checks}
        return
    with restarted(cluster, cluster[3]):
        twin = cluster[2].run("cat /var/lib/mysql/auto.cnf")
        cluster[3].signal_mysqld(signal.SIGTERM)
        until(lambda: not cluster[3].mysqld_pids(), seconds=30)
        cluster[3].run("cat >/var/lib/mysql/auto.cnf", data=twin)
        cluster[3].start_mysqld()
        cluster[3].sql("SET GLOBAL read_only=1")
        check = Told(cluster).of("server-uuid", cluster[3].ip)
        assert "is also that of" in check["text"]
        assert "remove auto.cnf from its data directory /var/lib/mysql/" in check["hint"]
        cluster[3].run("rm /var/lib/mysql/auto.cnf")


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


# hosts ---------------------------------------------------------------------------------------------------------------


def test_a_wrong_ssh_port(cluster: Cluster) -> None:
    conf = cluster.write_cnf("port", servers={2: "ssh_port=2299"})
    check = Told(cluster, conf).of("ssh", cluster[2].ip)
    assert "refused" in check["text"].lower()
    assert statement(check) == f"ssh -p 2299 root@{cluster[2].ip}"
    ssh = cluster.command("masterha_check_ssh", f"--conf={conf}")
    assert (ssh.code, ssh.output.rstrip().splitlines()[-1]) == (1, NOT_PASSED)
    skipped = cluster.write_cnf("skipped", servers={2: "ssh_port=2299\nskip_init_ssh_check=1"})
    assert cluster.command("masterha_check_ssh", f"--conf={skipped}").code == 0
    assert Told(cluster, conf, "--skip_check_ssh").code == 0


def test_a_host_without_sftp(cluster: Cluster) -> None:
    host = cluster[2]
    options = "-o PermitRootLogin=yes -o UseDNS=no -o UsePAM=no -o PidFile=/run/other.pid"
    host.run(f"/usr/sbin/sshd -f /dev/null -p 2222 {options}")
    open_door = f"ssh_port=2222\nssh_options=-i {cluster.seat}/.ssh/id_ed25519 -o StrictHostKeyChecking=no"
    server = "/usr/lib/openssh/sftp-server"
    host.run(f"mv {server} {server}.away")
    try:
        check = Told(cluster, cluster.write_cnf("nosftp", servers={2: open_door})).of("sftp", host.ip)
        assert statement(check) == "Subsystem sftp internal-sftp"
    finally:
        host.run(f"mv {server}.away {server}; kill $(cat /run/other.pid)")


def test_an_ssh_user_with_too_few_rights(cluster: Cluster) -> None:
    host = cluster[2]
    host.run(
        "useradd -m -s /bin/bash -p '*' ops && mkdir /home/ops/.ssh && cp /root/.ssh/authorized_keys /home/ops/.ssh/ "
        "&& chown -R ops /home/ops && chmod 700 /var/lib/mysql"
    )
    host.run("mkdir -m 700 /var/lab-closed")
    conf = cluster.write_cnf("ops", servers={2: "ssh_user=ops\nremote_workdir=/var/lab-closed"})
    told = Told(cluster, conf)
    assert told.code == 1
    assert "/var/lib/mysql: permission denied" in told.of("binlog-directory", host.ip)["text"]
    assert "/var/lib/mysql: permission denied" in told.of("relay-log-directory", host.ip)["text"]
    assert "writable for ops" in told.of("remote-workdir", host.ip)["hint"]
    fence = told.of("fence", host.ip)
    assert (fence["severity"], fence["text"]) == ("warning", "ops may not kill mysqld")
    assert "give ops read access" in told.of("binlog-directory", host.ip)["hint"]
    host.run("usermod -aG mysql ops && chmod 750 /var/lib/mysql && chown ops /var/lab-closed")
    told = Told(cluster, conf)
    assert [name for name, _, _ in told.not_ok if name not in LACKING] == []


def test_programs_of_another_version_or_none(cluster: Cluster) -> None:
    host, mariadb = cluster[2], cluster.kind.mariadb
    names = ("mariadb-binlog", "mariadb") if mariadb else ("mysqlbinlog", "mysql")
    says = ("{n} from 10.3.1-MariaDB, client 3.5", "{n} Ver 15.1 Distrib 10.3.1-MariaDB, for Linux")
    if not mariadb:
        says = ("{n}  Ver 5.5.62 for Linux on x86_64", "{n}  Ver 14.14 Distrib 5.5.62, for Linux")
    host.run("mkdir -p /opt/old")
    for name, text in zip(names, says, strict=True):
        host.run(f"cat >/opt/old/{name} && chmod +x /opt/old/{name}", data=f"#!/bin/sh\necho {text.format(n=name)}\n")
    conf = cluster.write_cnf("old", servers={2: "client_bindir=/opt/old"})
    told = Told(cluster, conf)
    assert told.code == 1
    reader, client = told.of("mysqlbinlog", host.ip), told.of("mysql-client", host.ip)
    assert "older than the server's" in reader["text"]
    assert (reader["severity"], client["severity"]) == ("error", "warning")
    assert ("MariaDB 10.11 or newer" if mariadb else "MySQL ") in reader["hint"]
    host.run(f"chmod -x /opt/old/{names[0]}")
    hidden = " ".join(f"$(command -v {name})" for name in ("mysqlbinlog", *(["mariadb-binlog"] if mariadb else [])))
    host.run(f"for f in {hidden}; do mv $f $f.away; done")
    assert Told(cluster).of("mysqlbinlog", host.ip)["text"] == "there is no mysqlbinlog"
    host.run("for f in /usr/bin/*.away; do mv $f ${f%.away}; done")


def test_a_host_with_a_wrong_clock_and_without_ss(cluster: Cluster) -> None:
    host = cluster[2]
    fake = "/usr/local/bin/date"
    host.run(f"cat >{fake} && chmod +x {fake}", data='#!/bin/sh\nexec /bin/date -d "+90 seconds" "$@"\n')
    host.run("ss=$(command -v ss); echo $ss >/lab-ss; mv $ss $ss.away")
    told = Told(cluster)
    assert told.code == 0
    assert told.of("host-clock", host.ip)["text"] == "its clock is 90 s ahead of this machine's"
    tools = told.of("host-tools", host.ip)
    assert (tools["text"], tools["hint"]) == ("ss missing", f"install iproute2 on {host.ip}")
    host.run(f"rm {fake}; mv $(cat /lab-ss).away $(cat /lab-ss)")
    well_within(cluster, 3)


def test_a_disk_that_is_full(cluster: Cluster) -> None:
    usual = [c for c in Told(cluster).checks if c["name"] == "free-disk" and not c["ok"]]
    assert [(c["severity"], c["subject"].split("(")[0]) for c in usual] == [("warning", cluster[3].ip)]
    cluster[3].fill_disk()
    told = Told(cluster)
    cluster[3].free_disk()
    assert told.code == 1
    full = told.of("free-disk", cluster[3].ip)
    assert (full["severity"], full["hint"]) == (
        "error",
        f"free space on the disk of /var/lib/mysql/ on {cluster[3].ip}",
    )


def test_places_that_do_not_exist(cluster: Cluster) -> None:
    conf = cluster.write_cnf(
        "places",
        default="remote_workdir=/etc/passwd/x\nmaster_binlog_dir=/nowhere",
        blocks=f"[binlog1]\nhostname={cluster[3].ip}\nmaster_binlog_dir=/srv/none",
    )
    told = Told(cluster, conf)
    assert told.code == 1
    assert told.of("remote-workdir", cluster[1].ip)["text"] == "/etc/passwd is no directory"
    logs = told.of("binlog-directory", cluster[1].ip)
    assert (logs["severity"], "is in /var/lib/mysql" in logs["text"]) == ("warning", True)
    assert told.of("binlog-server")["severity"] == "error"
    assert "/srv/none: there is no such directory" in told.of("binlog-server")["text"]
    conf.write_text(re.sub(r"manager_workdir=.*", "manager_workdir=/etc/passwd/x", conf.read_text()))
    assert Told(cluster, conf).of("manager-workdir")["text"] == "/etc/passwd is no directory"


def test_a_place_in_relay_logs_that_is_lost(cluster: Cluster) -> None:
    if cluster.kind.modern:
        assert all(c["ok"] for c in Told(cluster).checks if c["name"] == "relay-log-info")
        return
    cluster[2].run("mv /var/lib/mysql/relay-log.info /var/lib/mysql/away")
    check = Told(cluster).of("relay-log-info", cluster[2].ip)
    assert "/var/lib/mysql/relay-log.info" in check["text"]
    cluster[2].run("mv /var/lib/mysql/away /var/lib/mysql/relay-log.info")
    well_within(cluster, 3)


def test_every_host_to_every_other() -> None:
    """In a cluster of its own: it gives the hosts a key."""
    with Cluster("mariadb", n=2) as cluster:
        conf = cluster.write_cnf("pairs")
        assert cluster.command("masterha_check_ssh", f"--conf={conf}").code == 0
        done = cluster.command("masterha_check_ssh", f"--conf={conf}", "--all-pairs")
        assert (done.code, done.output.rstrip().splitlines()[-1]) == (1, NOT_PASSED)
        failed = [line for line in done.output.splitlines() if "[FAILED]" in line]
        assert len(failed) == 2
        assert f"`ssh -p 22 root@{cluster[2].ip}` on {cluster[1].ip} as root" in failed[0]
        key = (cluster.seat / ".ssh" / "id_ed25519").read_text()
        for host in cluster.hosts:
            host.run("cat >/root/.ssh/id_ed25519 && chmod 600 /root/.ssh/id_ed25519", data=key)
        options = f"-i {cluster.seat}/.ssh/id_ed25519 -i /root/.ssh/id_ed25519 -o StrictHostKeyChecking=no"
        conf = cluster.write_cnf("all", ssh_options=options)
        done = cluster.command("masterha_check_ssh", f"--conf={conf}", "--all-pairs")
        failed = [line for line in done.output.splitlines() if "[FAILED]" in line]
        assert (done.code, failed, done.output.rstrip().splitlines()[-1]) == (0, [], PASSED)


# scripts -------------------------------------------------------------------------------------------------------------


def test_scripts(cluster: Cluster) -> None:
    script = cluster.seat / "hook"
    script.write_text(f'#!/bin/sh\necho "$*" >>{script}.args\necho no such address\nexit 3\n')
    script.chmod(0o755)
    lines = f"master_ip_failover_script={script}\nreport_script=/nowhere/report\nhook_timeout=5"
    told = Told(cluster, cluster.write_cnf("scripts", default=lines))
    assert told.code == 1
    assert told.of("script-status")["text"] == "exit code 3: no such address"
    assert told.of("script-runnable")["text"] == "/nowhere/report does not exist"
    asked = f"--command=status --ssh_user=root --orig_master_host={cluster[1].ip} --orig_master_ip={cluster[1].ip}"
    assert (script.parent / "hook.args").read_text().startswith(asked)
    script.write_text("#!/bin/sh\nexit 0\n")
    told = Told(cluster, cluster.write_cnf("scripts", default=f"master_ip_failover_script={script}"))
    told.assert_well()


def test_a_script_that_never_ends_is_stopped(cluster: Cluster) -> None:
    lines = "shutdown_script='sleep 600 #'\nhook_timeout=1"
    began = time.monotonic()
    told = Told(cluster, cluster.write_cnf("sleeps", default=lines))
    assert time.monotonic() - began < 15
    assert "still running after 1 s, stopped" in told.of("script-status")["text"]


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
