"""A password that a real Prefect server keeps as a Secret block; one that is missing, and one that is no text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.cluster import HOUSE
from tests.lab.prefect_server import PrefectServer

MAKE = """
from prefect.blocks.system import Secret
Secret(value="  lab #p'\\"w ö\\n").save("app1-mha")
Secret(value={"user": "mha"}).save("app1-table")
"""
LOAD = """
import sys
from config import ConfigError, load_cluster
try:
    first, second = load_cluster(sys.argv[1], None).servers
    print([server.password.get_secret_value() for server in (first, second)])
except ConfigError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_password_is_read_from_its_block(tmp_path: Path) -> None:
    conf = tmp_path / "app1.cnf"
    with PrefectServer() as server:

        def python(code: str, *words: str) -> str:
            done = subprocess.run(
                [sys.executable, "-c", code, *words],
                env={**server.client_environment(), "PYTHONPATH": str(HOUSE)},
                stdout=subprocess.PIPE,
                text=True,
                timeout=120,
                check=True,
            )
            return done.stdout.strip()

        def loaded(name: str) -> str:
            servers = "[server1]\nhostname=127.0.0.1\n[server2]\nhostname=127.0.0.2\n"
            conf.write_text(f"[server default]\npassword=prefect:{name}\n{servers}")
            return python(LOAD, str(conf))

        python(MAKE)
        assert loaded("app1-mha") == str(["  lab #p'\"w ö\n"] * 2)
        place = f"127.0.0.1:{server.port}"
        missing = f"which Prefect at {place} does not have: make it, or correct the name"
        assert loaded("app2-mha") == f"{conf}:2: password names the Secret block app2-mha, {missing}"
        assert loaded("app1-table") == f"{conf}:2: password names the Secret block app1-table, which holds no text"
