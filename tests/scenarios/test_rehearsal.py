"""What a rescue would meet on a host is met by the check before it: login files, foreign programs, odd settings."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import images
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.kinds import ADMIN_PASSWORD, REPL, REPL_PASSWORD
from tests.lab.waiting import until
from tests.scenarios.failing_over import MODES
from tests.scenarios.test_rescue_contents import level
from tests.scenarios.test_tail_is_replicated import ROWS, differences, part, port_closed


def not_ok(cluster: Cluster, conf: Path, *names: str) -> list[dict[str, Any]]:
    """What masterha_check_repl finds of these checks."""
    done = cluster.command("masterha_check_repl", f"--conf={conf}", "--output=json")
    assert ADMIN_PASSWORD not in done.output
    assert REPL_PASSWORD not in done.output
    checks = json.loads(done.output[done.output.index("{\n") : done.output.rindex("}") + 1])["checks"]
    return [c for c in checks if not c["ok"] and c["name"] in names]


@contextlib.contextmanager
def foreign_reader(host: Host, image: str) -> Iterator[None]:
    """Another vendor's mysqlbinlog comes first on the host's path."""
    program = images.ensure(image) / "usr" / "bin" / "mysqlbinlog"
    name = f"lab-reader-{time.monotonic_ns()}"
    shutil.copy(program, host.upper / name)
    host.run(f"mkdir -p /usr/local/bin && cp /{name} /usr/local/bin/mysqlbinlog && chmod +x /usr/local/bin/mysqlbinlog")
    host.run("cp /usr/local/bin/mysqlbinlog /usr/local/bin/mariadb-binlog")
    try:
        yield
    finally:
        host.run("rm -f /usr/local/bin/mysqlbinlog /usr/local/bin/mariadb-binlog")


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        pytest.param("mysql56", "bookworm", id="5.6", marks=pytest.mark.slow),
        pytest.param("mysql97", "bookworm", id="9.7", marks=pytest.mark.slow),
        # It does not start there; that is all that can be known of it.
        pytest.param("mariadb", "mysql97", id="mariadb"),
    ],
)
def test_a_foreign_mysqlbinlog_a_client_that_thinks_it_is_somebody_else_and_what_is_ignored(
    kind: str, other: str
) -> None:
    """The first passed for the server's own, the second sent the rescue to another server, the third lost rows."""
    with Cluster(kind, gtid=True) as cluster:
        conf = cluster.write_cnf()
        level(cluster)
        assert not_ok(cluster, conf, "mysqlbinlog", "client-connects", "replication-login") == []
        with foreign_reader(cluster[2], other):
            (told,) = not_ok(cluster, conf, "mysqlbinlog")
            assert (told["severity"], told["subject"].split("(")[0]) == ("error", cluster[2].ip)
            assert ("does not start" if kind == "mariadb" else "is of MariaDB, the server is MySQL") in told["text"]
        # Option files of whoever logs in there are not ours.
        for host in cluster.hosts:
            host.run(
                "cat >/root/.my.cnf",
                data=f"[client]\nuser=backup\npassword=nonsense\nhost={cluster[1].ip}\n[mysql]\nuser=backup\n",
            )
        assert not_ok(cluster, conf, "mysqlbinlog", "client-connects", "replication-login", "repl-password") == []
        unlogged = not_ok(cluster, cluster.write_cnf("unlogged", default="disable_log_bin=1"), "disable-log-bin")
        assert [c["severity"] for c in unlogged] == ["warning"] * 3


@contextlib.contextmanager
def no_forwarding(cluster: Cluster, *hosts: Host) -> Iterator[None]:
    """Their sshd forwards nothing, and the manager's port is closed to them: a session has to replay what was saved."""
    for host in hosts:
        host.run(
            "pkill -o sshd; while pgrep -x sshd >/dev/null && [ -n \"$(ss -ltnH 'sport = :22')\" ]; do sleep 0.05; done"
        )
        host.run(
            "/usr/sbin/sshd -o PermitRootLogin=yes -o UseDNS=no -o UsePAM=no -o MaxStartups=100 "
            "-o AllowTcpForwarding=no -o DisableForwarding=yes"
        )
    with port_closed(cluster):
        yield


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), [mode for mode in MODES if mode.values[1]])
def test_a_session_that_replays_logs_what_others_will_ask_for(kind: str, gtid: bool) -> None:
    """disable_log_bin=1 with GTIDs: the other replica lacked the rows for good, with an equal gtid_executed."""
    with Cluster(kind, gtid=gtid) as cluster, no_forwarding(cluster, cluster[2], cluster[3]):
        conf = cluster.write_cnf(candidate=2, default="disable_log_bin=1\nstart_checks=warn")
        manager = cluster.start_manager(conf)
        expected = part(cluster, ROWS)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(90) == 0, manager.log()
        assert "A session replays on" in manager.log()
        ends = time.monotonic() + 20
        while found := differences(cluster[3], expected):
            assert time.monotonic() < ends, (found, manager.log())
            time.sleep(0.2)
        assert differences(cluster[2], expected) == {}, manager.log()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mariadb", "mysql97"])
def test_a_channel_to_another_source_goes_on_on_whoever_is_promoted(kind: str) -> None:
    """The check tells what is done with it, and that is done; nobody takes the other source for the primary."""
    with Cluster(kind, gtid=True, n=4) as cluster:
        other = cluster[4]
        word = cluster.kind.word("REPLICA", "SLAVE")
        other.sql(f"STOP {word}")
        other.sql(f"RESET {word} ALL")
        other.sql("SET GLOBAL read_only=0")
        named = "'other'" if kind == "mariadb" else ""
        where = "MASTER_USE_GTID=no" if kind == "mariadb" else "SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1"
        p = cluster.kind.word("SOURCE", "MASTER")
        change = f"CHANGE {cluster.kind.word('REPLICATION SOURCE', 'MASTER')} {named} TO {p}_HOST='{other.ip}', "
        change += f"{p}_USER='{REPL}', {p}_PASSWORD='{REPL_PASSWORD}', {where}"
        cluster[2].sql(change if kind == "mariadb" else f"{change} FOR CHANNEL 'other'")
        cluster[2].sql(f"START {word} {named}" if kind == "mariadb" else f"START {word} FOR CHANNEL 'other'")
        if kind == "mariadb":
            other.sql("SET GLOBAL gtid_domain_id=9")
        conf = cluster.write_cnf(candidate=2, apart=(4,), default="check_errant=0")
        (told,) = not_ok(cluster, conf, "one-source")
        assert "has 2 channels, from" in told["text"]
        assert "leaves the others as they are" in told["hint"]
        manager = cluster.start_manager(conf)
        cluster[1].sql("CREATE TABLE app.t (id INT PRIMARY KEY)")
        cluster[1].signal_mysqld(signal.SIGKILL)
        code = manager.wait(60)
        assert code == 0, manager.log()
        other.sql("CREATE DATABASE elsewhere")
        until(lambda: cluster[2].sql("SHOW DATABASES LIKE 'elsewhere'"), manager.log, 20)
        assert cluster[3].replica_status()["Source_Host"] == cluster[2].ip
        assert cluster[2].sql("SELECT @@GLOBAL.read_only AS r") == [{"r": 0}]
