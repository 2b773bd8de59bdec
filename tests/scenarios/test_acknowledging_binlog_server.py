"""A binlog server that acknowledges: nothing acknowledged is lost with one replica that is late, or none at all."""

from __future__ import annotations

import json
import signal
import time
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from prefect_mha.replication.binlog.reader import LogReader
from prefect_mha.replication.planning.waits import LONGEST_WAIT
from tests.lab.acknowledging import acknowledged, clients, demand, only_a_disk, plugins, waits
from tests.lab.certificates import authority, furnish, restart
from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.copying import Copier, logs_of, plain, write
from tests.lab.kinds import REPL
from tests.lab.network import sh
from tests.lab.two_servers import APART, closed, two_servers
from tests.lab.waiting import until
from tests.lab.writer import Writer
from tests.scenarios.failing_over import kinds
from tests.scenarios.test_next_primary import aside, change

pytestmark = pytest.mark.slow

KINDS = kinds("9.7-gtid", "9.7-position", "mariadb-gtid", "11.8-gtid")


def started(kind: str, *, gtid: bool, n: int = 2, more: str = "") -> Cluster:
    return Cluster(kind, gtid=gtid, n=n, extra={0: plugins(kind) + more})


def reads_on(copier: Copier, log: Path, before: int) -> None:
    copier.wait(lambda: log.stat().st_size > before + 1000, "it reads on")


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_the_power_goes_and_the_only_replica_had_stopped_receiving(
    kind: str, gtid: bool, copiers: list[Copier]
) -> None:
    """Seen with mysqlbinlog in its place: what it alone had is lost. The new primary waits as the old one did."""
    with started(kind, gtid=gtid, n=3) as cluster:
        db1 = cluster[1]
        only_a_disk(cluster, cluster[3])
        copier = Copier(cluster, block="binlog_ack=1", default="semi_sync=require", on=cluster[3]).start()
        copiers.append(copier)
        copier.wait(lambda: copier.health().get("behind") == 0, "level", 60.0)
        demand(db1, LONGEST_WAIT)
        acknowledged(copier, db1)
        manager = cluster.start_manager(copier.manager_conf)
        writer = Writer(cluster, sessions=8)
        time.sleep(1.0)
        db1.sql("FLUSH LOGS")
        cluster.stop_receiver(cluster[2])
        received = cluster[2].sql("SELECT COUNT(*) AS n FROM app.rows_written")[0]["n"]
        time.sleep(5.0)
        db1.power_off()
        assert manager.wait(90) == 0, manager.log()
        assert ("waits for acknowledgements from its first commit on" in manager.log()) is (kind == "mysql97")
        acknowledged(copier, cluster[2])
        assert waits(cluster[2]) == {"enabled": "ON", "timeout": "4294967295", "wait_point": "AFTER_SYNC"}
        acks = writer.stop()
        before = [ack for ack in acks if ack.host == db1.ip]
        assert len(before) > received + 100, "the replica had it all"
        assert account(acks, [cluster[2]]).rows_lost == 0, manager.log()
        assert "Saved binlog from the binlog server" in manager.log()
        (ledger,) = manager.workdir.glob("*.ledger.json")
        assert {line["fate"] for line in json.loads(ledger.read_text())} == {"rescued", "complete"}
        for original in logs_of(db1):
            copy = plain(copier.directory(db1) / original.name)
            assert plain(original).startswith(copy), original.name
            assert original == logs_of(db1)[-1] or len(copy) == original.stat().st_size, original.name


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_it_is_killed_in_the_middle_of_large_events_and_its_end_is_torn(
    kind: str, gtid: bool, copiers: list[Copier]
) -> None:
    with started(kind, gtid=gtid, more="max_allowed_packet=128M\n") as cluster:
        db1 = cluster[1]
        copier = Copier(cluster, block="binlog_ack=1").start()
        copiers.append(copier)
        copier.wait(lambda: copier.health().get("behind") == 0, "level", 60.0)
        # Events of one packet, of several, and of exactly as many as fit; then the same while it is killed.
        write(db1, 3)
        for size in (1 << 20, (1 << 24) + 5, 40 << 20):
            write(db1, 1, size)
        db1.sql("FLUSH LOGS")
        copier.wait_equal(db1, 60.0)
        for _ in range(3):
            copier.kill(signal.SIGKILL)
            write(db1, 2, 20 << 20)
            held = copier.directory(db1) / logs_of(db1)[-1].name
            before = held.stat().st_size
            copier.start()
            reads_on(copier, held, before)
        copier.kill(signal.SIGKILL)
        held = copier.directory(db1) / logs_of(db1)[-1].name
        with held.open("r+b") as file:
            file.truncate(held.stat().st_size - 7)
        write(db1, 1)
        copier.start()
        copier.wait_equal(db1, 60.0)
        copier.kill(signal.SIGKILL)
        with held.open("ab") as file:
            file.write(bytes(8192))
        write(db1, 1)
        db1.sql("FLUSH LOGS")
        write(db1, 1)
        copier.start()
        copier.wait_equal(db1, 60.0)
        copier.wait(lambda: copier.health()["trouble"] == "", "no trouble")
        assert not list(copier.directory(db1).glob("former-*")), copier.log()


