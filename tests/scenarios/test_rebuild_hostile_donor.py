"""Who runs a donor's mysqld puts a link among its data: no file of root's comes to the server that is rebuilt."""

from __future__ import annotations

from functools import partial

import pytest

from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.waiting import until
from tests.scenarios.test_rebuild import Rebuilt

pytestmark = pytest.mark.slow
SECRET = "of root's alone"
TABLE = "/var/lib/mysql/app/gained.MYD"
AS_MYSQL = "setpriv --reuid=mysql --regid=mysql --clear-groups"


def test_a_link_among_a_donors_data_brings_no_file_of_roots() -> None:
    with Cluster("mariadb", gtid=True, backup=True) as cluster:
        scene, third = Rebuilt(cluster, rows=2000), cluster[3]
        scene.new.sql("CREATE TABLE app.gained (v VARCHAR(200)) ENGINE=MyISAM")
        for host in (scene.new, third):
            until(partial(_is_there, host), "the table is there")
            host.run(f'echo "{SECRET}" >/root/secret; chmod 600 /root/secret')
            host.run(f"{AS_MYSQL} sh -c 'rm {TABLE} && ln -s /root/secret {TABLE}'")
        refused = scene.rebuild("--method=backup")
        assert refused.code == 1, refused
        assert f"{TABLE} is a link, and root follows none" in refused.output, refused
        assert scene.old.run(f'grep -rlF "{SECRET}" /var/lib/mysql*', check=False) == ""
        assert scene.old.sql("SELECT COUNT(*) FROM app.only_here")
        for host in (scene.new, third):
            host.run(f"{AS_MYSQL} rm {TABLE}")
        scene.new.sql("DROP TABLE app.gained")
        done = scene.rebuild("--method=backup")
        assert done.code == 0, done
        scene.assert_rebuilt([])


def _is_there(host: Host) -> bool:
    return host.run(f"ls {TABLE}", check=False) != ""
