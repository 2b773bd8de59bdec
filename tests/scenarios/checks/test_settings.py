"""Settings of servers: each check speaks, and what its hint says fixes it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.waiting import until
from tests.scenarios.checks.telling import Told, run_hint, statement, well_within

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
