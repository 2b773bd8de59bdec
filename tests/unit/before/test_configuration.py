"""Configurations of an older version say what they said."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_mha.config import ClusterConfig, load_cluster
from prefect_mha.config.loader import CLUSTER_PARAMETERS, SERVER_PARAMETERS

FILES = Path(__file__).parent / "files"


@pytest.fixture(params=["app1.cnf", "mha.toml"])
def loaded(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterConfig:
    monkeypatch.setenv("MHA_REPL_PASSWORD", "r")
    (tmp_path / "secret").write_text("s3cr3t\n")
    text = (FILES / request.param).read_text(encoding="utf-8")
    path = tmp_path / request.param
    path.write_text(text.replace("/etc/mha/app1.password", str(tmp_path / "secret")))
    return load_cluster(path, None, resolve=lambda host: f"10.0.0.{host[2]}")


def test_an_older_file_is_loaded_without_a_warning(loaded: ClusterConfig) -> None:
    assert loaded.warnings == ()
    assert [(s.hostname, s.user, s.password.get_secret_value()) for s in loaded.servers] == [
        (f"db{n}.example.com", "mha", "s3cr3t") for n in (1, 2, 3)
    ]
    assert [s.candidate_master for s in loaded.servers] == [False, True, False]
    assert [s.no_master for s in loaded.servers] == [False, False, True]
    assert str(loaded.manager_workdir) == "/var/lib/mha/app1"
    assert loaded.hook_passwords  # not in the file: scripts are called as they were


def test_every_parameter_that_was_known_still_is() -> None:
    known = (FILES / "parameters.txt").read_text(encoding="utf-8").split()
    assert len(known) > 100
    assert sorted(set(known) - SERVER_PARAMETERS - CLUSTER_PARAMETERS) == []