@pytest.mark.parametrize(("kind", "gtid"), [KINDS[0], KINDS[2]])
def test_its_disk_is_full_and_commits_wait_until_it_is_not(kind: str, gtid: bool, copiers: list[Copier]) -> None:
    with started(kind, gtid=gtid) as cluster:
        db1 = cluster[1]
        copier = Copier(cluster, block="binlog_ack=1")
        copiers.append(copier)
        copier.root.mkdir()
        sh(f"mount -t tmpfs -o size=1m tmpfs {copier.root}")
        try:
            copier.start()
            copier.wait(lambda: copier.health().get("behind") == 0, "level", 60.0)
            write(db1)
            demand(db1)
            acknowledged(copier, db1)
            writer = Writer(cluster, sessions=4, interval=0.0)
            copier.wait_says("no space left", 60.0)
            held = len(writer.acks())
            time.sleep(2.0)
            assert len(writer.acks()) == held, "a commit was acknowledged that lies nowhere else"
            sh(f"mount -o remount,size=64m {copier.root}")
            copier.wait(lambda: len(writer.acks()) > held + 20, "commits go on", 60.0)
            writer.stop()
            copier.wait_equal(db1, 60.0)
        finally:
            copier.stop()
            sh(f"umount -l {copier.root}")


@pytest.mark.parametrize(("kind", "gtid"), [KINDS[0], KINDS[2]])
def test_it_lags_far_behind_and_holds_up_no_commit_until_it_is_level(
    kind: str, gtid: bool, copiers: list[Copier]
) -> None:
    with started(kind, gtid=gtid) as cluster:
        db1, db2 = cluster[1], cluster[2]
        demand(db1)
        replica = db1.kind.word("replica", "slave")
        db2.sql(f"SET GLOBAL rpl_semi_sync_{replica}_enabled=1")
        cluster.stop_receiver(db2)
        cluster.start_receiver(db2)
        copier = Copier(cluster, block="binlog_ack=1")
        copiers.append(copier)
        write(db1, 60, 2 << 20)
        copier.start()
        copier.wait(lambda: copier.health().get("size", 0) > 1 << 20, "it reads")
        pid = copier.process.pid  # type: ignore[union-attr]
        assert clients(db1) == 1, "a reader that lags counts as one that acknowledges"
        copier.wait_equal(db1, 60.0)
        copier.wait(lambda: clients(db1) == 2, "now it acknowledges")
        assert most_memory(copier) < 200_000
        assert copier.process is not None
        assert copier.process.pid == pid


@pytest.mark.parametrize(("kind", "gtid"), [KINDS[0], KINDS[2], KINDS[3]])
def test_two_gigabytes_behind_it_reads_in_bounded_memory(kind: str, gtid: bool, copiers: list[Copier]) -> None:
    with started(kind, gtid=gtid, more="max_allowed_packet=128M\nmax_binlog_size=256M\nsync_binlog=0\n") as cluster:
        db1 = cluster[1]
        copier = Copier(cluster, block="binlog_ack=1")
        copiers.append(copier)
        cluster.stop_receiver(cluster[2])
        if db1.kind.mariadb:
            db1.sql("INSTALL SONAME 'ha_blackhole'")
        # Nothing of it is written but the log.
        db1.sql("CREATE TABLE app.hole (d LONGBLOB) ENGINE=BLACKHOLE")
        for _ in range(64):
            db1.sql("INSERT INTO app.hole VALUES (REPEAT('x', 33554432))")
        assert sum(log.stat().st_size for log in logs_of(db1)) > 2 << 30
        copier.start()
        copier.wait(lambda: copier.health().get("size", 0) > 1 << 20, "it reads", 60.0)
        assert not clients(db1), "a reader that lags counts as one that acknowledges"
        copier.wait(lambda: copier.health().get("behind") == 0 and copier.acknowledges, "level", 200.0)
        assert copier.differences(db1) == []
        assert most_memory(copier) < 200_000


def most_memory(copier: Copier) -> int:
    """KiB that it had at most."""
    lines = Path(f"/proc/{copier.process.pid}/status").read_text().splitlines()  # type: ignore[union-attr]
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


