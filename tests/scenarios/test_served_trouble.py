"""What goes wrong, or is unusual, while replicas are served what was saved in a failover."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_mha.replication.model.one_time_account import is_one_time_user
from tests.lab.checker import account
from tests.lab.cluster import Cluster, Manager
from tests.lab.host import Host
from tests.lab.writer import Writer
from tests.scenarios.failing_over import LONG_MODES, MODES, versions
from tests.scenarios.serving import drain, everything
from tests.scenarios.test_rescue_contents import level
from tests.scenarios.test_tail_is_replicated import differences

#: Bytes of the manager's memory that a rescue may take, whatever it brings.
MOST = 200 << 20


@pytest.mark.parametrize(
    ("kind", "gtid"),
    [
        pytest.param("mariadb", False, id="position", marks=pytest.mark.slow),
        pytest.param("mariadb", True, id="gtid", marks=pytest.mark.slow),
        pytest.param("mariadb105", False, id="10.5-position", marks=pytest.mark.slow),
        pytest.param("mariadb118", False, id="11.8-position", marks=pytest.mark.slow),
        pytest.param("mariadb118", True, id="11.8-gtid", marks=pytest.mark.slow),
    ],
)
def test_relay_logs_of_compressed_events_level_the_other_replica_when_the_host_is_gone(kind: str, gtid: bool) -> None:
    """A receiver uncompresses them: its relay logs are not the primary's log byte for byte."""
    with Cluster(kind, gtid=gtid, extra={0: "log_bin_compress=1\nlog_bin_compress_min_len=10"}) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2, default="start_checks=warn"))
        cluster[1].sql("CREATE TABLE app.small (id INT PRIMARY KEY, t TEXT) ENGINE=InnoDB")
        level(cluster)
        cluster.stop_receiver(cluster[3])
        for number in range(10):
            cluster[1].sql(f"INSERT INTO app.small VALUES ({number}, REPEAT('x', {number * 500}))")
            if number == 5:
                cluster[1].sql("FLUSH BINARY LOGS")
                cluster[1].sql(f"CREATE TABLE app.late (id INT PRIMARY KEY) COMMENT '{'y' * 200}'")
        level(cluster, 2)
        expected = everything(cluster[1])
        cluster[1].power_off()
        code, log = manager.wait(90), manager.log()
        assert code == 0, log
        for number in (2, 3):
            assert differences(cluster[number], expected) == {}, log


@contextlib.contextmanager
def served_to(cluster: Cluster, number: int, least: int = 20) -> Iterator[Manager]:
    """A failover, once that replica has executed so many of 1,500 pairs of transactions, which add up."""
    manager = cluster.start_manager(cluster.write_cnf(candidate=2, default="start_checks=warn"))
    cluster[1].sql("CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, t TEXT) ENGINE=InnoDB")
    cluster[1].sql("CREATE TABLE app.sums (id INT PRIMARY KEY, n INT) ENGINE=InnoDB")
    cluster[1].sql("INSERT INTO app.sums VALUES (1, 0)")
    level(cluster)
    for each in (2, 3):
        cluster.stop_receiver(cluster[each])
    with contextlib.closing(cluster[1].connect()) as session:
        # Only its process is killed: what it wrote is in the file.
        session.query("SET GLOBAL sync_binlog=0, GLOBAL innodb_flush_log_at_trx_commit=2")
        for _ in range(1500):
            session.query("INSERT INTO app.t (t) VALUES (REPEAT('x', 500))")
            session.query("UPDATE app.sums SET n = n + 1")
    cluster[1].signal_mysqld(signal.SIGKILL)
    wait_served(cluster[number], least)
    yield manager


def whole(replica: Host) -> bool:
    """It has all of them, each once."""
    sums, rows = replica.sql("SELECT n FROM app.sums"), replica.sql("SELECT COUNT(*) AS n, MAX(id) AS m FROM app.t")
    return sums == [{"n": 1500}] and rows == [{"n": 1500, "m": 1500}]


def wait_served(replica: Host, least: int) -> None:
    """It executes what the source of a rescue serves."""
    ends = time.monotonic() + 60
    while True:
        status = replica.replica_status()
        if (
            status
            and is_one_time_user(status["Source_User"])
            and replica.sql(f"SELECT n FROM app.sums WHERE n >= {least}")
        ):
            return
        assert time.monotonic() < ends, status
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), MODES)
def test_a_replica_whose_mysqld_is_killed_while_it_is_served_costs_no_row(kind: str, gtid: bool) -> None:
    """Another one is promoted; the killed one is brought along, or told."""
    with Cluster(kind, gtid=gtid) as cluster, served_to(cluster, 2) as manager:
        cluster[2].signal_mysqld(signal.SIGKILL)
        code, log = manager.wait(180), manager.log()
        assert code == 10, log
        assert whole(cluster[3]), log
        assert cluster[3].sql("SELECT @@GLOBAL.read_only AS r") == [{"r": 0}]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), LONG_MODES)
