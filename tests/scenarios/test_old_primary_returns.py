"""The old primary comes back in every way it can, with an application on its own host that writes every 10 ms."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.local_writer import Observers, Taken
from tests.lab.network import sh
from tests.lab.two_servers import until
from tests.scenarios.naming import manager_knows
from tests.scenarios.watching import SIGHT, Monitor, clock

Recorder = Callable[[str, object], None]
KINDS = [pytest.param("mariadb", id="mariadb"), pytest.param("mysql97", id="9.7", marks=pytest.mark.slow)]
#: The longest that a server which came back may take writes, on a machine that runs several clusters (seconds).
WINDOW = 2.0

SUPERVISOR = """\
#!/bin/sh
while :; do
  {mysqld} --defaults-file=/etc/my.cnf --user=mysql >>/var/log/mysqld.err 2>&1
  sleep 0.2
done
"""


class Scene:
    """A cluster that is watched, with an observer on every host and a command that notes each event."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.old = cluster, cluster[1]
        self.notes = cluster.seat / "events"
        note = cluster.seat / "note"
        note.write_text(f'#!/bin/sh\necho "$MHA_EVENT $MHA_OLD_PRIMARY_IP" >>{self.notes}\n')
        note.chmod(0o755)
        self.conf = cluster.write_cnf(default=f"on_returned={note}\non_released={note}", candidate=2)

    def watch(self) -> None:
        self.monitor = Monitor(self.cluster, self.conf)
        self.observers = Observers(self.cluster)
        time.sleep(0.5)

    def failed_over(self) -> None:
        """Wait until the new primary is watched."""
        self.monitor.wait_for(SIGHT, 2)

    def by_old(self, taken: list[Taken], after: float) -> list[Taken]:
        return [t for t in taken if t.host == self.old.ip and t.at > after]

    def nothing_taken_by_the_old_one(self) -> None:
        opened = self.monitor.opened_at()
        taken = self.observers.stop()
        late = self.by_old(taken, opened)
        assert late == [], f"opened at {clock(opened)}: {late[:3]}"
        assert [t for t in taken if t.host == self.cluster[2].ip and t.at > opened], "the new one takes writes"

    def window(self, back: float) -> float:
        """Seconds between the first and the last write that it took after it was back."""
        late = self.by_old(self.observers.stop(), back)
        return late[-1].at - late[0].sent if late else 0.0

    def events(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else []

    def mha(self, *words: str) -> str:
        return self.cluster.command("mha", *words).output


@pytest.fixture
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with Cluster(request.param, gtid=True) as cluster:
        made = Scene(cluster)
        yield made
        if hasattr(made, "monitor"):
            made.monitor.stop()


def read_only(host: Host) -> bool:
    return bool(int(host.sql("SELECT @@global.read_only AS r")[0]["r"]))


def under_a_loop(host: Host) -> None:
    """Its mysqld is started again by a shell's loop whenever it ends."""
    host.signal_mysqld(signal.SIGTERM)
    while host.mysqld_pids():
        time.sleep(0.05)
    text = SUPERVISOR.format(mysqld=host.kind.mysqld)
    host.run("cat >/usr/local/bin/keep-it-up && chmod 755 /usr/local/bin/keep-it-up", data=text)
    host.start("/usr/local/bin/keep-it-up")
    host.wait_for_mysqld()


@pytest.mark.parametrize("scene", KINDS, indirect=True)
def test_frozen_under_a_loop_that_would_start_it_again(scene: Scene) -> None:
    """The loop ends with the mysqld that hangs; a kill alone would bring a writable server back in 0.2 seconds."""
    under_a_loop(scene.old)
    scene.watch()
    scene.old.signal_mysqld(signal.SIGSTOP)
    scene.failed_over()
    scene.old.run("pkill -CONT -x 'mysqld|mariadbd'", check=False)
    time.sleep(2.0)
    assert scene.old.mysqld_pids() == []
    assert "stopped its supervisor" in scene.monitor.log()
    scene.nothing_taken_by_the_old_one()


@pytest.mark.slow
@pytest.mark.parametrize("scene", KINDS, indirect=True)
def test_started_again_read_only_nobody_would_hear_of_it(scene: Scene) -> None:
    scene.watch()
    scene.old.signal_mysqld(signal.SIGKILL)
    scene.failed_over()
    scene.old.start_mysqld("--read-only=1", wait=False)
    scene.monitor.wait_for("came back read-only, and is held so")
    until(lambda: f"returned {scene.old.ip}" in scene.events(), "somebody is told")
    assert scene.monitor.log().count("came back") == 1


@pytest.mark.parametrize("scene", KINDS, indirect=True)
def test_killed_and_started_again_by_a_person(scene: Scene, record_property: Recorder) -> None:
    """No means prevents that on its own host: it is closed as soon as it answers, again and again, until released."""
    scene.watch()
    scene.old.signal_mysqld(signal.SIGKILL)
    scene.failed_over()
    back = time.time()
    scene.old.start_mysqld(wait=False)
    scene.monitor.wait_for("came back and took writes")
    assert read_only(scene.old)
    window = scene.window(back)
    record_property("window", window)
    assert window < WINDOW
    assert f"returned {scene.old.ip}" in scene.events()

    scene.old.sql("SET GLOBAL read_only=0")
    scene.monitor.wait_for("came back and took writes", 2, seconds=5)
    assert read_only(scene.old)
    status = scene.mha("status", f"--conf={scene.conf}")
    assert f"{scene.old.ip}({scene.old.ip}:3306) is held read-only since" in status

    said = scene.mha("release", f"--conf={scene.conf}", f"--host={scene.old.ip}")
    assert "is no longer held read-only" in said
    assert "is held read-only since" not in scene.mha("status", f"--conf={scene.conf}")
    scene.old.sql("SET GLOBAL read_only=0")
    time.sleep(1.0)
    assert not read_only(scene.old), "released, so a person may open it"
    assert f"released {scene.old.ip}" in scene.events()


@pytest.mark.slow
@pytest.mark.parametrize("scene", KINDS, indirect=True)
def test_link_down_and_up_again_while_its_mysqld_runs(scene: Scene, record_property: Recorder) -> None:
    """Cut off, it takes what is written on its own host, which nobody can prevent, and the report says so."""
    scene.watch()
    scene.old.cut_cable()
    scene.failed_over()
    assert "could not be fenced: ssh: SSH to" in scene.monitor.log()
    assert "Keep it off the network." in scene.monitor.log()
    back = time.time()
    scene.old.mend_cable()
    scene.monitor.wait_for("came back and took writes")
    time.sleep(0.5)
    late = scene.by_old(scene.observers.stop(), back)
    last = late[-1].at - back if late else 0.0
    record_property("window", last)
    # A second for the neighbours to find each other (ARP), and what it then took to close it.
    assert last < 1.0 + WINDOW
    assert read_only(scene.old)


@pytest.mark.slow
@pytest.mark.parametrize("scene", [*KINDS[:1], pytest.param("mysql97", id="9.7")], indirect=True)
def test_power_off_and_the_host_back_with_its_mysqld(scene: Scene, record_property: Recorder) -> None:
    scene.watch()
    scene.old.power_off()
    scene.failed_over()
    assert "could not be fenced" in scene.monitor.log()
    scene.old.power_on()
    back = time.time()
    scene.old.start_mysqld(wait=False)
    scene.monitor.wait_for("came back and took writes")
    assert read_only(scene.old)
    time.sleep(0.3)
    window = scene.window(back)
    record_property("window", window)
    assert window < WINDOW


def test_back_while_no_manager_runs_is_closed_when_one_starts() -> None:
    """Beside a stray that takes writes a manager could not even start to watch; a hold does not end with its block."""
    with Cluster("mysql97", gtid=True) as cluster:
        conf = cluster.write_cnf()
        manager = cluster.start_manager(conf, "--remove_dead_master_conf")
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(40) == 0, manager.log()
        assert "[server1]" not in conf.read_text()
        cluster[1].start_mysqld()
        assert not read_only(cluster[1])
        second = Monitor(cluster, conf)
        try:
            assert read_only(cluster[1])
            assert "came back and took writes" in second.log()
            # A person makes it a replica: then nothing needs to be held any more.
            cluster.follow(cluster[1], cluster[2])
            second.wait_for("is no longer held read-only: it replicates from", seconds=10)
        finally:
            second.stop()
        assert _held(conf) == []


def test_the_one_that_is_primary_again_is_not_closed() -> None:
    """It was held, and then everybody was pointed back at it while no manager ran."""
    with Cluster("mariadb", gtid=True, n=2) as cluster:
        conf = cluster.write_cnf()
        manager = cluster.start_manager(conf)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(40) == 0, manager.log()
        cluster[1].start_mysqld()
        assert _held(conf) != []
        cluster.replicate_from(cluster[1])
        second = Monitor(cluster, conf)
        try:
            second.wait_for("is no longer held read-only: it is the primary again", seconds=10)
            assert not read_only(cluster[1])
        finally:
            second.stop()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "by_name"),
    [
        pytest.param("mariadb", True, id="mariadb-by-its-name"),
        pytest.param("mysql97", True, id="9.7-by-its-name"),
        pytest.param("mysql97", False, id="9.7-by-its-uuid"),
    ],
)
def test_one_that_comes_back_with_another_address_is_closed(kind: str, by_name: bool) -> None:
    """Its container was made anew, and a manager started anew, with the file that a person edited or with its name."""
    with Cluster(kind, gtid=True) as cluster, manager_knows(cluster) as names:
        conf = cluster.write_cnf(candidate=2)
        old = cluster[1]
        before, after = old.ip, cluster.subnet.address(42)
        # Its sshd is known by the old address, which stays.
        configured, now = f"hostname={before}\n", old.name if by_name else after
        if by_name:
            conf.write_text(conf.read_text().replace(configured, f"hostname={now}\nssh_host={before}\n"))
        manager = cluster.start_manager(conf)
        old.signal_mysqld(signal.SIGKILL)
        assert manager.wait(40) == 0, manager.log()
        sh(f"ip -n {cluster.subnet.host(1)} addr add {after}/24 dev eth0")
        names.write_text(names.read_text().replace(f"{before} db1", f"{after} db1"))
        if not by_name:
            conf.write_text(conf.read_text().replace(configured, f"hostname={now}\nssh_host={before}\n"))
        old.start_mysqld()
        assert not read_only(old)
        second = Monitor(cluster, conf)
        try:
            second.wait_for("came back and took writes", seconds=15)
            assert read_only(old)
            done = cluster.command("mha", "release", f"--conf={conf}", f"--host={now}")
            assert done.code == 0, done
        finally:
            second.stop()


def _held(conf: Path) -> list[str]:
    from prefect_mha.replication.memory.held_servers import HeldServers

    return [hold.key for hold in HeldServers(conf.with_suffix(""), conf.stem).current()]
