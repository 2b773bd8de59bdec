"""Commands for a database host, on the logs of real servers: a server takes what they cut, and the data is equal."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest

from prefect_mha.replication.binlog.reader import LogFile, LogReader
from prefect_mha.replication.model.position import BinlogPosition
from tests.lab import images
from tests.lab.cluster import Cluster, Done
from tests.lab.host import Host
from tests.lab.kinds import ADMIN, ADMIN_PASSWORD

DATA = "var/lib/mysql"
PASSWORD = {"MHA_SLAVE_PASSWORD": ADMIN_PASSWORD}


@pytest.mark.parametrize("kind", ["mysql56", "mysql97", "mariadb"])
def test_what_a_dead_primary_holds_is_saved_and_its_replica_takes_it(kind: str) -> None:
    with Cluster(kind, n=2) as cluster:
        primary, replica = cluster[1], cluster[2]
        start = leave_behind(cluster, replica)
        more_rows(primary)
        wanted = checksum(primary)
        primary.signal_mysqld(signal.SIGKILL)
        tear(newest_log(primary))

        saved = cluster.seat / "saved.binlog"
        done = save(cluster, start, saved)
        assert done.code == 0, done
        assert "The logs end torn at mysql-bin." in done.output, done
        assert "Saved 42 transactions" in done.output, done
        # As a person would: the file on the replica's host, through its own programs.
        pipe = f"mysqlbinlog --no-defaults /saved.binlog | mysql -h127.0.0.1 -u{ADMIN} -p{ADMIN_PASSWORD} --binary-mode"
        shutil.copy(saved, replica.upper / "saved.binlog")
        replica.run(pipe if kind != "mysql56" else pipe + " --skip-comments")
        assert checksum(replica) == wanted

        end = BinlogPosition.parse(done.output.split(" to ")[1].split(" of ")[0])
        saved.unlink()
        assert saves_nothing(cluster, end, saved).code == 10
        inside = save(cluster, BinlogPosition(start.file, start.pos + 1), saved)
        assert inside.code == 1, inside
        assert "no event begins at" in inside.output or "lies inside a transaction" in inside.output
        assert f"{primary.upper}/{DATA}/{start.file}" in inside.output
        beyond = save(cluster, BinlogPosition(start.file, 1 << 30), saved)
        assert beyond.code == 1, beyond
        assert "nothing begins at" in beyond.output
        missing = save(cluster, BinlogPosition("mysql-bin.000077", 4), saved)
        assert missing.code == 1, missing
        assert f"{primary.upper}/{DATA} has no mysql-bin.000077" in missing.output
        assert not saved.exists()
        tested = cluster.command(
            "save_binary_logs",
            "--command=test",
            "--binlog_prefix=mysql-bin",
            f"--binlog_dir=/nowhere,{primary.upper / DATA}",
            f"--output_file={saved}",
            "--manager_version=0.58",
        )
        assert tested.code == 0, tested
        assert "No effect any more, accepted: --manager_version" in tested.output


@pytest.mark.slow
def test_the_text_form_is_what_mysqlbinlog_makes_of_it() -> None:
    with Cluster("mariadb", n=2) as cluster:
        primary, replica = cluster[1], cluster[2]
        start = leave_behind(cluster, replica)
        more_rows(primary)
        saved = cluster.seat / "saved.sql"
        bindir = f"--client_bindir={client_programs(cluster)}"
        done = save(cluster, start, saved, "--handle_raw_binlog=0", bindir)
        assert done.code == 0, done
        assert not saved.with_name("saved.sql.raw").exists()
        refused = apply(cluster, replica, saved, "--handle_raw_binlog=0")
        assert refused.code == 1, refused
        assert "generate the files without --handle_raw_binlog=0" in refused.output
        joined = apply(cluster, replica, saved, "--handle_raw_binlog=0", "--no_apply", "--timestamp=text")
        assert joined.code == 0, joined
        text = cluster.seat / f"total_binlog_for_{replica.ip}_3306.text.sql"
        shutil.copy(text, replica.upper / "saved.sql")
        replica.run(f"mariadb -h127.0.0.1 -u{ADMIN} -p{ADMIN_PASSWORD} --binary-mode </saved.sql")
        assert checksum(replica) == checksum(primary)


@pytest.mark.parametrize(
    ("kind", "gtid"),
    [("mysql56", False), ("mysql97", False), ("mysql97", True), ("mariadb", False), ("mariadb", True)],
    ids=["mysql56", "mysql97", "mysql97-gtid", "mariadb", "mariadb-gtid"],
)
def test_a_replica_gets_what_another_one_received(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        primary, target, latest = cluster.hosts
        begin = leave_behind(cluster, target)
        more_rows(primary)
        end = level(latest, primary)
        primary.signal_mysqld(signal.SIGKILL)
        assert checksum(target) != checksum(latest)

        places = [f"--target_mlf={begin.file}", f"--target_rmlp={begin.pos}"]
        places += [f"--latest_mlf={end.file}", f"--latest_rmlp={end.pos}"]
        where = relay_options(latest)
        found = cluster.command("apply_diff_relay_logs", "--command=find", *where, *places)
        assert found.code == 0, found
        diff = cluster.seat / "diff.binlog"
        send = [f"--diff_file_readtolatest={diff}", "--scp_user=root", f"--scp_host={target.ip}"]
        made = cluster.command("apply_diff_relay_logs", "--command=generate_and_send", *where, *places, *send)
        assert made.code == 0, made
        assert "Generated 42 transactions" in made.output, made
        assert (target.upper / str(diff).lstrip("/")).read_bytes() == diff.read_bytes()

        tested = cluster.command(
            "apply_diff_relay_logs", "--command=test", *where, *place_of(cluster, target), env=PASSWORD
        )
        assert tested.code == 0, tested
        assert f"Relay log found at {latest.upper / DATA}, up to relay-bin." in tested.output
        denied = cluster.command("apply_diff_relay_logs", "--command=test", *place_of(cluster, target))
        assert denied.code == 1, denied
        assert "error 1045" in denied.output
        cluster.start_receiver(target)
        refused = apply(cluster, target, diff)
        assert refused.code == 1, refused
        assert "its receiver still runs" in refused.output
        cluster.stop_receiver(target)
        status = target.replica_status()
        before = (status["Source_Host"], status["Source_Port"], status["Source_User"])
        if cluster.kind.modern:
            target.sql("SET GLOBAL super_read_only=1")
        applied = apply(cluster, target, diff)
        assert applied.code == 0, applied
        if cluster.kind.modern:
            assert target.sql("SELECT @@super_read_only AS it") == [{"it": 1}]
        assert "Applied 42 transactions" in applied.output, applied
        assert f"received from {cluster.subnet.prefix}.1" in applied.output
        assert ADMIN_PASSWORD not in applied.output
        assert not (client_programs(cluster) / "argv").exists(), "a client was started"
        assert checksum(target) == checksum(latest)
        status = target.replica_status()
        assert (status["Source_Host"], status["Source_Port"], status["Source_User"]) == before
        if not gtid:
            assert (status["Relay_Source_Log_File"], int(status["Exec_Source_Log_Pos"])) == (end.file, end.pos)
        again = apply(cluster, target, diff)
        assert again.code == 0, again
        assert "has everything" in again.output
        assert checksum(target) == checksum(latest)


def test_a_difference_and_a_saved_tail_are_applied_in_one_go() -> None:
    """Target behind latest behind a dead primary: MHA's whole recovery, by hand."""
    with Cluster("mysql56") as cluster:
        primary, target, latest = cluster.hosts
        begin = leave_behind(cluster, target)
        more_rows(primary)
        end = level(latest, primary)
        cluster.stop_receiver(latest)
        for number in range(5):
            primary.sql("INSERT INTO app.t3 VALUES (%s)", (number,))
        wanted = checksum(primary)
        primary.signal_mysqld(signal.SIGKILL)
        diff, tail = cluster.seat / "diff.binlog", cluster.seat / "tail.binlog"
        places = [f"--target_mlf={begin.file}", f"--target_rmlp={begin.pos}"]
        places += [f"--latest_mlf={end.file}", f"--latest_rmlp={end.pos}", f"--diff_file_readtolatest={diff}"]
        made = cluster.command("apply_diff_relay_logs", "--command=generate", *relay_options(latest), *places)
        assert made.code == 0, made
        assert save(cluster, end, tail).code == 0
        applied = apply(cluster, target, f"{diff},{tail}")
        assert applied.code == 0, applied
        assert "Applied 47 transactions" in applied.output
        assert apply(cluster, latest, tail).code == 0
        assert checksum(target) == checksum(latest) == wanted


