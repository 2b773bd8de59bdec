"""SSH as a plain user who may start root's helper with a few words: enough for every failover, and for nothing else."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_mha.config import ServerConfig, load_cluster
from prefect_mha.replication.fencing.kill import fence, present_on, unfence
from prefect_mha.replication.probes.host import ServerPaths
from prefect_mha.replication.ssh.host import SshHost
from tests.lab.cluster import Cluster
from tests.lab.neighbour import Neighbour
from tests.lab.plain_user import USER, as_plain_user, log_in
from tests.lab.writer import Writer
from tests.scenarios.failing_over import assert_survivors_agree, finish
from tests.scenarios.moving import bare, give

HELPER = "/usr/local/sbin/mha-host-3306"
NOT_ALLOWED = (
    "sh",
    HELPER,
    f"{HELPER} fence",
    f"{HELPER} fence 0 0 0",
    f'{HELPER} "fence 0" 0 x',
    f"{HELPER} close 10.0.0.1 22",
    f"{HELPER} part 10.0.0.1 22",
    f"{HELPER} unfence ssh.service",
    f"{HELPER} vitals /root",
    f"{HELPER} address acquire",
    f"{HELPER} keepalived stop",
    f"{HELPER}/../../../bin/sh",
    f"MHA_HOST_LIMITED=1 {HELPER} vitals",
)
PLACES = ServerPaths("/run/mysqld/mysqld.pid", (), "/var/lib/mysql", ("/var/lib/mysql",))


@contextlib.contextmanager
def watched(kind: str, gtid: bool) -> Iterator[tuple[Cluster, Path, str]]:
    """A cluster with an address, all of whose hosts know the manager as a plain user."""
    with Cluster(kind, gtid=gtid) as cluster:
        address = cluster.subnet.virtual(1)
        give(cluster, 1, address)
        conf = cluster.write_cnf(candidate=2, default=f"vip_provider=ip\nvip_addresses={address}")
        as_plain_user(cluster, conf)
        yield cluster, conf, bare(address)


def holds_address(cluster: Cluster, address: str) -> list[int]:
    return [h.number for h in cluster.hosts if h.pid and f" {address}/" in h.run("ip -o addr")]


@pytest.mark.parametrize(
    ("fault", "kind", "gtid"),
    [
        pytest.param("frozen", "mariadb", True, id="frozen-mariadb-gtid", marks=pytest.mark.slow),
        pytest.param("killed", "mariadb", True, id="killed-mariadb-gtid", marks=pytest.mark.slow),
        pytest.param("dark", "mariadb", True, id="dark-mariadb-gtid", marks=pytest.mark.slow),
        pytest.param("frozen", "mysql97", False, id="frozen-9.7-position", marks=pytest.mark.slow),
        pytest.param("killed", "mysql97", False, id="killed-9.7-position", marks=pytest.mark.slow),
        pytest.param("dark", "mysql97", False, id="dark-9.7-position", marks=pytest.mark.slow),
    ],
)
def test_a_plain_user_fences_saves_and_moves_as_root_does(fault: str, kind: str, gtid: bool) -> None:
    with watched(kind, gtid) as (cluster, conf, address):
        manager = cluster.start_manager(conf)
        writer = Writer(cluster)
        time.sleep(0.5)
        if fault == "dark":
            cluster[1].power_off()
        else:
            for number in (3, 2):
                cluster.stop_receiver(cluster[number])
            time.sleep(0.5)
            cluster[1].signal_mysqld(signal.SIGSTOP if fault == "frozen" else signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        assert_survivors_agree(cluster, acks, 2, (3,))
        assert holds_address(cluster, address) == [2]
        if fault != "dark":
            assert "that no replica had" in manager.log()
            assert cluster[1].mysqld_pids() == []
        assert ("ssh (proof): killed mysqld" in manager.log()) == (fault == "frozen")
        assert "sudo" not in manager.log(), "nothing was missed"
        assert "is held read-only since" in cluster.command("mha", "status", f"--conf={conf}").output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "gtid"), [("mariadb", True), ("mysql97", False)], ids=["mariadb-gtid", "9.7-position"]
)
def test_a_plain_user_moves_the_role_and_the_address(kind: str, gtid: bool) -> None:
    with watched(kind, gtid) as (cluster, conf, address):
        writer = Writer(cluster)
        time.sleep(0.5)
        words = (
            "--master_state=alive",
            f"--new_master_host={cluster[2].ip}",
            "--orig_master_is_new_slave",
            "--interactive=0",
        )
        done = cluster.command("masterha_master_switch", f"--conf={conf}", *words)
        time.sleep(0.5)
        acks = writer.stop()
        assert done.code == 0, done
        assert_survivors_agree(cluster, acks, 2, (1, 3))
        assert holds_address(cluster, address) == [2]
        assert "sudo" not in done.output


# one host ------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def over(cluster: Cluster, conf: Path, number: int = 1) -> Iterator[tuple[SshHost, ServerConfig]]:
    with cluster.in_manager_net():
        server = load_cluster(conf, None).servers[number - 1]
        ssh = SshHost(server)
        try:
            ssh.connect()
            yield ssh, server
        finally:
            ssh.close()


def test_who_has_the_plain_users_key_does_nothing_else_as_root() -> None:
    """He stops this one server at most: no other one of the host, no unit, no file, nothing by words of his own."""
    with Cluster("mariadb", n=1, extra={1: "!includedir /etc/mysql/conf.d/"}, up=False) as cluster:
        host = cluster[1]
        host.run("mkdir -p /etc/mysql/conf.d && rm -f /etc/mysql/conf.d/*")
        host.start_mysqld()
        neighbour = Neighbour(host)
        conf = cluster.write_cnf()
        as_plain_user(cluster, conf)
        other = neighbour.pid
        for words in NOT_ALLOWED:
            said = host.run(f"su {USER} -c 'sudo -n {words} 2>&1 </dev/null; echo $?'")
            assert not said.endswith("\n0\n"), (words, said)
        host.run(f"su {USER} -c 'touch {HELPER} /etc/sudoers.d/x' 2>&1 | grep -c denied | grep -qx 2")

        # A link to a file of root's, by whoever may write where fencing looks; units and files that it did not make.
        host.run("echo secret >/root/kept && touch /etc/mysql/conf.d/zz-mha-fenced.cnf.mine")
        host.signal_mysqld(signal.SIGSTOP)
        with over(cluster, conf) as (ssh, server):
            elsewhere = ServerPaths("/run/none.pid", (), "/srv/other", ("/srv/other",))
            done = fence(ssh, server, elsewhere, persist=True)
            assert done.sure, done
            assert done.persisted == ("/etc/mysql/conf.d/zz-mha-fenced.cnf",)
            assert not present_on(ssh, server, PLACES, timeout=10.0).runs
            assert neighbour.pid == other, "what the manager says of places counts nothing"
            traces = (*done.persisted, "ssh.service", "/root/zz-mha-fenced.cnf")
            assert set(unfence(ssh, server, traces)) == {
                "removed /etc/mysql/conf.d/zz-mha-fenced.cnf",
                "kept ssh.service",
                "kept /root/zz-mha-fenced.cnf",
            }
            assert host.run("ls /etc/mysql/conf.d /var/lib/mha-host") == (
                "/etc/mysql/conf.d:\nzz-mha-fenced.cnf.mine\n\n/var/lib/mha-host:\n"
            )


def test_what_a_plain_user_lacks_is_said_before_and_in_the_step() -> None:
    with Cluster("mariadb", n=1) as cluster:
        conf = cluster.write_cnf()
        conf.write_text(conf.read_text().replace("ssh_user=root", f"ssh_user={USER}"))
        log_in(cluster[1])
        cluster[1].signal_mysqld(signal.SIGSTOP)
        line = f"{USER} ALL=(root) NOPASSWD: {HELPER} …"
        with over(cluster, conf) as (ssh, server):
            done = fence(ssh, server, PLACES)
            assert not done.sure
            assert f"{USER} is not root, and {HELPER} is not there" in done.cannot, done
            assert line in done.cannot
            cluster[1].run(f"echo '#!/bin/sh' >{HELPER}; chmod 755 {HELPER}")
            done = fence(ssh, server, PLACES)
            assert f"sudo does not let {USER} start {HELPER}" in done.cannot, done
        cluster[1].signal_mysqld(signal.SIGCONT)
        said = cluster.command("masterha_check_ssh", f"--conf={conf}").output
        assert f"sudo does not let {USER} start {HELPER}" in said, said
        assert f"`{USER} ALL=(root) NOPASSWD: {HELPER} fence 0 0`" in said


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mariadb", "mysql97", "mysql56"])
def test_a_host_that_does_not_show_its_mysqld_is_told_beforehand(kind: str) -> None:
    """A /proc that hides others' processes, and SSH that leads to another host: a fence would stop nothing there."""
    with Cluster(kind, n=4) as cluster:
        conf = cluster.write_cnf(apart=(4,), servers={3: f"ssh_host={cluster[3].ip}"})
        conf.write_text(conf.read_text().replace("ssh_user=root", f"ssh_user={USER}"))
        for host in cluster.hosts:
            log_in(host)

        def unseen() -> list[tuple[str, str]]:
            said = cluster.command("masterha_check_repl", f"--conf={conf}", "--output=json").output
            checks = json.loads(said[said.index("{\n") : said.rindex("}") + 1])["checks"]
            seen = [check for check in checks if check["name"] == "process-seen"]
            assert len(seen) == 3, said
            return [(check["severity"], check["subject"].split("(")[0]) for check in seen if not check["ok"]]

        assert unseen() == []
        cluster[2].run("mount -o remount,hidepid=2 /proc")
        assert unseen() == [("warning", cluster[2].ip)]
        with over(cluster, conf, 2) as (ssh, server):
            assert not fence(ssh, server, PLACES).sure, "what it is told for"
        cluster[2].run("mount -o remount,hidepid=0 /proc")
        cluster[4].stop_mysqld()
        conf.write_text(conf.read_text().replace(f"ssh_host={cluster[3].ip}", f"ssh_host={cluster[4].ip}"))
        assert unseen() == [("error", cluster[3].ip)]
        with over(cluster, conf, 3) as (ssh, server):
            assert fence(ssh, server, PLACES).sure, "what it is told for"
        assert cluster[3].mysqld_pids()
