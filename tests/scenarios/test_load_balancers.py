"""The real keepalived and the real HAProxy through a failover under load."""

from __future__ import annotations

import json
import signal
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.lab.bench_switch import switch
from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.network import inside
from tests.lab.writer import Writer, outage
from tests.scenarios.moving import wait_until
from tests.scenarios.reading import reading
from tests.scenarios.watching import Monitor

HEALTH = 8900
WRITES, READS, STATISTICS = 3307, 3308, 8404
MAX_LAG = 2
KINDS = ["mariadb", pytest.param("mysql97", marks=pytest.mark.slow)]


def start_haproxy(cluster: Cluster, on: Host, conf: Path) -> str:
    """HAProxy with the configuration that the command writes; returns that."""
    done = cluster.command("mha", "haproxy-config", "--conf", str(conf))
    assert done.code == 0, done
    on.run("mkdir -p /run/haproxy /var/lib/haproxy; cat >/etc/haproxy/haproxy.cfg", data=done.output)
    on.run("haproxy -c -f /etc/haproxy/haproxy.cfg")
    on.start("haproxy -W -D -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid")
    wait_until(lambda: "mha_writer" in socket_of(on, "show servers state"), "HAProxy answers")
    return done.output


def socket_of(on: Host, command: str) -> str:
    """What the admin socket answers."""
    ask = "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => '/run/haproxy/admin.sock') or exit 1;"
    return on.run(f'perl -e "{ask.replace("$", chr(92) + "$")} print \\$s qq({command}\\n); print <\\$s>"', check=False)


def balanced(cluster: Cluster, proxy: Host, way: str = "ssh") -> str:
    """Lines of a configuration with a proxy on that host."""
    url = f"ssh://root@{proxy.ip}/run/haproxy/admin.sock" if way == "ssh" else f"tcp://{proxy.ip}:9999"
    return (
        f"vip_provider=haproxy\nhaproxy_sockets={url}\nhealth_port={HEALTH}\nhaproxy_max_lag={MAX_LAG}\n"
        f"health_url={cluster.subnet.prefix}.1:{HEALTH}\n"
    )


def page_of(cluster: Cluster, proxy: Host, backend: str) -> str:
    """That backend's servers on the page of statistics."""
    with (
        inside(cluster.subnet.manager),
        urllib.request.urlopen(f"http://{proxy.ip}:{STATISTICS}/;csv", timeout=3) as page,
    ):
        return "\n".join(line for line in page.read().decode().splitlines() if line.startswith(f"{backend},"))


def health(cluster: Cluster, path: str) -> tuple[int, dict[str, Any]]:
    """Status and document of one request to the manager, sent from the last host."""
    url = f"http://{cluster.subnet.prefix}.1:{HEALTH}{path}"
    with inside(cluster.subnet.host(cluster.n)):
        try:
            with urllib.request.urlopen(url, timeout=3) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.mark.parametrize("kind", KINDS)
