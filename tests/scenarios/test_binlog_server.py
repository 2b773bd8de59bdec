"""A binlog server against real servers: the copies are exact, nothing that was copied is ever given up, it goes on."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cluster import HOUSE, Cluster
from tests.lab.copying import Copier, logs_of, plain, write
from tests.lab.kinds import REPL, REPL_PASSWORD
from tests.lab.network import sh
from tests.lab.prefect_server import PrefectServer
from tests.lab.writer import TABLE, Writer
from tests.scenarios.failing_over import kinds

KINDS = kinds("mariadb-gtid", "mariadb-position", "9.7-gtid", "5.6-position")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One MariaDB pair for what leaves it as it was, but for the number of its logs."""
    with Cluster("mariadb", gtid=True, n=2) as shared:
        shared[1].sql(TABLE)
        yield shared


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_the_copies_are_exact_and_outlive_every_kill(kind: str, gtid: bool, copiers: list[Copier]) -> None:
    with Cluster(kind, gtid=gtid, n=2) as cluster:
        db1 = cluster[1]
        write(db1)
        db1.sql("FLUSH LOGS")
        copier = Copier(cluster).start()
        copiers.append(copier)
        writer = Writer(cluster)
        for _ in range(3):
            time.sleep(0.4)
            db1.sql("FLUSH LOGS")
        # mysqlbinlog is killed.
        copier.wait(copier.readers, "a reader")
        for pid in copier.readers():
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)
        db1.sql("FLUSH LOGS")
        # The tool is killed: mysqlbinlog goes with it, a second start does not meet it, and it goes on.
        copier.wait(copier.readers, "a reader")
        copier.kill()
        copier.wait(lambda: not copier.readers(), "the end of the reader", 2.0)
        db1.sql("FLUSH LOGS")
        copier.start()
        time.sleep(1.0)
        writer.stop()
        copier.wait_equal(db1)
        assert len(logs_of(db1)) >= 7
        copier.wait(lambda: copier.health().get("behind") == 0, "level")
        assert f"copies {db1.ip}({db1.ip}:3306); newest {logs_of(db1)[-1].name}" in copier.status()
        # No secret is to be seen: not on a command line, not in a file that stays, not in the log.
        for pid in (*copier.readers(), copier.process.pid):  # type: ignore[union-attr]
            assert REPL_PASSWORD not in Path(f"/proc/{pid}/cmdline").read_text()
        assert not list(copier.root.rglob("client.cnf"))
        assert REPL_PASSWORD not in copier.log()
        # Another start is turned away; SIGTERM is a clean end.
        second = copier.run()
        assert second.code == 1
        assert "Another binlog server (pid " in second.output
        assert copier.kill(signal.SIGTERM) == 0
        assert copier.readers() == []
        assert "was stopped" in copier.status()
        # By hand, once: to the end of what there is, and no further.
        write(db1)
        db1.sql("FLUSH LOGS")
        done = copier.run("--once")
        assert done.code == 0, done
        assert copier.differences(db1) == []
        assert not list(copier.directory(db1).glob("former-*"))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), [KINDS[0], KINDS[2]])
def test_the_primary_dies_while_its_log_is_fetched_again(kind: str, gtid: bool, copiers: list[Copier]) -> None:
    with Cluster(kind, gtid=gtid, n=2) as cluster:
        db1 = cluster[1]
        copier = Copier(cluster)
        copiers.append(copier)
        write(db1, 30, 1 << 20)
        assert copier.run("--once").code == 0
        held = copier.directory(db1) / logs_of(db1)[-1].name
        before = held.read_bytes()
        assert len(before) > 30 << 20
        incoming = copier.directory(db1) / ".incoming" / held.name
        copier.start()
        ends = time.monotonic() + 30
        while not (incoming.exists() and incoming.stat().st_size):  # without a pause: it takes a moment to come
            assert time.monotonic() < ends, copier.log()
        reader = int((cluster.seat / "bin" / "reader.pid").read_text())
        os.kill(reader, signal.SIGSTOP)
        assert 0 < incoming.stat().st_size < len(before), "it was not stopped in the middle"
        assert held.read_bytes() == before
        db1.signal_mysqld(signal.SIGKILL)
        os.kill(reader, signal.SIGCONT)
        copier.wait_says("refused" if kind == "mariadb" else "Can't connect")
        assert held.read_bytes() == before
        # Nor does a start without a primary touch it.
        copier.kill()
        copier.start()
        time.sleep(3.0)
        assert held.read_bytes() == before
        db1.start_mysqld()
        write(db1)
        copier.wait_equal(db1)
        assert held.read_bytes() == before or held.read_bytes().startswith(before)


