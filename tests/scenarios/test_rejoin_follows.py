"""The failed server comes back: a replica when it has nothing of its own, and told exactly what when it has.

Crash, failover, the old one starts again; a person says `mha rejoin`.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pymysql
import pytest

from tests.lab.checker import account
from tests.lab.cluster import Cluster, Done
from tests.lab.host import Host
from tests.lab.kinds import APP, APP_PASSWORD
from tests.lab.writer import Writer
from tests.scenarios.failing_over import MODES, finish, versions

Recorder = Callable[[str, object], None]
pytestmark = pytest.mark.slow
EVERY_MODE = [*MODES, *versions()]


class Scene:
    """db1 was killed under a writer and replaced by db2; the manager has ended."""

    def __init__(self, cluster: Cluster, *options: str, default: str = "") -> None:
        self.cluster = cluster
        self.conf = cluster.write_cnf(candidate=2, default=default)
        manager = cluster.start_manager(self.conf, *options)
        writer = Writer(cluster)
        time.sleep(1.0)
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, self.acks = finish(manager, writer)
        assert code == 0, manager.log()
        self.old, self.new = cluster[1], cluster[2]

    def rejoin(self, *options: str) -> Done:
        words = (f"--conf={self.conf}", f"--host={self.old.ip}", *options)
        return self.cluster.command("mha", "rejoin", *words)

    def assert_is_a_replica(self) -> None:
        status = self.old.replica_status()
        assert status["Source_Host"] == self.new.ip
        assert (status["Replica_IO_Running"], status["Replica_SQL_Running"]) == ("Yes", "Yes"), status
        assert read_only(self.old)
        assert held(self.conf) == []
        self.new.sql("CREATE TABLE app.after_rejoin (id INT PRIMARY KEY) ENGINE=InnoDB")
        self.new.sql("INSERT INTO app.after_rejoin VALUES (1), (2)")
        result = account(self.acks, self.cluster.hosts)
        assert result.rows_lost == 0, result
        assert result.equal, result
        self.may_not_write()

    def may_not_write(self) -> None:
        """Its applier may, and went on; nobody else may."""
        with (
            pytest.raises(pymysql.MySQLError, match=r"read.only|READ ONLY"),
            self.old.connect(user=APP, password=APP_PASSWORD) as it,
        ):
            it.cursor().execute("INSERT INTO app.after_rejoin VALUES (9)")

    def assert_was_left(self) -> None:
        assert self.old.replica_status() == {}
        assert read_only(self.old)
        assert held(self.conf) == [f"{self.old.ip}:3306"]


def read_only(host: Host) -> bool:
    return bool(int(host.sql("SELECT @@global.read_only AS r")[0]["r"]))


def held(conf: Path) -> list[str]:
    from prefect_mha.replication.memory.held_servers import HeldServers

    return [hold.key for hold in HeldServers(conf.with_suffix(""), conf.stem).current()]


@pytest.mark.parametrize(("kind", "gtid"), EVERY_MODE)
def test_crashed_replaced_and_back_with_nothing_extra(kind: str, gtid: bool, record_property: Recorder) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        scene = Scene(cluster)
        scene.old.start_mysqld()
        began = time.monotonic()
        done = scene.rejoin("--yes")
        record_property("seconds", time.monotonic() - began)
        assert done.code == 0, done
        scene.assert_is_a_replica()


def test_its_block_is_in_the_configuration_again() -> None:
    """A failover took it out; while the server is down, planned only, and done twice, nothing else changes."""
    with Cluster("mariadb", gtid=True) as cluster:
        scene = Scene(cluster, "--remove_dead_master_conf")
        assert "[server1]" not in scene.conf.read_text()
        down = scene.rejoin("--yes")
        assert down.code == 1, down
        assert "does not answer, so it cannot be made a replica" in down.output
        scene.old.start_mysqld()
        planned = scene.rejoin("--dry-run", "--output=json")
        assert planned.code == 0, planned
        assert json.loads(planned.output[planned.output.index("{") :])["how"] == "follow"
        assert scene.old.replica_status() == {}
        assert "[server1]" not in scene.conf.read_text()
        done = scene.rejoin("--yes")
        assert done.code == 0, done
        again = scene.rejoin("--yes")
        assert again.code == 1, again
        assert "already-a-replica" in again.output
        assert scene.conf.read_text().count("[server1]") == 1
        assert f"hostname={scene.old.ip}" in scene.conf.read_text()
        scene.assert_is_a_replica()


@pytest.mark.parametrize(("kind", "gtid"), EVERY_MODE)
def test_back_with_transactions_of_its_own(kind: str, gtid: bool) -> None:
    """Somebody wrote to it before it was closed: it is told exactly what, and left as it is."""
    with Cluster(kind, gtid=gtid) as cluster:
        scene = Scene(cluster)
        scene.old.start_mysqld()
        before = own_end(scene.old, gtid=gtid)
        scene.old.sql("CREATE TABLE app.only_here (id INT PRIMARY KEY) ENGINE=InnoDB")
        scene.old.sql("INSERT INTO app.only_here VALUES (1)")
        done = scene.rejoin("--yes", "--output=json")
        assert done.code == 1, done
        told = json.loads(done.output[done.output.index("{") :])
        assert told["refusal"] == "has-more", told
        for words in exactly(scene.old, before, gtid=gtid):
            assert words in told["summary"], told
        assert "--how=rescue" in told["remedy"]
        scene.old.sql("SET GLOBAL read_only=1")
        scene.assert_was_left()
        kept = scene.rejoin("--yes", "--how=rescue")
        assert kept.code == 10, kept
        assert "kept 2 transactions in" in kept.output
        (archive,) = scene.conf.with_suffix("").glob("returned_binlog_from_*")
        listed = [json.loads(line) for line in (archive / "transactions.jsonl").read_text().splitlines()]
        assert [each["kind"] for each in listed] == ["ddl", "dml"], listed
        assert listed[1]["tables"] == ["app.only_here"], listed
        if not gtid:
            assert listed[0]["start"] == before
        sums = "cd " + str(archive) + " && sha256sum -c SHA256SUMS"
        subprocess.run(["sh", "-c", sums], check=True, capture_output=True)
        (account_of_failover,) = scene.conf.with_suffix("").glob("*.ledger.json")
        apart = [line for line in json.loads(account_of_failover.read_text()) if line["fate"] == "apart"]
        assert [line["transactions"] for line in apart] == [2], apart
        assert str(archive) in apart[0]["why"]
        scene.assert_was_left()


def own_end(host: Host, *, gtid: bool) -> str:
    """Where its own log ends: a place, or its GTIDs."""
    row = host.sql(host.kind.word("SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"))[0]
    if not gtid:
        return f"{row['File']}:{row['Position']}"
    if host.kind.mariadb:
        return str(host.sql("SELECT @@gtid_binlog_pos AS g")[0]["g"])
    return str(row["Executed_Gtid_Set"])


def exactly(host: Host, before: str, *, gtid: bool) -> list[str]:
    """What a message has to name of the two transactions behind that."""
    if not gtid:
        return ["2 transactions", f"to {own_end(host, gtid=False)}", "app.only_here"]
    if host.kind.mariadb:
        domain, server, last = before.split("-")
        return [f"{domain}-{server}-{int(last) + 1} to {domain}-{server}-{int(last) + 2}"]
    number = int(before.rpartition("-")[2].rpartition(":")[2])
    return [f"2 transactions, {host.sql('SELECT @@server_uuid AS u')[0]['u']}:{number + 1}-{number + 2}"]
