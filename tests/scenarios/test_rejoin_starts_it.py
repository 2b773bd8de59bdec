"""A server that is down, or was stopped for new data, is started: by its command, by what ran it; else it is told."""

from __future__ import annotations

import pytest

from tests.lab.cluster import Cluster
from tests.scenarios.failing_over import kinds
from tests.scenarios.test_rebuild import Rebuilt
from tests.scenarios.test_rejoin_follows import Scene

pytestmark = pytest.mark.slow
PROGRAM = "/usr/local/sbin/start-db"


@pytest.mark.parametrize(("kind", "gtid"), kinds("5.6-position", "9.7-gtid", "mariadb-gtid"))
def test_started_by_its_command_and_never_writable(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        old = cluster[1]
        # As distributions have it: a directory of option files.
        old.run("mkdir -p /etc/mysql/conf.d && printf '\\n!includedir /etc/mysql/conf.d/\\n' >>/etc/my.cnf")
        scene = Scene(cluster)
        told = scene.rejoin("--yes")
        assert told.code == 1, told
        assert "set start_command" in told.output, told
        said = f"{old.kind.mysqld} --defaults-file=/etc/my.cnf --user=mysql"
        script = f"#!/bin/sh\nsetsid {said} >>/var/log/mysqld.err 2>&1 </dev/null &\n"
        old.run(f"cat >{PROGRAM} && chmod 755 {PROGRAM}", data=script)
        text = scene.conf.read_text()
        scene.conf.write_text(text.replace("[server1]\n", f"[server1]\nstart_command={PROGRAM}\n"))
        done = scene.rejoin("--yes")
        assert done.code == 0, done
        assert "its mysqld is started, read-only" in done.output, done
        scene.assert_is_a_replica()
        # What held it at its start is taken back: the next one is a replica's own.
        assert "mha" not in old.run("ls /etc/mysql/conf.d")


def test_what_ran_under_mysqld_safe_runs_under_it_again() -> None:
    """Its words are run as its user, read-only; where it was root's the server is started without it."""
    with Cluster("mariadb", gtid=True, backup=True) as cluster:
        scene = Rebuilt(cluster, rows=100)
        old = scene.old
        for who in ("mysql", "root"):
            old.stop_mysqld()
            if who == "mysql":
                old.run("chown mysql /var/log/mysqld.err")
            words = "mariadbd-safe --defaults-file=/etc/my.cnf --user=mysql"
            old.start(f"setpriv --reuid={who} --regid={who} --init-groups {words} >/dev/null 2>&1")
            old.wait_for_mysqld()
            done = scene.rebuild("--method=backup")
            assert done.code == 0, done
            above = old.run("ps -o args= -p $(ps -o ppid= -p $(pgrep -x mariadbd))")
            assert ("mariadbd-safe" in above) is (who == "mysql"), (who, above, done)
            assert "--read-only=1" in old.run("tr '\\0' ' ' </proc/$(pgrep -x mariadbd)/cmdline")
        scene.assert_is_a_replica()
