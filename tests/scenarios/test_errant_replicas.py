"""A replica was written to by mistake: what it did is listed, and brought to the primary or made nobody's lack."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.lab.cluster import Cluster, Done
from tests.lab.host import Host
from tests.scenarios.test_late_rescue import TABLE, executed, run
from tests.scenarios.test_rejoin_follows import read_only
from tests.scenarios.test_rejoin_killed import killed_in

pytestmark = pytest.mark.slow
KINDS = [pytest.param("mysql56", id="5.6-gtid"), pytest.param("mysql97", id="9.7-gtid")]


class Errant:
    """db3 replicates, and has five rows that nobody else has; a sixth transaction of its own is a DDL."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.conf = cluster, cluster.write_cnf(candidate=2)
        self.primary, self.replica = cluster[1], cluster[3]
        self.old = self.replica
        run(self.primary, [TABLE])
        for host in cluster.hosts[1:]:
            executed(host, self.primary)
        rows = [f"INSERT INTO app.t VALUES ({number}, 'slip')" for number in range(1000, 1005)]
        run(self.replica, [*rows, "CREATE TABLE app.slip (id INT PRIMARY KEY) ENGINE=InnoDB"])

    def rejoin(self, *options: str) -> Done:
        words = (f"--conf={self.conf}", f"--host={self.replica.ip}", "--yes", *options)
        return self.cluster.command("mha", "rejoin", *words, timeout=300.0)

    def errant(self) -> str:
        """What the check says of db3."""
        done = self.cluster.command("masterha_check_repl", f"--conf={self.conf}", "--output=json")
        told = json.loads(done.output[done.output.index("{") :])
        found = [each for each in told["checks"] if each["name"] == "errant-transactions" and not each["ok"]]
        return " ".join(f"{each['subject']}: {each['text']}; {each['hint']}" for each in found)

    def archive(self) -> list[dict[str, object]]:
        (path,) = self.conf.with_suffix("").glob("returned_binlog_from_*")
        return [json.loads(line) for line in (Path(path) / "transactions.jsonl").read_text().splitlines()]

    def everybody_goes_on(self) -> None:
        run(self.primary, ["INSERT INTO app.t VALUES (1, 'after')"])
        for host in self.cluster.hosts[1:]:
            executed(host, self.primary)
            status = host.replica_status()
            assert (status["Replica_IO_Running"], status["Replica_SQL_Running"]) == ("Yes", "Yes"), status


def gtids(host: Host) -> str:
    return str(host.sql("SELECT @@global.gtid_executed AS g")[0]["g"])


@pytest.mark.parametrize("kind", KINDS)
def test_empty_transactions_take_their_place(kind: str) -> None:
    with Cluster(kind, gtid=True) as cluster:
        errant = Errant(cluster)
        uuid = errant.replica.sql("SELECT @@server_uuid AS u")[0]["u"]
        told = errant.errant()
        assert re.search(rf"{uuid}:\d+-\d+", told), told
        assert "--how=empties" in told
        refused = errant.rejoin()
        assert "errant" in refused.output, refused
        assert "--how=empties" in refused.output, refused
        planned = errant.rejoin("--how=empties", "--dry-run")
        assert "6 empty transactions" in planned.output, planned
        assert uuid not in gtids(errant.primary)
        done = errant.rejoin("--how=empties")
        assert done.code == 0, done
        assert "6 empty transactions" in done.output, done
        assert "app.t" in done.output, done
        assert [each["kind"] for each in errant.archive()] == ["dml"] * 5 + ["ddl"]
        errant.everybody_goes_on()
        assert errant.errant() == ""
        assert errant.primary.sql("SELECT COUNT(*) AS n FROM app.t WHERE id >= 1000") == [{"n": 0}]
        assert errant.replica.sql("SELECT COUNT(*) AS n FROM app.t WHERE id >= 1000") == [{"n": 5}]
        again = errant.rejoin("--how=empties")
        assert again.code == 1, again
        assert "nothing-errant" in again.output, again
        # Nobody lacks what the other would send by now: the one that was errant may be promoted.
        to = (f"--conf={errant.conf}", f"--to={errant.replica.ip}", "--keep-old-as-replica", "--yes")
        switched = cluster.command("mha", "switchover", *to)
        assert switched.code == 0, switched
        assert not read_only(errant.replica)


def test_none_for_mariadb_and_none_where_nothing_is_errant() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        errant = Errant(cluster)
        done = errant.rejoin("--how=empties")
        assert done.code == 1, done
        assert "no-empties" in done.output, done
        kept = errant.rejoin("--how=rescue")
        assert kept.code == 10, kept
        assert [each["kind"] for each in errant.archive()] == ["dml"] * 5 + ["ddl"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_primary_is_to_have_them_too(kind: str) -> None:
    with Cluster(kind, gtid=True) as cluster:
        errant = Errant(cluster)
        run(errant.replica, ["INSERT INTO app.t VALUES (1005, 'slip')"])
        kept = errant.rejoin("--how=rescue", "--replay=app.t")
        assert kept.code == 10, kept
        assert "6 were replayed" in kept.output, kept
        # The DDL alone is left, and is repeated by hand; its GTID is nobody's lack then.
        run(errant.primary, ["SET sql_log_bin = 0", "CREATE TABLE app.slip (id INT PRIMARY KEY) ENGINE=InnoDB"])
        run(cluster[2], ["SET sql_log_bin = 0", "CREATE TABLE app.slip (id INT PRIMARY KEY) ENGINE=InnoDB"])
        done = errant.rejoin("--how=empties")
        assert done.code == 0, done
        assert "1 empty transactions" in done.output, done
        errant.everybody_goes_on()
        assert errant.errant() == ""
        sums = [str(host.sql("CHECKSUM TABLE app.t, app.slip")) for host in cluster.hosts]
        assert len(set(sums)) == 1, sums


@pytest.mark.parametrize("kind", KINDS)
def test_killed_in_each_step_and_gone_on_with(kind: str) -> None:
    with Cluster(kind, gtid=True) as cluster:
        errant = Errant(cluster)
        run(errant.replica, [f"INSERT INTO app.t VALUES ({number}, 'slip')" for number in range(2000, 2400)])
        uuid = errant.replica.sql("SELECT @@server_uuid AS u")[0]["u"]
        killed_in(errant, "Copy what only the old server has", "--how=empties")
        assert uuid not in gtids(errant.primary)
        step = "Commit empty transactions in their place"
        killed_in(errant, step, "--how=empties", until=lambda: uuid in gtids(errant.primary))
        done = errant.rejoin("--how=empties")
        assert done.code == 0, done
        errant.everybody_goes_on()
        assert errant.errant() == ""
        assert errant.primary.sql("SELECT COUNT(*) AS n FROM app.t WHERE id >= 1000") == [{"n": 0}]
