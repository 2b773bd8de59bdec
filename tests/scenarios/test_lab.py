"""The lab itself: a test on it proves nothing unless its servers replicate, die and vanish as real ones do."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pymysql
import pytest

from tests.lab.checker import account, rows_in_turns, writers_overlap
from tests.lab.cluster import HOUSE, Cluster
from tests.lab.host import SMALLEST_DISK, Host
from tests.lab.kinds import APP, APP_PASSWORD
from tests.lab.network import DIRECTORIES, Subnet, sh
from tests.lab.waiting import until
from tests.lab.writer import Ack, Writer
from tests.scenarios.failing_over import MODES

pytestmark = pytest.mark.every_variant

# Takes a subnet, says which, and waits to be killed: it never cleans up.
LEAVE_BEHIND = "from tests.lab.network import Subnet; s = Subnet(); s.make(1); print(s.number, flush=True); input()"


def knock(cluster: Cluster, host: Host) -> str:
    """What a client gets at the server's port within a second: greeted, refused, silence (open, no word), nothing."""
    with cluster.in_manager_net():
        try:
            caller = socket.create_connection((host.ip, 3306), timeout=1.0)
        except ConnectionRefusedError:
            return "refused"
        except OSError:
            return "nothing"
    with caller:
        try:
            return "greeted" if caller.recv(1) else "refused"
        except TimeoutError:
            return "silence"
        except ConnectionResetError:
            return "refused"


def namespaces(subnet: Subnet) -> list[str]:
    names = {subnet.manager, *(subnet.host(n) for n in range(1, 10))}
    return [name for name in sh("ip netns list", check=False).split() if name in names]


