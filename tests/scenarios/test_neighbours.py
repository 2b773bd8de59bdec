"""The dead primary's host has other servers: they are told from it, and whatever happens to it, they live."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator

import pytest

from prefect_mha.config import ServerConfig, load_cluster
from prefect_mha.replication.detection.observation import Finding, Observer
from prefect_mha.replication.fencing.kill import fence, present_on
from prefect_mha.replication.probes.host import ServerPaths, look_at
from prefect_mha.replication.ssh.host import SshHost
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.neighbour import CONTAINER, Neighbour
from tests.lab.waiting import until
from tests.lab.writer import Writer
from tests.scenarios.failing_over import assert_survivors_agree, finish
from tests.scenarios.moving import wait_until

PLACES = ServerPaths("/run/mysqld/mysqld.pid", datadir="/var/lib/mysql")
NOTHING = ServerPaths()


@pytest.fixture(scope="module", params=["mariadb", pytest.param("mysql97", marks=pytest.mark.slow)])
def alone(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with Cluster(request.param, n=1) as cluster:
        let_in_as_mysql(cluster[1])
        yield cluster


def let_in_as_mysql(host: Host) -> None:
    """The server's own user may log in there."""
    # usermod refuses while a server runs as that user.
    host.run(
        "sed -i 's#^\\(mysql:[^:]*:[^:]*:[^:]*:[^:]*\\):.*#\\1:/home/mysql:/bin/bash#' /etc/passwd && "
        "sed -i 's#^mysql:[^:]*:#mysql:*:#' /etc/shadow && mkdir -p /home/mysql/.ssh && "
        "cp /root/.ssh/authorized_keys /home/mysql/.ssh/ && chown -R mysql:mysql /home/mysql && "
        "chmod 700 /home/mysql /home/mysql/.ssh"
    )


@pytest.fixture
def host(alone: Cluster) -> Iterator[Host]:
    if not alone[1].mysqld_pids():
        alone[1].start_mysqld()
    yield alone[1]
    alone[1].run("pkill -9 'mysqld|mariadbd'; sleep 0.1; pkill -9 -x 'mysqld|mariadbd'", check=False)
    # One that is dying would be taken for one that runs, and not be started.
    wait_until(lambda: not alone[1].mysqld_pids(), "all are gone")


@contextlib.contextmanager
def over(cluster: Cluster, user: str) -> Iterator[tuple[SshHost, ServerConfig]]:
    with cluster.in_manager_net():
        server = load_cluster(cluster.write_cnf(), None).servers[0]
    server = server.model_copy(update={"ssh_user": user})
    ssh = SshHost(server)
    try:
        with cluster.in_manager_net():
            ssh.connect()
        yield ssh, server
    finally:
        ssh.close()


def seen(ssh: SshHost, server: ServerConfig, places: ServerPaths) -> Finding:
    return next(o.finding for o in look_at(ssh, server, places, timeout=5.0).seen if o.source is Observer.PROCESS)


def main_pid(host: Host) -> int:
    return int(host.run("cat /run/mysqld/mysqld.pid"))


@pytest.mark.parametrize(
    ("user", "places"),
    [
        pytest.param("mysql", PLACES, id="mysql-known"),
        pytest.param("mysql", NOTHING, id="mysql-unknown"),
        pytest.param("root", PLACES, id="root-known", marks=pytest.mark.slow),
        pytest.param("root", NOTHING, id="root-unknown", marks=pytest.mark.slow),
    ],
)
def test_a_second_instance_lives_while_the_first_is_killed_and_is_not_taken_for_it_afterwards(
    alone: Cluster, host: Host, user: str, places: ServerPaths
) -> None:
    """The server's own user sees no listener's process: only files tell one instance from the other."""
    neighbour, ours = Neighbour(host), main_pid(host)
    other = neighbour.pid
    with over(alone, user) as (ssh, server):
        assert seen(ssh, server, places) is Finding.RUNNING
        fenced = fence(ssh, server, places)
        assert (fenced.killed, fenced.sure) == ((ours,), True), fenced
        assert seen(ssh, server, places) is Finding.GONE
        assert not present_on(ssh, server, places, timeout=5.0).runs
        again = fence(ssh, server, places)
        assert (again.killed, again.sure, again.supervisors) == ((), True, ()), again
    assert neighbour.pid == other
    assert neighbour.alive


@pytest.mark.parametrize("user", ["root", pytest.param("mysql", marks=pytest.mark.slow)])
def test_another_applications_server_in_a_network_of_its_own_is_nobody_of_ours(
    alone: Cluster, host: Host, user: str
) -> None:
    """As in a container: it has the same port there, and no listener of it is seen here."""
    neighbour, ours = Neighbour(host, 3306, apart=True), main_pid(host)
    other = neighbour.pid
    with over(alone, user) as (ssh, server):
        host.run(f"kill -STOP {ours}")
        assert seen(ssh, server, PLACES) is Finding.STOPPED
        fenced = fence(ssh, server, PLACES)
        assert (fenced.killed, fenced.sure) == ((ours,), True), fenced
        assert seen(ssh, server, PLACES) is Finding.GONE
        assert fence(ssh, server, PLACES).sure
        if user == "root":
            assert fence(ssh, server).sure
    assert neighbour.pid == other


