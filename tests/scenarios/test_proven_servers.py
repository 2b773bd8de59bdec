"""Who the manager's password goes to on a real server: the verified, and without files the one that was seen first."""

from __future__ import annotations

import signal

import pytest

from tests.lab.cluster import Cluster, Done
from tests.lab.host import Host

DATA = "var/lib/mysql"


def check(cluster: Cluster, **write: object) -> Done:
    conf = cluster.write_cnf(**write)  # type: ignore[arg-type]
    (cluster.seat / "app1").mkdir(exist_ok=True)
    return cluster.command("masterha_check_repl", f"--conf={conf}", "--verbose")


def restart(host: Host) -> None:
    """It forgets which accounts it had seen."""
    host.signal_mysqld(signal.SIGTERM)
    while host.mysqld_pids():
        pass
    host.start_mysqld("--read-only=1", wait=False)
    # Not by the lab's own account: who logs in first is asked for the password.
    while ":3306 " not in host.run("ss -ltn"):
        pass


def test_a_restarted_server_without_files_is_logged_in_to_and_one_with_another_certificate_is_not() -> None:
    with Cluster("mysql97", gtid=True) as cluster:
        first = check(cluster)
        assert first.code == 0, first
        assert "server-proven: its certificate is not verified, only compared" in first.output.replace("  ", " ") or (
            "only compared with the one that it had" in first.output
        ), first
        known = cluster.seat / "app1" / "app1.known_servers"
        assert len(known.read_text().splitlines()) == 3
        assert known.stat().st_mode & 0o777 == 0o600
        restart(cluster[2])
        again = check(cluster)
        assert "1045" not in again.output, again
        assert "was not given the password" not in again.output, again
        # Installed anew: it makes itself another certificate.
        cluster[2].run(f"rm -f /{DATA}/*.pem")
        restart(cluster[2])
        refused = check(cluster)
        assert refused.code == 1, refused
        assert "it was not given the password: its certificate is not the one" in refused.output, refused
        assert str(known) in refused.output
        known.write_text("".join(x for x in known.read_text().splitlines(True) if not x.startswith(cluster[2].ip)))
        assert "was not given" not in check(cluster).output


@pytest.mark.slow
def test_every_mode_does_what_it_says_on_servers_with_their_own_authorities() -> None:
    with Cluster("mysql97", gtid=True) as cluster:
        files = {}
        for host in cluster.hosts:
            (cluster.seat / f"{host.name}.pem").write_text(host.run(f"cat /{DATA}/ca.pem"))
            files[host.number] = f"ssl_ca={cluster.seat}/{host.name}.pem"
        for mode in ("disabled", "preferred", "required"):
            done = check(cluster, default=f"ssl_mode={mode}")
            assert done.code == 0, (mode, done)
        verified = check(cluster, default="ssl_mode=verify_ca", servers=files)
        assert verified.code == 0, verified
        assert "server-proven: its certificate is verified [ok]" in verified.output, verified
        identity = check(cluster, default="ssl_mode=verify_identity", servers=files)
        assert identity.code == 1
        assert "its certificate is MySQL_Server_" in identity.output, identity
        strangers = check(cluster, default=f"ssl_mode=verify_ca\nssl_ca={cluster.seat}/.ssh/known_hosts")
        assert strangers.code == 1, strangers
        assert "Traceback" not in strangers.output
        missing = check(cluster, default="ssl_mode=verify_ca\nssl_ca=/nowhere.pem")
        assert missing.code == 1, missing
        assert "TLS cannot be prepared: [Errno 2] No such file or directory: '/nowhere.pem'" in missing.output, missing
        others = check(cluster, default="ssl_mode=verify_ca")
        assert others.code == 1, others
        assert "TLS cannot be agreed on" in others.output, others
