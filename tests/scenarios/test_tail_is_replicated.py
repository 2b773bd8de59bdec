"""What only the dead primary's disk has is replicated, not replayed: each test tries to make the difference show."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.cluster import Cluster, Manager
from tests.lab.faults import without_ssh
from tests.lab.host import Host
from tests.lab.network import sh
from tests.scenarios.failing_over import MODES
from tests.scenarios.serving import everything
from tests.scenarios.tails import Tails, wait_prepared
from tests.scenarios.test_rescue_contents import level

PORTS = "23306-23315"


def some(*chosen: int) -> list[Any]:
    """These modes by default, the others with make test-all."""
    return [
        mode if n in chosen else pytest.param(*mode.values, id=mode.id, marks=pytest.mark.slow)
        for n, mode in enumerate(MODES)
    ]


@contextlib.contextmanager
def port_closed(cluster: Cluster) -> Iterator[None]:
    """A firewall drops what the manager's rescue ports answer: a replica that connects waits in vain."""
    there = f"ip netns exec {cluster.subnet.manager} ip rule"
    rule = f"from {cluster.subnet.prefix}.1 ipproto tcp sport {PORTS} pref 10 blackhole"
    sh(f"{there} add {rule}")
    try:
        yield
    finally:
        sh(f"{there} del {rule}")


def part(cluster: Cluster, statements: tuple[str, ...]) -> dict[str, Any]:
    """db3 lacks two rows and db2 one before the statements, which neither of them receives; what db1 has at the end."""
    cluster[1].sql("CREATE TABLE app.parted (id INT PRIMARY KEY) ENGINE=InnoDB")
    level(cluster)
    cluster.stop_receiver(cluster[3])
    cluster[1].sql("INSERT INTO app.parted VALUES (1)")
    level(cluster, 2)
    cluster.stop_receiver(cluster[2])
    for statement in statements:
        cluster[1].sql(statement)
    return everything(cluster[1])


def differences(host: Host, expected: dict[str, Any]) -> dict[str, Any]:
    """What is otherwise there."""
    found = everything(host)
    return {
        k: (found.get(k), expected.get(k)) for k in found.keys() | expected.keys() if found.get(k) != expected.get(k)
    }


def lines(manager: Manager) -> list[dict[str, Any]]:
    """The ledger."""
    (path,) = manager.workdir.glob("*.ledger.json")
    return list(json.loads(path.read_text()))


ROWS = tuple(f"INSERT INTO app.parted VALUES ({n})" for n in range(2, 6))
MORE = (*ROWS, "CREATE TABLE app.late (id INT PRIMARY KEY) COMMENT 'late'", "INSERT INTO app.late VALUES (1)")


@pytest.mark.parametrize(("kind", "gtid"), some(5))
def test_what_a_session_does_otherwise_than_an_applier_is_as_on_the_primary(kind: str, gtid: bool) -> None:
    """Errors that are logged, CURRENT_USER, a database that is gone, temporary tables, rows of 40 MB, XA, CTAS, two
    files: data, accounts, definers and comments are the dead primary's on both survivors."""
    with Cluster(kind, gtid=gtid, extra={0: "max_allowed_packet=256M"}) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(default="start_checks=warn"))
        tails = Tails(cluster)
        tails.prepare()
        level(cluster)
        cluster.stop_receiver(cluster[3])
        cluster[1].sql("INSERT INTO app.kept (t) VALUES ('on one replica')")
        level(cluster, 2)
        cluster.stop_receiver(cluster[2])
        tails.write()
        expected = everything(cluster[1])
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(90) == 0, manager.log()
        for number in (2, 3):
            assert differences(cluster[number], expected) == {}, manager.log()
            if kind != "mysql56":
                wait_prepared(cluster[number], "left")