@pytest.mark.parametrize(("kind", "gtid"), MODES)
def test_servers_replicate_the_writers_rows_and_a_killed_one_refuses(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        assert {h.replica_status().get("Source_Host") for h in cluster.hosts[1:]} == {cluster[1].ip}
        variable = "server_id" if cluster.kind.mariadb else "server_uuid"
        assert len({h.sql(f"SELECT @@{variable} AS v")[0]["v"] for h in cluster.hosts}) == 3
        writer = Writer(cluster, seconds=20.0)
        until(lambda: len(writer.acks()) > 20)
        acks = writer.stop()
        result = account(acks, cluster.hosts)
        assert result.acknowledged > 20
        assert result.rows_lost == 0, result
        assert result.equal, result
        assert {ack.host for ack in acks} == {cluster[1].ip}

        with pytest.raises(pymysql.MySQLError, match=r"read.only"):
            writes_as_the_application(cluster[2])

        assert knock(cluster, cluster[1]) == "greeted"
        cluster[1].signal_mysqld(signal.SIGKILL)
        until(lambda: knock(cluster, cluster[1]) == "refused")
        until(lambda: cluster[2].replica_status()["Replica_IO_Running"] != "Yes")
        cluster[1].start_mysqld()
        assert cluster[1].sql("SELECT COUNT(*) AS n FROM app.rows_written")[0]["n"] >= result.acknowledged


def writes_as_the_application(host: Host) -> None:
    session = host.connect(user=APP, password=APP_PASSWORD)
    try:
        session.cursor().execute("INSERT INTO app.rows_written VALUES (99, 1, 1, 'x')")
    finally:
        session.close()


def test_a_frozen_server_is_silent_and_a_powered_off_host_or_a_cut_cable_gives_no_answer_at_all() -> None:
    """A reset would give the death away; a power cut sends none."""
    with Cluster("mariadb", gtid=True) as cluster:
        one, two = cluster[1], cluster[2]
        one.signal_mysqld(signal.SIGSTOP)
        assert knock(cluster, one) == "silence"
        one.signal_mysqld(signal.SIGCONT)
        assert knock(cluster, one) == "greeted"

        one.cut_cable()
        assert knock(cluster, one) == "nothing"
        one.mend_cable()
        until(lambda: knock(cluster, one) == "greeted")

        two.blackhole(one.ip)
        ping = f"ping -c1 -W1 {one.ip} >/dev/null 2>&1 && echo answered || echo nothing"
        assert (two.run(ping).strip(), cluster[3].run(ping).strip()) == ("nothing", "answered")

        session = one.connect(read_timeout=2)
        began = time.monotonic()
        one.power_off()
        with pytest.raises(pymysql.MySQLError):
            session.query("SELECT 1")
        assert time.monotonic() - began > 1.5, "the open session was told at once: that is no power cut"
        assert knock(cluster, one) == "nothing"


def test_a_host_keeps_its_disk_over_a_power_cut() -> None:
    with Cluster("mariadb", gtid=True, n=2) as cluster:
        cluster[1].sql("CREATE TABLE app.kept (id INT PRIMARY KEY)")
        cluster[1].sql("INSERT INTO app.kept VALUES (7)")
        cluster[1].power_off()
        cluster[1].power_on()
        assert cluster[1].mysqld_pids() == []
        cluster[1].start_mysqld()
        assert cluster[1].sql("SELECT id FROM app.kept") == [{"id": 7}]


def test_the_checker_sees_a_lost_row_and_differing_data() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        writer = Writer(cluster, seconds=20.0)
        time.sleep(0.3)
        acks = writer.stop()
        assert account(acks, cluster.hosts).rows_lost == 0
        cluster[3].sql("SET GLOBAL read_only=0")
        cluster[3].sql("DELETE FROM app.rows_written WHERE id=%s", (acks[-1].id,))
        result = account(acks, cluster.hosts, seconds=0.5)
        assert result.lost == {"db1": 0, "db2": 0, "db3": 1}
        assert not result.equal
        cluster[2].sql("SET GLOBAL read_only=0")
        cluster[2].sql("UPDATE app.rows_written SET payload='changed' WHERE id=%s", (acks[0].id,))
        assert not account(acks, [cluster[1], cluster[2]], seconds=0.5).equal


@pytest.mark.parametrize(
    ("hosts", "overlap"), [("", False), ("aaa", False), ("aabb", False), ("aba", True), ("abcb", True)]
)
def test_two_servers_that_take_writes_in_turns_are_seen(hosts: str, overlap: bool) -> None:
    assert writers_overlap([Ack(1, n, float(n), host) for n, host in enumerate(hosts)]) is overlap


@pytest.mark.parametrize(
    ("rows", "split"),
    [
        ([], False),
        ([(1, 1, 101), (1, 2, 101), (1, 3, 102), (2, 1, 101), (2, 2, 102)], False),
        ([(1, 1, 101), (1, 2, 102), (1, 3, 101)], True),
        ([(1, 1, 101), (1, 1, 102)], True),
    ],
    ids=["none", "one switch, two sessions", "there and back", "one row twice"],
)
def test_rows_tell_of_two_servers_that_took_writes_in_turns(rows: list[tuple[int, int, int]], split: bool) -> None:
    assert rows_in_turns(rows) is split


@pytest.mark.parametrize("kind", ["mysql56", "mysql97", "mariadb"])
def test_a_full_disk_stops_the_writes_of_one_host_until_there_is_room(kind: str) -> None:
    with Cluster(kind, n=2, disk={1: SMALLEST_DISK}) as cluster:
        one, two = cluster.hosts
        one.sql("CREATE TABLE app.big (id INT AUTO_INCREMENT PRIMARY KEY, payload LONGTEXT)")
        one.fill_disk()
        assert "100%" in one.run("df /var/lib/mysql")
        assert "100%" not in two.run("df /var/lib/mysql")
        # The server waits for room or refuses, as it likes; it must not have taken the rows.
        session = one.connect(read_timeout=2)
        with pytest.raises(pymysql.MySQLError):
            for _ in range(8):
                session.cursor().execute("INSERT INTO app.big (payload) VALUES (REPEAT('x', 1000000))")
        one.free_disk()
        until(lambda: takes_a_row(one), seconds=90)


def takes_a_row(host: Host) -> bool:
    try:
        host.sql("INSERT INTO app.big (payload) VALUES ('room again')")
    except pymysql.MySQLError:
        return False
    return True


def test_a_killed_writer_leaves_every_row_that_was_acknowledged() -> None:
    with Cluster("mariadb", n=1) as cluster:
        writer = Writer(cluster, sessions=3)
        until(lambda: len(writer.acks()) > 100)
        writer.kill()
        acks = writer.acks()
        assert {ack.writer for ack in acks} == {1, 2, 3}
        result = account(acks, cluster.hosts)
        assert result.rows_lost == 0
        assert result.extra["db1"] <= 3, "at most the row in flight of each session"


def test_a_manager_finds_its_key_and_known_hosts_in_its_home() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        conf = cluster.write_cnf(ssh_options="")
        assert "ssh_options" not in conf.read_text()
        manager = cluster.start_manager(conf)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait() == 0, manager.log()
        assert "Saved binlog of" in manager.log()


def test_a_cluster_made_by_hand_is_listed_reached_and_taken_down() -> None:
    def lab(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "tests.lab", *words],
            cwd=HOUSE,
            capture_output=True,
            text=True,
            check=True,
            timeout=90,
        ).stdout

    with Cluster("mariadb", n=1) as tests_own:
        said = lab("up", "mariadb", "-n", "2", "--gtid")
        found = re.match(r"cluster (\d+), mariadb GTID: 2 servers", said)
        assert found, said
        number = found[1]
        try:
            assert f"{number}: mariadb GTID, 2 hosts" in lab("status")
            assert f"{tests_own.subnet.number}: mariadb file/position, 1 hosts" in lab("status")
        finally:
            said = lab("down", number)
        assert f"taken down: [{number}]" in said
        assert f"lab{number}m" not in sh("ip netns list").split()
        assert tests_own[1].sql("SELECT 1 AS one") == [{"one": 1}]


