"""The package on a user's own machine, from its sdist: the commands exist, run from anywhere, and bring their files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_mha.config.editing.starter import SERVICES
from tests.lab.cluster import HOUSE

pytestmark = pytest.mark.every_variant

COMMANDS = tuple(tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"])

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
    # The worker's unit starts Prefect's own program, which lies beside ours where pip installs both.
    (place / "bin" / "prefect").symlink_to(Path(sysconfig.get_path("scripts")) / "prefect")
    for name in NEIGHBOURS:
        (site / name).mkdir()
        (site / name / "__init__.py").write_text(f"raise RuntimeError('this is another {name}')\n")
    # The wheel is made of the sdist, which has to hold all of it, and that of a copy: building leaves files behind.
    source = tmp_path_factory.mktemp("source") / "checkout"
    left_out = shutil.ignore_patterns(".git", "__pycache__", "tests", "build", "*.egg-info", ".*_cache")
    shutil.copytree(HOUSE, source, symlinks=True, ignore=left_out)
    python = str(place / "bin" / "python")
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    build = "import sys, setuptools.build_meta as b; b.build_sdist(sys.argv[1])"
    for command in (
        [*pip, "setuptools>=77"],
        [python, "-c", build, str(source.parent)],
        [*pip, "--no-deps", "--no-build-isolation", str(source.parent / "prefect_mha-0.1.0.tar.gz")],
    ):
        done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
    shutil.rmtree(source.parent)
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


@pytest.mark.slow
def test_it_writes_a_working_set_into_an_empty_directory(installed: Path, tmp_path: Path) -> None:
    empty = tmp_path / "mha"
    empty.mkdir()
    words = ("--name", "app2", "--host", "127.0.0.1", "--host", "127.0.0.2")
    done = run(installed / "mha", "init", str(empty), *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in empty.iterdir()} == {
        *("app2.cnf", "app2.password", "app2.repl.password", "app2.sql"),
        *(*SERVICES, "prefect.yaml", "automations", "man", "completion"),
    }
    checked = run(installed / "mha", "config", "check", "--conf", str(empty / "app2.cnf"), cwd=tmp_path)
    assert checked.stdout.strip() == f"{empty}/app2.cnf is right: app2 has 2 servers."
    if shutil.which("systemd-analyze"):
        # Its program is there, too: the one of this environment.
        for unit in (name.replace("@.", "@app2.") for name in SERVICES if name.endswith(".service")):
            verified = run(Path("/usr/bin/systemd-analyze"), "verify", str(empty / unit), cwd=tmp_path)
            assert (verified.returncode, verified.stderr) == (0, "")
    again = run(installed / "mha", "init", str(empty), *words, cwd=tmp_path)
    assert again.returncode == 2
    assert "app2.cnf" in again.stderr
    assert "nothing was written" in again.stderr


ENTRYPOINTS = """
import importlib, json, sys, yaml
from prefect.cli.deploy._models import PrefectYamlModel
read = PrefectYamlModel.model_validate(yaml.safe_load(open("mha/prefect.yaml")))
flows = [each.entrypoint.rpartition(".") for each in read.deployments]
print(json.dumps({name: importlib.import_module(module).__dict__[name].name for module, _, name in flows}))
"""


@pytest.mark.slow
def test_the_deployments_that_it_writes_are_flows_of_the_installed_package(installed: Path, tmp_path: Path) -> None:
    assert run(installed / "mha", "init", "mha", "--name", "app2", cwd=tmp_path).returncode == 0
    done = run(installed / "python", "-P", "-c", ENTRYPOINTS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    flows = json.loads(done.stdout.splitlines()[-1])
    assert {"monitor", "failover", "switchover", "health_check"} <= set(flows)
    assert flows == {name: name.replace("_", "-") for name in flows}


def test_man_and_the_shells_find_what_is_theirs(installed: Path) -> None:
    share = installed.parent / "share"
    for name in ("man/man1/mha.1", "bash-completion/completions/mha.bash", "zsh/site-functions/_mha"):
        assert (share / name).is_file()
    assert (share / "fish/vendor_completions.d/mha.fish").is_file()
    assert len(list((share / "man/man1").iterdir())) == len(COMMANDS)


@pytest.mark.slow
def test_the_documentation_and_every_example_come_with_it(installed: Path, tmp_path: Path) -> None:
    assert run(installed / "mha", "init", "mha", "--docs", cwd=tmp_path).returncode == 0
    for folder, copy in ((HOUSE / "docs", "docs"), (HOUSE / "config" / "examples", "examples")):
        there, brought = (
            {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file() and path.suffix != ".png"}
            for top in (folder, tmp_path / "mha" / copy)
        )
        assert brought == there
