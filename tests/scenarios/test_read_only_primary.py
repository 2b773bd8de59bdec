"""The primary answers and nobody can write: after its restart with read_only in its my.cnf, or because somebody did it.

An application writes all the time, so that what counts is its rows and nothing that a server says of itself.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_mha.replication.memory.journal import END
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.waiting import until
from tests.lab.writer import Writer
from tests.scenarios.failing_over import kinds
from tests.scenarios.moving import wait_until
from tests.scenarios.test_who_is_primary import writable
from tests.scenarios.watching import SIGHT, Monitor

#: Every my.cnf says read_only=1, as the guide advises.
CLOSED = {0: "read_only=1"}
ALL = kinds(
    "mariadb-gtid", slow=("mariadb-position", "9.7-gtid", "9.7-position", "5.6-gtid", "5.6-position", "11.8-gtid")
)
#: Seconds from the answer of a restarted primary to the first row of an application, on a busy machine.
WRITES_BACK = 12.0


class Scene:
    """A watched cluster whose primary was opened by a person, as it is on a site with read_only in every my.cnf."""

    def __init__(self, cluster: Cluster, more: str = "") -> None:
        self.cluster, self.primary = cluster, cluster[1]
        self.primary.sql("SET GLOBAL read_only=0")
        self.notes = cluster.seat / "events"
        note = cluster.seat / "note"
        note.write_text(f'#!/bin/sh\necho "$MHA_EVENT $MHA_TEXT" >>{self.notes}\n')
        note.chmod(0o755)
        told = f"on_read_only={note}\non_reopened={note}\nrestart_grace=20\n{more}"
        # 9.7 takes some five seconds to start on a busy machine: four missed pings must be more than that.
        interval = 3 if cluster.kind.name == "mysql97" else 1
        self.conf: Path = cluster.write_cnf(default=told, candidate=2, ping_interval=interval)
        self.writer = Writer(cluster)
        self.monitor = Monitor(cluster, self.conf)
        self.wait_for_memory()

    def crash_and_start(self, number: signal.Signals = signal.SIGKILL) -> float:
        """Its supervisor starts it again at once; returns when it takes sessions."""
        self.primary.signal_mysqld(number)
        while self.primary.mysqld_pids():
            time.sleep(0.02)
        try:
            self.primary.start_mysqld()
        except RuntimeError as error:
            raise AssertionError(f"{error}\n{self.monitor.log()}") from error
        return time.time()

    def status(self) -> tuple[int, str]:
        done = self.cluster.command("masterha_check_status", f"--conf={self.conf}")
        return done.code, done.output

    def wait_for_status(self, code: int, seconds: float = 15.0) -> str:
        ends = time.monotonic() + seconds
        while (seen := self.status())[0] != code:
            assert time.monotonic() < ends, (seen, self.monitor.log())
        return seen[1]

    def wait_for_row(self, since: float, seconds: float = WRITES_BACK) -> float:
        """Seconds until an application's row is acknowledged again."""
        ends = time.monotonic() + seconds
        while not (late := [ack for ack in self.writer.acks() if ack.at > since]):
            assert time.monotonic() < ends, self.monitor.log()
            time.sleep(0.05)
        return late[0].at - since

    def pings(self, more: int = 3) -> None:
        """Wait until the primary has answered so many further pings."""
        health = self.monitor.workdir / "app1.master_status.health"
        for _ in range(more):
            before, ends = health.stat().st_mtime_ns, time.monotonic() + 10.0
            while health.stat().st_mtime_ns == before:
                assert time.monotonic() < ends, self.monitor.log()
                time.sleep(0.05)

    def wait_for_memory(self) -> None:
        """The manager wrote down that it saw the primary take writes."""
        until(lambda: (self.monitor.workdir / "app1.primary.json").exists(), self.monitor.log, 10.0)

    def events(self) -> str:
        return self.notes.read_text() if self.notes.exists() else ""


def read_only(host: Host) -> bool:
    return bool(int(host.sql("SELECT @@global.read_only AS r")[0]["r"]))


@pytest.fixture
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    kind, gtid, *more = request.param
    with Cluster(kind, gtid=gtid, extra=CLOSED) as cluster:
        made = Scene(cluster, *more)
        yield made
        made.writer.stop()
        made.monitor.stop()


def scenes(*more: str, quick: bool = True) -> list[object]:
    """Every kind, each with further lines of its configuration."""
    marks = () if quick else (pytest.mark.slow,)
    return [pytest.param((*p.values, *more), id=p.id, marks=(*p.marks, *marks)) for p in ALL]


@pytest.mark.parametrize("scene", scenes(), indirect=True)
def test_a_primary_that_crashed_is_back_read_only_and_is_opened_again(scene: Scene) -> None:
    back = scene.crash_and_start()
    scene.wait_for_row(back)
    assert not read_only(scene.primary)
    scene.wait_for_status(0)
    scene.monitor.wait_for("opened again")
    assert "reopened" in scene.events()
    assert read_only(scene.cluster[2]) and read_only(scene.cluster[3])
    # It is watched on: what happens by a person's hand is another matter.
    scene.primary.sql("SET GLOBAL read_only=1")
    said = scene.wait_for_status(22)
    assert "read-only" in said
    scene.pings()
    assert read_only(scene.primary), "somebody set it by hand while it ran: it is never opened"
    assert "read_only" in scene.events() and "by hand" in scene.monitor.log()
    scene.crash_and_start()
    scene.monitor.wait_for("Monitoring goes on")
    scene.pings()
    assert read_only(scene.primary), "the restart does not take back what a person did"
    scene.primary.sql("SET GLOBAL read_only=0")
    scene.wait_for_status(0)


