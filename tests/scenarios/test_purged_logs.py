"""The new primary has purged what another replica still lacks: who has a copy gives it, or it is told who has none."""

from __future__ import annotations

import contextlib
import re
import time
from typing import Any

import pytest

from tests.lab.cluster import Cluster
from tests.lab.faults import without_ssh
from tests.lab.host import Host
from tests.lab.kinds import REPL, REPL_PASSWORD
from tests.scenarios.serving import everything
from tests.scenarios.test_rescue_contents import level

KINDS = ("mysql97", "mariadb", "mysql56")


def cases() -> list[Any]:
    """Every kind with every one that may have a copy."""
    every = [(kind, who) for kind in KINDS for who in ("dead", "archive", "relayed", "sibling", "nobody")]
    return [pytest.param(*case, id="-".join(case), marks=pytest.mark.slow) for case in every]


def purge(server: Host, table: str) -> None:
    """Its binary logs go once it executed all; its relay logs stay."""
    ends = time.monotonic() + 20
    while not server.sql(f"SELECT 1 FROM app.{table} WHERE id = 29"):
        assert time.monotonic() < ends
        time.sleep(0.02)
    for _ in range(2):
        server.sql("FLUSH LOCAL BINARY LOGS")
    newest = server.sql("SHOW BINARY LOGS")[-1]["Log_name"]
    # MariaDB keeps one that a checkpoint still needs.
    while [row["Log_name"] for row in server.sql("SHOW BINARY LOGS")] != [newest]:
        assert time.monotonic() < ends
        server.sql(f"PURGE BINARY LOGS TO '{newest}'")
        time.sleep(0.05)


@pytest.mark.parametrize(("kind", "who"), cases())
def test_what_the_new_primary_has_purged_comes_from_who_has_it(kind: str, who: str) -> None:
    """The dead primary's disk, an archive of its logs, the new primary's relay logs, a sibling's binary log; else a
    rebuild is named."""
    with Cluster(kind, gtid=True, n=4) as cluster, contextlib.ExitStack() as stack:
        behind, blocks = cluster[3], ""
        if who == "archive":
            reader = "mariadb-binlog" if kind == "mariadb" else "mysqlbinlog"
            cluster[4].run("mkdir -p /archive")
            cluster[4].start(
                f"{reader} --no-defaults --read-from-remote-server --raw --stop-never --result-file=/archive/ "
                f"-h {cluster[1].ip} -u {REPL} -p{REPL_PASSWORD} mysql-bin.000001"
            )
            blocks = f"[binlog1]\nhostname={cluster[4].ip}\nmaster_binlog_dir=/archive\n"
        if who in ("sibling", "nobody"):
            # Nobody can read what the new primary has.
            stack.enter_context(without_ssh(cluster[2]))
        apart = [] if who == "sibling" else [4]
        conf = cluster.write_cnf(candidate=2, apart=apart, blocks=blocks, default="start_checks=warn")
        manager = cluster.start_manager(conf)
        cluster[1].sql("CREATE TABLE app.purged (id INT PRIMARY KEY) ENGINE=InnoDB")
        level(cluster)
        cluster.stop_receiver(behind)
        for number in range(30):
            cluster[1].sql(f"INSERT INTO app.purged VALUES ({number})")
        level(cluster, 2, 4)
        purge(cluster[2], "purged")
        cluster[1].sql("INSERT INTO app.purged VALUES (100)")
        level(cluster, 2, 4)
        expected = everything(cluster[1])
        if who == "archive":
            archived(cluster[4], b"purged", 31)
        if who == "dead":
            cluster[1].signal_mysqld(9)
        else:
            cluster[1].power_off()
        code, log = manager.wait(120), manager.log()
        assert cluster[2].replica_status() == {}, log
        if who == "nobody":
            assert code == 10, log
            assert "has purged from its binary logs, and nobody has all of it any more" in log
            assert f"rebuild it from {cluster[2].ip}" in log
            assert behind.sql("SELECT COUNT(*) AS n FROM app.purged") == [{"n": 0}]
            return
        assert code == 0, log
        names = {
            "dead": cluster[1].ip,
            "archive": "binlog server",
            "relayed": "the relay logs",
            "sibling": cluster[4].ip,
        }
        assert re.search(f"Saved .* of .*{names[who]}|Saved binlog of {names[who]}|Borrowed .* of {names[who]}", log), (
            log
        )
        assert everything(behind) == expected, log
        assert behind.replica_status()["Source_Host"] == cluster[2].ip
        cluster[2].sql("INSERT INTO app.purged VALUES (1000)")
        ends = time.monotonic() + 20
        while not behind.sql("SELECT 1 FROM app.purged WHERE id = 1000"):
            assert time.monotonic() < ends, behind.replica_status()
            time.sleep(0.05)


def archived(host: Host, word: bytes, times: int) -> None:
    """The archive there holds a word so often."""
    ends = time.monotonic() + 20
    while sum(path.read_bytes().count(word) for path in (host.upper / "archive").glob("mysql-bin.*")) < times:
        assert time.monotonic() < ends
        time.sleep(0.05)