def test_a_replica_whose_network_is_away_for_20_s_while_it_is_served_costs_no_row(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster, served_to(cluster, 2) as manager:
        cluster[2].cut_cable()
        try:
            time.sleep(20.0)  # the network is away for so long
        finally:
            cluster[2].mend_cable()
        code, log = manager.wait(240), manager.log()
        assert code in (0, 10), log
        writable = [n for n in (2, 3) if cluster[n].sql("SELECT @@GLOBAL.read_only AS r") == [{"r": 0}]]
        assert len(writable) == 1, log
        assert whole(cluster[writable[0]]), log


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_manager_killed_after_any_number_of_served_transactions_is_gone_on_with(seed: int) -> None:
    """Each seed has a mode and a number of its own; nothing is lost, nothing is executed twice."""
    dice = random.Random(seed)
    kind, gtid = MODES[seed % len(MODES)].values
    with (
        Cluster(str(kind), gtid=bool(gtid)) as cluster,
        served_to(cluster, 2, least := dice.randrange(1, 1400)) as manager,
    ):
        manager.process.kill()
        manager.process.wait(10)
        assert all(cluster[n].sql("SELECT @@GLOBAL.read_only AS r") == [{"r": 1}] for n in (2, 3))
        done = cluster.command("masterha_manager", f"--conf={manager.workdir.with_suffix('.cnf')}", timeout=240)
        assert done.code == 0, (least, done.output, manager.log())
        for number in (2, 3):
            ends = time.monotonic() + 30
            while not whole(cluster[number]):
                assert time.monotonic() < ends, (least, manager.log())
                time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), versions())
def test_a_crash_with_a_tail_costs_no_row_on_other_versions(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        manager, writer = cluster.start_manager(cluster.write_cnf()), Writer(cluster)
        part_ways(cluster)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        acks = writer.stop()
        assert account(acks, [cluster[2], cluster[3]]).rows_lost == 0, manager.log()
        assert "received from the manager" in manager.log()


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [2, 3], ids=["furthest-promoted", "one-behind-promoted"])
@pytest.mark.parametrize(("kind", "gtid"), versions(gtid=True))
def test_a_dark_host_costs_no_row_that_a_sibling_received_on_other_versions(kind: str, gtid: bool, chosen: int) -> None:
    """What no replica received stays on the dark disk; without GTIDs, `test_primary_dies` has it."""
    with Cluster(kind, gtid=gtid) as cluster:
        manager, writer = cluster.start_manager(cluster.write_cnf(candidate=chosen)), Writer(cluster)
        part_ways(cluster)
        drain(cluster[2])
        received = ids(cluster[2])
        cluster[1].power_off()
        assert manager.wait(90) == 0, manager.log()
        acks = writer.stop()
        new, other = cluster[chosen], cluster[5 - chosen]
        taken = {(ack.writer, ack.id) for ack in acks if ack.host == new.ip}
        assert ids(new) == received | taken, manager.log()
        assert account([], [new, other]).equal, manager.log()
        assert other.replica_status()["Source_Host"] == new.ip


def part_ways(cluster: Cluster) -> None:
    """The third receives less than the second, and that one less than the primary took."""
    time.sleep(0.7)
    for number in (3, 2):
        cluster.stop_receiver(cluster[number])
        time.sleep(0.3)


def ids(server: Host) -> set[tuple[int, int]]:
    """The application's rows there."""
    return {(row["writer"], row["id"]) for row in server.sql("SELECT writer, id FROM app.rows_written")}


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [3, 5])
@pytest.mark.parametrize(("kind", "gtid"), [MODES[3], MODES[5]])
def test_a_row_of_200_mb_reaches_all_replicas_within_200_mb_of_the_managers_memory(
    kind: str, gtid: bool, replicas: int
) -> None:
    numbers = range(2, replicas + 2)
    with Cluster(kind, gtid=gtid, n=replicas + 1, extra={0: "max_allowed_packet=1G"}) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(default="start_checks=warn"))
        cluster[1].sql("CREATE TABLE app.large (id INT PRIMARY KEY, b LONGBLOB) ENGINE=InnoDB")
        level(cluster, *numbers)
        for number in numbers:
            cluster.stop_receiver(cluster[number])
        cluster[1].sql(f"INSERT INTO app.large VALUES (1, REPEAT('x', {200 << 20}))")
        cluster[1].signal_mysqld(signal.SIGKILL)
        used, ends = 0, time.monotonic() + 300
        while manager.process.poll() is None and time.monotonic() < ends:
            used = peak(manager) or used
            time.sleep(0.05)
        code, log = manager.wait(1), manager.log()
        assert code == 0, log
        for number in numbers:
            assert cluster[number].sql("SELECT LENGTH(b) AS n FROM app.large") == [{"n": 200 << 20}], log
        assert 0 < used <= MOST, f"{used} bytes"


def peak(manager: Manager) -> int:
    """The most memory that the manager had (bytes); 0 when it has ended."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{manager.process.pid}/status").read_text()
        return sum(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))
    return 0