def test_what_relay_logs_cannot_give_is_told() -> None:
    with Cluster("mariadb", n=2) as cluster:
        primary, replica = cluster.hosts
        more_rows(primary)
        end = level(replica, primary)
        replica.sql("FLUSH LOGS")
        where, diff = relay_options(replica), cluster.seat / "diff.binlog"

        def generate(file: str, pos: int, *options: str) -> Done:
            places = [f"--target_mlf={file}", f"--target_rmlp={pos}"]
            places += [f"--latest_mlf={end.file}", f"--latest_rmlp={end.pos}"]
            out = f"--diff_file_readtolatest={diff}"
            return cluster.command("apply_diff_relay_logs", "--command=generate", *(options or where), *places, out)

        first = LogFile.at(primary.upper / DATA / "mysql-bin.000001")
        with first.open() as stream:
            transaction = list(LogReader(stream, name=first.name).transactions())[3]
        wrong = generate(first.name, transaction.start + 1)
        assert wrong.code == 1, wrong
        assert "lies inside a transaction" in wrong.output
        assert "(code 12)" in wrong.output
        assert not diff.exists()
        copies = cluster.seat / "some"
        copies.mkdir()
        newest = sorted((replica.upper / DATA).glob("relay-bin.0*"))[-1]
        shutil.copy(newest, copies / newest.name)
        purged = generate(first.name, 4, f"--relay_dir={copies}", f"--current_relay_log={newest.name}")
        assert purged.code == 1, purged
        assert "do not reach back to mysql-bin.000001:4" in purged.output
        assert "(code 10)" in purged.output
        level_already = generate(end.file, end.pos)
        assert level_already.code == 0, level_already
        assert "has everything" in level_already.output
        applied = apply(cluster, replica, diff)
        assert applied.code == 1, applied  # it follows its primary
        cluster.stop_receiver(replica)
        applied = apply(cluster, replica, diff)
        assert applied.code == 0, applied
        assert "has everything that is in the files" in applied.output

        diff.write_bytes(first.open().read()[:-5])
        torn = apply(cluster, replica, diff)
        assert torn.code == 1, torn
        assert "nothing was applied" in torn.output
        whole = apply(cluster, replica, diff, "--no_apply", "--timestamp=whole")
        assert whole.code == 0, whole
        assert (cluster.seat / f"total_binlog_for_{replica.ip}_3306.whole.binlog").exists()


