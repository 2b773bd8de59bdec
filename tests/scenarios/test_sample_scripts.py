"""The sample scripts as a user copies them: two lines at the head are set, and nothing else."""

from __future__ import annotations

import pytest

from prefect_mha.config.editing.starter import EXAMPLES
from tests.lab.cluster import Cluster
from tests.scenarios.moving import meets
from tests.scenarios.test_address_scripts import fail_over_with

pytestmark = pytest.mark.slow

SCRIPTS = [pytest.param("master_ip_failover.sh", id="sh"), pytest.param("master_ip_failover", id="python")]


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_address_follows_the_primary_in_a_failover(name: str) -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        vip = cluster.subnet.virtual(1)
        cluster[1].run(f"ip addr add {vip} dev eth0")
        text = (EXAMPLES / name).read_text().replace("10.0.0.100/24", vip)
        log = fail_over_with(cluster, text, vip, within=5.0)
        assert "Master IP deactivation script: exit code 0." in log
        assert "Master IP activation script: exit code 0." in log


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_address_follows_the_primary_in_a_planned_switch(name: str) -> None:
    with Cluster("mysql97", gtid=True) as cluster:
        vip = cluster.subnet.virtual(1)
        cluster[1].run(f"ip addr add {vip} dev eth0")
        script = cluster.seat / "online_change"
        script.write_text((EXAMPLES / name).read_text().replace("10.0.0.100/24", vip))
        script.chmod(0o755)
        conf = cluster.write_cnf(default=f"master_ip_online_change_script={script}\nhook_passwords=0")
        to = ("--conf", str(conf), "--to", cluster[2].ip, "--keep-old-as-replica", "--yes")
        done = cluster.command("mha", "switchover", *to)
        assert done.code == 0, done
        meets(cluster, 2, vip)
