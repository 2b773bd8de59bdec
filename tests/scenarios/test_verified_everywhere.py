"""Nobody is believed whose certificate is not verified: the manager's sessions, and the channels of replication."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.lab.certificates import authority, furnish, restart
from tests.lab.cluster import Cluster
from tests.lab.kinds import REPL
from tests.lab.writer import Writer
from tests.scenarios.failing_over import assert_survivors_agree, finish
from tests.scenarios.switching import applier_held
from tests.scenarios.test_next_primary import aside, change
from tests.scenarios.test_rescue_contents import level

VERIFIED = "P_SSL=1, P_SSL_CA='/etc/tls/ca.pem', P_SSL_VERIFY_SERVER_CERT=1"
FAULTS = ("killed", "dark", "frozen", "switch", "torn", "lag")
KINDS = (("mariadb", True, "mariadb-gtid"), ("mysql97", False, "9.7-position"), ("mysql97", True, "9.7-gtid"))
QUICK = ("killed", "mariadb-gtid")


@contextmanager
def verified(kind: str, gtid: bool) -> Iterator[tuple[Cluster, Path]]:
    """A cluster with an authority of its own, without which nobody replicates and the manager talks to nobody."""
    with Cluster(kind, gtid=gtid) as cluster:
        ca = authority()
        for host in cluster.hosts:
            furnish(host, ca)
            restart(cluster, host)
        for number in (2, 3):
            change(cluster, cluster[number], VERIFIED)
        for host in cluster.hosts:
            aside(host, f"ALTER USER '{REPL}'@'%' REQUIRE SSL")
        level(cluster)
        (cluster.seat / "ca.pem").write_bytes(ca[1].public_bytes(serialization.Encoding.PEM))
        mode = f"ssl_mode=verify_identity\nssl_ca={cluster.seat}/ca.pem"
        yield cluster, cluster.write_cnf(candidate=2, default=mode)


def assert_still_verified(cluster: Cluster, *replicas: int) -> None:
    for number in replicas:
        status = cluster[number].replica_status()
        told = {name: status[f"Source_SSL_{name}"] for name in ("Allowed", "CA_File", "Verify_Server_Cert")}
        assert told == {"Allowed": "Yes", "CA_File": "/etc/tls/ca.pem", "Verify_Server_Cert": "Yes"}, status


@pytest.mark.parametrize(
    ("fault", "kind", "gtid"),
    [
        pytest.param(fault, kind, gtid, id=f"{fault}-{name}", marks=() if (fault, name) == QUICK else pytest.mark.slow)
        for kind, gtid, name in KINDS
        for fault in FAULTS
    ],
)
def test_every_failover_and_switch_holds_with_verified_peers_only(fault: str, kind: str, gtid: bool) -> None:
    with verified(kind, gtid) as (cluster, conf), ExitStack() as stack:
        checked = cluster.command("masterha_check_repl", f"--conf={conf}", "--verbose")
        assert checked.code == 0, checked
        assert checked.output.count("server-proven: its certificate is verified [ok]") == 3, checked
        writer = Writer(cluster)
        if fault == "switch":
            words = ("--master_state=alive", f"--new_master_host={cluster[2].ip}", "--orig_master_is_new_slave")
            done = cluster.command("masterha_master_switch", f"--conf={conf}", *words, "--interactive=0")
            assert done.code == 0, done
            assert_survivors_agree(cluster, writer.stop(), 2, (1, 3))
            assert_still_verified(cluster, 1, 3)
            return
        manager = cluster.start_manager(conf)
        time.sleep(0.5)
        if fault == "lag":
            held = ExitStack()
            for number in (2, 3):
                held.enter_context(applier_held(cluster[number]))
        elif fault != "dark":
            for number in (3, 2):
                cluster.stop_receiver(cluster[number])
        time.sleep(0.5)
        if fault == "dark":
            cluster[1].power_off()
        else:
            cluster[1].signal_mysqld(signal.SIGSTOP if fault == "frozen" else signal.SIGKILL)
        if fault == "torn":
            # An event's header that was begun when it died.
            cluster[1].run("log=$(ls /var/lib/mysql/mysql-bin.0* | tail -1); head -c 15 $log | tail -c 11 >>$log")
        if fault == "lag":
            stack.callback(held.close)
            time.sleep(1.0)
            held.close()
        code, acks = finish(manager, writer, seconds=60.0)
        assert code == 0, manager.log()
        assert_survivors_agree(cluster, acks, 2, (3,))
        assert_still_verified(cluster, 3)
        assert ("torn at " in manager.log()) == (fault == "torn"), manager.log()
        if fault in ("killed", "frozen", "torn"):
            assert "that no replica had" in manager.log()
