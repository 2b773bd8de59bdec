"""The dead primary's last binary log is damaged: what is complete comes back, what is torn does not, and it is told."""

from __future__ import annotations

import io
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from prefect_mha.replication.binlog.cutter import Cut, LogFile, cut
from prefect_mha.replication.model.position import BinlogPosition
from tests.lab.cluster import Cluster, Done
from tests.lab.host import Host
from tests.scenarios.test_primary_dies import MODES
from tests.scenarios.test_rescue_contents import level

DATA = "var/lib/mysql"


@dataclass(frozen=True)
class Tail:
    """A binary log as its server says it is: where transactions end, and where events begin and end, in bytes."""

    path: Path
    events: tuple[tuple[int, int], ...]
    borders: tuple[int, ...]

    @classmethod
    def of(cls, server: Host) -> Tail:
        """The last log of a living server."""
        name = server.sql(f"SHOW {server.kind.word('BINARY LOG', 'MASTER')} STATUS")[0]["File"]
        rows = server.sql(f"SHOW BINLOG EVENTS IN '{name}'")
        ends = [row["End_log_pos"] for row in rows if row["Event_type"] == "Xid"]
        return cls(
            server.upper / DATA / name, tuple((row["Pos"], row["End_log_pos"]) for row in rows), (rows[0]["Pos"], *ends)
        )

    def read(self, data: bytes, start: int) -> Cut:
        """Cut everything from ``start`` out of the log as if it held ``data``."""
        log = LogFile(self.path.name, len(data), lambda: io.BytesIO(data))
        return cut([log], BinlogPosition(self.path.name, start), lambda _: True, io.BytesIO())

    def damages(self, data: bytes, border: int) -> Iterator[tuple[str, bytes]]:
        """The log with everything behind ``border`` cut at every byte, changed, or followed by what is none of it."""
        for length in range(border + 1, len(data)):
            yield f"cut at {length}", data[:length]
        for offset in range(border, len(data), 7):
            yield f"byte {offset} flipped", data[:offset] + bytes([data[offset] ^ 0x10]) + data[offset + 1 :]
        yield "garbage", data[:border] + b"\x00\xffgarbage" * 50
        yield "zeros", data[:border] + bytes(len(data) - border)
        yield "text", data[:border] + b"-- MySQL dump\n" * 9


def rows(server: Host) -> list[int]:
    return [row["id"] for row in server.sql("SELECT id FROM app.torn ORDER BY id")]


def insert(server: Host, *numbers: int) -> None:
    """One transaction of two rows and a text for each number."""
    for number in numbers:
        server.sql(f"INSERT INTO app.torn VALUES ({number}, 'first'), ({-number}, REPEAT('x', 300))")


def truncate(server: Host, log: Path, length: int) -> None:
    """Done on the host itself: what is changed under a mounted overlay may be seen as it was."""
    server.run(f"truncate -s {length} /{DATA}/{log.name}")


def flip(server: Host, log: Path, offset: int) -> None:
    """Change one bit of the byte there."""
    value = log.read_bytes()[offset] ^ 1
    server.run(f"printf '\\{value:03o}' | dd of=/{DATA}/{log.name} bs=1 seek={offset} conv=notrunc 2>/dev/null")
    assert log.read_bytes()[offset] == value


def fail_over(cluster: Cluster, conf: Path, dead: Host) -> Done:
    words = ("--master_state=dead", f"--dead_master_host={dead.ip}", "--interactive=0", "--ignore_last_failover")
    return cluster.command("masterha_master_switch", f"--conf={conf}", *words)


