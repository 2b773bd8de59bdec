"""There and back: MHA's own file works as it is and stays so, and what is left is what MHA's manager knows, too."""

from __future__ import annotations

import signal

import pytest

from tests.lab.cluster import Cluster
from tests.lab.kinds import ADMIN, ADMIN_PASSWORD, REPL, REPL_PASSWORD
from tests.scenarios.failing_over import promoted

pytestmark = pytest.mark.slow

#: As write-ups of MHA's users have it, blanks behind values and all.
FILE = """\
[server default]
manager_log={workdir}/manager.log
manager_workdir={workdir}
master_binlog_dir=/var/lib/mysql
user={user}
password={password}
ping_interval=2
repl_password={repl_password}
repl_user={repl}
ssh_user=root
[server1]
hostname={hosts[0]}
port=3306
[server2]
hostname={hosts[1]}
port=3306
[server3]
hostname={hosts[2]}
port=3306
"""


@pytest.mark.parametrize(("kind", "gtid"), [pytest.param("mariadb", False, id="mariadb-position")])
def test_mhas_file_is_used_and_never_changed_and_its_flag_is_left(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        conf, workdir = cluster.seat / "app1.cnf", cluster.seat / "app1"
        text = FILE.format(
            workdir=workdir,
            user=ADMIN,
            password=ADMIN_PASSWORD,
            repl=REPL,
            repl_password=REPL_PASSWORD,
            hosts=[host.ip for host in cluster.hosts],
        )
        conf.write_text(text)
        conf.chmod(0o600)
        assert cluster.command("masterha_check_ssh", f"--conf={conf}").code == 0
        checked = cluster.command("masterha_check_repl", f"--conf={conf}")
        assert checked.code == 0, [line for line in checked.output.splitlines() if "[error]" in line]
        manager = cluster.start_manager(conf)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        assert promoted(cluster) in (2, 3)
        assert conf.read_text() == text
        assert (workdir / "app1.failover.complete").exists()
        assert not (workdir / "app1.master_status.health").exists()
