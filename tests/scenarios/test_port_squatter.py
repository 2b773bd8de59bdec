"""mysqld dies, and a local user without rights listens on its port: whose answer it is counts, and nobody is told."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lab.cluster import Cluster, Manager
from tests.lab.faults import without_ssh
from tests.lab.hostile import MUTE, NASTY, Way, squat
from tests.lab.kinds import ADMIN_PASSWORD
from tests.lab.plain_user import as_plain_user
from tests.lab.writer import PATIENCE, Writer, gap
from tests.scenarios.failing_over import assert_survivors_agree, finish
from tests.scenarios.moving import wait_until
from tests.scenarios.usual import limit

#: Seconds from the squatter's first word until writes are back, on a loaded machine; slow ones measure what is usual.
QUICKLY = 10.0
#: In the file that `Way.LOCAL_INFILE` asks for.
READABLE = "what-the-replicas-mysqld-can-read"
#: Ways that are tried with every change; the others in `make test-all`.
QUICK = {("mariadb", Way.CLEAR), ("mysql97", Way.SHA2_TLS)}
KINDS = ("mariadb", "mysql97", "mysql56")
WAYS = (Way.CLEAR, Way.SHA2_TLS, Way.SHA2, Way.DIALOG, Way.SHA256_TLS, Way.FINE, Way.LOCAL_INFILE, Way.SILENT, Way.ODD)


def seen_alive(manager: Manager) -> None:
    """It has looked at the primary's process while that lived: twice, for nothing tells of a look that succeeded."""
    wait_until(lambda: "Ping(SELECT) succeeded" in manager.log(), "it watches", 60.0)
    time.sleep(3.0)
    if "cannot be looked at" in manager.log():  # on a machine with too much to do
        time.sleep(6.0)


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        pytest.param(kind, way, id=f"{kind}-{way.name.lower()}", marks=() if (kind, way) in QUICK else pytest.mark.slow)
        for kind in KINDS
        for way in WAYS
    ],
)
def test_a_squatter_on_a_dead_primarys_port_stops_no_failover_and_gets_no_password(
    kind: str, way: Way, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    told = tmp_path / "told"
    hook = tmp_path / "hook.sh"
    hook.write_text(f'#!/bin/sh\necho "$MHA_EVENT $MHA_TEXT" >>{told}\n')
    hook.chmod(0o755)
    with Cluster(kind, gtid=kind != "mysql56") as cluster:
        conf = cluster.write_cnf(candidate=2, default=f"on_suspect={hook}\non_dead={hook}\nstart_checks=warn")
        if way is Way.LOCAL_INFILE:
            for number in (2, 3):
                cluster[number].run(f"echo {READABLE} >/etc/shadow; chmod 644 /etc/shadow")
        manager = cluster.start_manager(conf)
        writer = Writer(cluster)
        seen_alive(manager)
        # The port is his before the manager has looked: so it is whoever polls for it on that host.
        manager.process.send_signal(signal.SIGSTOP)
        cluster[1].signal_mysqld(signal.SIGKILL)
        with squat(cluster[1], way) as record:
            struck = time.time()
            manager.process.send_signal(signal.SIGCONT)
            code, acks = finish(manager, writer, seconds=60.0)
            assert code == 0, manager.log()
            took, allowed = gap(acks, struck), QUICKLY
            if way is Way.SILENT:
                # The application asks him first, before it finds the new primary.
                took -= PATIENCE
            if (kind, way) not in QUICK and way is not Way.ODD:
                allowed = limit(took, kind, gtid=kind != "mysql56", third_down=False)
            record_property("took", f"{took:.2f} of {allowed:.2f} s")
            if way is Way.ODD:
                # The application takes his nonsense for answers and stays with him: what it wrote before counts.
                acks = [ack for ack in acks if ack.at < struck]
            else:
                assert took < allowed, manager.log()
            assert "is not the log of that server" not in manager.log()
            assert "something else answers" in manager.log()
            assert "something else answers" in told.read_text() or "somebody else" in told.read_text(), told.read_text()
            assert_survivors_agree(cluster, acks, 2, (3,))
            assert "He was told names of accounts" in manager.log()
            heard = record.read_bytes()
            assert READABLE.encode() not in heard, "a receiver is a client like any other, but gives no file"
            assert heard or way in MUTE
            assert ADMIN_PASSWORD.encode() not in heard
            assert NASTY not in manager.log()


#: Who ends the login that the squatter never answers, and seconds until writes are back. A STOP that nobody frees takes
#: its 20 s on 5.6 and slave_net_timeout (60 s) on 11.8; the receiver of 10.11 is ended by a KILL.
FREES = {"replicas": 10.0, "helpers": 10.0, "dead host": 10.0, "nobody": 75.0}
#: Where a receiver of that kind is kept waiting: newer ones take his TLS, and are answered.
STALLS = {"mariadb": Way.SHA2_TLS, "mysql56": Way.SHA2_TLS, "mysql97": Way.SILENT, "mariadb118": Way.SILENT}


@pytest.mark.slow
@pytest.mark.parametrize("frees", list(FREES))
@pytest.mark.parametrize("kind", list(STALLS))
def test_a_login_that_the_squatter_never_answers_costs_no_replica(
    kind: str, frees: str, record_property: Callable[[str, object], None]
) -> None:
    """Both receivers wait for him, and each STOP for its receiver: all candidates were given up after 10 s."""
    with Cluster(kind, gtid=kind != "mysql56") as cluster:
        fence = "" if frees == "dead host" else "\nfence=none"
        conf = cluster.write_cnf(candidate=2, default=f"start_checks=warn{fence}")
        if frees == "helpers":
            as_plain_user(cluster, conf)
        manager = cluster.start_manager(conf)
        writer = Writer(cluster)
        seen_alive(manager)
        with ExitStack() as stack:
            manager.process.send_signal(signal.SIGSTOP)
            if frees in ("dead host", "nobody"):
                stack.enter_context(without_ssh(cluster[2]))
                stack.enter_context(without_ssh(cluster[3]))
            cluster[1].signal_mysqld(signal.SIGKILL)
            record = stack.enter_context(squat(cluster[1], STALLS[kind]))
            with_him = f"ss -Htn state established dport = :3306 dst {cluster[1].ip}"
            wait_until(lambda: all(cluster[n].run(with_him) for n in (2, 3)), "both receivers log in to him")
            struck = time.time()
            manager.process.send_signal(signal.SIGCONT)
            code, acks = finish(manager, writer, seconds=120.0)
            took = gap(acks, struck)
            record_property("took", f"{took:.2f} s")
            assert code == 0, manager.log()
            assert took < FREES[frees], manager.log()
            assert_survivors_agree(cluster, acks, 2, (3,))
            assert ADMIN_PASSWORD.encode() not in record.read_bytes()
            assert "sudo" not in manager.log()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["classic", "no ssh"])