def test_teardown_leaves_no_namespace_no_process_and_no_file() -> None:
    with pytest.raises(RuntimeError, match="in the middle"), Cluster("mariadb", n=2) as cluster:
        pids = [h._pid for h in cluster.hosts]
        assert len(namespaces(cluster.subnet)) == 3
        raise RuntimeError("in the middle")
    assert namespaces(cluster.subnet) == []
    assert not cluster.directory.exists()
    until(lambda: not sh(f"ps -o pid= -p {','.join(map(str, pids))}", check=False).strip())


def test_what_a_killed_process_left_is_cleared_by_the_next() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", LEAVE_BEHIND], cwd=HOUSE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    name = f"lab{int(owner.stdout.readline())}m"
    owner.kill()
    owner.wait(10)
    assert name in sh("ip netns list").split()
    left = DIRECTORIES / f"mha-lab-{name[3:-1]}"
    assert left.is_dir()
    taken: list[Subnet] = []
    try:
        # Lower numbers may be free as well: go on until the abandoned one has come up.
        while name in sh("ip netns list", check=False).split():
            assert len(taken) < 20, f"nobody cleared {name}"
            taken.append(Subnet())
        assert not left.exists()
    finally:
        for subnet in taken:
            subnet.release()


def test_threads_started_in_the_managers_seat_belong_to_it_and_others_do_not() -> None:
    with Cluster("mariadb", n=1) as cluster:
        seen: dict[str, bool] = {}

        def reaches(who: str) -> None:
            # Reads the kernel's routes and sends nothing, so no packet for a private address leaves this machine.
            seen[who] = cluster.subnet.prefix in Path("/proc/thread-self/net/fib_trie").read_text()

        with cluster.in_manager_net():
            thread = threading.Thread(target=reaches, args=("started inside",))
            thread.start()
            thread.join(10)
        reaches("came back")
        assert seen == {"started inside": True, "came back": False}