# the parts of the stories ------------------------------------------------------------------------------------------


def leave_behind(cluster: Cluster, replica: Host) -> BinlogPosition:
    """Some rows that all have; from here on this replica receives nothing. Where it stands in the primary's log."""
    primary = cluster[1]
    primary.sql("CREATE TABLE app.t (id INT PRIMARY KEY, v VARCHAR(100))")
    primary.sql("INSERT INTO app.t VALUES (1, 'all have this')")
    for host in cluster.hosts[1:]:
        level(host, primary)
    cluster.stop_receiver(replica)
    status = replica.replica_status()
    return BinlogPosition(status["Relay_Source_Log_File"], int(status["Exec_Source_Log_Pos"]))


def more_rows(primary: Host) -> None:
    """42 transactions over two logs."""
    primary.sql("CREATE TABLE app.t2 (id INT PRIMARY KEY, v VARCHAR(100))")
    for number in range(40):
        if number == 20:
            primary.sql("FLUSH LOGS")
        primary.sql("INSERT INTO app.t2 VALUES (%s, %s)", (number, f"row {number} COMMIT ' \\ é"))
    primary.sql("CREATE TABLE app.t3 (id INT)")


def level(replica: Host, primary: Host) -> BinlogPosition:
    """Wait until the replica executed all that the primary wrote; where that is in its log."""
    word = "BINARY LOG" if primary.kind.name == "mysql97" else "MASTER"
    row = primary.sql(f"SHOW {word} STATUS")[0]
    end = BinlogPosition(row["File"], int(row["Position"]))
    ends = time.monotonic() + 30
    while True:
        status = replica.replica_status()
        if (status["Relay_Source_Log_File"], int(status["Exec_Source_Log_Pos"])) == (end.file, end.pos):
            return end
        assert time.monotonic() < ends, status
        time.sleep(0.1)


