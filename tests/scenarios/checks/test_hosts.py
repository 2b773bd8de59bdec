"""Hosts and scripts: each check speaks of what is broken there."""

from __future__ import annotations

import re
import time

from tests.lab.cluster import Cluster
from tests.scenarios.checks.telling import NOT_PASSED, PASSED, Told, statement, well_within

#: What a user without rights is told that he lacks.
LACKING = ("fence", "relay-log-info", "host-tools", "host-helper")


# hosts ---------------------------------------------------------------------------------------------------------------


def test_a_wrong_ssh_port(cluster: Cluster) -> None:
    conf = cluster.write_cnf("port", servers={2: "ssh_port=2299"})
    check = Told(cluster, conf).of("ssh", cluster[2].ip)
    assert "refused" in check["text"].lower()
    assert statement(check) == f"ssh -p 2299 root@{cluster[2].ip}"
    ssh = cluster.command("masterha_check_ssh", f"--conf={conf}")
    assert (ssh.code, ssh.output.rstrip().splitlines()[-1]) == (1, NOT_PASSED)
    skipped = cluster.write_cnf("skipped", servers={2: "ssh_port=2299\nskip_init_ssh_check=1"})
    assert cluster.command("masterha_check_ssh", f"--conf={skipped}").code == 0
    assert Told(cluster, conf, "--skip_check_ssh").code == 0


def test_a_host_without_sftp(cluster: Cluster) -> None:
    host = cluster[2]
    options = "-o PermitRootLogin=yes -o UseDNS=no -o UsePAM=no -o PidFile=/run/other.pid"
    host.run(f"/usr/sbin/sshd -f /dev/null -p 2222 {options}")
    open_door = f"ssh_port=2222\nssh_options=-i {cluster.seat}/.ssh/id_ed25519 -o StrictHostKeyChecking=no"
    server = "/usr/lib/openssh/sftp-server"
    host.run(f"mv {server} {server}.away")
    try:
        check = Told(cluster, cluster.write_cnf("nosftp", servers={2: open_door})).of("sftp", host.ip)
        assert statement(check) == "Subsystem sftp internal-sftp"
    finally:
        host.run(f"mv {server}.away {server}; kill $(cat /run/other.pid)")


def test_an_ssh_user_with_too_few_rights(cluster: Cluster) -> None:
    host = cluster[2]
    host.run(
        "useradd -m -s /bin/bash -p '*' ops && mkdir /home/ops/.ssh && cp /root/.ssh/authorized_keys /home/ops/.ssh/ "
        "&& chown -R ops /home/ops && chmod 700 /var/lib/mysql"
    )
    host.run("mkdir -m 700 /var/lab-closed")
    conf = cluster.write_cnf("ops", servers={2: "ssh_user=ops\nremote_workdir=/var/lab-closed"})
    told = Told(cluster, conf)
    assert told.code == 1
    assert "/var/lib/mysql: permission denied" in told.of("binlog-directory", host.ip)["text"]
    assert "/var/lib/mysql: permission denied" in told.of("relay-log-directory", host.ip)["text"]
    assert "writable for ops" in told.of("remote-workdir", host.ip)["hint"]
    fence = told.of("fence", host.ip)
    assert (fence["severity"], fence["text"]) == ("warning", "ops may not kill mysqld")
    assert "give ops read access" in told.of("binlog-directory", host.ip)["hint"]
    host.run("usermod -aG mysql ops && chmod 750 /var/lib/mysql && chown ops /var/lab-closed")
    told = Told(cluster, conf)
    assert [name for name, _, _ in told.not_ok if name not in LACKING] == []


def test_programs_of_another_version_or_none(cluster: Cluster) -> None:
    host, mariadb = cluster[2], cluster.kind.mariadb
    names = ("mariadb-binlog", "mariadb") if mariadb else ("mysqlbinlog", "mysql")
    says = ("{n} from 10.3.1-MariaDB, client 3.5", "{n} Ver 15.1 Distrib 10.3.1-MariaDB, for Linux")
    if not mariadb:
        says = ("{n}  Ver 5.5.62 for Linux on x86_64", "{n}  Ver 14.14 Distrib 5.5.62, for Linux")
    host.run("mkdir -p /opt/old")
    for name, text in zip(names, says, strict=True):
        host.run(f"cat >/opt/old/{name} && chmod +x /opt/old/{name}", data=f"#!/bin/sh\necho {text.format(n=name)}\n")
    conf = cluster.write_cnf("old", servers={2: "client_bindir=/opt/old"})
    told = Told(cluster, conf)
    assert told.code == 1
    reader, client = told.of("mysqlbinlog", host.ip), told.of("mysql-client", host.ip)
    assert "older than the server's" in reader["text"]
    assert (reader["severity"], client["severity"]) == ("error", "warning")
    assert ("MariaDB 10.11 or newer" if mariadb else "MySQL ") in reader["hint"]
    host.run(f"chmod -x /opt/old/{names[0]}")
    hidden = " ".join(f"$(command -v {name})" for name in ("mysqlbinlog", *(["mariadb-binlog"] if mariadb else [])))
    host.run(f"for f in {hidden}; do mv $f $f.away; done")
    assert Told(cluster).of("mysqlbinlog", host.ip)["text"] == "there is no mysqlbinlog"
    host.run("for f in /usr/bin/*.away; do mv $f ${f%.away}; done")


