"""What a command loads before it needs it: nothing. Asserted on modules, because seconds differ by machine."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from prefect_mha.config import load_cluster
from prefect_mha.replication.memory.manager_view import note_places

ROOT = Path(__file__).parents[3]
COMMANDS = {
    name: place.partition(":")[0]
    for name, place in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"].items()
}
HEAVY = {"prefect", "httpx", "typer", "rich", "paramiko", "cryptography", "pymysql", "pydantic", "apprise"}
#: typer brings rich for its help, and pydantic when that is installed.
TYPER = {"typer", "rich", "pydantic"}

_RUN = """
import runpy, sys
sys.argv = [{module!r}, *{arguments!r}]
try:
    runpy.run_module({module!r}, run_name="__main__")
except SystemExit as end:
    code = end.code
print("LOADED", code, *({heavy!r} & sys.modules.keys()))
"""


def loaded(module: str, *arguments: str) -> tuple[str, set[str]]:
    """The exit code of a command in a process of its own, and which of the heavy modules it loaded."""
    program = _RUN.format(module=module, arguments=list(arguments), heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60)
    last = done.stdout.splitlines()[-1].split()
    assert last[0] == "LOADED", done
    return last[1], set(last[2:])


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "mha"])
def test_help_loads_nothing_heavy(command: str) -> None:
    assert loaded(COMMANDS[command], "--help") == ("0", set())


@pytest.mark.parametrize(
    "words", [["--help"], ["check", "--help"], ["failover", "--help"], ["--version"]], ids=" ".join
)
def test_help_of_mha_loads_neither_prefect_nor_drivers(words: list[str]) -> None:
    code, modules = loaded("prefect_mha.commands.mha", *words)
    assert code in ("0", "None")
    assert modules <= TYPER


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A cluster of one server that nobody answers for, at once."""
    path = tmp_path / "app1.cnf"
    path.write_text(
        f"[server default]\nmanager_workdir={tmp_path}\nssh_user=root\n"
        "[server1]\nhostname=127.0.0.1\nport=1\nssh_port=1\n"
    )
    return path


STATUS = "prefect_mha.commands.masterha_check_status"


def test_a_status_needs_no_server(conf: Path) -> None:
    assert loaded(STATUS, f"--conf={conf}") == ("2", {"pydantic"})


def test_a_status_needs_no_models_of_files_that_the_manager_has_read(conf: Path) -> None:
    note_places(load_cluster(conf, None))
    assert loaded(STATUS, f"--conf={conf}") == ("2", set())
    # What is validated is what is there now.
    conf.write_text(conf.read_text().replace("port=1", "port=one", 1))
    assert loaded(STATUS, f"--conf={conf}") == ("2", {"pydantic"})


def test_the_first_look_at_a_cluster_needs_no_ssh(conf: Path) -> None:
    code = (
        "import sys; from prefect_mha.config import load_cluster; "
        "from prefect_mha.replication.cluster.first_look import FirstLook; "
        f"FirstLook(load_cluster({str(conf)!r}, None)); print(*({HEAVY!r} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert set(done.stdout.split()) == {"pydantic", "pymysql", "cryptography"}, done


def test_a_manager_imports_nothing_that_it_does_not_use() -> None:
    unused = {"invoke", "httpx", "rich", "prefect", "apprise"}
    code = f"import sys, prefect_mha.flows.manager.manager as _; print(*({unused!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done


@pytest.mark.parametrize("command", ["masterha_check_repl", "masterha_check_ssh"])
@pytest.mark.parametrize(("output", "shown_with"), [("text", set()), ("json", set()), ("table", {"rich"})])
def test_a_check_needs_no_prefect(command: str, output: str, shown_with: set[str], conf: Path) -> None:
    code, modules = loaded(f"prefect_mha.commands.{command}", f"--conf={conf}", f"--output={output}")
    assert code == "1"
    assert modules == {"pydantic", "pymysql", "paramiko", "cryptography"} | shown_with