def checksum(host: Host) -> str:
    tables = [next(iter(row.values())) for row in host.sql("SHOW TABLES FROM app")]
    rows = host.sql(f"CHECKSUM TABLE {', '.join(f'app.{table}' for table in tables)}")
    return str([(row["Table"], row["Checksum"]) for row in rows])


def newest_log(host: Host) -> Path:
    return sorted((host.upper / DATA).glob("mysql-bin.0*"))[-1]


def tear(log: Path) -> None:
    """Add half of an event, as a crash leaves it."""
    whole = LogFile.at(log)
    with whole.open() as stream:
        last = list(LogReader(stream, name=log.name).transactions())[-1]
        stream.seek(last.start)
        half = stream.read((last.end - last.start) // 2)
    with log.open("ab") as out:
        out.write(half)


def save(cluster: Cluster, start: BinlogPosition, out: Path, *options: str) -> Done:
    place = [f"--start_file={start.file}", f"--start_pos={start.pos}", f"--binlog_dir={cluster[1].upper / DATA}"]
    return cluster.command("save_binary_logs", "--command=save", *place, f"--output_file={out}", *options)


def saves_nothing(cluster: Cluster, start: BinlogPosition, out: Path) -> Done:
    done = save(cluster, start, out)
    assert "Event not exists." in done.output, done
    assert not out.exists()
    return done


def relay_options(host: Host) -> list[str]:
    """How to name its relay logs: by relay-log.info where there is one, else by one of them."""
    info = host.upper / DATA / "relay-log.info"
    if info.exists():
        return [f"--relay_log_info={info}"]
    return [f"--relay_dir={host.upper / DATA}", f"--current_relay_log={host.replica_status()['Relay_Log_File']}"]


def apply(cluster: Cluster, host: Host, files: Path | str, *options: str) -> Done:
    words = [*place_of(cluster, host), f"--apply_files={files}", *options]
    return cluster.command("apply_diff_relay_logs", "--command=apply", *words, env=PASSWORD)


def place_of(cluster: Cluster, host: Host) -> list[str]:
    """How to name a server to apply on."""
    place = [f"--slave_host={host.ip}", f"--slave_user={ADMIN}", f"--workdir={cluster.seat}"]
    return [*place, f"--client_bindir={client_programs(cluster)}"]


def client_programs(cluster: Cluster) -> Path:
    """The image's own client programs, started from the manager's seat with the libraries they were made for."""
    root, bindir = images.ensure(cluster.kind.image), cluster.seat / "bin"
    bindir.mkdir(exist_ok=True)
    libraries = root / "usr/lib/x86_64-linux-gnu"
    plugins = root / ("usr/lib/x86_64-linux-gnu/libmariadb3/plugin" if cluster.kind.mariadb else "usr/lib/mysql/plugin")
    names = ("mariadb-binlog", "mariadb") if cluster.kind.mariadb else ("mysqlbinlog", "mysql")
    for name, last in zip(names, ("", f" --plugin-dir={plugins}"), strict=True):
        program = bindir / name
        loader = f"{libraries}/ld-linux-x86-64.so.2 --library-path {libraries}"
        program.write_text(f'#!/bin/sh\necho "$0 $*" >>{bindir}/argv\nexec {loader} {root}/usr/bin/{name} "$@"{last}\n')
        program.chmod(0o755)
    return bindir
