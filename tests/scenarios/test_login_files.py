"""Hosts whose login shell prints: what it prints is no answer, whoever is asked for whatever."""

from __future__ import annotations

import signal
import time

import pytest

from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.writer import Writer
from tests.scenarios.failing_over import assert_survivors_agree, finish

#: Words that our own scripts answer with are among it.
NOISE = "echo Welcome to db; echo server greeted; echo process 1 S; echo listening 3306; echo done; echo oops >&2\n"
SSHD = "/usr/sbin/sshd -o PermitRootLogin=yes -o UseDNS=no -o UsePAM=no -E /var/log/sshd.log"


def make_noisy(host: Host, *, internal: bool = True, wrapper: bool = False) -> None:
    """Root's .bashrc prints, or a wrapper around every command does, before it and after it.

    ``internal``: its sshd speaks SFTP itself; otherwise it starts sftp-server through the login shell, as Debian's.
    """
    host.run("cat >/root/.bashrc", data=NOISE)
    if internal:
        host.run("sed -i 's#^Subsystem.*#Subsystem sftp internal-sftp#' /etc/ssh/sshd_config")
    more = ""
    if wrapper:
        host.run("cat >/usr/local/bin/wrapper", data=f'#!/bin/bash\n{NOISE}eval "$SSH_ORIGINAL_COMMAND"\necho bye\n')
        host.run("chmod 755 /usr/local/bin/wrapper")
        more = " -o ForceCommand=/usr/local/bin/wrapper"
    host.run("pkill '^sshd'", check=False)
    host.start(SSHD + more)


@pytest.mark.parametrize(
    ("kind", "gtid", "internal", "wrapper"),
    [
        pytest.param("mariadb", False, True, False, id="mariadb-position"),
        pytest.param("mariadb", True, False, False, id="mariadb-gtid-sftp-server", marks=pytest.mark.slow),
        pytest.param("mysql97", True, False, True, id="9.7-gtid-wrapper", marks=pytest.mark.slow),
        pytest.param("mysql56", False, True, True, id="5.6-position-wrapper", marks=pytest.mark.slow),
    ],
)
def test_a_primary_dies_where_every_login_shell_prints(kind: str, gtid: bool, internal: bool, wrapper: bool) -> None:
    """Its replicas' hosts are asked for what they see, its own for its process, its log and the proof of the copy."""
    with Cluster(kind, gtid=gtid) as cluster:
        for host in cluster.hosts:
            make_noisy(host, internal=internal, wrapper=wrapper)
        manager = cluster.start_manager(cluster.write_cnf(candidate=2))
        writer = Writer(cluster)
        time.sleep(0.5)
        for number in (2, 3):
            cluster.stop_receiver(cluster[number])
        time.sleep(0.5)
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        assert_survivors_agree(cluster, acks, 2, (3,))
        assert "that no replica had" in manager.log()

        known = f"--options=-i {cluster.seat}/.ssh/id_ed25519"
        routes = (f"-s={cluster[2].ip}", f"-s={cluster[3].ip}", known)
        done = cluster.command("masterha_secondary_check", *routes, f"--master_host={cluster[1].ip}")
        assert done.code == 0, done
        done = cluster.command("masterha_secondary_check", *routes, f"--master_host={cluster[2].ip}")
        assert done.code == 3, done


def test_the_check_finds_a_fit_cluster_where_every_login_shell_prints() -> None:
    """SFTP, too, behind an sftp-server that the noisy shell starts."""
    with Cluster("mariadb", gtid=True) as cluster:
        for host in cluster.hosts:
            make_noisy(host, internal=False)
        done = cluster.command("masterha_check_repl", f"--conf={cluster.write_cnf()}")
        assert done.code == 0, done
        assert "MySQL Replication Health is OK." in done.output
