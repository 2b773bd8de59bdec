"""A manager of an older version is replaced by today's: what it left on its disk is read, and gone on with.

The older one is a checkout that MHA_OLD names; ``make test-upgrade OLD=COMMIT`` makes it of a commit. MHA_KEEP names a
directory that gets what it left, before today's code sees it.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.lab.checker import lent_settings
from tests.lab.cluster import Cluster
from tests.lab.writer import Writer
from tests.scenarios.failing_over import kinds
from tests.scenarios.test_manager_killed import INSTANTS, NEXT, assert_as_undisturbed, kill_at, part_ways

OLD = "MHA_OLD"
pytestmark = [
    pytest.mark.upgrade,
    pytest.mark.every_variant,
    pytest.mark.skipif(OLD not in os.environ, reason=f"{OLD} names no older version"),
]

KINDS = kinds("mariadb-gtid", "mariadb-position", "5.6-position", "9.7-gtid")


@pytest.fixture
def older(tmp_path: Path) -> dict[str, str]:
    """The environment in which our commands are the older version's, laid out as it was then or as it is now."""
    checkout = Path(os.environ[OLD])
    named = checkout / "src"
    if not named.is_dir():
        named = tmp_path / "named"
        named.mkdir()
        (named / "prefect_mha").symlink_to(checkout)
    return {"PYTHONPATH": f"{named}:{checkout}", "PYTHONSAFEPATH": "1"}


def keep(workdir: Path, name: str) -> None:
    if to := os.environ.get("MHA_KEEP"):
        shutil.copytree(workdir, Path(to) / name, dirs_exist_ok=True)


@pytest.mark.parametrize("words", INSTANTS, ids=lambda w: w.replace('"', "").replace("step: ", "").replace(",", ""))
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_todays_manager_finishes_what_an_older_one_began(
    kind: str, gtid: bool, words: str, older: dict[str, str], request: pytest.FixtureRequest
) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(candidate=2)
        settings = [lent_settings(cluster[n]) for n in (2, 3)]
        manager = cluster.start_manager(conf, env=older)
        writer = part_ways(cluster)
        cluster[1].signal_mysqld(signal.SIGKILL)
        kill_at(manager, words)
        keep(manager.workdir, request.node.callspec.id)
        name, *more = NEXT["resume" if INSTANTS.index(words) % 2 else "manager"]
        done = cluster.command(name, *more, f"--conf={conf}")
        told = done.output + manager.log()
        assert done.code == 0, told
        assert_as_undisturbed(cluster, writer, settings, told)


@pytest.mark.parametrize(("kind", "gtid"), KINDS[:1])
def test_an_older_manager_is_seen_and_stopped_by_todays_commands(kind: str, gtid: bool, older: dict[str, str]) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(candidate=2)
        manager = cluster.start_manager(conf, env=older)
        keep(manager.workdir, "watching")
        seen = cluster.command("masterha_check_status", f"--conf={conf}")
        assert seen.code == 0, seen
        assert f"master:{cluster[1].ip}" in seen.output
        second = cluster.command("masterha_manager", f"--conf={conf}")
        assert second.code == 1, second
        assert str(manager.process.pid) in second.output
        stopped = cluster.command("masterha_stop", f"--conf={conf}")
        assert stopped.code == 0, stopped
        assert manager.process.poll() is not None


@pytest.mark.parametrize(("kind", "gtid"), KINDS[:1])
def test_a_server_that_an_older_one_replaced_is_held_by_todays(kind: str, gtid: bool, older: dict[str, str]) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(candidate=2)
        manager = cluster.start_manager(conf, env=older)
        writer = Writer(cluster)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait() == 0, manager.log()
        writer.stop()
        keep(manager.workdir, "done")
        seen = cluster.command("mha", "status", "--conf", str(conf))
        assert "held" in seen.output, seen
        cluster[1].start_mysqld()
        done = cluster.command("mha", "release", "--conf", str(conf), "--host", cluster[1].ip)
        assert done.code == 0, done
        again = cluster.command("mha", "status", "--conf", str(conf))
        assert "held" not in again.output, again
