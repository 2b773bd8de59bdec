"""Unknown options, misspelt ones, and files that are wrong: the nearest valid name and exit 2, from every command."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from prefect_mha.commands.mha import app
from tests.unit.commands.conftest import ROOT, Result, environment

SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
MODULES = {name: target.partition(":")[0].removeprefix("prefect_mha.commands.") for name, target in SCRIPTS.items()}
FRONT = typer.main.get_command(app)


def _of_mha() -> list[tuple[str, ...]]:
    """Every command of mha, the nested ones too."""
    found = []
    for name, command in FRONT.commands.items():
        inner = getattr(command, "commands", None)
        found += [(name, part) for part in inner] if inner else [(name,)]
    return found


COMMANDS = [(name,) for name in MODULES if name != "mha"] + [("mha", *words) for words in _of_mha()]
INCIDENT = next((ROOT / "tests" / "unit" / "replication" / "detection" / "incidents").glob("*.jsonl"))
#: What each needs beside --conf before it reads the file; those without a --conf are not here.
WITH_CONF = {
    ("masterha_manager",): [],
    ("masterha_check_status",): [],
    ("masterha_stop",): [],
    ("masterha_master_switch",): ["--master_state=dead", "--dead_master_host=db1"],
    ("masterha_master_monitor",): [],
    ("masterha_conf_host",): ["--command=add", "--hostname=db9.invalid"],
    ("masterha_check_repl",): [],
    ("masterha_check_ssh",): [],
    ("mha", "release"): ["--host=db1"],
    ("mha", "rejoin"): ["--host=db1"],
    ("mha", "drill"): ["--kind=switch"],
    ("mha", "replay"): [str(INCIDENT)],
    ("mha", "report"): ["--last"],
}
WITHOUT_CONF = {"masterha_secondary_check", "purge_relay_logs", "save_binary_logs", "apply_diff_relay_logs"}
WITHOUT_CONF |= {"filter_mysqlbinlog", "mha simulate", "mha init"}
#: They find every file of a directory by themselves.
WITHOUT_CONF |= {"mha serve", "mha deploy"}

WRONG = {
    "an unknown parameter": ("[server default]\npassw0rd_of_mha=x\n[server1]\nhostname=10.0.0.1\n", 2, "'password'?"),
    "a misspelt one": ("[server1]\nhostname=10.0.0.1\ncandidate_mastr=1\n", 3, "did you mean 'candidate_master'?"),
    "a misspelt block": ("[servr1]\nhostname=10.0.0.1\n", 1, "did you mean [server1]?"),
    "a syntax error": ("[server1]\nhostname=10.0.0.1\nno_master\n", 3, "neither a [block] nor name=value"),
    "a wrong value": ("[server1]\nhostname=10.0.0.1\nport=33o6\n", 3, "port must be a whole number"),
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs a command as its entry point does."""

    def runner(name: str, *words: str) -> Result:
        monkeypatch.setattr(sys, "argv", [name, *words])
        try:
            code = importlib.import_module(f"prefect_mha.commands.{MODULES[name]}").main()
        except SystemExit as ended:
            code = ended.code
        return Result(code, *capsys.readouterr())

    return runner


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_option_that_is_unknown_or_misspelt(command: tuple[str, ...], run: Callable[..., Result]) -> None:
    wrong = "--versoin" if command[0] != "mha" else "--hlep"
    done = run(command[0], *command[1:], wrong)
    assert done.code == 2, done
    assert ("--version" if command[0] != "mha" else "--help") in done.err
    assert "Traceback" not in done.err


def test_a_command_of_mha_that_is_misspelt(run: Callable[..., Result]) -> None:
    done = run("mha", "topologi")
    assert done.code == 2
    assert "topology" in done.err


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("command", [c for c in COMMANDS if not {c[0], " ".join(c)} & WITHOUT_CONF], ids=" ".join)
def test_a_file_that_is_wrong(command: tuple[str, ...], wrong: str, tmp_path: Path, run: Callable[..., Result]) -> None:
    text, line, says = WRONG[wrong]
    conf = tmp_path / "app1.cnf"
    conf.write_text(text)
    words = [*command[1:], *WITH_CONF.get(command, []), f"--conf={conf}"]
    done = run(command[0], *words)
    assert done.code == 2, done
    assert f"{conf}:{line}: " in done.err
    assert says in done.err
    assert done.err.count("\n") == 1, done.err
    assert conf.read_text() == text


@pytest.mark.parametrize("name", MODULES)
def test_help_needs_no_prefect(name: str) -> None:
    code = (
        f"import sys; sys.argv = ['{name}', '--help']; from prefect_mha.commands.{MODULES[name]} import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(*sorted({m.partition('.')[0] for m in sys.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "prefect_mha" in loaded
    assert not loaded & {"prefect", "pymysql", "paramiko"}