def test_writes_and_reads_through_haproxy_while_the_primary_dies(kind: str) -> None:
    """Writes never reach a replica, reads never a broken or a lagging one, and a reload forgets nothing."""
    with Cluster(kind, gtid=True, n=4) as cluster:
        replica = cluster.kind.word("REPLICA", "SLAVE")
        proxy = cluster[4]
        proxy.signal_mysqld(signal.SIGKILL)
        conf = cluster.write_cnf(candidate=2, default=balanced(cluster, proxy), apart=(4,))
        start_haproxy(cluster, proxy, conf)
        words = ["-m", "prefect_mha.commands.mha", "monitor", "--conf", str(conf)]
        monitor = cluster.run_there(sys.executable, *words)
        log = conf.with_suffix("") / "manager.log"
        try:
            wait_until(lambda: log.exists() and "waiting until MySQL doesn't respond" in log.read_text(), "it watches")
            writer = Writer(cluster, only=f"{proxy.ip}:{WRITES}")
            with reading(cluster, proxy.ip, READS) as reader:
                wait_until(lambda: reader.servers(time.time() - 0.5) == {2, 3}, "both replicas are read from")
                # A replica that stands still, and then one whose applier is broken: both must leave.
                cluster[3].sql(f"STOP {replica} SQL_THREAD")
                wait_until(lambda: reader.servers(time.time() - 0.5) == {2}, "the stopped replica is not read from")
                cluster[3].sql(f"START {replica} SQL_THREAD")
                wait_until(lambda: reader.servers(time.time() - 0.5) == {2, 3}, "it is read from again")
                cluster[3].sql(f"STOP {replica} IO_THREAD")
                stopped = time.time()
                wait_until(lambda: reader.servers(time.time() - 0.5) == {2}, "the lagging replica is not read from")
                late = [read.at for read in reader.seen if read.number == 3 and read.at > stopped + MAX_LAG + 3.0]
                assert not late
                cluster[3].sql(f"START {replica} IO_THREAD")
                killed = time.time()
                cluster[1].signal_mysqld(signal.SIGKILL)
                wait_until(lambda: "completed successfully" in log.read_text(), "the failover is over", 40)
                wait_until(lambda: reader.servers(time.time() - 0.5) == {3}, "the replica left is read from", 40)
                done = time.time()
                cluster[4].run("kill -USR2 $(cat /run/haproxy.pid)")
                time.sleep(1.5)
                acks = writer.stop()
            pause = outage(acks)
            print(f"\nno write for {pause.seconds:.2f} s; {len(reader.failed)} reads failed of {len(reader.seen)}")
            assert pause.last.at - 1.0 < killed < pause.first.at < killed + 15.0
            assert acks[-1].at > done, "writes go on after the reload"
            assert account(acks, [cluster[2], cluster[3]]).rows_lost == 0
            assert not account(acks, [cluster[2]]).split
            assert "sends writes to" in log.read_text()
            assert health(cluster, f"/primary/{cluster[2].ip}")[0] == 200
            assert health(cluster, f"/replica/{cluster[3].ip}?max_lag=5")[0] == 200
            assert health(cluster, f"/replica/{cluster[2].ip}")[0] == 503
            assert health(cluster, f"/primary/{cluster[1].ip}")[0] == 503
        finally:
            monitor.kill()
            monitor.wait(10)
        # The manager is gone, and with it every check: reads go where writes go.
        with reading(cluster, proxy.ip, READS) as reader:
            wait_until(lambda: reader.servers(time.time() - 0.5) == {2}, "the primary takes the reads", 15)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mariadb", "mysql97"])
def test_writes_and_reads_through_haproxy_while_the_primary_is_switched(kind: str) -> None:
    """There and back, with a manager that watches: each time reads leave the new primary, and come to the old one."""
    with Cluster(kind, gtid=True, n=4) as cluster:
        proxy = cluster[4]
        proxy.signal_mysqld(signal.SIGKILL)
        conf = cluster.write_cnf(default=balanced(cluster, proxy), apart=(4,))
        start_haproxy(cluster, proxy, conf)
        monitor = Monitor(cluster, conf)
        try:
            writer = Writer(cluster, only=f"{proxy.ip}:{WRITES}", sessions=4, interval=0.1)
            with reading(cluster, proxy.ip, READS) as reader:
                for to, replicas in ((2, {1, 3}), (1, {2, 3})):
                    began = time.time()
                    assert switch(cluster, conf, to) == 0
                    done = time.time()
                    wait_until(lambda at=done: writer.acks()[-1].at > at, "the clients write again")  # type: ignore[misc]
                    wait_until(
                        lambda wanted=replicas: reader.servers(time.time() - 0.5) == wanted,  # type: ignore[misc]
                        f"reads go to {replicas}",
                    )
                    pause = outage([ack for ack in writer.acks() if ack.at > began]).seconds
                    print(f"\n{cluster.name}: to db{to}: no write for {pause:.2f} s")
                    assert pause < 5.0
                print(f"{len(reader.failed)} reads failed of {len(reader.seen)}")
            result = account(writer.stop(), cluster.hosts[:3])
            assert result.rows_lost == 0, result
            assert result.equal, result
        finally:
            monitor.stop()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mariadb", "mysql97"])