@pytest.mark.parametrize(
    ("kind", "gtid", "n"),
    [
        pytest.param("mariadb", True, 3, id="mariadb-gtid"),
        pytest.param("mysql97", False, 2, id="9.7-position-two-servers"),
    ],
)
def test_it_follows_the_new_primary(kind: str, gtid: bool, n: int, copiers: list[Copier]) -> None:
    with Cluster(kind, gtid=gtid, n=n) as cluster:
        copier = Copier(cluster)
        copiers.append(copier)
        manager = cluster.start_manager(copier.conf)
        writer = Writer(cluster)
        copier.start()
        copier.wait(lambda: copier.health().get("behind", -1) >= 0, "the first copies")
        time.sleep(1.0)
        cluster[1].power_off()
        assert manager.wait() == 0, manager.log()
        copier.wait(lambda: cluster[2].ip in copier.health()["source"], "the new source")
        time.sleep(0.5)
        writer.stop()
        copier.wait_equal(cluster[2])
        # What was on its way when the power went is the dead host's alone: mysqlbinlog acknowledges nothing.
        *closed, current = logs_of(cluster[1])
        copy, original = plain(copier.directory(cluster[1]) / current.name), plain(current)
        assert original.startswith(copy)
        assert len(original) - len(copy) < 4096
        assert not [d for d in copier.differences(cluster[1]) if not d.startswith(current.name)], closed
        copier.wait(lambda: f"copies {cluster[2].ip}" in copier.status(), "it says so")


def test_retention(cluster: Cluster, copiers: list[Copier]) -> None:
    db1 = cluster[1]
    copier = Copier(cluster, name="retention")
    copiers.append(copier)
    for _ in range(4):
        write(db1, 3)
        db1.sql("FLUSH LOGS")
    assert copier.run("--once").code == 0
    held = sorted(p.name for p in copier.directory(db1).glob("mysql-bin.*"))
    assert len(held) >= 5
    old = time.time() - 10 * 86400
    for name in held[:2]:
        os.utime(copier.directory(db1) / name, (old, old))

    def names() -> list[str]:
        return sorted(p.name for p in copier.directory(db1).glob("mysql-bin.*"))

    copier.start("--keep-days=9")
    copier.wait(lambda: names() == held[2:], "the old ones gone")
    copier.kill(signal.SIGTERM)
    # What was removed is not fetched again, and while the source is away nothing is removed.
    db1.signal_mysqld(signal.SIGKILL)
    copier.start("--keep-bytes=1")
    time.sleep(4.0)
    assert names() == held[2:]
    db1.start_mysqld()
    copier.wait(lambda: names() == [logs_of(db1)[-1].name], "all but the newest gone")


def test_what_goes_wrong_is_one_sentence(cluster: Cluster, copiers: list[Copier]) -> None:
    db1 = cluster[1]
    key = f"{db1.ip}({db1.ip}:3306)"

    def fails(name: str, *, says: str, block: str = "", old: str = "", new: str = "", code: int = 1) -> None:
        copier = Copier(cluster, block=block, name=name)
        copier.conf.write_text(copier.conf.read_text().replace(old, new))
        done = copier.run("--once")
        assert done.code == code, done
        assert says in done.output.splitlines()[-1], done
        assert "Traceback" not in done.output

    wrong = f"repl_password={REPL_PASSWORD}"
    fails("pw", old=wrong, new="repl_password=not it", says=f"{key}: read its binary logs as 'repl': error 1045: ")
    for statement in ("CREATE USER reader@'%' IDENTIFIED BY 'reader-pw'", "GRANT SELECT ON app.* TO reader@'%'"):
        db1.sql(statement)
    account = f"repl_user={REPL}\n{wrong}"
    fails("may", old=account, new="repl_user=reader\nrepl_password=reader-pw", says="GRANT REPLICATION SLAVE")
    fails(
        "datadir",
        block=f"master_binlog_dir={db1.upper}/var/lib/mysql",
        says="is the data directory of a server",
        code=2,
    )
    fails("block", old="[binlog1]", new="[server9]", says="it has no [binlogN] block", code=2)
    # A running one says it in its health, keeps trying, and is well once the cause is gone.
    copier = Copier(cluster, name="heals")
    copiers.append(copier)
    db1.sql(f"SET PASSWORD FOR {REPL}@'%' = PASSWORD('another')")
    copier.start()
    copier.wait_says("error 1045: ")
    assert "check repl_user and repl_password" in copier.status()
    db1.sql(f"SET PASSWORD FOR {REPL}@'%' = PASSWORD('{REPL_PASSWORD}')")
    copier.wait_equal(db1, 40.0)
    copier.wait(lambda: copier.health()["trouble"] == "", "no trouble")
    assert copier.log().count("error 1045") == 1, copier.log()


