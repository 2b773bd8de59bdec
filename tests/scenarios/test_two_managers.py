"""Two managers of one cluster, on two hosts: one acts, whoever dies, is cut off, or loses every session."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator

import pytest

from prefect_mha.config import load_cluster
from prefect_mha.replication.coordination import failover_lock
from prefect_mha.replication.coordination.failover_lock import MONITOR_LOCK
from prefect_mha.replication.coordination.quorum import STANDBY_LOCK
from prefect_mha.replication.errors import AlreadyActing
from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.writer import Ack, Writer
from tests.scenarios.failing_over import assert_survivors_agree, promoted
from tests.scenarios.moving import wait_until
from tests.scenarios.test_manager_killed import kill_at
from tests.scenarios.test_who_is_primary import OPENED, writable
from tests.scenarios.watching import SIGHT, Monitor

KINDS = [
    pytest.param("mysql97", True, id="9.7-gtid"),
    pytest.param("mysql56", False, id="5.6-position"),
    pytest.param("mariadb", True, id="mariadb"),
]
#: The managers' hosts, beside those of the database.
ONE, TWO = 8, 9


class Pair:
    """Two monitors of one cluster, each on a host of its own, started together: ``one`` is who was first.

    ``here`` and ``there`` are the numbers of their hosts.
    """

    def __init__(self, cluster: Cluster, default: str = "") -> None:
        self.cluster = cluster
        both = {}
        for number in (ONE, TWO):
            conf = cluster.write_cnf(f"by{number}", default=default)
            both[number] = Monitor(cluster, conf, namespace=cluster.subnet.attach(number), sight=False)
        ends = time.monotonic() + 90.0
        while not any(SIGHT in monitor.log() for monitor in both.values()):
            assert time.monotonic() < ends, [monitor.log() for monitor in both.values()]
            time.sleep(0.05)
        self.here, self.there = (ONE, TWO) if SIGHT in both[ONE].log() else (TWO, ONE)
        self.one, self.two = both[self.here], both[self.there]
        self.first, self.second = cluster.subnet.address(self.here), cluster.subnet.address(self.there)
        self.two.wait_for(f"Standing by: {self.first}")
        # Until the first has seen the second it is alone, and keeps the right whatever it reaches.
        self.one.wait_for("There is another manager of")
        assert SIGHT not in self.two.log()

    def status(self, monitor: Monitor) -> tuple[int, str]:
        done = self.cluster.command("masterha_check_status", f"--conf={monitor.conf}")
        return done.code, done.output.strip()

    def is_(self, monitor: Monitor, code: int, seconds: float = 30.0) -> str:
        """Wait until its status is that, and return the words."""
        ends = time.monotonic() + seconds
        while (seen := self.status(monitor))[0] != code:
            assert time.monotonic() < ends, f"{seen}\n{self.one.log()}\n---\n{self.two.log()}"
        return seen[1]

    def journals(self) -> list[str]:
        """Every failover that anybody began."""
        return [p.name for m in (self.one, self.two) for p in sorted(m.workdir.glob("*.failover-*.journal"))]

    def logs(self) -> str:
        return f"{self.one.log()}\n--- the second ---\n{self.two.log()}"

    def stop(self) -> None:
        self.one.stop()
        self.two.stop()


@contextlib.contextmanager
def two_managers(kind: str, gtid: bool, *, n: int = 3, default: str = "") -> Iterator[Pair]:
    with Cluster(kind, gtid=gtid, n=n) as cluster:
        pair = Pair(cluster, default)
        try:
            yield pair
        finally:
            pair.stop()


def holders(cluster: Cluster, lock: str = MONITOR_LOCK) -> dict[str, str]:
    """From which host each server's lock is held; empty for a free one."""
    found = {}
    for host in cluster.hosts:
        number = host.sql("SELECT IS_USED_LOCK(%s) AS n", (lock,))[0]["n"]
        rows = [r for r in host.sql("SHOW PROCESSLIST") if r["Id"] == number]
        found[host.name] = rows[0]["Host"].rpartition(":")[0] if rows else ""
    return found


def wait_for_holder(cluster: Cluster, address: str, seconds: float = 15.0) -> None:
    """Every server's lock belongs to the manager on that host."""
    ends = time.monotonic() + seconds
    while set(holders(cluster).values()) != {address}:
        assert time.monotonic() < ends, holders(cluster)
        time.sleep(0.1)


