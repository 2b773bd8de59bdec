"""The page of performance is what its series say, and a release that is slower is seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.lab import performance
from tests.lab.performance import Series, add, begin, pages, read

DOCS = performance.DOCS
ONE = Series("2026-12-02", "abcdef1", "2 cores", 0.2, "", {"failover": {"kill -9, mysql97 GTID": [0.5, 0.7, 0.6]}})


def test_the_page_and_its_pictures_are_as_they_are_made() -> None:
    for path, text in pages(read()).items():
        assert path.read_text(encoding="utf-8") == text, "run python -m tests.lab.performance"


def test_what_is_slower_than_before_is_said_on_page_and_picture() -> None:
    slow = replace(ONE, revision="abcdef2", figures={"failover": {"kill -9, mysql97 GTID": [1.1, 1.2, 1.3]}})
    made = pages((slow, ONE))
    page, picture = made[DOCS / "performance.md"], made[DOCS / "pictures" / "bench-failover.svg"]
    assert (
        "| kill -9, mysql97 GTID | 1.2 s | 3 | 1.3 s | 1.0 s **missed** | 26.0 s | 22 times | 600 ms: **slower now**"
        in page
    )
    assert "- 2026-12-02, revision abcdef2, 2 cores; load 0.2 before it\n" in page
    assert "1.2 s, worst 1.3 s, SLOWER" in picture
    assert "600 ms, worst 700 ms<" in picture
    ElementTree.fromstring(picture)  # noqa: S314 - made here
    assert "slower now**" not in pages((ONE, slow))[DOCS / "performance.md"]


def test_what_the_benchmarks_wrote_becomes_a_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performance, "SERIES", tmp_path)
    out = tmp_path / "out"
    begin(out)
    failover = {"case": "kill -9, Prefect, mariadb GTID", "prefect": "slow", "writes_back": 0.51}
    rescue = {
        "case": "mariadb GTID",
        "tail": "rows",
        "save": 1.0,
        "cut": 0.5,
        "apply": 3.5,
        "bound": 0.0,
        "relaxed": 9.0,
    }
    switch = {"mode": "mariadb GTID", "switches": [{"block": 0.03}, {"block": float("inf")}, {"block": 0.05}]}
    for name, runs in (("failover", [failover, failover]), ("rescue", [rescue]), ("switch", [switch])):
        (out / f"{name}.json").write_text(json.dumps(runs))
    add(out)
    (found,) = read()
    assert found.figures == {
        "failover": {"kill -9, Prefect, mariadb GTID (slow)": [0.51, 0.51]},
        "rescue": {"mariadb GTID, rows": [5.0], "mariadb GTID, rows: mysqlbinlog | mysql": [9.0]},
        "switch": {"mariadb GTID": [0.03, 0.05]},
    }
    assert found.load is not None
    page = pages((found,))[DOCS / "performance.md"]
    assert "| mariadb GTID | 40 ms | 2 | 50 ms |  | 500 ms | 12 times |" in page
    assert "Not measured yet" in page