def test_logs_purged_before_they_were_copied_and_logs_begun_anew(copiers: list[Copier]) -> None:
    with Cluster("mariadb", n=1) as cluster:
        db1 = cluster[1]
        copier = Copier(cluster)
        copiers.append(copier)
        assert copier.run("--once").code == 0
        first = sorted(copier.directory(db1).glob("mysql-bin.*"))
        for _ in range(4):
            db1.sql("FLUSH LOGS")
        db1.sql(f"PURGE BINARY LOGS TO '{logs_of(db1)[-1].name}'")
        copier.start()
        copier.wait_equal(db1)
        copier.wait(lambda: copier.health()["gaps"], "a gap")
        assert "never copied" in copier.status()
        assert "was purged on its server before it was copied" in copier.log()
        assert all(path.exists() for path in first)
        # The server's logs begin anew under the same names: those of before are kept aside.
        before = {p.name: p.read_bytes() for p in copier.directory(db1).glob("mysql-bin.*")}
        db1.sql("RESET MASTER")
        write(db1)
        copier.wait_equal(db1, 40.0)
        (former,) = copier.directory(db1).glob("former-*")
        assert {p.name: p.read_bytes() for p in former.iterdir()} == before


def test_a_full_disk(cluster: Cluster, copiers: list[Copier]) -> None:
    db1 = cluster[1]
    copier = Copier(cluster, name="full")
    copiers.append(copier)
    copier.root.mkdir()
    sh(f"mount -t tmpfs -o size=2m tmpfs {copier.root}")
    try:
        copier.start()
        copier.wait_equal(db1)
        write(db1, 4, 1 << 20)
        copier.wait_says("no space left")
        held = sorted(copier.directory(db1).glob("mysql-bin.*"))[-1]
        assert held.stat().st_size > 0
        sh(f"mount -o remount,size=64m {copier.root}")
        copier.wait_equal(db1, 60.0)
        copier.wait(lambda: copier.health()["trouble"] == "", "no trouble")
    finally:
        copier.stop()
        sh(f"umount -l {copier.root}")


def test_status_of_another_host(cluster: Cluster, copiers: list[Copier]) -> None:
    db2 = cluster[2]
    copier = Copier(cluster, name="afar")
    copiers.append(copier)
    here = f"hostname={cluster.subnet.prefix}.1\nmaster_binlog_dir={copier.root}"
    there = f"hostname={db2.ip}\nmaster_binlog_dir=/srv/binlog"
    assert copier.run("--once").code == 0
    text = (copier.root / "binlog-server.json").read_text()
    copier.conf.write_text(copier.conf.read_text().replace(here, there))
    assert "no binlog server has run there (no /srv/binlog/binlog-server.json)" in copier.status()
    db2.run("mkdir -p /srv/binlog && cat > /srv/binlog/binlog-server.json", data=text.replace("was stopped", "copies"))
    assert f"binlog1 on {db2.ip}: copies" in copier.status()
    db2.cut_cable()
    try:
        began = time.monotonic()
        assert f"binlog1 on {db2.ip}: its state is not known: " in copier.status()
        assert time.monotonic() - began < 15
    finally:
        db2.mend_cable()


@pytest.mark.slow
def test_its_deployment_copies_with_prefect_and_when_its_api_has_died(copiers: list[Copier]) -> None:
    with Cluster("mariadb", gtid=True, n=2) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        copier = Copier(cluster)
        copiers.append(copier)
        env = {"PREFECT_API_URL": server.api_url, "MHA_CONF_DIR": str(cluster.seat)}
        env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

        def prefect(*words: str) -> None:
            process = cluster.run_there(sys.executable, "-m", "prefect", "--no-prompt", *words, env=env)
            output, _ = process.communicate(timeout=90)
            assert process.returncode == 0, output

        prefect("work-pool", "create", "mha", "--type", "process")
        prefect("deploy", "--name", "binlog-server", "--prefect-file", str(HOUSE / "prefect.yaml"))
        with copier.out.open("w") as out:
            words = ("worker", "start", "--pool", "mha", "--work-queue", "binlog1")
            worker = cluster.run_there(sys.executable, "-m", "prefect", *words, env=env, out=out)
        try:
            prefect("deployment", "run", "binlog-server/binlog-server")
            write(cluster[1])
            copier.wait(lambda: copier.health().get("state") == "copies", "a run", 90.0)
            copier.wait_equal(cluster[1])
            server.kill()
            cluster[1].sql("FLUSH LOGS")
            write(cluster[1])
            copier.wait_equal(cluster[1])
        finally:
            worker.kill()
