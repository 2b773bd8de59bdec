"""A dark host comes back with transactions that nobody else has: rescued late, compared, replayed, or told exactly."""

from __future__ import annotations

import json
import stat
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cluster import Cluster, Done
from tests.lab.host import Host
from tests.scenarios.failing_over import MODES, kinds, versions
from tests.scenarios.test_rejoin_follows import held, read_only

pytestmark = pytest.mark.slow
EVERY_MODE = [*MODES, *versions()]


class Apart:
    """db1 wrote a tail that nobody received, lost its power, and was replaced by db2; then it is there again."""

    def __init__(
        self, cluster: Cluster, tables: Sequence[str], tail: Sequence[str], meanwhile: Sequence[str] = ()
    ) -> None:
        self.cluster = cluster
        self.conf = cluster.write_cnf(candidate=2)
        self.old, self.new = cluster[1], cluster[2]
        run(self.old, tables)
        for host in cluster.hosts[1:]:
            executed(host, self.old)
            cluster.stop_receiver(host)
        run(self.old, tail)
        self.old.power_off()
        words = ("--master_state=dead", f"--conf={self.conf}", f"--dead_master_host={self.old.ip}", "--interactive=0")
        self.failover = cluster.command("masterha_master_switch", *words, timeout=300.0)
        assert self.failover.code in (0, 10), self.failover
        run(self.new, meanwhile)
        self.old.power_on()
        self.old.start_mysqld()

    def rejoin(self, *options: str) -> Done:
        words = (f"--conf={self.conf}", f"--host={self.old.ip}", "--yes", *options)
        return self.cluster.command("mha", "rejoin", *words, timeout=300.0)

    @property
    def archive(self) -> Path:
        """The newest one."""
        found = self.conf.with_suffix("").glob("returned_binlog_from_*")
        return max(found, key=lambda path: path.stat().st_mtime_ns)

    def report(self) -> dict[str, Any]:
        path = self.archive / "conflicts.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        told: dict[str, Any] = json.loads(path.read_text())
        return told

    def ledger(self) -> list[dict[str, Any]]:
        (path,) = self.conf.with_suffix("").glob("*.ledger.json")
        told: list[dict[str, Any]] = json.loads(path.read_text())
        return told

    def assert_equal(self, *tables: str) -> None:
        """db1 is a replica again, goes on with it, and all servers hold the same."""
        status = self.old.replica_status()
        assert status["Source_Host"] == self.new.ip, status
        assert (status["Replica_IO_Running"], status["Replica_SQL_Running"]) == ("Yes", "Yes"), status
        assert read_only(self.old)
        assert held(self.conf) == []
        run(self.new, ["CREATE TABLE app.afterwards (id INT PRIMARY KEY) ENGINE=InnoDB"])
        for host in self.cluster.hosts:
            if host is not self.new:
                executed(host, self.new)
        words = ", ".join((*tables, "app.afterwards"))
        sums = [str([r["Checksum"] for r in host.sql(f"CHECKSUM TABLE {words}")]) for host in self.cluster.hosts]
        assert len(set(sums)) == 1, sums
        assert "mha_rewind" not in str(self.old.sql("SHOW DATABASES"))

    def lines_of_archive(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.archive / "transactions.jsonl").read_text().splitlines()]

    def open_again(self) -> None:
        """Somebody opens the old server once more, for a tail that goes on."""
        names = {row["Variable_name"] for row in self.old.sql("SHOW GLOBAL VARIABLES LIKE 't%_read_only'")}
        for name in ("read_only", *(names & {"tx_read_only", "transaction_read_only"})):
            self.old.sql(f"SET GLOBAL {name} = 0")

    def assert_archived(self) -> None:
        subprocess.run(["sh", "-c", f"cd {self.archive} && sha256sum -c SHA256SUMS"], check=True, capture_output=True)


def run(host: Host, statements: Sequence[str]) -> None:
    """On one session."""
    connection = host.connect()
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        connection.close()


def executed(replica: Host, primary: Host, seconds: float = 20.0) -> None:
    """Wait until it has executed what that one has now."""
    end = primary.sql(primary.kind.word("SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"))[0]
    ends = time.monotonic() + seconds
    while True:
        status = replica.replica_status()
        if (status["Relay_Source_Log_File"], status["Exec_Source_Log_Pos"]) == (end["File"], end["Position"]):
            return
        assert time.monotonic() < ends, (status, end)
        time.sleep(0.05)


TABLE = "CREATE TABLE app.t (id INT PRIMARY KEY, v VARCHAR(40)) ENGINE=InnoDB"
ROWS = [f"INSERT INTO app.t VALUES ({number}, 'row {number}')" for number in range(1000, 1300)]