@pytest.mark.slow
@pytest.mark.parametrize("scene", scenes("on_shutdown=wait"), indirect=True)
def test_a_primary_that_was_restarted_in_order_is_opened_again(scene: Scene) -> None:
    back = scene.crash_and_start(signal.SIGTERM)
    scene.wait_for_row(back)


@pytest.mark.slow
@pytest.mark.parametrize("scene", scenes(), indirect=True)
def test_another_server_took_a_row_meanwhile_and_the_primary_stays_closed(scene: Scene) -> None:
    """Two histories are no matter for a manager; a closed server loses nothing."""
    other = scene.cluster[3]
    scene.primary.signal_mysqld(signal.SIGKILL)
    other.sql("SET GLOBAL read_only=0")
    other.sql("CREATE TABLE app.beside (id INT PRIMARY KEY)")
    if scene.cluster.gtid:
        other.sql("SET GLOBAL read_only=1")
    while scene.primary.mysqld_pids():
        time.sleep(0.02)
    scene.primary.start_mysqld()
    scene.wait_for_status(22)
    scene.pings()
    assert read_only(scene.primary)
    assert "of its own" in scene.monitor.log() or "can be written" in scene.monitor.log()


@pytest.mark.slow
@pytest.mark.parametrize("scene", scenes("reopen=tell", quick=False)[:1], indirect=True)
def test_a_site_that_wants_to_be_told_is_told(scene: Scene) -> None:
    scene.crash_and_start()
    scene.wait_for_status(22)
    scene.pings()
    assert read_only(scene.primary)
    assert "SET GLOBAL read_only=0" in scene.monitor.log()
    scene.primary.sql("SET GLOBAL read_only=0")
    scene.wait_for_status(0)


@pytest.mark.slow
@pytest.mark.parametrize("scene", scenes("reopen=failover", quick=False), indirect=True)
def test_a_site_that_wants_another_primary_gets_one(scene: Scene) -> None:
    back = scene.crash_and_start()
    scene.wait_for_row(back, 40.0)
    scene.monitor.wait_for(SIGHT, 2)
    assert not read_only(scene.cluster[2])


@pytest.mark.slow
@pytest.mark.parametrize("scene", scenes(quick=False), indirect=True)
def test_a_manager_that_died_beforehand_knows_it_still(scene: Scene) -> None:
    """Manager and primary lose their power together: what the disk remembers is as good as having seen it."""
    scene.monitor.stop()
    back = scene.crash_and_start()
    scene.monitor = Monitor(scene.cluster, scene.conf)
    scene.wait_for_row(back, 30.0)


@pytest.mark.slow
@pytest.mark.parametrize("scene", scenes(quick=False), indirect=True)
def test_a_manager_that_was_ended_in_order_only_tells(scene: Scene) -> None:
    """What was done while nobody was to watch is a person's business."""
    scene.monitor.process.send_signal(signal.SIGTERM)
    scene.monitor.process.wait(20)
    scene.crash_and_start()
    scene.monitor = Monitor(scene.cluster, scene.conf)
    scene.wait_for_status(22)
    assert read_only(scene.primary)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), ALL)
def test_what_was_to_close_a_frozen_primary_and_comes_late_is_taken_back(kind: str, gtid: bool) -> None:
    """It stands still with the order to close in its hands, and nobody is opened, for rows may be missing (strict)."""
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(candidate=2, default="fence=sql\nsalvage_policy=strict\nstart_checks=warn")
        primary, workdir, place = cluster[1], conf.with_suffix(""), cluster.seat / "place"
        place.mkdir()
        words = ("SET @mha_was", "sends", str(place), "mha", "monitor", "--conf", str(conf))
        out = (cluster.seat / "monitor.out").open("w")
        manager = cluster.run_there(sys.executable, "-m", "tests.lab.pausing", *words, out=out)
        log = lambda: (workdir / "manager.log").read_text()  # noqa: E731
        journals = lambda: "".join(path.read_text() for path in workdir.glob("*.failover-*.journal"))  # noqa: E731
        try:
            wait_until(lambda: (workdir / "app1.primary.json").exists(), "it remembers who takes writes", 60.0)
            primary.run("pkill '^sshd'", check=False)
            primary.signal_mysqld(signal.SIGSTOP)
            wait_until(lambda: '"step": "Fence the old primary", "event": "done"' in journals(), "it was fenced", 60.0)
            primary.signal_mysqld(signal.SIGCONT)
            wait_until((place / "reached").exists, "it is about to be closed")
            primary.signal_mysqld(signal.SIGSTOP)
            (place / "go").touch()
            wait_until(lambda: f'"step": "{END}"' in journals(), "that failover is over", 60.0)
            assert not any(writable(host) for host in cluster.hosts[1:]), log()
            primary.signal_mysqld(signal.SIGCONT)
            wait_until(lambda: "came late" in log(), "it closed, and is opened again", 60.0)
            wait_until(lambda: writable(primary), "it takes writes", 20.0)
        finally:
            manager.kill()
            manager.wait(10)
            out.close()
