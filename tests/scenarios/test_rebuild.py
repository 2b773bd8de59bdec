"""The failed server is given the data of another while applications write: equal data, told progress, old data kept."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.lab.cluster import Cluster, Done
from tests.lab.host import Host
from tests.lab.waiting import until
from tests.lab.writer import Writer
from tests.scenarios.test_rejoin_follows import Scene, held, read_only

Recorder = Callable[[str, object], None]
pytestmark = pytest.mark.slow
PAUSE = 0.002  # seconds between two rows of the writer: 500 rows a second at most


class Rebuilt(Scene):
    """db1 was replaced by db2, is back, and has rows that nobody else has; db3 is a replica."""

    def __init__(self, cluster: Cluster, *, default: str = "", rows: int = 20_000) -> None:
        super().__init__(cluster, default=default)
        self.filled(rows)
        self.old.start_mysqld()
        self.old.sql("CREATE TABLE app.only_here (id INT PRIMARY KEY) ENGINE=InnoDB")
        self.old.sql("INSERT INTO app.only_here VALUES (1)")

    def writer(self, seconds: float) -> Writer:
        """One that begins anew: what was written before the failover has the same numbers."""
        self.new.sql("DELETE FROM app.rows_written")
        self.acks = []
        return Writer(self.cluster, interval=PAUSE, prefer=2, seconds=seconds)

    def filled(self, rows: int) -> None:
        """A table of some size, a routine and an account, on the primary, and on its replica before we go on."""
        new = self.new
        new.sql("CREATE TABLE app.filled (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(200)) ENGINE=InnoDB")
        new.sql("INSERT INTO app.filled (v) VALUES (REPEAT('x', 150))")
        count = 1
        while count < rows:
            new.sql("INSERT INTO app.filled (v) SELECT REPEAT('x', 150) FROM app.filled")
            count *= 2
        new.sql("CREATE PROCEDURE app.doubled(IN n INT) SELECT 2 * n")
        new.sql("CREATE USER 'late'@'%' IDENTIFIED BY 'lab-late-pw'")
        new.sql("GRANT SELECT ON app.* TO 'late'@'%'")
        third = self.cluster[3]
        until(lambda: len(third.sql("SELECT 1 FROM mysql.user WHERE user = 'late'")) == 1, "db3 is level")

    def rebuild(self, *options: str, timeout: float = 300.0) -> Done:
        words = (f"--conf={self.conf}", f"--host={self.old.ip}", "--how=rebuild", "--yes", *options)
        return self.cluster.command("mha", "rejoin", *words, timeout=timeout)

    def assert_rebuilt(self, acks: list) -> None:
        self.acks += acks
        self.assert_is_a_replica()
        assert self.old.sql("SHOW TABLES FROM app LIKE 'only_here'") == []
        assert len(self.old.sql("SELECT 1 FROM mysql.user WHERE user = 'late'")) == 1
        assert len(self.old.sql("SHOW PROCEDURE STATUS WHERE Db = 'app'")) == 1
        left = self.old.run("ls -d /var/lib/.mysql.mha-rebuild 2>/dev/null", check=False)
        assert left.strip() == ""


def latency(at: list[float]) -> float:
    """The median of what a row takes, in milliseconds: from one acknowledgement to the next, but for the pause."""
    return 1000.0 * (statistics.median(after - before for before, after in pairwise(at)) - PAUSE)


def old_data(host: Host) -> list[str]:
    return host.run("ls -d /var/lib/mysql.before-* 2>/dev/null", check=False).split()


WAYS = [
    pytest.param("mysql56", False, "dump", id="5.6-position-dump"),
    pytest.param("mysql56", True, "dump", id="5.6-gtid-dump"),
    pytest.param("mysql97", False, "clone", id="9.7-position-clone"),
    pytest.param("mysql97", True, "clone", id="9.7-gtid-clone"),
    pytest.param("mariadb", False, "backup", id="mariadb-position-backup"),
    pytest.param("mariadb", True, "backup", id="mariadb-gtid-backup"),
    pytest.param("mariadb105", True, "backup", id="mariadb105-gtid-backup"),
    pytest.param("mariadb118", True, "backup", id="mariadb118-gtid-backup"),
    pytest.param("mariadb105", False, "backup", id="mariadb105-position-backup"),
    pytest.param("mariadb118", False, "backup", id="mariadb118-position-backup"),
    pytest.param("mysql97", True, "dump", id="9.7-gtid-dump"),
    pytest.param("mariadb", True, "dump", id="mariadb-gtid-dump"),
]


@pytest.mark.parametrize(("kind", "gtid", "method"), WAYS)
def test_rebuilt_under_a_writer(kind: str, gtid: bool, method: str, record_property: Recorder) -> None:
    with Cluster(kind, gtid=gtid, backup=method == "backup") as cluster:
        scene = Rebuilt(cluster)
        if kind == "mysql97" and method == "dump":
            # A hold keeps it super_read_only, which refuses every statement of a dump.
            released = cluster.command("mha", "release", f"--conf={scene.conf}", f"--host={scene.old.ip}")
            assert released.code == 0, released
        writer = scene.writer(seconds=600.0)
        until(lambda: len(writer.acks()) > 1000, "rows are written before")
        began, clock = time.time(), time.monotonic()
        done = scene.rebuild(f"--method={method}")
        record_property("seconds", time.monotonic() - clock)
        acks = writer.stop()
        assert done.code == 0, done
        alone, beside = (latency([a.at for a in acks if (a.at < began) is early]) for early in (True, False))
        record_property("latency_alone_ms", alone)
        record_property("latency_beside_ms", beside)
        print(
            f"{cluster.name} by {method}: {alone:.2f} ms a row alone, {beside:.2f} ms beside it: {beside / alone:.2f}"
        )
        assert "100%" in done.output
        assert "compared with the primary's at one place, the same" in done.output
        scene.assert_rebuilt(acks)
        (kept,) = old_data(scene.old)
        assert scene.old.run(f"ls {kept}/app").split() != []
        assert read_only(scene.old)
        assert held(scene.conf) == []
