"""What the manager notes of its files for a look at it: true only of files that are as it read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prefect_mha.config import load_cluster
from prefect_mha.replication.local.processes import process_alive
from prefect_mha.replication.memory.manager_view import Places, note_places


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "app1.cnf"
    path.write_text(f"[server default]\nmanager_workdir={tmp_path}\nping_interval=7\n[server1]\nhostname=10.0.0.1\n")
    return path


@pytest.fixture
def general(tmp_path: Path) -> Path:
    path = tmp_path / "masterha_default.cnf"
    path.write_text("[server default]\nmanager_log=/var/log/mha/app1.log\n")
    return path


def test_what_it_noted_is_known_while_its_files_are_the_same(conf: Path, general: Path) -> None:
    assert Places.noted(conf, general) is None
    note_places(load_cluster(conf, general))
    assert Places.noted(conf, general) == Places(conf.parent, Path("/var/log/mha/app1.log"), 7)


@pytest.mark.parametrize("change", ["app", "global", "global is gone", "another place"])
def test_with_other_files_nothing_is_known(conf: Path, general: Path, change: str) -> None:
    note_places(load_cluster(conf, general))
    if change == "app":
        conf.write_text(conf.read_text() + "port=33o6\n")
    elif change == "global":
        general.write_text(general.read_text() + "log_level=debug\n")
    elif change == "global is gone":
        general.unlink()
    else:
        conf.write_text(conf.read_text().replace(f"manager_workdir={conf.parent}", "manager_workdir=/nowhere"))
    assert Places.noted(conf, general) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[" * 8000, '{"read": 1}'], ids=["empty", "list", "none", "deep", "number"]
)
def test_nonsense_is_as_nothing(conf: Path, text: str) -> None:
    note_places(load_cluster(conf, None))
    (conf.parent / "app1.places.json").write_text(text)
    assert Places.noted(conf, None) is None


@pytest.mark.parametrize("value", [float("inf"), float("nan"), None, "x", [], 10**400, "9" * 5000])
@pytest.mark.parametrize("name", ["read", "log", "ping_interval"])
def test_a_value_that_is_none_is_no_traceback(conf: Path, name: str, value: object) -> None:
    note_places(load_cluster(conf, None))
    path = conf.parent / "app1.places.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    Places.noted(conf, None)


def test_a_number_that_no_process_has_is_no_process() -> None:
    assert not process_alive(9_999_999_999)


def test_who_was_told_another_directory_notes_nothing_there(conf: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    note_places(load_cluster(conf, None, {"manager_workdir": str(elsewhere)}))
    assert not list(elsewhere.iterdir())
    assert Places.noted(conf, None) is None