@pytest.mark.parametrize("alone", ["mariadb"], indirect=True)
def test_the_supervisor_of_another_instance_lives(alone: Cluster, host: Host) -> None:
    """Its option file, which it was started with, says that it is another's; MySQL's image has no mysqld_safe."""
    neighbour = Neighbour(host, safe=True)
    other = neighbour.pid
    with over(alone, "root") as (ssh, server):
        for _ in range(2):
            fenced = fence(ssh, server, PLACES)
            assert fenced.sure, fenced
            assert fenced.supervisors == ()
    assert host.run("pgrep -fc 'mariadbd-saf[e] --defaults'").strip() != "0"
    host.run(f"kill -9 {other}")
    until(lambda: neighbour.pid not in (0, other), "nobody starts it again", 20)


def test_a_server_at_another_address_of_the_same_port_is_another(alone: Cluster, host: Host) -> None:
    ours = main_pid(host)
    host.run(f"kill -9 {ours}; while [ -d /proc/{ours} ]; do sleep 0.02; done")
    neighbour = Neighbour(host, 3306, address="127.0.0.2")
    other = neighbour.pid
    with over(alone, "root") as (ssh, server):
        for places in (PLACES, NOTHING):
            assert seen(ssh, server, places) is Finding.GONE
            assert not present_on(ssh, server, places, timeout=5.0).runs
            fenced = fence(ssh, server, places)
            assert (fenced.sure, fenced.killed) == (True, ()), fenced
    assert neighbour.pid == other


@pytest.mark.slow
def test_a_container_that_the_port_is_published_to_is_ours_and_one_that_may_be_is_left_alone(
    alone: Cluster, host: Host
) -> None:
    """docker-proxy says where it passes connections on to; without a word of whom, nobody is killed and it is said."""
    ours = main_pid(host)
    host.run(f"kill -9 {ours}; while [ -d /proc/{ours} ]; do sleep 0.02; done")
    neighbour = Neighbour(host, 3306, apart=True)
    other = neighbour.pid
    listener = "$s = IO::Socket::INET->new(LocalPort => 3306, Listen => 5, ReuseAddr => 1); sleep 600"
    listen = f"perl -MIO::Socket::INET -e '{listener}' --"
    with over(alone, "root") as (ssh, server):
        host.start(f"{listen} -proto tcp")
        wait_until(lambda: ":3306 " in host.run("ss -Hltn"), "it listens")
        assert seen(ssh, server, PLACES) is Finding.NO_VIEW
        fenced = fence(ssh, server, PLACES)
        assert (fenced.sure, fenced.killed, neighbour.pid) == (False, (), other), fenced
        host.run("pkill -f IO::Socket::INE[T]")
        wait_until(lambda: ":3306 " not in host.run("ss -Hltn"), "it is gone")
        assert seen(ssh, server, PLACES) is Finding.GONE
        host.start(f"{listen} -proto tcp -container-ip {CONTAINER} -container-port 3306")
        wait_until(lambda: ":3306 " in host.run("ss -Hltn"), "it listens")
        fenced = fence(ssh, server, PLACES)
        assert fenced.killed == (other,), fenced
        host.run("pkill -f IO::Socket::INE[T]")


def test_whose_a_server_is_that_nothing_tells_is_said_and_it_is_left_alone(alone: Cluster, host: Host) -> None:
    """Its option file is closed to us, and where the dead one's data was is not known."""
    neighbour, ours = Neighbour(host, closed=True), main_pid(host)
    other = neighbour.pid
    host.run(f"kill -9 {ours}; while [ -d /proc/{ours} ]; do sleep 0.02; done")
    with over(alone, "mysql") as (ssh, server):
        assert seen(ssh, server, NOTHING) is Finding.NO_VIEW
        fenced = fence(ssh, server, NOTHING)
        assert not fenced.sure
        assert f"may be another's, and was left alone: process {other}: nothing tells its port" in fenced.cannot
        # Where it is known whose data is whose, the locks of its files tell.
        assert seen(ssh, server, PLACES) is Finding.GONE
        assert fence(ssh, server, PLACES).sure
    assert neighbour.pid == other


@pytest.mark.parametrize(
    ("user", "kind"),
    [
        ("mysql", "mariadb"),
        pytest.param("root", "mariadb", marks=pytest.mark.slow),
        pytest.param("root", "mysql97", marks=pytest.mark.slow),
    ],
)
def test_a_primary_that_is_gone_is_gone_although_other_servers_run_on_its_host(user: str, kind: str) -> None:
    with Cluster(kind, gtid=True) as cluster:
        for each in cluster.hosts:
            let_in_as_mysql(each)
        neighbours = [Neighbour(cluster[1]), Neighbour(cluster[1], 3306, apart=True)]
        pids = [each.pid for each in neighbours]
        conf = cluster.write_cnf(candidate=2, default="start_checks=warn")
        conf.write_text(conf.read_text().replace("ssh_user=root", f"ssh_user={user}"))
        manager = cluster.start_manager(conf)
        writer = Writer(cluster)
        time.sleep(0.5)
        cluster[1].run(f"kill -{int(signal.SIGKILL)} {main_pid(cluster[1])}")
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        assert_survivors_agree(cluster, acks, 2, (3,))
        assert "no mysqld runs there" in manager.log()
        assert [each.pid for each in neighbours] == pids, manager.log()
