"""SSH as a plain user: with root's helper a server is made a replica and rebuilt; without it one sentence says so."""

from __future__ import annotations

import pytest

from tests.lab.cluster import Cluster
from tests.lab.plain_user import USER, as_plain_user, log_in
from tests.lab.waiting import until
from tests.scenarios.test_rebuild import Rebuilt, old_data
from tests.scenarios.test_rejoin_follows import Scene

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("kind", "gtid", "method"),
    [
        pytest.param("mysql56", False, "dump", id="5.6-position-dump"),
        pytest.param("mysql97", True, "clone", id="9.7-gtid-clone"),
        pytest.param("mariadb", True, "backup", id="mariadb-gtid-backup"),
    ],
)
def test_the_helper_is_enough_for_a_rebuild(kind: str, gtid: bool, method: str) -> None:
    with Cluster(kind, gtid=gtid, backup=method == "backup") as cluster:
        scene = Rebuilt(cluster, rows=2000)
        scene.conf.write_text(scene.conf.read_text().replace("ssh_user=root", f"ssh_user={USER}"))
        for host in cluster.hosts:
            log_in(host)
        refused = scene.rebuild(f"--method={method}")
        assert refused.code == 1, refused
        assert "no-rights" in refused.output, refused
        assert "mha config sudoers" in refused.output, refused
        for host in cluster.hosts:
            host.run(f"mkdir -p /root/.ssh && cp ~{USER}/.ssh/authorized_keys /root/.ssh/authorized_keys")
        as_plain_user(cluster, scene.conf)
        writer = scene.writer(seconds=600.0)
        until(lambda: len(writer.acks()) > 200, "rows are written before")
        done = scene.rebuild(f"--method={method}")
        acks = writer.stop()
        assert done.code == 0, done
        assert "compared with the primary's at one place, the same" in done.output
        scene.assert_rebuilt(acks)
        (kept,) = old_data(scene.old)
        assert any("only_here" in name for name in scene.old.run(f"ls {kept}/app").split())


@pytest.mark.parametrize(
    ("kind", "gtid"),
    [pytest.param("mysql97", True, id="9.7-gtid"), pytest.param("mariadb", False, id="mariadb-position")],
)
def test_the_helper_is_enough_to_make_it_a_replica(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        scene = Scene(cluster)
        scene.old.start_mysqld()
        as_plain_user(cluster, scene.conf)
        done = scene.rejoin("--yes")
        assert done.code == 0, done
        scene.assert_is_a_replica()
