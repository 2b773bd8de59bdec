"""A replica has a second channel, from a server of another cluster: a failover acts on its own channel alone."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.kinds import REPL, REPL_PASSWORD
from tests.lab.writer import Writer
from tests.scenarios.failing_over import finish
from tests.scenarios.moving import wait_until
from tests.scenarios.test_chains_of_faults import lost_on, modes, rows_on
from tests.scenarios.test_who_is_primary import writable

OTHER = "other"


def set_apart(cluster: Cluster) -> None:
    """db4 is the primary of another cluster: it replicates from nobody, and takes writes to a schema of its own."""
    host, word = cluster[4], cluster.kind.word("REPLICA", "SLAVE")
    host.sql(f"STOP {word}")
    host.sql(f"RESET {word} ALL")
    host.sql("SET GLOBAL read_only=0")
    if cluster.kind.mariadb:
        host.sql("SET GLOBAL gtid_domain_id=44")
    host.sql("CREATE DATABASE elsewhere")
    host.sql("CREATE TABLE elsewhere.t (id INT AUTO_INCREMENT PRIMARY KEY)")


def follow_too(cluster: Cluster, host: Host) -> None:
    """The host replicates from db4 as well, on a channel with a name, from where that stands now."""
    source = cluster[4]
    log = source.sql("SHOW BINARY LOG STATUS" if cluster.kind.modern else "SHOW MASTER STATUS")[0]
    p, kind = cluster.kind.word("SOURCE", "MASTER"), cluster.kind
    place = f"{p}_LOG_FILE='{log['File']}', {p}_LOG_POS={log['Position']}"
    how = f"{p}_HOST='{source.ip}', {p}_USER='{REPL}', {p}_PASSWORD='{REPL_PASSWORD}', {p}_CONNECT_RETRY=1"
    if kind.mariadb or not cluster.gtid:
        # Its siblings too, for once it is promoted they follow it in this as well.
        for each in (cluster[2], cluster[3]):
            session = each.connect()
            with session.cursor() as cursor:
                cursor.execute("SET SESSION sql_log_bin = 0")
                cursor.execute("CREATE DATABASE elsewhere")
                cursor.execute("CREATE TABLE elsewhere.t (id INT AUTO_INCREMENT PRIMARY KEY)")
            session.close()
    if kind.mariadb:
        host.sql(f"CHANGE MASTER '{OTHER}' TO {how}, {place}")
        host.sql(f"START SLAVE '{OTHER}'")
        return
    more = f"{p}_AUTO_POSITION=1" if cluster.gtid else place
    host.sql(f"CHANGE REPLICATION SOURCE TO {how}, GET_SOURCE_PUBLIC_KEY=1, {more} FOR CHANNEL '{OTHER}'")
    host.sql(f"START REPLICA FOR CHANNEL '{OTHER}'")


def channel(host: Host, name: str = OTHER) -> dict[str, Any]:
    """The status of one of its channels; empty where it has none of that name."""
    sql = "SHOW ALL SLAVES STATUS" if host.kind.mariadb else "SHOW REPLICA STATUS"
    rows = [{k.replace("Master", "Source").replace("Slave", "Replica"): v for k, v in r.items()} for r in host.sql(sql)]
    return next((row for row in rows if row.get("Channel_Name", row.get("Connection_name")) == name), {})


def receives_on(cluster: Cluster, host: Host) -> None:
    """What db4 takes now arrives there."""
    cluster[4].sql("INSERT INTO elsewhere.t VALUES ()")
    count = "SELECT COUNT(*) AS n FROM elsewhere.t"
    wait_until(lambda: host.sql(count)[0]["n"] == cluster[4].sql(count)[0]["n"], f"{host.name} receives from db4", 15.0)
    status = channel(host)
    assert (status["Replica_IO_Running"], status["Replica_SQL_Running"]) == ("Yes", "Yes"), status


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 3], ids=["candidate", "replica"])
@pytest.mark.parametrize(("kind", "gtid"), [p for p in modes() if p.values[0] != "mysql56"])
def test_a_second_channel_goes_on_as_it_was(kind: str, gtid: bool, number: int) -> None:
    """On the promoted one and on a mere replica: it is never stopped, and receives afterwards; nothing is lost.

    A receiver is stopped within a transaction: its applier is not waited for a minute, though there are others.
    """
    tells = "performance_schema=ON\n" if kind == "mysql97" else ""
    with Cluster(kind, gtid=gtid, n=4, extra={number: tells}) as cluster:
        set_apart(cluster)
        follow_too(cluster, cluster[number])
        receives_on(cluster, cluster[number])
        manager = cluster.start_manager(cluster.write_cnf(candidate=2, apart=(4,), default="start_checks=warn"))
        writer = Writer(cluster)
        rows_on(cluster, writer, 2 if number == 3 else 3, rows=20)
        if cluster.kind.modern:  # a STOP that names no channel is one of all of them
            cluster[number].sql(f"START REPLICA IO_THREAD FOR CHANNEL '{OTHER}'")
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        assert writable(cluster[2]), manager.log()
        assert lost_on(acks, cluster[2]) == 0, manager.log()
        assert lost_on(acks, cluster[3]) == 0, manager.log()
        receives_on(cluster, cluster[number])
        main = channel(cluster[3], "")
        assert (main["Source_Host"], main["Replica_SQL_Running"]) == (cluster[2].ip, "Yes"), main