def follows(host: Host, primary: Host) -> bool:
    status = host.replica_status()
    return bool(status) and status["Source_Host"] == primary.ip and status["Replica_IO_Running"] == "Yes"


def failed_over(pair: Pair, by: Monitor, writer: Writer, sights: int) -> list[Ack]:
    """That manager watches the new primary; the writer is stopped, and what it wrote is there."""
    by.wait_for(SIGHT, sights)
    time.sleep(1.0)
    acks = writer.stop()
    new = promoted(pair.cluster)
    assert_survivors_agree(pair.cluster, acks, new, (5 - new,))
    assert len(pair.journals()) == 1, pair.logs()
    return acks


def test_the_second_says_that_it_stands_by_and_takes_over() -> None:
    with two_managers("mariadb", True, n=2) as pair:
        assert f"standing by(40:STANDING_BY), {pair.first}" in pair.is_(pair.two, 40)
        pair.one.process.kill()
        pair.two.wait_for(SIGHT)
        wait_for_holder(pair.cluster, pair.second)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_the_second_takes_over_from_one_that_was_killed(kind: str, gtid: bool) -> None:
    with two_managers(kind, gtid) as pair:
        cluster = pair.cluster
        words = pair.is_(pair.two, 40)
        assert f"standing by(40:STANDING_BY), {pair.first}" in words
        assert words.endswith(f"watches. master:{cluster[1].ip}")
        wait_for_holder(cluster, pair.first)
        assert set(holders(cluster, STANDBY_LOCK).values()) == {pair.second}
        writer = Writer(cluster)
        pair.one.process.kill()
        killed = time.monotonic()
        pair.two.wait_for(SIGHT)
        print(f"{kind}: the second watched {time.monotonic() - killed:.1f} s after the first was killed")
        assert time.monotonic() - killed < 8.0
        wait_for_holder(cluster, pair.second)
        assert "Took over" in pair.two.log()
        cluster[1].signal_mysqld(signal.SIGKILL)
        failed_over(pair, pair.two, writer, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_one_that_was_cut_off_does_nothing_when_it_is_back(kind: str, gtid: bool) -> None:
    with two_managers(kind, gtid) as pair:
        cluster = pair.cluster
        writer = Writer(cluster)
        cluster.subnet.link(pair.here, up=False)
        cut = time.monotonic()
        pair.two.wait_for(SIGHT)
        print(f"{kind}: the second watched {time.monotonic() - cut:.1f} s after the first was cut off")
        pair.one.wait_for("is lost")
        cluster[1].signal_mysqld(signal.SIGKILL)
        failed_over(pair, pair.two, writer, 2)
        new = cluster[promoted(cluster)]
        cluster.subnet.link(pair.here, up=True)
        pair.is_(pair.one, 40)
        ends = time.monotonic() + 15.0
        while pair.second not in (words := pair.status(pair.one)[1]):
            assert time.monotonic() < ends, words
        pair.one.wait_for(f"the primary is {new.ip}")
        ends = time.monotonic() + 3.0
        while time.monotonic() < ends:
            opened = [h for h in cluster.hosts[1:] if not int(h.sql("SELECT @@global.read_only AS r")[0]["r"])]
            assert opened == [new]
        assert len(pair.journals()) == 1, pair.logs()
        assert pair.status(pair.two)[0] == 0


@pytest.mark.slow
def test_one_that_reaches_only_the_primary_gives_way() -> None:
    """It lost the majority, so it must not act; it gives back the lock that it has."""
    with two_managers("mariadb", True) as pair:
        cluster = pair.cluster
        for host in cluster.hosts[1:]:
            host.blackhole(pair.first)
        pair.two.wait_for(SIGHT)
        assert pair.is_(pair.one, 40)
        wait_for_holder(cluster, pair.second)
        writer = Writer(cluster)
        time.sleep(1.0)
        cluster[1].signal_mysqld(signal.SIGKILL)
        failed_over(pair, pair.two, writer, 2)


@pytest.mark.slow
def test_one_that_is_stopped_for_a_while_does_not_act_when_it_goes_on() -> None:
    """As a virtual machine that is moved: the other one has failed over meanwhile."""
    with two_managers("mariadb", True) as pair:
        cluster = pair.cluster
        writer = Writer(cluster)
        pair.one.process.send_signal(signal.SIGSTOP)
        pair.two.wait_for(SIGHT)
        cluster[1].signal_mysqld(signal.SIGKILL)
        failed_over(pair, pair.two, writer, 2)
        pair.one.process.send_signal(signal.SIGCONT)
        pair.is_(pair.one, 40)
        time.sleep(3.0)
        assert len(pair.journals()) == 1, pair.logs()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["killed", "powered off", "frozen"])
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_both_live_and_the_primary_dies(kind: str, gtid: bool, fault: str) -> None:
    with two_managers(kind, gtid) as pair:
        cluster = pair.cluster
        writer = Writer(cluster)
        time.sleep(1.0)
        if fault == "powered off":
            cluster[1].power_off()
        else:
            cluster[1].signal_mysqld(signal.SIGKILL if fault == "killed" else signal.SIGSTOP)
        failed_over(pair, pair.one, writer, 2)
        new = cluster[promoted(cluster)]
        pair.two.wait_for(f"the primary is {new.ip}")
        assert pair.is_(pair.two, 40).endswith(f"master:{new.ip}")
        assert "is lost" not in pair.logs()