@pytest.mark.parametrize(("kind", "gtid"), [KINDS[0], KINDS[2], KINDS[3]])
def test_over_tls_it_reads_large_events_and_only_of_whom_it_knows(kind: str, gtid: bool, copiers: list[Copier]) -> None:
    """The account may not log in without TLS; then the authority is another one, as where somebody else answers."""
    with started(kind, gtid=gtid, more="max_allowed_packet=128M\n") as cluster:
        db1, ca = cluster[1], authority()
        for host in cluster.hosts:
            furnish(host, ca)
            restart(cluster, host)
        change(cluster, cluster[2], "P_SSL=1")
        aside(db1, f"ALTER USER '{REPL}'@'%' REQUIRE SSL")
        trusted = cluster.seat / "ca.pem"
        trusted.write_bytes(ca[1].public_bytes(serialization.Encoding.PEM))
        copier = Copier(cluster, block="binlog_ack=1", default=f"ssl_mode=verify_identity\nssl_ca={trusted}").start()
        copiers.append(copier)
        copier.wait(lambda: copier.health().get("behind") == 0, "level", 60.0)
        demand(db1)
        acknowledged(copier, db1)
        write(db1, 20)
        write(db1, 2, 20 << 20)
        db1.sql("FLUSH LOGS")
        write(db1, 1)
        copier.wait_equal(db1, 60.0)
        copier.kill()
        trusted.write_bytes(authority()[1].public_bytes(serialization.Encoding.PEM))
        copier.start()
        copier.wait_says("certificate", 60.0)
        assert not copier.acknowledges


SLOW_DISK = "import os, time\nsync = os.fdatasync\nos.fdatasync = lambda file: (time.sleep(0.2), sync(file))[1]\n"


@pytest.mark.parametrize(("kind", "gtid"), [KINDS[0], KINDS[2]])
def test_a_slow_disk_makes_commits_wait_in_groups_and_none_is_lost(
    kind: str, gtid: bool, copiers: list[Copier]
) -> None:
    with started(kind, gtid=gtid) as cluster:
        db1 = cluster[1]
        copier = Copier(cluster, block="binlog_ack=1").start(before=SLOW_DISK)
        copiers.append(copier)
        copier.wait(lambda: copier.health().get("behind") == 0, "level", 60.0)
        demand(db1)
        acknowledged(copier, db1)
        writer = Writer(cluster, sessions=8, interval=0.0)
        copier.wait(lambda: len(writer.acks()) > 60, "rows", 60.0)
        acks = writer.stop()
        per_session = [
            b.at - a.at for w in {a.writer for a in acks} for a, b in pairwise(x for x in acks if x.writer == w)
        ]
        assert min(per_session) > 0.15, "a commit was acknowledged before it was on disk"
        copier.wait_equal(db1, 60.0)


def test_an_encrypted_log_is_copied_in_clear_and_places_stay_right(copiers: list[Copier]) -> None:
    """MariaDB sends its word of the key with it, by which nobody would read the copy."""
    with started("mariadb", gtid=True) as cluster:
        db1 = cluster[1]
        db1.stop_mysqld()
        db1.run(f"mkdir -p /etc/keys && echo '1;{'0123456789abcdef' * 4}' > /etc/keys/keys.txt && chmod 755 /etc/keys")
        loaded = ("--plugin-load-add=file_key_management", "--file-key-management-filename=/etc/keys/keys.txt")
        db1.start_mysqld(*loaded, "--encrypt-binlog=ON")
        copier = Copier(cluster, block="binlog_ack=1").start()
        copiers.append(copier)
        write(db1, 20)
        db1.sql("FLUSH LOGS")
        write(db1, 20)
        sizes = {row["Log_name"]: int(row["File_size"]) for row in db1.sql("SHOW BINARY LOGS")}
        here = copier.directory(db1)

        def copied() -> bool:
            return {p.name: p.stat().st_size for p in here.glob("mysql-bin.0*")} == sizes

        copier.wait(copied, "copies of the same size", 40.0)
        rows = 0
        for name in sizes:
            with (here / name).open("rb") as stream:
                reader = LogReader(stream, name=name)
                rows += sum(e.type_name.startswith("WRITE_ROWS") for e in reader.events())
                assert reader.stop is not None
                assert reader.stop.kind == "clean", reader.stop
        assert rows == 40
        # Killed, it goes on behind what stands in the place of that word.
        copier.kill(signal.SIGKILL)
        write(db1, 5)
        sizes |= {row["Log_name"]: int(row["File_size"]) for row in db1.sql("SHOW BINARY LOGS")}
        copier.start()
        copier.wait(copied, "copies of the same size", 40.0)
        assert not list(here.glob("former-*")), copier.log()


@pytest.mark.parametrize(("kind", "gtid"), [KINDS[0], *KINDS[2:]])
def test_the_role_goes_there_and_back_at_once_and_the_log_alone_acknowledges(kind: str, gtid: bool) -> None:
    """Commits wait for a binlog server that has just left the one that it is to read again."""
    with two_servers(kind, gtid=gtid, seat=APART, replica_acknowledges=False) as two:
        db1, db2 = two.cluster[1], two.cluster[2]
        words = ("mha", "switchover", f"--conf={two.copier.manager_conf}", "--keep-old-as-replica", "--yes", "--to")
        for new in (db2, db1):
            done = two.cluster.command(*words, new.ip)
            assert done.code in (0, 10), done.output
        ended = time.time()
        until(lambda: two.taken_by(db1, ended), "db1 takes writes", 40.0)
        assert closed(db2)
        assert not [t for t in two.observers.stop() if t.host == db2.ip and t.sent > ended]
        copy = two.copier.directory(db1)
        until(lambda: logs_of(db1)[-1].name in {path.name for path in copy.iterdir()}, "the newest log is copied")
