"""``pip install .`` on a user's own machine: the commands exist, run from anywhere, and bring their files."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cluster import HOUSE

pytestmark = pytest.mark.every_variant

COMMANDS = (
    "mha",
    "masterha_manager",
    "masterha_check_status",
    "masterha_stop",
    "masterha_master_switch",
    "masterha_master_monitor",
    "masterha_secondary_check",
    "masterha_conf_host",
    "purge_relay_logs",
    "save_binary_logs",
    "apply_diff_relay_logs",
    "filter_mysqlbinlog",
)

#: What others may call a package, or a file of their project.
NEIGHBOURS = ("config", "tasks", "flows", "commands", "replication", "tests")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The bin directory of an environment with the package; its dependencies are this environment's.

    Beside it lie packages of somebody else that are called as our rooms are.
    """
    place = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True, timeout=120)
    site = next((place / "lib").glob("python3*")) / "site-packages"
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for name in NEIGHBOURS:
        (site / name).mkdir()
        (site / name / "__init__.py").write_text(f"raise RuntimeError('this is another {name}')\n")
    pip = [str(place / "bin" / "pip"), "install", "-q", "--no-deps", str(HOUSE)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    yield place / "bin"


def run(program: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run it in a project of the user's own, which has such names too."""
    for name in NEIGHBOURS:
        (cwd / f"{name}.py").write_text(f"raise RuntimeError('this is the project's own {name}')\n")
    return subprocess.run(
        [str(program), *words],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), "PYTHONPATH": str(cwd)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_beside_others_of_the_same_names(installed: Path, name: str, tmp_path: Path) -> None:
    done = run(installed / name, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "xample" in done.stdout or name == "mha"
    version = run(installed / name, "--version", cwd=tmp_path)
    assert (
        version.stdout.strip() == f"{name} version 0.1.0{'.' if not version.stdout.strip().endswith('0.1.0') else ''}"
    )


def test_the_first_mistake_of_a_new_user_is_one_clear_line(installed: Path, tmp_path: Path) -> None:
    conf = tmp_path / "app1.cnf"
    conf.write_text("[server default]\npasword=x\n[server1]\nhostname=127.0.0.1\n")
    done = run(installed / "masterha_manager", f"--conf={conf}", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [f"{conf}:2: parameter name 'pasword' is invalid; did you mean 'password'?"]


def test_nobody_there_is_told_with_number_and_hint(installed: Path, tmp_path: Path) -> None:
    conf = tmp_path / "app1.cnf"
    conf.write_text(f"[server default]\nmanager_workdir={tmp_path}\n[server1]\nhostname=127.0.0.1\nport=1\n")
    done = run(installed / "masterha_manager", f"--conf={conf}", cwd=tmp_path)
    assert done.returncode == 1
    assert "127.0.0.1(127.0.0.1:1): connect: error 2003" in done.stderr
    assert "is mysqld running there" in done.stderr
    assert "Traceback" not in done.stderr