@pytest.mark.parametrize(("kind", "gtid"), EVERY_MODE)
def test_all_of_a_tail_that_is_in_nobodys_way(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        others = [f"INSERT INTO app.t VALUES ({number}, 'new {number}')" for number in range(50)]
        apart = Apart(cluster, [TABLE], ROWS, others)
        kept = apart.rejoin("--how=rescue")
        assert kept.code == 10, kept
        assert "no row of them was changed" in kept.output, kept
        assert apart.report()["conflicts"] == apart.report()["not_comparable"] == []
        done = apart.rejoin("--how=rescue", "--replay=all")
        assert done.code == 0, done
        assert "300 were replayed" in done.output, done
        for host in cluster.hosts:
            assert host.sql("SELECT COUNT(*) AS n FROM app.t WHERE id >= 1000")[0]["n"] == 300, (host, done)
        apart.assert_equal("app.t")
        apart.assert_archived()
        told = apart.ledger()
        assert not [line for line in told if line["fate"] == "unknown"], told
        assert [line["transactions"] for line in told if line["fate"] in ("lost", "apart")] == [], told
        assert [line["transactions"] for line in told if "read when it was back" in line["why"]] == [300], told


ROWS_OF_BOTH = [f"INSERT INTO app.t VALUES ({number}, 'before')" for number in (1, 2, 3, 4, 5)]
CONFLICTS = [
    *(f"UPDATE app.t SET v = 'old {number}' WHERE id = {number}" for number in (1, 2, 3)),
    "DELETE FROM app.t WHERE id = 4",
    "INSERT INTO app.t VALUES (10, 'only there')",
    "UPDATE app.t SET v = 'once more' WHERE id = 1",
    "ALTER TABLE app.u ADD COLUMN late INT",
    "INSERT INTO app.u VALUES (10, 'behind the DDL', 1)",
    "INSERT INTO app.w VALUES (10, 'only there')",
]
MEANWHILE = [*(f"UPDATE app.t SET v = 'new {number}' WHERE id = {number}" for number in (1, 2, 3, 4))]
TABLES = [TABLE, TABLE.replace("app.t", "app.u"), TABLE.replace("app.t", "app.w"), *ROWS_OF_BOTH]


@pytest.mark.parametrize(("kind", "gtid"), EVERY_MODE)
def test_rows_that_both_changed_and_a_ddl(kind: str, gtid: bool) -> None:
    """Nothing by itself; exactly these are named; what is in nobody's way is replayed, the rest is there to edit."""
    with Cluster(kind, gtid=gtid) as cluster:
        apart = Apart(cluster, TABLES, CONFLICTS, MEANWHILE)
        refused = apart.rejoin()
        assert "has-more" in refused.output, refused
        kept = apart.rejoin("--how=rescue")
        assert kept.code == 10, kept
        rows = cluster[2].sql("SELECT id, v FROM app.t ORDER BY id")
        assert [row["v"] for row in rows] == ["new 1", "new 2", "new 3", "new 4", "before"], rows
        told = apart.report()
        found = [(each["table"], each["key"]) for each in told["conflicts"]]
        assert found == [("app.t", f"id={number}") for number in (1, 2, 3, 4)], told
        values = [(each[told["old"]], each[told["new"]]) for each in told["conflicts"]]
        assert values[0] == ({"id": "1", "v": "'once more'"}, {"id": "1", "v": "'new 1'"}), told
        assert values[3] == (None, {"id": "4", "v": "'new 4'"}), told
        (ddl, behind) = told["not_comparable"]
        assert ddl["tables"] == ["app.u"], told
        assert ddl["statement"].startswith("ALTER TABLE app.u"), told
        assert behind["why"] == "app.u has 2 columns now, and had 3", told
        assert len(list(apart.lines_of_archive())) == len(CONFLICTS)
        done = apart.rejoin("--how=rescue", "--replay=all", "--mask")
        assert done.code == 10, done
        assert "2 were replayed" in done.output, done
        assert "once more" not in done.output, done
        assert "'new 1'" not in done.output, done
        assert cluster[2].sql("SELECT v FROM app.t WHERE id = 10") == [{"v": "only there"}]
        assert cluster[2].sql("SELECT v FROM app.w") == [{"v": "only there"}]
        edit = (apart.archive / "to_edit.sql").read_text()
        assert "UPDATE `app`.`t` SET `v` = 'old 2' WHERE `id` <=> 2 LIMIT 1;" in edit, edit
        apart.assert_archived()
        back = apart.rejoin("--how=rewind")
        assert back.code == 1, back
        assert "cannot-rewind" in back.output, back
        assert "--how=rebuild" in back.output, back
        assert apart.old.replica_status() == {}
        # The person's decision about the rest: what was changed here is right, and the column is wanted there, too.
        run(cluster[2], ["UPDATE app.t SET v = 'decided' WHERE id = 1", "ALTER TABLE app.u ADD COLUMN late INT"])
        cluster.rebuild(apart.old, cluster[2])
        for host in (cluster[1], cluster[3]):
            executed(host, cluster[2])
        sums = [str([r["Checksum"] for r in h.sql("CHECKSUM TABLE app.t, app.u, app.w")]) for h in cluster.hosts]
        assert len(set(sums)) == 1, sums


@pytest.mark.parametrize(("kind", "gtid"), EVERY_MODE)
def test_a_thousand_transactions_are_taken_back(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        before = [f"INSERT INTO app.t VALUES ({number}, 'before')" for number in range(400)]
        tail = [f"UPDATE app.t SET v = 'old {number}' WHERE id = {number}" for number in range(300)]
        tail += [f"DELETE FROM app.t WHERE id = {number}" for number in range(100, 300)]
        tail += [f"INSERT INTO app.t VALUES ({number}, 'old')" for number in range(1000, 1500)]
        meanwhile = [f"UPDATE app.t SET v = 'new {number}' WHERE id = {number}" for number in range(50)]
        apart = Apart(cluster, [TABLE, *before], tail, [*meanwhile, "INSERT INTO app.t VALUES (1000, 'new')"])
        began = time.monotonic()
        done = apart.rejoin("--how=rewind")
        took = time.monotonic() - began
        assert done.code == 0, done
        assert "replicates from" in done.output, done
        print(f"rewound in {took:.1f} s: {done.output}")
        apart.assert_equal("app.t")
        apart.assert_archived()
        assert len(list(apart.lines_of_archive())) == 1000
        again = apart.rejoin("--how=rewind")
        assert "already-a-replica" in again.output, again


WHAT_CANNOT = {
    "minimal": (
        ["SET SESSION binlog_row_image = MINIMAL", "UPDATE app.t SET v = 'x' WHERE id = 1"],
        "binlog_row_image",
    ),
    "myisam": (["INSERT INTO app.m VALUES (1, 'x')"], "app.m is of MyISAM"),
    "statement": (
        ["SET SESSION binlog_format = STATEMENT", "UPDATE app.t SET v = 'x' WHERE id = 1"],
        "holds a statement",
    ),
    "ddl": (["INSERT INTO app.t VALUES (9, 'x')", "ALTER TABLE app.t ADD late INT"], "changes a table's definition"),
}


@pytest.mark.parametrize(
    ("kind", "gtid"), kinds("5.6-position", "9.7-gtid", "mariadb-gtid", "10.5-position", "11.8-gtid")
)
def test_what_cannot_be_taken_back_is_refused_and_kept(kind: str, gtid: bool) -> None:
    """One after the other, each on top of those before: the first reasons name them; nothing of it is changed."""
    with Cluster(kind, gtid=gtid) as cluster:
        tables = [TABLE, "CREATE TABLE app.m (id INT PRIMARY KEY, v TEXT) ENGINE=MyISAM", *ROWS_OF_BOTH]
        apart = Apart(cluster, tables, [s for statements, _ in list(WHAT_CANNOT.values())[:1] for s in statements])
        for name, (statements, why) in WHAT_CANNOT.items():
            if name != "minimal":
                run(apart.old, statements)
            before = apart.old.sql("CHECKSUM TABLE app.t, app.m")
            done = apart.rejoin("--how=rewind", "--output=json")
            told = json.loads(done.output[done.output.index("{") :])
            assert (done.code, told["refusal"]) == (1, "cannot-rewind"), done
            assert why in str(told["evidence"]), told
            assert "--how=rebuild" in told["remedy"], told
            assert apart.old.sql("CHECKSUM TABLE app.t, app.m") == before
            assert apart.old.replica_status() == {}
            apart.assert_archived()
            apart.open_again()


@pytest.mark.parametrize("logs", [True, False], ids=["logs-what-it-receives", "log_slave_updates-off"])
def test_one_that_followed_and_was_written_to_executes_nothing_twice(logs: bool) -> None:
    """By the journal of the failover it would be sent once more what it has executed since."""
    with Cluster("mariadb", gtid=True) as cluster:
        keyless = "CREATE TABLE app.k (v VARCHAR(40)) ENGINE=InnoDB"
        apart = Apart(cluster, [TABLE, keyless], ROWS[:10])
        done = apart.rejoin("--how=rewind")
        assert done.code == 0, done
        if not logs:
            apart.old.stop_mysqld()
            apart.old.start_mysqld("--skip-log-slave-updates")
            apart.old.sql("START SLAVE")
        run(apart.new, [f"INSERT INTO app.k VALUES ('row {number}')" for number in range(100)])
        executed(apart.old, apart.new)
        apart.old.sql("STOP SLAVE")
        apart.open_again()
        run(apart.old, ["INSERT INTO app.k VALUES ('own')", "INSERT INTO app.t VALUES (7000, 'own')"])
        done = apart.rejoin("--how=rewind")
        assert done.code == 0, done
        for host in cluster.hosts:
            assert host.sql("SELECT COUNT(*) AS n FROM app.k")[0]["n"] == 100, done
        apart.assert_equal("app.t", "app.k")
