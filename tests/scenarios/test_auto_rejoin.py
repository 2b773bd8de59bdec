"""With auto_rejoin=follow a server that comes back becomes a replica by itself, unless there is a word to say of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator

import pymysql
import pytest

from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.writer import Writer
from tests.scenarios.failing_over import MODES, versions
from tests.scenarios.test_rejoin_follows import held, read_only
from tests.scenarios.watching import SIGHT, Monitor

Recorder = Callable[[str, object], None]
pytestmark = pytest.mark.slow
#: Seconds from its mysqld's first answer until it is a replica.
SOON = 5.0


class Watched:
    """`mha monitor` has failed db1 over to db2, under a writer that goes on."""

    def __init__(self, cluster: Cluster, default: str = "auto_rejoin=follow") -> None:
        self.cluster, self.old, self.new = cluster, cluster[1], cluster[2]
        self.notes = cluster.seat / "events"
        note = cluster.seat / "note"
        note.write_text(f'#!/bin/sh\necho "$MHA_EVENT $MHA_OLD_PRIMARY_IP $MHA_TEXT" >>{self.notes}\n')
        note.chmod(0o755)
        hooks = f"on_rejoined={note}\non_not_rejoined={note}\non_released={note}"
        self.conf = cluster.write_cnf(candidate=2, default=f"{default}\n{hooks}")
        self.monitor = Monitor(cluster, self.conf)
        self.writer = Writer(cluster)
        time.sleep(1.0)
        self.fail_over(2)

    def fail_over(self, times: int) -> None:
        self.old.signal_mysqld(signal.SIGKILL)
        self.monitor.wait_for(SIGHT, times)

    def events(self) -> str:
        return self.notes.read_text() if self.notes.exists() else ""

    def replicates(self) -> bool:
        try:
            status = self.old.replica_status()
        except pymysql.MySQLError:
            return False  # who is connected when it is closed is ended, where only that keeps accounts with SUPER out
        return [status.get(f"Replica_{half}_Running") for half in ("IO", "SQL")] == ["Yes", "Yes"]

    def wait(self, what: Callable[[], object], seconds: float) -> float:
        began = time.monotonic()
        while not what():
            assert time.monotonic() - began < seconds, self.monitor.log()
            time.sleep(0.02)
        return time.monotonic() - began


@pytest.fixture
def watched(request: pytest.FixtureRequest) -> Iterator[Watched]:
    kind, gtid = request.param
    with Cluster(kind, gtid=gtid) as cluster:
        made = Watched(cluster)
        yield made
        made.writer.stop()
        made.monitor.stop()


def cases(*modes: object) -> list[object]:
    return [pytest.param(tuple(mode.values), id=mode.id) for mode in modes]  # type: ignore[attr-defined]


@pytest.mark.parametrize("watched", cases(*MODES, *versions()), indirect=True)
def test_it_follows_within_seconds(watched: Watched, record_property: Recorder) -> None:
    watched.old.start_mysqld()
    took = watched.wait(watched.replicates, 3 * SOON)
    watched.wait(lambda: held(watched.conf) == [], 5.0)
    record_property("seconds", took)
    acks = watched.writer.stop()
    result = account(acks, watched.cluster.hosts)
    assert result.rows_lost == 0, result
    assert result.equal, result
    assert read_only(watched.old)
    watched.wait(lambda: f"rejoined {watched.old.ip}" in watched.events(), 5.0)
    assert "not_rejoined" not in watched.events()
    assert took < SOON


@pytest.mark.parametrize(
    "watched",
    [
        pytest.param(("mysql56", False), id="5.6-position"),
        pytest.param(("mysql97", True), id="9.7-gtid"),
        pytest.param(("mariadb", True), id="mariadb-gtid"),
    ],
    indirect=True,
)
def test_one_with_a_row_of_its_own_is_told_of_and_left_read_only(watched: Watched) -> None:
    """The row comes with its first moment, before anybody can close it."""
    init = "CREATE TABLE app.only_here (id INT PRIMARY KEY) ENGINE=InnoDB;\n"
    watched.old.run("cat >/tmp/init.sql && chmod 644 /tmp/init.sql", data=init)
    watched.old.start_mysqld("--init-file=/tmp/init.sql")
    watched.wait(lambda: "not_rejoined" in watched.events(), 3 * SOON)
    assert "has what" in watched.events()
    time.sleep(3.0)
    assert watched.events().count("not_rejoined") == 1
    assert watched.old.replica_status() == {}
    assert read_only(watched.old)


@pytest.mark.parametrize("watched", [pytest.param(("mysql56", True), id="5.6-gtid")], indirect=True)
def test_not_twice_in_a_row(watched: Watched) -> None:
    """It dies as a replica, is held by nobody, and nothing is done; a primary again and dead again, it waits."""
    watched.old.start_mysqld()
    watched.wait(watched.replicates, 3 * SOON)
    watched.wait(lambda: held(watched.conf) == [], 5.0)
    done = watched.cluster.command(
        "mha", "switchover", f"--conf={watched.conf}", f"--to={watched.old.ip}", "--keep-old-as-replica", "--yes"
    )
    assert done.code == 0, done
    watched.monitor.wait_for(SIGHT, 3)
    watched.fail_over(4)
    watched.old.start_mysqld()
    watched.monitor.wait_for("it is not made a replica by itself again within")
    assert watched.old.replica_status() == {}
    watched.wait(lambda: read_only(watched.old), 5.0)