@pytest.mark.slow
def test_an_old_primary_that_comes_back_when_the_manager_that_replaced_it_is_gone() -> None:
    with two_managers("mariadb", True) as pair:
        cluster = pair.cluster
        writer = Writer(cluster)
        cluster[1].power_off()
        failed_over(pair, pair.one, writer, 2)
        new = cluster[promoted(cluster)]
        pair.two.wait_for(f"the primary is {new.ip}")
        pair.one.process.kill()
        pair.two.wait_for(SIGHT)
        cluster[1].power_on()
        cluster[1].start_mysqld()
        ends = time.monotonic() + 10.0
        while int(cluster[1].sql("SELECT @@global.read_only AS r")[0]["r"]) == 0:
            assert time.monotonic() < ends, pair.two.log()
        assert int(new.sql("SELECT @@global.read_only AS r")[0]["r"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_locks_are_taken_again_when_every_session_was_ended(kind: str, gtid: bool) -> None:
    with two_managers(kind, gtid) as pair:
        cluster = pair.cluster
        for host in cluster.hosts:
            (number,) = (r["n"] for r in host.sql("SELECT IS_USED_LOCK(%s) AS n", (MONITOR_LOCK,)))
            host.sql(f"KILL {number}")
        # The first takes them again, unless the second, to which nobody seemed to watch, was there before it.
        ends = time.monotonic() + 15.0
        while set(holders(cluster).values()) not in ({pair.first}, {pair.second}):
            assert time.monotonic() < ends, holders(cluster)
            time.sleep(0.1)
        (active,) = set(holders(cluster).values())
        pair.is_(pair.one, 0 if active == pair.first else 40)
        pair.is_(pair.two, 0 if active == pair.second else 40)
        lost = pair.logs().count("is lost")
        # One after the other, as an upgrade does: the right stays where it is.
        for host in cluster.hosts[1:]:
            host.signal_mysqld(signal.SIGTERM)
            while host.mysqld_pids():
                time.sleep(0.1)
            host.start_mysqld("--read-only=1")
            host.sql(f"START {cluster.kind.word('REPLICA', 'SLAVE')}")
            wait_for_holder(cluster, active)
        assert not pair.journals()
        assert pair.logs().count("is lost") == lost


@pytest.mark.slow
def test_the_failover_lock_is_kept_while_its_holder_lives_and_not_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover_lock, "VANISHED", 2)
    with Cluster("mariadb", gtid=True) as cluster:
        config = load_cluster(cluster.write_cnf(), None)
        with cluster.in_manager_net():
            lock = failover_lock.FailoverLock(config.servers)
            assert len(lock.take()) == 3
        time.sleep(5.0)
        first = holders(cluster, failover_lock.FAILOVER_LOCK)
        assert set(first.values()) == {f"{cluster.subnet.prefix}.1"}
        lock.verify()
        # It stands still, and each server ends the session that says nothing.
        monkeypatch.setattr(failover_lock.FailoverLock, "_keep", lambda _lock: None)
        with cluster.in_manager_net():
            still = failover_lock.FailoverLock(config.servers)
            lock.release()
            assert len(still.take()) == 3
        time.sleep(4.0)
        assert set(holders(cluster, failover_lock.FAILOVER_LOCK).values()) == {""}
        with pytest.raises(AlreadyActing):
            still.verify()
        still.release()


@pytest.mark.slow
@pytest.mark.parametrize("managers", [1, 2])
def test_two_servers_one_manager_and_no_power(managers: int) -> None:
    """Half of the locks is enough for the one who has the right."""
    with Cluster("mariadb", gtid=True, n=2) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(default=f"managers={managers}"))
        writer = Writer(cluster)
        time.sleep(2.0)
        cluster[1].power_off()
        assert manager.wait(40) == 0, manager.log()
        time.sleep(1.0)
        acks = writer.stop()
        assert account(acks, [cluster[2]]).rows_lost == 0
        assert cluster[2].ip in {ack.host for ack in acks}


