"""A local user of the manager's host who wants it not to start: locks, and marks in a directory that he shares."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.cluster import Cluster
from tests.lab.waiting import until

#: As one may lock who may only read: with a POSIX lock, an open-file lock, and flock(2).
SQUATTER = """
import fcntl, os, struct, sys, time
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
file = os.open(sys.argv[1], os.O_RDONLY)
fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(600)
"""


@contextmanager
def locked_by_nobody(path: Path) -> Iterator[None]:
    squatter = subprocess.Popen([sys.executable, "-c", SQUATTER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert squatter.stdout is not None
        assert squatter.stdout.readline() == "locked\n"
        yield
    finally:
        squatter.kill()
        squatter.wait(10)


def test_no_lock_and_no_mark_of_a_local_user_keeps_a_manager_from_watching() -> None:
    """The lock file is as an older version left it, open to everybody; the directory is as /var/tmp is."""
    with Cluster("mariadb", gtid=True, n=2) as cluster:
        conf = cluster.write_cnf()
        workdir = conf.with_suffix("")
        for above in reversed(workdir.relative_to("/").parents):
            (Path("/") / above).chmod((Path("/") / above).stat().st_mode | 0o001)
        workdir.mkdir()
        workdir.chmod(0o1777)
        lock = workdir / "app1.manager.lock"
        lock.touch(mode=0o644)
        for name in ("app1.failover.error", "app1.failover.complete", "app1.manager.stop", "app1.switch-1.journal"):
            (workdir / name).write_bytes(b'{"t": 1, "step": "begin", "event": "began", "server": "x"}\n')
            subprocess.run(["chown", "nobody", str(workdir / name)], check=True)
        with locked_by_nobody(lock):
            manager = cluster.start_manager(conf)
            try:
                assert "every local user may write there" in manager.log() + manager.out.read_text()
                assert "belongs to another user" in manager.log() + manager.out.read_text()
                status = cluster.command("masterha_check_status", f"--conf={conf}")
                assert status.code == 0, status
                second = cluster.command("masterha_manager", f"--conf={conf}")
                assert second.code == 1, second
                assert f"pid {manager.process.pid}" in second.output + manager.log()
                cluster[1].signal_mysqld(9)
                until(lambda: manager.process.poll() is not None, manager.log, 60)
                assert manager.process.returncode == 0, manager.log()
            finally:
                manager.stop()