def test_whose_answer_it_is_counts_for_the_classic_watch_and_without_ssh_nobody_can_tell(
    how: str,
) -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        detection = "detection=classic\n" if how == "classic" else ""
        conf = cluster.write_cnf(candidate=2, default=f"{detection}start_checks=warn")
        writer = Writer(cluster)
        manager = cluster.start_manager(conf)
        seen_alive(manager)
        with ExitStack() as stack:
            if how == "no ssh":
                stack.enter_context(without_ssh(cluster[1]))
            manager.process.send_signal(signal.SIGSTOP)
            cluster[1].signal_mysqld(signal.SIGKILL)
            record = stack.enter_context(squat(cluster[1], Way.CLEAR))
            manager.process.send_signal(signal.SIGCONT)
            if how == "no ssh":
                time.sleep(12.0)
                assert manager.process.poll() is None, manager.log()
                assert "lives but refuses our ping" in manager.log()
                manager.stop()
                writer.stop()
                return
            code, acks = finish(manager, writer, seconds=60.0)
            assert code == 0, manager.log()
            assert_survivors_agree(cluster, acks, 2, (3,))
            assert ADMIN_PASSWORD.encode() not in record.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("way", [Way.CLEAR, Way.FINE, Way.ODD], ids=lambda way: way.name.lower())
@pytest.mark.parametrize("kind", ["mariadb", "mysql97"])
def test_a_person_fails_over_although_the_replicas_took_the_squatters_number(kind: str, way: Way) -> None:
    """No manager remembers who the primary was; whose log it is, what the replicas received of it proves."""
    with Cluster(kind, gtid=True) as cluster:
        conf = cluster.write_cnf(candidate=2, default="start_checks=warn")
        writer = Writer(cluster)
        wait_until(lambda: len(writer.acks()) > 50, "the application writes")
        own = cluster[2].replica_status()["Source_Server_Id"]
        for number in (2, 3):
            cluster[number].sql(f"STOP {cluster.kind.word('REPLICA', 'SLAVE')}")
        before = len(writer.acks())
        wait_until(lambda: len(writer.acks()) > before + 20, "rows that no replica has")
        acks = writer.stop()
        cluster[1].signal_mysqld(signal.SIGKILL)
        with squat(cluster[1], way) as record:
            for number in (2, 3):
                cluster[number].sql(f"START {cluster.kind.word('REPLICA', 'SLAVE')}")
            if way is Way.ODD and kind == "mariadb":
                wait_until(lambda: cluster[2].replica_status()["Source_Server_Id"] != own, "db2 took his number")
            words = ("--master_state=dead", f"--dead_master_host={cluster[1].ip}", "--interactive=0")
            done = cluster.command("masterha_master_switch", f"--conf={conf}", *words, "--ignore_last_failover")
            told = (cluster.seat / "app1" / "manager.log").read_text()
            assert done.code == 0, told
            assert "Saved binlog of" in told
            assert ADMIN_PASSWORD.encode() not in record.read_bytes()
        assert_survivors_agree(cluster, acks, 2, (3,))


@pytest.mark.slow
def test_a_supervisor_that_starts_it_again_in_vain_keeps_nobody_from_the_failover() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2, default="start_checks=warn"))
        writer = Writer(cluster)
        seen_alive(manager)
        manager.process.send_signal(signal.SIGSTOP)
        cluster[1].signal_mysqld(signal.SIGKILL)
        with squat(cluster[1], Way.CLEAR):
            start = f"{cluster.kind.mysqld} --defaults-file=/etc/my.cnf --user=mysql"
            (cluster[1].upper / "loop.sh").write_text(f"while :; do {start} >/dev/null 2>&1; sleep 1; done\n")
            cluster[1].start("sh /loop.sh")
            manager.process.send_signal(signal.SIGCONT)
            code, acks = finish(manager, writer, seconds=60.0)
            assert code == 0, manager.log()
            assert "something else answers" in manager.log()
            assert_survivors_agree(cluster, acks, 2, (3,))