@pytest.mark.slow
def test_one_manager_with_one_replica_of_three_left() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        cluster[3].power_off()
        manager = cluster.start_manager(cluster.write_cnf(default="start_checks=warn"))
        writer = Writer(cluster)
        time.sleep(2.0)
        cluster[1].power_off()
        assert manager.wait(40) == 10, manager.log()
        time.sleep(1.0)
        assert account(writer.stop(), [cluster[2]]).rows_lost == 0


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_a_planned_switch_beside_both(kind: str, gtid: bool) -> None:
    """Asked for on a third host; both follow the new primary."""
    with two_managers(kind, gtid) as pair:
        cluster = pair.cluster
        writer = Writer(cluster)
        time.sleep(1.0)
        conf = cluster.write_cnf("hand")
        done = cluster.command(
            "mha", "switchover", "--conf", str(conf), "--to", cluster[2].ip, "--keep-old-as-replica", "--yes"
        )
        assert done.code == 0, done
        pair.one.wait_for(SIGHT, 2)
        pair.two.wait_for(f"the primary is {cluster[2].ip}")
        acks = writer.stop()
        assert_survivors_agree(cluster, acks, 2, (1, 3))
        assert pair.is_(pair.one, 0).endswith(f"master:{cluster[2].ip}")
        assert pair.is_(pair.two, 40).endswith(f"master:{cluster[2].ip}")
        assert not pair.journals()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_the_first_dies_in_the_middle_of_its_failover(kind: str, gtid: bool) -> None:
    """The second does it all, or the rest: it opens no other server. Without GTIDs it says who can do the rest."""
    for words, opened in (('"Stop every receiver", "event": "done"', False), ('"Point a replica', True)):
        with two_managers(kind, gtid) as pair:
            cluster = pair.cluster
            writer = Writer(cluster)
            time.sleep(1.0)
            cluster[1].signal_mysqld(signal.SIGKILL)
            ends = time.monotonic() + 30.0
            while not any(words in p.read_text() for p in pair.one.workdir.glob("*.failover-*.journal")):
                assert time.monotonic() < ends, pair.logs()
            pair.one.process.kill()
            if opened and not gtid:
                pair.two.wait_for("was interrupted after opening it", seconds=60.0)
                done = cluster.command("mha", "failover", "--conf", str(pair.one.conf), "--resume", "--yes")
                assert done.code == 0, done
            pair.two.wait_for(SIGHT, seconds=60.0)
            if opened:
                time.sleep(1.0)
            else:
                pair.two.wait_for("Current Alive Master", seconds=60.0)
            acks = writer.stop()
            new = promoted(cluster)
            assert_survivors_agree(cluster, acks, new, (5 - new,))


@pytest.mark.slow
@pytest.mark.parametrize("gtid", [True, False], ids=["gtid", "position"])
def test_receivers_that_had_given_up_hide_nobody_who_was_opened(gtid: bool) -> None:
    """MySQL's receivers end by themselves, before the verdict here; who was opened since does not receive again."""
    with two_managers("mysql97", gtid) as pair:
        cluster = pair.cluster
        for host in (cluster[2], cluster[3]):
            host.sql("STOP REPLICA")
            host.sql("CHANGE REPLICATION SOURCE TO SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=1")
            host.sql("START REPLICA")
        both = (cluster[2], cluster[3])
        wait_until(lambda: all(h.replica_status()["Replica_IO_Running"] == "Yes" for h in both), "both follow")
        cluster[1].signal_mysqld(signal.SIGKILL)
        kill_at(pair.one, OPENED)
        new = 2 if writable(cluster[2]) else 3
        if not gtid:
            pair.two.wait_for("was interrupted after opening it", seconds=60.0)
            assert not writable(cluster[5 - new])
            done = cluster.command("mha", "failover", "--conf", str(pair.one.conf), "--resume", "--yes")
            assert done.code == 0, done
        pair.two.wait_for(SIGHT, seconds=60.0)
        assert promoted(cluster) == new
        assert cluster[5 - new].replica_status()["Source_Host"] == cluster[new].ip
