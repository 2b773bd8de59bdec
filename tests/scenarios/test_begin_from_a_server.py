"""`mha init --from`: a running cluster, one command, and a manager that survives a failover."""

from __future__ import annotations

import signal
import stat
import time

import pytest

from tests.lab.cluster import Cluster
from tests.lab.kinds import ADMIN, ADMIN_PASSWORD, REPL_PASSWORD
from tests.lab.writer import Writer
from tests.scenarios.failing_over import assert_survivors_agree, kinds, promoted

pytestmark = pytest.mark.slow

KINDS = kinds("mariadb-gtid", "9.7-gtid", "5.6-position")
SECRETS = {"ADMIN_PW": ADMIN_PASSWORD, "REPL_PW": REPL_PASSWORD}


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_asked_for_nothing_but_a_replica_it_ends_with_a_manager_that_survives_a_failover(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        (cluster.seat / ".ssh" / "known_hosts").unlink()
        words = ("--from", cluster[2].ip, "--user", ADMIN, "--account", "keeper", "--scan", "--yes")
        secrets = ("--password", "env:ADMIN_PW", "--repl-password", "env:REPL_PW")
        place = cluster.seat / "mha"
        done = cluster.command("mha", "init", str(place), *words, *secrets, env=SECRETS)
        assert done.code == 0, done
        assert "MySQL Replication Health is OK." in done.output
        conf = place / "app1.cnf"
        assert {path.name for path in place.iterdir() if stat.S_IMODE(path.stat().st_mode) == 0o600} == {
            *("app1.cnf", "app1.password", "app1.repl.password"),
        }
        for secret in (ADMIN_PASSWORD, REPL_PASSWORD, (place / "app1.password").read_text().strip()):
            assert secret not in done.output
        grants = [str(v) for row in cluster[3].sql(f"SHOW GRANTS FOR 'keeper'@'{cluster[1].ip}'") for v in row.values()]
        assert grants
        assert not [each for each in grants if "ALL PRIVILEGES ON *.*" in each], grants

        conf.write_text(conf.read_text() + f"\n[server default]\nmanager_workdir={place}/app1\n")
        checked = cluster.command("masterha_check_repl", f"--conf={conf}")
        assert checked.code == 0, checked
        writer = Writer(cluster)
        manager = cluster.start_manager(conf, f"--manager_log={place}/app1/manager.log")
        written = len(writer.acks())
        while len(writer.acks()) < written + 50:
            time.sleep(0.02)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        new = promoted(cluster)
        assert_survivors_agree(cluster, writer.stop(), new, (5 - new,))
