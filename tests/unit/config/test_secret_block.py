"""Secrets that Prefect keeps: without Prefect's API one clear sentence, and no Prefect for whoever has none of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.prefect_server import hanging_port, refused_port

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import sys, time
from config import ConfigError, load_cluster
began = time.monotonic()
try:
    load_cluster(sys.argv[1], None)
except ConfigError as error:
    print(error)
print("prefect" in sys.modules)
"""


def loaded(tmp_path: Path, password: str, **env: str) -> list[str]:
    """What is said of a configuration with that password, then whether Prefect was imported; no profile is found."""
    conf = tmp_path / "app1.cnf"
    conf.write_text(f"[server1]\nhostname=127.0.0.1\npassword={password}\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(conf)],
        env={**clean, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path), **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.replace(f"{conf}:3: ", "").splitlines()


def test_without_such_a_value_prefect_is_not_imported(tmp_path: Path) -> None:
    assert loaded(tmp_path, "prefect:") == ["False"]


@pytest.mark.parametrize("name", ["../variables", "App1", "a b", "app1%2f", "-a"])
def test_a_name_that_no_block_can_have_is_not_asked_for(tmp_path: Path, name: str) -> None:
    said, imported = loaded(tmp_path, f"prefect:{name}")
    assert said.startswith(f"password names the Secret block {name}, which is no name of a block")
    assert imported == "False"


def test_without_an_api_nothing_is_asked(tmp_path: Path) -> None:
    said, _ = loaded(tmp_path, "prefect:app1-mha")
    assert said == "password names the Secret block app1-mha, but no PREFECT_API_URL is set, by environment or profile"


def test_an_api_that_is_away_is_an_error_in_seconds(tmp_path: Path) -> None:
    with refused_port() as refused, hanging_port() as hanging:
        for port in (refused, hanging):
            began = time.monotonic()
            said, _ = loaded(tmp_path, "prefect:app1-mha", PREFECT_API_URL=f"http://user:s3cret@127.0.0.1:{port}/api")
            wanted = f"password names the Secret block app1-mha, but Prefect at 127.0.0.1:{port} does not answer: "
            assert said.startswith(wanted)
            assert "s3cret" not in said
            # Prefect's own patience with an API that hangs is minutes.
            assert time.monotonic() - began < 60
