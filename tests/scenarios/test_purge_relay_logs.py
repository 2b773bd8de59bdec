"""Relay logs are purged, and never one that is not executed or that somebody may still need; whoever dies meanwhile."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.cluster import IMPORTS, Cluster, Done
from tests.lab.host import Host
from tests.lab.kinds import ADMIN, ADMIN_PASSWORD
from tests.lab.waiting import until
from tests.scenarios.failing_over import kinds
from tests.scenarios.process_list import watched

DATA = "var/lib/mysql"
SUCCEEDED = "All relay log purging operations succeeded."
KINDS = kinds("5.6-position", "9.7-gtid", "mariadb-gtid")


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_what_is_executed_goes_and_everything_else_stays(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        primary, second, third = cluster.hosts
        conf = cluster.write_cnf()
        primary.sql("CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY)")
        for replica in (second, third):
            many_relay_logs(cluster, replica)
        level(cluster)
        ends = [end_of_log(host) for host in (second, third)]

        done = cluster.command("mha", "purge-relay-logs", "--conf", str(conf))
        assert done.code == 0, done
        assert SUCCEEDED in done.output, done
        for host in (second, third):
            assert len(relay_logs(host)) <= 3, done
            assert as_before(host)
        assert [end_of_log(host) for host in (second, third)] == ends, "a purge writes nothing into a binary log"

        # On a replica's own host, as from cron.
        many_relay_logs(cluster, third)
        level(cluster)
        done = on_its_host(cluster, third, "--socket=/run/mysqld/mysqld.sock", f"--user={ADMIN}")
        assert done.code == 0, done
        assert done.output.rstrip().endswith(SUCCEEDED), done
        assert len(relay_logs(third)) <= 3, done
        assert as_before(third)

        # A stopped applier: nothing of that replica is touched, and even the server's own purge leaves it all.
        second.sql(f"STOP {cluster.kind.word('REPLICA', 'SLAVE')} SQL_THREAD")
        many_relay_logs(cluster, second)
        kept = relay_logs(second)
        done = cluster.command("mha", "purge-relay-logs", f"--conf={conf}", "--output=json")
        assert done.code == 10, done
        assert f"{second.ip}(" in done.output
        assert "has a stopped applier" in done.output, done
        assert relay_logs(second) == kept
        refused = on_its_host(cluster, second, f"--user={ADMIN}")
        assert refused.code == 1, refused
        assert "has a stopped applier" in refused.output, refused
        second.sql("SET GLOBAL relay_log_purge=1")
        second.sql("FLUSH LOCAL RELAY LOGS")
        time.sleep(0.5)
        assert kept <= relay_logs(second)
        second.sql("SET GLOBAL relay_log_purge=0")

        # One that receives nothing may need what the others keep.
        second.sql(f"START {cluster.kind.word('REPLICA', 'SLAVE')} SQL_THREAD")
        level(cluster)
        cluster.stop_receiver(second)
        many_relay_logs(cluster, third)
        kept = relay_logs(third)
        done = cluster.command("mha", "purge-relay-logs", f"--conf={conf}")
        assert done.code == 1, done
        assert f"{third.ip}({third.ip}:3306) keeps its relay logs, which another replica may need" in done.output, done
        assert relay_logs(third) == kept

        # Neither is anything purged once the primary is gone.
        cluster.start_receiver(second)
        level(cluster)
        primary.signal_mysqld(signal.SIGKILL)
        done = cluster.command("mha", "purge-relay-logs", f"--conf={conf}")
        assert done.code == 1, done
        assert "does not answer, so every relay log is kept" in done.output, done
        assert relay_logs(third) == kept


def test_interrupted_in_the_middle() -> None:
    with Cluster("mariadb", gtid=True, n=2) as cluster:
        primary, replica = cluster.hosts
        conf = cluster.write_cnf()
        primary.sql("CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY)")
        many_relay_logs(cluster, replica)
        level(cluster)
        kept = relay_logs(replica)

        # SIGTERM: everything is as before.
        with held_applier(primary, replica):
            run = start_on_its_host(cluster, replica, f"--user={ADMIN}")
            until(lambda: purging(replica))
            assert linked(replica)
            run.send_signal(signal.SIGTERM)
            output, _ = run.communicate(timeout=5)
            assert run.returncode == 1, output
            assert "stopped early by a signal" in output
            assert as_before(replica)

            # A failover does not wait for it.
            run = start_on_its_host(cluster, replica, f"--user={ADMIN}")
            until(lambda: purging(replica))
            began = time.monotonic()
            with replica.connect() as session, session.cursor() as cursor:
                cursor.execute("SELECT GET_LOCK('MHA_Master_High_Availability_Failover', 1) AS got")
                assert cursor.fetchone() == {"got": 1}, time.monotonic() - began
                # The lock is given up first of all, for nobody's failover waits for files.
                until(lambda: not linked(replica))
                assert as_before(replica)
            output, _ = run.communicate(timeout=5)
            assert run.returncode == 0, output
            assert "give way" in output

            # kill -9 leaves it purging, and the next run sees that by what else it left.
            run = start_on_its_host(cluster, replica, f"--user={ADMIN}")
            until(lambda: purging(replica))
            run.kill()
            run.communicate()
            assert purging(replica)
            assert linked(replica)
            assert kept <= relay_logs(replica)
        level(cluster)
        done = cluster.command("mha", "purge-relay-logs", f"--conf={conf}")
        assert done.code == 0, done
        assert as_before(replica)
        assert len(relay_logs(replica)) <= 3

        # One whose server purges by itself is told, and taken over only when that is asked for.
        replica.sql("SET GLOBAL relay_log_purge=1")
        done = on_its_host(cluster, replica, f"--user={ADMIN}")
        assert done.code == 1
        assert "has relay_log_purge=1, so it removes what is executed by itself" in done.output
        done = on_its_host(cluster, replica, f"--user={ADMIN}", "--disable_relay_log_purge", "--use_hardlink")
        assert done.code == 0, done
        assert as_before(replica)
        # Links need the same file system; told, and nothing changed.
        done = on_its_host(cluster, replica, f"--user={ADMIN}", "--workdir=/dev/shm")
        assert done.code == 1
        assert "with --workdir" in done.output, done
        assert as_before(replica)


def test_two_runs_of_one_cluster_at_once() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        conf = cluster.write_cnf()
        cluster[1].sql("CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY)")
        level(cluster)
        with held_applier(cluster[1], cluster[2]):
            first = cluster.run_there(
                sys.executable, "-m", "prefect_mha.commands.mha", "purge-relay-logs", f"--conf={conf}"
            )
            until(lambda: purging(cluster[2]))
            assert not purging(cluster[3])
            second = cluster.command("mha", "purge-relay-logs", f"--conf={conf}")
            assert second.code == 1
            assert "are being purged by another run" in second.output
        output, _ = first.communicate(timeout=20)
        assert first.returncode == 0, output


def test_a_password_of_every_awkward_character_is_seen_nowhere() -> None:
    password = "\"'\\!=#&;` |*?$<>()[]{}"
    with Cluster("mysql97", gtid=True, n=2) as cluster:
        cluster[1].sql("CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY)")
        cluster[1].sql("ALTER USER %s@'%%' IDENTIFIED BY %s", (ADMIN, password))
        time.sleep(0.5)
        for host in cluster.hosts:
            host.password = password
        level(cluster)
        conf = cluster.write_cnf(password=password)
        defaults = cluster.seat / "client.cnf"
        quoted = password.replace("\\", "\\\\").replace('"', '\\"')
        defaults.write_text(f'[client]\nuser={ADMIN} # the account\npassword="{quoted}"\n')
        kept = cluster.seat / "password"
        kept.write_text(f"{password}\n")
        runs = [
            ([f"--defaults_file={defaults}"], {}),
            ([f"--user={ADMIN}", f"--password=file:{kept}"], {}),
            ([f"--user={ADMIN}"], {"MYSQL_PWD": password}),
        ]
        with watched(password) as seen:
            for words, env in runs:
                done = on_its_host(cluster, cluster[2], *words, env=env)
                assert done.code == 0, done
                assert password not in done.output
            done = cluster.command("mha", "purge-relay-logs", f"--conf={conf}")
            assert done.code == 0, done
            assert password not in done.output
        assert not seen, seen
        # Given as an argument it works, with a warning, and is soon out of sight.
        many_relay_logs(cluster, cluster[2])
        with held_applier(cluster[1], cluster[2]):
            run = start_on_its_host(cluster, cluster[2], f"--user={ADMIN}", f"--password={password}", env={})
            # Before it is the command, it is the shell that starts it, and before that a fork of this process.
            until(lambda: "purge_relay_logs" in (words := words_of(run)) and password not in words)
            with watched(password) as seen:
                time.sleep(0.3)
            assert not seen, seen
        output, _ = run.communicate(timeout=20)
        assert run.returncode == 0, output
        assert "--password shows the password to everybody" in output
        assert password not in output


def many_relay_logs(cluster: Cluster, replica: Host) -> None:
    """Five relay logs more, each with a transaction."""
    for _ in range(5):
        cluster[1].sql("INSERT INTO app.t VALUES ()")
        replica.sql("FLUSH LOCAL RELAY LOGS")


def level(cluster: Cluster) -> None:
    """Wait until every replica has executed what the primary wrote."""
    wanted = cluster[1].sql("SELECT COUNT(*) AS n FROM information_schema.tables WHERE table_schema='app'")
    rows = cluster[1].sql("SELECT COUNT(*) AS n FROM app.t")
    for host in cluster.hosts[1:]:
        until(
            lambda host=host: (  # type: ignore[misc]
                host.sql("SELECT COUNT(*) AS n FROM information_schema.tables WHERE table_schema='app'") == wanted
                and host.sql("SELECT COUNT(*) AS n FROM app.t") == rows
            )
        )


def relay_logs(host: Host) -> set[str]:
    return set(host.run(f"cd /{DATA} && ls | grep -E '^relay-bin[.][0-9]+$'").split())


def linked(host: Host) -> bool:
    return bool(host.run(f"ls /{DATA} | grep '[.]purge$' || true").split())


def purging(host: Host) -> bool:
    return bool(int(host.sql("SELECT @@global.relay_log_purge AS p")[0]["p"]))


def as_before(host: Host) -> bool:
    """Nothing is left of a purge, and the replica replicates."""
    status = host.replica_status()
    assert (status["Replica_IO_Running"], status["Replica_SQL_Running"]) == ("Yes", "Yes"), status
    assert not purging(host)
    assert not linked(host)
    return True


def end_of_log(host: Host) -> list[object]:
    word = "BINARY LOG" if host.kind.modern else "MASTER"
    return list(host.sql(f"SHOW {word} STATUS")[0].values())


@contextmanager
def held_applier(primary: Host, replica: Host) -> Iterator[None]:
    """While it lasts, the replica's applier waits for a table, in the middle of its relay log."""
    session = replica.connect()
    try:
        session.cursor().execute("LOCK TABLES app.t WRITE")
        primary.sql("INSERT INTO app.t VALUES ()")
        time.sleep(0.3)
        yield
    finally:
        session.close()


