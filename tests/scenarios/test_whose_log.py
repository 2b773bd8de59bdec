"""Whose log is saved is proven, not guessed: several servers on one host with one log name, copies, former lives."""

from __future__ import annotations

import signal
import time
import zlib
from typing import Any

import pytest

from tests.lab.cluster import Cluster
from tests.lab.kinds import REPL, REPL_PASSWORD
from tests.scenarios.failing_over import kinds
from tests.scenarios.test_rescue_contents import level

PLACES = {1: "/srv/one", 2: "/srv/two", 3: "/srv/three"}


class Together:
    """Three servers on db1, on ports 3306 to 3308, each with its own directory; the first is the primary."""

    def __init__(self, cluster: Cluster) -> None:
        self.host, self.kind, self.gtid = cluster[1], cluster.kind, cluster.gtid
        for number, place in PLACES.items():
            self.host.run(f"cp -a /var/lib/mysql {place} && rm -f {place}/auto.cnf")
            cnf = self.kind.config(gtid=self.gtid).replace("/var/lib/mysql", place)
            cnf = cnf.replace("port=3306", f"port={3305 + number}").replace("/run/mysqld/mysqld", f"{place}/mysqld")
            self.host.run(f"cat >/etc/my{number}.cnf", data=f"{cnf}server-id={200 + number}\n")
            words = f"--defaults-file=/etc/my{number}.cnf --user=mysql"
            self.host.start(f"{self.kind.mysqld} {words} >>/var/log/mysqld{number}.err 2>&1")
        for number in PLACES:
            self._wait(number)
            self.sql(number, self.kind.word("RESET BINARY LOGS AND GTIDS", "RESET MASTER"))
        for number in (2, 3):
            self._follow(number)

    def sql(self, number: int, statement: str, args: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        connection = self.host.connect(port=3305 + number)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, args or None)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def _wait(self, number: int) -> None:
        ends = time.monotonic() + 60
        while True:
            try:
                self.sql(number, "SELECT 1")
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, it is shown when it lasts
                assert time.monotonic() < ends, (error, self.host.run(f"tail /var/log/mysqld{number}.err"))
                time.sleep(0.1)

    def _follow(self, number: int) -> None:
        p, what = self.kind.word("SOURCE", "MASTER"), self.kind.word("REPLICATION SOURCE", "MASTER")
        where = f"{p}_LOG_FILE='mysql-bin.000001', {p}_LOG_POS=4"
        if self.gtid:
            where = "MASTER_USE_GTID=slave_pos" if self.kind.mariadb else f"{p}_AUTO_POSITION=1"
        key = ", GET_SOURCE_PUBLIC_KEY=1" if self.kind.modern else ""
        self.sql(
            number,
            f"CHANGE {what} TO {p}_HOST=%s, {p}_PORT=3306, {p}_USER=%s, {p}_PASSWORD=%s, {p}_CONNECT_RETRY=1{key}, "
            f"{where}",
            (self.host.ip, REPL, REPL_PASSWORD),
        )
        self.sql(number, "SET GLOBAL read_only=1")
        self.sql(number, f"START {self.kind.word('REPLICA', 'SLAVE')}")

    def rows(self, number: int) -> list[int]:
        return [row["id"] for row in self.sql(number, "SELECT id FROM app.t ORDER BY id")]

    def wait_rows(self, number: int, count: int) -> None:
        ends = time.monotonic() + 20
        while True:
            if self.sql(number, "SHOW TABLES FROM app LIKE 't'") and len(self.rows(number)) == count:
                return
            assert time.monotonic() < ends
            time.sleep(0.05)

    def stop_receiver(self, number: int) -> None:
        self.sql(number, f"STOP {self.kind.word('REPLICA', 'SLAVE')} IO_THREAD")

    def config(self, cluster: Cluster) -> str:
        blocks = "\n".join(f"[server{number}]\nhostname={self.host.ip}\nport={3305 + number}\n" for number in PLACES)
        return blocks + "\n"


