"""The question before a rejoin waits for hours, and a colleague does the same meanwhile, and more."""

from __future__ import annotations

import os
import shlex
import sys

import pytest

from tests.lab.cluster import Cluster
from tests.scenarios.test_rejoin_follows import Scene, read_only

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("kind", "gtid"),
    [pytest.param("mysql56", False, id="5.6-position"), pytest.param("mariadb", True, id="mariadb-gtid")],
)
def test_who_is_the_primary_again_by_then_is_not_closed(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        scene = Scene(cluster)
        scene.old.start_mysqld()
        answer = cluster.seat / "answer"
        os.mkfifo(answer)
        words = ("-m", "prefect_mha.commands.mha", "rejoin", f"--conf={scene.conf}", f"--host={scene.old.ip}")
        asked = cluster.run_there("sh", "-c", f"exec {shlex.join((sys.executable, *words))} <{answer}")
        with answer.open("w") as later:
            said = ""
            assert asked.stdout is not None
            while "(yes/NO" not in said:
                character = asked.stdout.read(1)
                assert character, said
                said += character
            colleague = scene.rejoin("--yes")
            assert colleague.code == 0, colleague
            scene.assert_is_a_replica()
            back = (f"--conf={scene.conf}", f"--to={scene.old.ip}", "--keep-old-as-replica", "--yes")
            switched = cluster.command("mha", "switchover", *back)
            assert switched.code == 0, switched
            later.write("yes\n")
        output, _ = asked.communicate(timeout=60)
        assert asked.returncode == 1, output
        assert "is-the-primary" in output
        assert not read_only(scene.old)
        scene.old.sql("INSERT INTO app.after_rejoin VALUES (3)")
