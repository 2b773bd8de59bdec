"""Whatever is in the way of a rebuild: one clear sentence, and the old data is still there."""

from __future__ import annotations

import sys

import pytest

from tests.lab.cluster import Cluster, Done
from tests.lab.waiting import until
from tests.scenarios.test_rebuild import Rebuilt
from tests.scenarios.watching import Monitor

pytestmark = pytest.mark.slow
SLOWLY = "rebuild_rate=1000000"


class Trouble(Rebuilt):
    """A rebuild that cannot be done."""

    def assert_left(self, done: Done, *words: str) -> None:
        assert done.code == 1, done
        for each in words:
            assert each in done.output, done
        assert self.old.sql("SELECT id FROM app.only_here") == [{"id": 1}]

    def begun(self, *options: str):
        """A rebuild that is copying by now."""
        words = (f"--conf={self.conf}", f"--host={self.old.ip}", "--how=rebuild", "--yes", *options)
        process = self.cluster.run_there(sys.executable, "-m", "prefect_mha.commands.mha", "rejoin", *words)
        mark = '"step": "progress"'
        workdir = self.conf.with_suffix("")
        until(
            lambda: any(mark in p.read_text() for p in workdir.glob("*.rejoin-*.journal")), "it copies", seconds=120.0
        )
        return process

    def ended(self, process) -> Done:
        output, _ = process.communicate(timeout=240.0)
        return Done(process.returncode, output)


def test_the_disk_of_the_server_is_full_before_or_in_the_midst_of_it() -> None:
    """The data directory is a file system of its own, as it often is."""
    with Cluster("mariadb", gtid=True, backup=True, disk={1: 420}) as cluster:
        scene = Trouble(cluster, default=SLOWLY)
        scene.old.fill_disk()
        scene.assert_left(scene.rebuild("--method=backup"), "its disk has no room")
        scene.old.free_disk()
        process = scene.begun("--method=backup")
        scene.old.fill_disk()
        done = scene.ended(process)
        scene.old.free_disk()
        scene.assert_left(done, "is the disk full?")
        done = scene.rebuild("--method=backup")
        assert done.code == 0, done
        scene.assert_is_a_replica()


def test_the_donor_dies_in_the_midst_of_it() -> None:
    with Cluster("mariadb", gtid=True, backup=True) as cluster:
        scene = Trouble(cluster, default=SLOWLY)
        process = scene.begun("--method=backup")
        cluster[3].power_off()
        scene.assert_left(scene.ended(process), cluster[3].ip, "its old data was not touched")
        done = scene.rebuild("--method=backup")
        assert done.code == 0, done
        assert f"has the data of {scene.new.ip}" in done.output


def test_no_mariadb_backup_and_then_by_a_dump() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        scene = Trouble(cluster)
        scene.assert_left(scene.rebuild("--method=backup"), "mariadb-backup is not on its host")
        done = scene.rebuild()
        assert done.code == 0, done
        assert "load a dump: 100%" in done.output
        scene.assert_is_a_replica()


def test_no_clone_plugin_and_an_account_that_may_not_clone() -> None:
    with Cluster("mysql97", gtid=True) as cluster:
        scene = Trouble(cluster)
        cluster[3].run("mv /usr/lib/mysql/plugin/mysql_clone.so /root/")
        scene.assert_left(scene.rebuild("--method=clone"), "install the clone plugin", "mysql_clone.so")
        cluster[3].run("mv /root/mysql_clone.so /usr/lib/mysql/plugin/")
        third = cluster[3].connect()
        with third.cursor() as cursor:
            cursor.execute("SET GLOBAL super_read_only=0")
            cursor.execute("SET sql_log_bin=0")
            cursor.execute("REVOKE BACKUP_ADMIN ON *.* FROM 'mha'@'%'")
        scene.assert_left(scene.rebuild("--method=clone"), "BACKUP_ADMIN")


def test_held_super_read_only_by_a_manager() -> None:
    """A dump cannot be loaded there, which is told before; a clone can be made all the same."""
    with Cluster("mysql97", gtid=True) as cluster:
        scene = Trouble(cluster)
        monitor = Monitor(cluster, scene.conf)
        try:
            monitor.wait_for("it is watched")
            until(lambda: scene.old.sql("SELECT @@global.super_read_only AS s")[0]["s"] == 1, "it is closed")
            scene.assert_left(scene.rebuild("--method=dump"), "it is held super_read_only")
            done = scene.rebuild("--method=clone")
            assert done.code == 0, done
        finally:
            monitor.stop()
        scene.assert_is_a_replica()
