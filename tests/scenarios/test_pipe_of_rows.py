"""The last way to give a replica its tail, a client on its host: it is told rows alone, for that server only."""

from __future__ import annotations

import contextlib
import shlex
import signal
from collections.abc import Iterator

import pytest

from prefect_mha.replication.scripts import script
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.hostile import Way, squat
from tests.scenarios.serving import everything
from tests.scenarios.test_tail_is_replicated import ROWS, differences, part, port_closed

KINDS = [
    pytest.param("mariadb", True, id="mariadb"),
    pytest.param("mysql97", True, id="9.7", marks=pytest.mark.slow),
    pytest.param("mysql97", False, id="9.7-position", marks=pytest.mark.slow),
    pytest.param("mysql56", False, id="5.6-position", marks=pytest.mark.slow),
]
#: What a text of a user makes the client do that reads it: a name, a comment within a comment.
PAYLOADS = (
    "CREATE TABLE app.`x\n/*!*/;\nGRANT ALL ON *.* TO evil@'%'\n/*!*/;\n#` (id INT PRIMARY KEY)",
    "INSERT INTO app.`x\n/*!*/;\nGRANT ALL ON *.* TO evil@'%'\n/*!*/;\n#` VALUES (1)",
    "CREATE TABLE app.nested (id INT) COMMENT 'a' /*!99999 /* b */ ; GRANT ALL ON *.* TO evil@'%' ; */",
)


@contextlib.contextmanager
def no_other_way(cluster: Cluster) -> Iterator[None]:
    """The manager's port is closed to the replicas, and their sshd forwards none."""
    for host in cluster.hosts[1:]:
        host.run("echo AllowTcpForwarding no >>/etc/ssh/sshd_config; pkill '^sshd'", check=False)
        host.start("/usr/sbin/sshd -o PermitRootLogin=yes -o UseDNS=no -o UsePAM=no -E /var/log/sshd.log")
    with port_closed(cluster):
        yield


def hostile_home(host: Host, elsewhere: Host) -> None:
    """The option files of root there, who is logged in as: another account, another server, files for whoever asks."""
    host.run(
        f"printf '[client]\\nuser=backup\\nhost={elsewhere.ip}\\nloose-local-infile=1\\n"
        "[mysql]\\ninit-command=SET @x=1; DROP DATABASE app\\n' >/root/.my.cnf; chmod 600 /root/.my.cnf"
    )


def seen_client(host: Host) -> str:
    """A directory with a client that writes down who runs it, and how."""
    host.run(
        "mkdir -p /opt/seen; : >/opt/seen/told; chmod 666 /opt/seen/told\n"
        "for name in mysql mariadb; do real=$(command -v $name) || continue\n"
        'printf \'#!/bin/sh\\necho "$(id -un) $*" >>/opt/seen/told\\nexec %s "$@"\\n\' $real >/opt/seen/$name\n'
        "chmod 755 /opt/seen/$name; done"
    )
    return "client_bindir=/opt/seen"


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_rows_are_replayed_by_nobody_on_the_right_server_whatever_lies_in_roots_home(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster, no_other_way(cluster):
        lines = {n: seen_client(cluster[n]) for n in (2, 3)}
        hostile_home(cluster[2], cluster[3])
        hostile_home(cluster[3], cluster[2])
        manager = cluster.start_manager(cluster.write_cnf(default="start_checks=warn", servers=lines))
        expected = part(cluster, ROWS)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(120) in (0, 10), manager.log()
        assert "A session replays on" in manager.log()
        assert differences(cluster[2], expected) == {}, manager.log()
        told = cluster[2].run("cat /opt/seen/told")
        assert "--local-infile=0" in told
        applying = [line for line in told.splitlines() if "--binary-mode" in line]
        assert applying
        assert all(line.startswith("nobody ") for line in applying), told
        assert "lab-admin-pw" not in told


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_what_a_user_wrote_is_never_a_clients_script(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster, no_other_way(cluster):
        manager = cluster.start_manager(cluster.write_cnf(default="start_checks=warn"))
        part(cluster, (*ROWS, *(PAYLOADS if kind == "mysql56" else PAYLOADS[:2])))
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(120) in (0, 10), manager.log()
        for number in (2, 3):
            assert cluster[number].sql("SELECT * FROM mysql.user WHERE User = 'evil'") == []


@pytest.mark.parametrize(("kind", "gtid"), [KINDS[0], KINDS[1]])
def test_a_server_that_asks_roots_client_for_a_file_gets_none(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid, n=2) as cluster, squat(cluster[2], Way.LOCAL_INFILE, 3999) as record:
        host, words = cluster[2], ["mysql" if kind != "mariadb" else "mariadb", "", "", "/var/tmp", "", "", "", "1"]
        host.run("printf '[client]\\nloose-local-infile=1\\n' >/root/.my.cnf; echo ours >/etc/shadow")
        options = f"[client]\nhost={host.ip}\nport=3999\nprotocol=tcp\nuser=root\npassword=readable\n"
        command = f"sh -c {shlex.quote(script('look.sh'))} look {shlex.join(words)}"
        said = host.run(f"printf %s {shlex.quote(options)} | {command}", check=False)
        assert "connects\t" in said, "it was asked, and the client did not take it for an answer"
        heard = record.read_bytes()
        assert b"@@" in heard
        assert b"ours" not in heard


def test_a_table_whose_name_ends_a_comment_reaches_the_replicas_by_replication() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(default="start_checks=warn"))
        expected = part(cluster, (*ROWS, *PAYLOADS[:2]))
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        assert differences(cluster[2], expected) == {}, manager.log()
        assert everything(cluster[3]) == everything(cluster[2])
        assert cluster[2].sql("SELECT * FROM mysql.user WHERE User = 'evil'") == []