def test_a_host_with_a_wrong_clock_and_without_ss(cluster: Cluster) -> None:
    host = cluster[2]
    fake = "/usr/local/bin/date"
    host.run(f"cat >{fake} && chmod +x {fake}", data='#!/bin/sh\nexec /bin/date -d "+90 seconds" "$@"\n')
    host.run("ss=$(command -v ss); echo $ss >/lab-ss; mv $ss $ss.away")
    told = Told(cluster)
    assert told.code == 0
    assert told.of("host-clock", host.ip)["text"] == "its clock is 90 s ahead of this machine's"
    tools = told.of("host-tools", host.ip)
    assert (tools["text"], tools["hint"]) == ("ss missing", f"install iproute2 on {host.ip}")
    host.run(f"rm {fake}; mv $(cat /lab-ss).away $(cat /lab-ss)")
    well_within(cluster, 3)


def test_a_disk_that_is_full(cluster: Cluster) -> None:
    usual = [c for c in Told(cluster).checks if c["name"] == "free-disk" and not c["ok"]]
    assert [(c["severity"], c["subject"].split("(")[0]) for c in usual] == [("warning", cluster[3].ip)]
    cluster[3].fill_disk()
    told = Told(cluster)
    cluster[3].free_disk()
    assert told.code == 1
    full = told.of("free-disk", cluster[3].ip)
    assert (full["severity"], full["hint"]) == (
        "error",
        f"free space on the disk of /var/lib/mysql/ on {cluster[3].ip}",
    )


def test_places_that_do_not_exist(cluster: Cluster) -> None:
    conf = cluster.write_cnf(
        "places",
        default="remote_workdir=/etc/passwd/x\nmaster_binlog_dir=/nowhere",
        blocks=f"[binlog1]\nhostname={cluster[3].ip}\nmaster_binlog_dir=/srv/none",
    )
    told = Told(cluster, conf)
    assert told.code == 1
    assert told.of("remote-workdir", cluster[1].ip)["text"] == "/etc/passwd is no directory"
    logs = told.of("binlog-directory", cluster[1].ip)
    assert (logs["severity"], "is in /var/lib/mysql" in logs["text"]) == ("warning", True)
    assert told.of("binlog-server")["severity"] == "error"
    assert "/srv/none: there is no such directory" in told.of("binlog-server")["text"]
    conf.write_text(re.sub(r"manager_workdir=.*", "manager_workdir=/etc/passwd/x", conf.read_text()))
    assert Told(cluster, conf).of("manager-workdir")["text"] == "/etc/passwd is no directory"


def test_a_place_in_relay_logs_that_is_lost(cluster: Cluster) -> None:
    if cluster.kind.modern:
        assert all(c["ok"] for c in Told(cluster).checks if c["name"] == "relay-log-info")
        return
    cluster[2].run("mv /var/lib/mysql/relay-log.info /var/lib/mysql/away")
    check = Told(cluster).of("relay-log-info", cluster[2].ip)
    assert "/var/lib/mysql/relay-log.info" in check["text"]
    cluster[2].run("mv /var/lib/mysql/away /var/lib/mysql/relay-log.info")
    well_within(cluster, 3)


def test_every_host_to_every_other() -> None:
    """In a cluster of its own: it gives the hosts a key."""
    with Cluster("mariadb", n=2) as cluster:
        conf = cluster.write_cnf("pairs")
        assert cluster.command("masterha_check_ssh", f"--conf={conf}").code == 0
        done = cluster.command("masterha_check_ssh", f"--conf={conf}", "--all-pairs")
        assert (done.code, done.output.rstrip().splitlines()[-1]) == (1, NOT_PASSED)
        failed = [line for line in done.output.splitlines() if "[FAILED]" in line]
        assert len(failed) == 2
        assert f"`ssh -p 22 root@{cluster[2].ip}` on {cluster[1].ip} as root" in failed[0]
        key = (cluster.seat / ".ssh" / "id_ed25519").read_text()
        for host in cluster.hosts:
            host.run("cat >/root/.ssh/id_ed25519 && chmod 600 /root/.ssh/id_ed25519", data=key)
        options = f"-i {cluster.seat}/.ssh/id_ed25519 -i /root/.ssh/id_ed25519 -o StrictHostKeyChecking=no"
        conf = cluster.write_cnf("all", ssh_options=options)
        done = cluster.command("masterha_check_ssh", f"--conf={conf}", "--all-pairs")
        failed = [line for line in done.output.splitlines() if "[FAILED]" in line]
        assert (done.code, failed, done.output.rstrip().splitlines()[-1]) == (0, [], PASSED)


# scripts -------------------------------------------------------------------------------------------------------------


def test_scripts(cluster: Cluster) -> None:
    script = cluster.seat / "hook"
    script.write_text(f'#!/bin/sh\necho "$*" >>{script}.args\necho no such address\nexit 3\n')
    script.chmod(0o755)
    lines = f"master_ip_failover_script={script}\nreport_script=/nowhere/report\nhook_timeout=5"
    told = Told(cluster, cluster.write_cnf("scripts", default=lines))
    assert told.code == 1
    assert told.of("script-status")["text"] == "exit code 3: no such address"
    assert told.of("script-runnable")["text"] == "/nowhere/report does not exist"
    asked = f"--command=status --ssh_user=root --orig_master_host={cluster[1].ip} --orig_master_ip={cluster[1].ip}"
    assert (script.parent / "hook.args").read_text().startswith(asked)
    script.write_text("#!/bin/sh\nexit 0\n")
    told = Told(cluster, cluster.write_cnf("scripts", default=f"master_ip_failover_script={script}"))
    told.assert_well()


def test_a_script_that_never_ends_is_stopped(cluster: Cluster) -> None:
    lines = "shutdown_script='sleep 600 #'\nhook_timeout=1"
    began = time.monotonic()
    told = Told(cluster, cluster.write_cnf("sleeps", default=lines))
    assert time.monotonic() - began < 15
    assert "still running after 1 s, stopped" in told.of("script-status")["text"]