@pytest.mark.parametrize(("kind", "gtid"), some(0))
def test_without_ssh_to_the_replicas_the_tail_reaches_them(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster, without_ssh(cluster[2]), without_ssh(cluster[3]):
        manager = cluster.start_manager(cluster.write_cnf(default="start_checks=warn"))
        expected = part(cluster, MORE)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        for number in (2, 3):
            assert differences(cluster[number], expected) == {}, manager.log()
        assert "received from the manager, at the manager's address" in manager.log()


@pytest.mark.parametrize(("kind", "gtid"), some())
def test_a_firewall_before_the_manager_leaves_the_way_through_ssh(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster, port_closed(cluster):
        manager = cluster.start_manager(cluster.write_cnf(default="start_checks=warn"))
        expected = part(cluster, MORE)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(90) == 0, manager.log()
        for number in (2, 3):
            assert differences(cluster[number], expected) == {}, manager.log()
        assert "received from the manager, over the SSH session of its host" in manager.log()


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["safe", "strict"])
@pytest.mark.parametrize(("kind", "gtid"), MODES)
def test_no_way_to_any_replica_is_for_the_policy_to_decide(kind: str, gtid: bool, policy: str) -> None:
    """Strict opens nothing, and everybody follows the dead primary again; safe tells what is missing and where it lies.

    What one replica received reaches the other with GTIDs, by replication; without them the furthest is promoted.
    """
    with Cluster(kind, gtid=gtid) as cluster, port_closed(cluster), without_ssh(cluster[2]), without_ssh(cluster[3]):
        before = {n: told_of(cluster[n]) for n in (2, 3)}
        manager = cluster.start_manager(cluster.write_cnf(default=f"salvage_policy={policy}\nstart_checks=warn"))
        part(cluster, MORE)
        cluster[1].signal_mysqld(signal.SIGKILL)
        code = manager.wait(120)
        log = manager.log()
        read_only = [cluster[n].sql("SELECT @@GLOBAL.read_only AS r")[0]["r"] for n in (2, 3)]
        if policy == "strict":
            assert (code, read_only) == (1, [1, 1]), log
            assert {n: told_of(cluster[n]) for n in (2, 3)} == before, log
            return
        assert (code, read_only) == (10, [0, 1]), log
        assert cluster[2].sql("SELECT id FROM app.parted") == [{"id": 1}]
        (lost,) = [line for line in lines(manager) if line["fate"] == "lost"]
        assert lost["transactions"] == len(MORE), lost
        assert f"{manager.workdir}/saved_master_binlog_from_" in lost["why"]


def told_of(host: Host) -> dict[str, Any]:
    """A channel's options, its place left out."""
    status = host.replica_status()
    names = ("Host", "Port", "User", "SSL", "Retry", "Delay", "Ignore_Server", "Auto_Position", "Using_Gtid", "Get_")
    return {k: v for k, v in status.items() if any(name in k for name in names) and "Remaining" not in k}


@pytest.mark.parametrize(("kind", "gtid"), some(4))
def test_a_channel_has_every_option_back(kind: str, gtid: bool) -> None:
    """The one that is not promoted was delayed, asks for TLS that the source of files has not, and so on."""
    with Cluster(kind, gtid=gtid) as cluster:
        host, p = cluster[3], cluster.kind.word("SOURCE", "MASTER")
        change, replica = cluster.kind.word("REPLICATION SOURCE", "MASTER"), cluster.kind.word("REPLICA", "SLAVE")
        tls = kind == "mysql97"
        host.sql(f"STOP {replica}")
        options = f"{p}_HEARTBEAT_PERIOD=7, {p}_CONNECT_RETRY=5, {p}_DELAY=1"
        options += f", {p}_SSL=1, GET_SOURCE_PUBLIC_KEY=1, {p}_COMPRESSION_ALGORITHMS='zstd'" if tls else ""
        options += ", IGNORE_SERVER_IDS=(77)" if not (tls and gtid) else ""
        host.sql(f"CHANGE {change} TO {options}")
        host.sql(f"START {replica}")
        before = told_of(host)
        manager = cluster.start_manager(cluster.write_cnf(candidate=2))
        part(cluster, MORE)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        after = told_of(host)
        changed = {k: v for k, v in after.items() if before[k] != v}
        assert changed == {"Source_Host": cluster[2].ip} | {
            k: v for k, v in changed.items() if k in ("Replica_IO_State", "Source_Retry_Count")
        }, manager.log()
        assert host.replica_status()["Replica_IO_Running"] == "Yes"
        assert "replayed" not in manager.log()
        if tls:
            query = "SELECT COMPRESSION_ALGORITHM AS c FROM performance_schema.replication_connection_configuration"
            assert host.sql(query) == [{"c": "zstd"}]
        ends = time.monotonic() + 20
        while host.sql("SELECT COUNT(*) AS n FROM app.parted")[0]["n"] < 5:
            assert time.monotonic() < ends, host.replica_status()
            time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), MODES)
def test_the_dead_host_is_gone_when_the_next_manager_goes_on(kind: str, gtid: bool) -> None:
    """The first one had saved the tail and turned a replica to it; its copy, on the manager's disk, is all there is."""
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(candidate=2)
        manager = cluster.start_manager(conf)
        expected = part(cluster, MORE)
        cluster[1].signal_mysqld(signal.SIGKILL)
        ends = time.monotonic() + 40
        while not any("turn to the saved log" in p.read_text() for p in manager.workdir.glob("*.journal")):
            assert time.monotonic() < ends, manager.log()
        manager.process.kill()
        manager.process.wait(10)
        cluster[1].power_off()
        checked = cluster.command("masterha_check_repl", f"--conf={conf}")
        assert checked.code == 1, checked.output
        done = cluster.command("masterha_manager", f"--conf={conf}")
        assert done.code == 0, done.output + manager.log()
        for number in (2, 3):
            assert differences(cluster[number], expected) == {}, manager.log()


@pytest.mark.slow
def test_the_health_check_finds_a_firewall_before_the_rescue() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        conf = cluster.write_cnf()

        def told() -> list[str]:
            output = cluster.command("masterha_check_repl", f"--conf={conf}", "--output=json").output
            checks = json.loads(output[output.index("{\n") : output.rindex("}") + 1])["checks"]
            return [f"{check['ok']} {check['text']}" for check in checks if check["name"] == "rescue-port"]

        assert [text.split()[:2] for text in told()] == [["True", "reaches"]] * 3
        with port_closed(cluster):
            assert all(text.startswith("False ") and text.endswith("SSH forwards one") for text in told()), told()