@pytest.mark.parametrize(("kind", "gtid"), MODES)
def test_the_last_transaction_damaged_at_every_byte_is_not_there_and_those_before_are(kind: str, gtid: bool) -> None:
    """Every damage on a copy of a real log; two of them on the disk of a dead primary, which then is failed over."""
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf()
        log = conf.with_suffix("") / "manager.log"
        cluster[1].sql("CREATE TABLE app.torn (id INT PRIMARY KEY, t TEXT) ENGINE=InnoDB")
        insert(cluster[1], 1)
        level(cluster)
        for replica in (cluster[3], cluster[2]):  # at different points
            cluster.stop_receiver(replica)
            insert(cluster[1], 2 if replica is cluster[3] else 3)
        insert(cluster[1], 4, 5)
        tail = Tail.of(cluster[1])
        cluster[1].signal_mysqld(signal.SIGKILL)
        whole, border = tail.path.read_bytes(), tail.borders[-2]

        assert tail.read(whole, tail.borders[1]).transactions == 4
        for what, data in tail.damages(whole, border):
            found = tail.read(data, tail.borders[1])
            assert (found.transactions, found.end.pos) == (3, border), what
            assert found.end_reason.kind != "clean", what
            assert found.end_reason.offset >= border, what
        assert tail.read(whole[:border], tail.borders[1]).end_reason.kind == "clean"

        # Within the header of the event that commits.
        torn = next(begin for begin, end in tail.events if end == tail.borders[-1]) + 11
        truncate(cluster[1], tail.path, torn)
        done = fail_over(cluster, conf, cluster[1])
        assert done.code == 0, log.read_text()
        for number in (2, 3):
            assert rows(cluster[number]) == [-4, -3, -2, -1, 1, 2, 3, 4], log.read_text()
        assert f"torn at {tail.path.name}:{torn - 11}: 11 of 19 header bytes" in log.read_text()
        assert cluster[3].replica_status()["Source_Host"] == cluster[2].ip

        # The next primary: one byte of its last transaction is not what was written.
        cluster.stop_receiver(cluster[3])
        insert(cluster[2], 6, 7)
        tail = Tail.of(cluster[2])
        cluster[2].signal_mysqld(signal.SIGKILL)
        flip(cluster[2], tail.path, tail.borders[-1] - 40)
        done = fail_over(cluster, conf, cluster[2])
        assert done.code == 10, log.read_text()  # db1 is left out
        assert rows(cluster[3]) == [-6, -4, -3, -2, -1, 1, 2, 3, 4, 6], log.read_text()
        assert f"corrupt at {tail.path.name}:" in log.read_text()
        assert "its checksum is wrong" in log.read_text()


@pytest.mark.parametrize(
    ("kind", "gtid"),
    [
        MODES[4],
        pytest.param("mysql56", False, id="5.6-position", marks=pytest.mark.slow),
        pytest.param("mysql97", True, id="9.7-gtid", marks=pytest.mark.slow),
    ],
)
def test_logs_in_another_directory_whose_numbers_jump_over_a_leftover_to_seven_digits(kind: str, gtid: bool) -> None:
    """And the directory that is searched first holds a log of the same name from before they were moved."""
    with Cluster(kind, gtid=gtid, up=False, extra={1: "log-bin=/var/log/binlogs/mysql-bin"}) as cluster:
        cluster[1].run("mkdir /var/log/binlogs && chown mysql /var/log/binlogs")
        for host in cluster.hosts:
            host.start_mysqld()
        cluster.replicate_from(cluster[1])
        conf = cluster.write_cnf(default="master_binlog_dir=/var/lib/mysql,/nowhere,/var/log/binlogs")
        cluster[1].sql("CREATE TABLE app.torn (id INT PRIMARY KEY, t TEXT) ENGINE=InnoDB")
        level(cluster)
        stale = "/var/lib/mysql/mysql-bin.000001"
        cluster[1].run(f"cp /var/log/binlogs/mysql-bin.000001 {stale}; touch -d '1 hour ago' {stale}")
        for number in (2, 3):
            cluster.stop_receiver(cluster[number])
        insert(cluster[1], 1)
        cluster[1].run("touch /var/log/binlogs/mysql-bin.999998")
        cluster[1].signal_mysqld(signal.SIGTERM)
        while cluster[1].mysqld_pids():
            time.sleep(0.05)
        cluster[1].start_mysqld()
        insert(cluster[1], 2)
        for number in (3, 4):
            cluster[1].sql("FLUSH BINARY LOGS")
            insert(cluster[1], number)
        logs = [row["Log_name"] for row in cluster[1].sql("SHOW BINARY LOGS")]
        assert logs == [f"mysql-bin.{n}" for n in ("000001", "999999", "1000000", "1000001")]
        cluster[1].signal_mysqld(signal.SIGKILL)
        done = fail_over(cluster, conf, cluster[1])
        log = (conf.with_suffix("") / "manager.log").read_text()
        assert done.code == 0, log
        for number in (2, 3):
            assert rows(cluster[number]) == [-4, -3, -2, -1, 1, 2, 3, 4], log
