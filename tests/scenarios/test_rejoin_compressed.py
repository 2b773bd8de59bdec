"""A tail of compressed events, beside a new primary that compresses: compared, replayed, taken back as others are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lab.cluster import IMPORTS, Cluster, Done
from tests.scenarios.test_late_rescue import TABLE, Apart

pytestmark = pytest.mark.slow
MARIADB = "log_bin_compress=1\nlog_bin_compress_min_len=10"
MYSQL = "binlog_transaction_compression=ON"
BEFORE = [f"INSERT INTO app.t VALUES ({number}, 'before')" for number in range(100)]
TAIL = [
    "UPDATE app.t SET v = CONCAT('old ', id) WHERE id < 50",
    "DELETE FROM app.t WHERE id BETWEEN 60 AND 70",
    "INSERT INTO app.t SELECT id + 1000, v FROM app.t WHERE id < 40",
    "UPDATE app.t SET v = 'both' WHERE id = 99",
]
MEANWHILE = ["UPDATE app.t SET v = 'new' WHERE id = 99", "INSERT INTO app.t VALUES (5000, 'new')"]


def without_zstd(place: Path) -> dict[str, str]:
    """A manager that finds nothing that reads MySQL's: a package of that name, and empty, is before the real one."""
    (place / "backports").mkdir()
    (place / "backports" / "__init__.py").touch()
    return {"PYTHONPATH": os.pathsep.join([str(place), IMPORTS])}


def rejoin(apart: Apart, *options: str, env: dict[str, str] | None = None) -> Done:
    words = (f"--conf={apart.conf}", f"--host={apart.old.ip}", "--yes", *options)
    return apart.cluster.command("mha", "rejoin", *words, env=env, timeout=300.0)


@pytest.mark.parametrize(
    ("kind", "gtid", "setting"),
    [
        pytest.param("mariadb", True, MARIADB, id="mariadb-gtid"),
        pytest.param("mysql97", True, MYSQL, id="9.7-gtid"),
        pytest.param("mysql97", False, MYSQL, id="9.7-position"),
    ],
)
def test_what_is_compressed_is_compared_replayed_and_taken_back(
    kind: str, gtid: bool, setting: str, tmp_path: Path
) -> None:
    with Cluster(kind, gtid=gtid, extra={0: setting}) as cluster:
        apart = Apart(cluster, [TABLE, *BEFORE], TAIL, MEANWHILE)
        if kind == "mysql97":
            told = rejoin(apart, "--how=rewind", env=without_zstd(tmp_path))
            assert (told.code, "backports.zstd" in told.output) == (1, True), told
        done = rejoin(apart, "--how=rescue", "--replay=all")
        assert done.code == 10, done
        assert "3 were replayed" in done.output, done
        assert [each["key"] for each in apart.report()["conflicts"]] == ["id=99"]
        assert cluster[2].sql("SELECT COUNT(*) AS n FROM app.t") == [{"n": 100 - 11 + 40 + 1}]
        done = rejoin(apart, "--how=rewind")
        assert done.code == 0, done
        apart.assert_equal("app.t")
        assert cluster[1].sql("SELECT v FROM app.t WHERE id = 99") == [{"v": "new"}]


def test_what_is_compressed_by_a_server_of_mysql_is_refused_without_zstandard_and_kept(tmp_path: Path) -> None:
    with Cluster("mysql97", gtid=True, extra={0: MYSQL}) as cluster:
        apart = Apart(cluster, [TABLE, *BEFORE], TAIL)
        done = rejoin(apart, "--how=rescue", "--replay=all", env=without_zstd(tmp_path))
        assert done.code == 10, done
        assert "backports.zstd" in str(apart.report()["not_comparable"]), done
        assert len(apart.lines_of_archive()) == len(TAIL)
        apart.assert_archived()