def start_on_its_host(
    cluster: Cluster, host: Host, *words: str, env: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start purge_relay_logs where the server's files and its address are this host's own."""
    root = host.directory / "root"
    place = (
        "mount -t tmpfs tmpfs /var/lib && mkdir /var/lib/mysql && "
        f"mount --bind {root}/{DATA} /var/lib/mysql && mount -t tmpfs tmpfs /run && mkdir /run/mysqld && "
        f"mount --bind {root}/run/mysqld /run/mysqld && "
        f'exec {shlex.quote(sys.executable)} -m prefect_mha.commands.purge_relay_logs "$@"'
    )
    # Neither strace-like wrappers nor a shell keep the arguments: every program here is replaced by the next one.
    nsenter = ["nsenter", "-t", str(host._pid), "-m", "-n", "unshare", "-m", "sh", "-c", place, "sh"]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    given = {"MYSQL_PWD": ADMIN_PASSWORD} if env is None else env
    return subprocess.Popen(
        [*nsenter, *words],
        env={**clean, "PYTHONPATH": IMPORTS, "HOME": str(cluster.seat), **given},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def words_of(process: subprocess.Popen[str]) -> str:
    """What `ps` shows of a process."""
    return Path(f"/proc/{process.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def on_its_host(cluster: Cluster, host: Host, *words: str, env: dict[str, str] | None = None) -> Done:
    process = start_on_its_host(cluster, host, *words, env=env)
    output, _ = process.communicate(timeout=60)
    return Done(process.returncode, output)