@pytest.mark.parametrize(("kind", "gtid"), kinds("mariadb-position", slow=("9.7-gtid", "mariadb-gtid", "5.6-position")))
def test_three_servers_on_one_host_with_one_log_name_lose_nothing_of_the_dead_one_s_tail(kind: str, gtid: bool) -> None:
    """The replicas' own logs lie where the saving searches, are longer, and were written to last."""
    with Cluster(kind, gtid=gtid, n=1, up=False) as cluster:
        three = Together(cluster)
        # Logs of the same name: the dead one's is the shortest, and every place of it lies in the others' too.
        for number in (2, 3):
            three.sql(number, "FLUSH BINARY LOGS")
        three.sql(1, "CREATE TABLE app.t (id INT PRIMARY KEY) ENGINE=InnoDB")
        for number in range(100):
            three.sql(1, f"INSERT INTO app.t VALUES ({-number})")
        three.sql(1, "FLUSH BINARY LOGS")
        for number in (1, 2, 3):
            three.sql(1, f"INSERT INTO app.t VALUES ({number})")
        for number in (2, 3):
            three.wait_rows(number, 103)
            three.stop_receiver(number)
        for number in range(4, 24):
            three.sql(1, f"INSERT INTO app.t VALUES ({number})")
        for number in (2, 3):
            cluster[1].run(f"touch -d '+1 minute' {PLACES[number]}/mysql-bin.000002")
        directories = ",".join([PLACES[2], PLACES[3], PLACES[1]])
        conf = cluster.write_cnf(apart=(1,), blocks=three.config(cluster), default=f"master_binlog_dir={directories}")
        cluster[1].run("kill -9 $(cat /srv/one/mysqld.pid)")
        done = cluster.command(
            "masterha_master_switch",
            f"--conf={conf}",
            "--master_state=dead",
            f"--dead_master_host={cluster[1].ip}",
            "--dead_master_port=3306",
            "--interactive=0",
            "--ignore_last_failover",
        )
        log = f"{done}\n{(conf.with_suffix('') / 'manager.log').read_text()}"
        for number in (2, 3):
            assert three.rows(number) == list(range(-99, 24)), log
        assert done.code in (0, 10), log
        assert "torn at" not in log and "corrupt at" not in log, log


@pytest.mark.parametrize(("kind", "gtid"), kinds(slow=("5.6-position", "9.7-position", "mariadb-gtid")))
def test_a_newer_copy_of_the_log_that_ends_with_another_event_is_not_taken(kind: str, gtid: bool) -> None:
    """It has the dead primary's id, and an event ends where the replicas stand, but not the one that they received."""
    with Cluster(kind, gtid=gtid) as cluster:
        cluster[1].sql("CREATE TABLE app.t (id INT PRIMARY KEY) ENGINE=InnoDB")
        for number in range(1, 4):
            cluster[1].sql(f"INSERT INTO app.t VALUES ({number})")
        level(cluster)
        for number in (2, 3):
            cluster.stop_receiver(cluster[number])
        place = cluster[2].replica_status()
        name, pos = place["Source_Log_File"], place["Read_Source_Log_Pos"]
        for number in range(4, 24):
            cluster[1].sql(f"INSERT INTO app.t VALUES ({number})")
        copy = cluster[1].upper / "srv" / "copy"
        copy.mkdir(parents=True)
        (copy / name).write_bytes(another_end((cluster[1].upper / "var/lib/mysql" / name).read_bytes()[:pos]))
        cluster[1].signal_mysqld(signal.SIGKILL)
        cluster[1].run(f"touch -d '+1 minute' /srv/copy/{name}")
        conf = cluster.write_cnf(default="master_binlog_dir=/srv/copy,/var/lib/mysql")
        words = ("--master_state=dead", f"--dead_master_host={cluster[1].ip}", "--interactive=0")
        done = cluster.command("masterha_master_switch", f"--conf={conf}", *words)
        log = f"{done}\n{(conf.with_suffix('') / 'manager.log').read_text()}"
        for number in (2, 3):
            assert [row["id"] for row in cluster[number].sql("SELECT id FROM app.t ORDER BY id")] == [*range(1, 24)], (
                log
            )
        assert done.code == 0, log


def another_end(data: bytes) -> bytes:
    """A log whose last event, that of a commit, is of another transaction; its checksum is right."""
    xid = bytes([data[-12] ^ 0x55])
    body = data[-31:-12] + xid + data[-11:-4]
    assert data[-31 + 4] == 16, "no commit stands at the end"
    return data[:-31] + body + zlib.crc32(body).to_bytes(4, "little")