def test_no_read_is_later_than_the_limit_through_a_lag_a_switch_and_a_failover(kind: str) -> None:
    """Readers that keep their session and readers that do not, a writer, and the page of statistics."""
    with Cluster(kind, gtid=True, n=4) as cluster, ExitStack() as running:
        replica = cluster.kind.word("REPLICA", "SLAVE")
        proxy = cluster[4]
        proxy.signal_mysqld(signal.SIGKILL)
        more = f"haproxy_stats_port={STATISTICS}"
        conf = cluster.write_cnf(candidate=1, default=balanced(cluster, proxy) + more, apart=(4,))
        start_haproxy(cluster, proxy, conf)
        monitor = Monitor(cluster, conf)
        running.callback(monitor.stop)
        writer = Writer(cluster, only=f"{proxy.ip}:{WRITES}")
        readers = [running.enter_context(reading(cluster, proxy.ip, READS))]

        def read_from(*numbers: int) -> bool:
            return set().union(*(r.servers(time.time() - 0.5) for r in readers)) == set(numbers)

        wait_until(lambda: read_from(2, 3), "both replicas are read from")
        # Earlier, while nobody had told HAProxy of the replicas, its session would have come to the primary, and stay.
        readers.append(running.enter_context(reading(cluster, proxy.ip, READS, keep=True)))
        cluster[3].sql(f"STOP {replica} IO_THREAD")
        wait_until(lambda: read_from(2), "the late replica is not read from")
        wait_until(lambda: writer.acks()[-1].at > readers[1].seen[-1].at - 1.0, "writes go on")
        late = [reader.latest(writer.acks()) for reader in readers]
        cluster[3].sql(f"START {replica} IO_THREAD")
        wait_until(lambda: read_from(2, 3), "it is read from again")
        began = time.time()
        assert switch(cluster, conf, 2) == 0
        wait_until(lambda: read_from(1, 3), "the old primary is read from")
        switched = time.time()
        assert "MAINT" not in page_of(cluster, proxy, "mha_reader"), "all of them are shown, and may be read from"
        cluster[2].signal_mysqld(signal.SIGKILL)
        monitor.wait_for("Master failover to")
        # Who kept a session that came to the primary while no replica was fit keeps it.
        wait_until(lambda: readers[0].servers(time.time() - 0.5) == {3}, "the replica left is read from", 40)
        done = time.time()
        wait_until(lambda: writer.acks()[-1].at > done, "writes go on")
        acks = writer.stop()
        for reader in readers:
            reader.stop()
        gaps = [
            outage([a for a in acks if since < a.at < until]).seconds
            for since, until in ((began, switched), (switched, 1e12))
        ]
        waits = [reader.longest_wait() for reader in readers]
        print(f"\n{cluster.name}: late {late} s while a replica lagged; {[r.latest(acks) for r in readers]} s at all")
        print(
            f"readers waited {waits} s, {[len(r.failed) for r in readers]} of {[len(r.seen) for r in readers]} failed"
        )
        print(f"no write for {gaps[0]:.2f} s at the switch, for {gaps[1]:.2f} s at the failover")
        assert all(reader.latest(acks) < MAX_LAG + 3.0 for reader in readers)
        assert all(wait < 3.0 for wait in waits)
        assert gaps[0] < 5.0 and gaps[1] < 15.0
        result = account(acks, [cluster[1], cluster[3]])
        assert result.rows_lost == 0 and result.equal, result
