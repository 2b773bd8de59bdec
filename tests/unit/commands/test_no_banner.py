"""Prefect's banner about its telemetry stands above no question of ours: a terminal, a fresh home, an API."""

from __future__ import annotations

import ast
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.commands.conftest import ROOT

BANNER = "anonymous usage data"
COMMANDS = (
    ("prefect_mha.commands.masterha_manager",),
    ("prefect_mha.commands.masterha_master_switch", "--master_state=alive", "--interactive=0"),
    ("prefect_mha.commands.mha", "switchover"),
    ("prefect_mha.commands.mha", "failover", "--yes"),
)


def on_a_terminal(home: Path, *words: str) -> str:
    """What a process of ours says on a terminal, of a user who never used Prefect."""
    ours, theirs = pty.openpty()
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT") and name != "CI"}
    env.pop("DO_NOT_TRACK", None)
    env |= {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": "http://127.0.0.1:1/api",
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
    }
    process = subprocess.Popen(
        [sys.executable, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=home, start_new_session=True
    )
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 65536):
            said += piece
    except OSError:  # the last one has closed it
        pass
    finally:
        os.close(ours)
        process.wait(60)
    return said.decode(errors="replace")


def test_prefect_by_itself_shows_it(tmp_path: Path) -> None:
    """Else the others prove nothing."""
    assert BANNER in on_a_terminal(tmp_path, "-c", "import prefect")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_that_acts_does_not(command: tuple[str, ...], tmp_path: Path) -> None:
    conf = tmp_path / "app1.cnf"
    servers = "".join(f"[server{n}]\nhostname=127.0.0.1\nport={n}\n" for n in (1, 2))
    conf.write_text(
        f"[server default]\nmanager_workdir={tmp_path}/work\nuser=mha\npassword=x\nssh_user=root\n{servers}"
    )
    said = on_a_terminal(tmp_path, "-m", *command, f"--conf={conf}")
    assert "reached" in said or "127.0.0.1" in said
    assert BANNER not in said
    assert "FATAL" not in said  # an interpreter that ends beside a thread of Prefect's


def test_a_command_that_asks_prefect_for_a_password_does_not(tmp_path: Path) -> None:
    conf = tmp_path / "app1.cnf"
    conf.write_text("[server1]\nhostname=127.0.0.1\npassword=prefect:app1-mha\n")
    said = on_a_terminal(tmp_path, "-m", "prefect_mha.commands.mha", "config", "show", f"--conf={conf}")
    assert "Prefect at 127.0.0.1:1 does not answer" in said
    assert BANNER not in said


def test_whoever_imports_prefect_has_made_its_settings_before() -> None:
    """Those of flows/ and tasks/ have, for their packages do it; so nobody else may but who makes them himself."""
    others = []
    for room in ("commands", "config", "replication"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
                others += [str(path) for name in names if name.split(".")[0] == "prefect"]
    assert set(others) == {str(ROOT / "config/forms/prefect_secret.py")}
