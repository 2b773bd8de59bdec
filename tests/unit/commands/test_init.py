"""`mha init`: what it writes is right as it is, and what was there stays."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from prefect_mha.commands.mha import app
from prefect_mha.config import ConfigError, load_cluster

ROOT = Path(__file__).parents[3]
HOSTS = ("--host", "127.0.0.1", "--host", "127.0.0.2:3307", "--host", "[::1]")
SECRETS = {"app2.cnf", "app2.password", "app2.repl.password", "app2.sql"}


def init(directory: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["init", str(directory), *words])
    if isinstance(done.exception, Exception) and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def made(tmp_path: Path) -> Path:
    init(tmp_path / "mha", "--name", "app2", *HOSTS)
    return tmp_path / "mha"


def files(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def test_the_configuration_is_loaded_as_it_is(made: Path) -> None:
    cluster = load_cluster(made / "app2.cnf", None)
    assert cluster.name == "app2"
    assert [(each.hostname, each.port) for each in cluster.servers] == [
        ("127.0.0.1", 3306),
        ("127.0.0.2", 3307),
        ("::1", 3306),
    ]
    assert cluster.warnings == ()
    assert not cluster.hook_passwords
    assert cluster.servers[0].password.get_secret_value() == (made / "app2.password").read_text().strip()
    assert cluster.manager_workdir.name == "app2"


def test_what_holds_a_secret_is_for_its_owner_alone(made: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in made.iterdir() if path.is_file()}
    assert {name for name, mode in modes.items() if mode == 0o600} == SECRETS
    password = (made / "app2.password").read_text().strip()
    assert {name for name, text in files(made).items() if password in text} == {"app2.password", "app2.sql"}


def test_each_host_gets_an_account_with_that_password(made: Path) -> None:
    text, password = (made / "app2.sql").read_text(), (made / "app2.password").read_text().strip()
    accounts = re.findall(r"^CREATE USER 'mha'@'([^']+)' IDENTIFIED BY '([^']+)';$", text, re.MULTILINE)
    assert [host for host, _ in accounts][1:] == ["127.0.0.1", "127.0.0.2", "::1"]
    assert {given for _, given in accounts} == {password}
    assert not re.search(r"[^\w-]", password)


def test_nothing_names_the_example_any_more(made: Path) -> None:
    for name, text in files(made).items():
        if name.startswith(("man/", "completion/")):
            continue  # what is the same for everybody
        assert "app1" not in text, name
        assert not re.search(r"/etc/mha\b", text), name


def test_a_file_of_the_application_that_is_there_stays_and_nothing_is_written(made: Path) -> None:
    before = files(made)
    (made / "mha@.service").unlink()
    with pytest.raises(ConfigError, match=r"app2\.cnf, app2\.password, .* are there already, so nothing was written"):
        init(made, "--name", "app2")
    del before["mha@.service"]
    assert files(made) == before


def test_a_second_application_shares_what_is_there(made: Path) -> None:
    (made / "prefect.yaml").write_text("# mine\n")
    said = init(made, "--name", "app3")
    assert (made / "prefect.yaml").read_text() == "# mine\n"
    assert re.search(r"prefect\.yaml +was there already", said)
    assert (made / "app3.cnf").exists()


def test_a_link_that_leads_away_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    (tmp_path / "mha").mkdir()
    (tmp_path / "mha" / "app1.password").symlink_to(target)
    with pytest.raises(ConfigError, match=r"app1\.password is there already"):
        init(tmp_path / "mha")
    assert not target.exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--name", "../x"), "is no name for an application"),
        (("--name", "a b"), "is no name for an application"),
        (("--host", "db1\nuser=root"), "is no host"),
        (("--host", "db1'"), "is no host"),
        (("--host", "db1:70000"), "is no host"),
        (("--host", "db1", "--host", "db1"), "named twice"),
        (("--manager-host", "x'@'%"), "is no host"),
    ],
)
def test_words_that_would_end_up_elsewhere_are_refused(tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        init(tmp_path / "mha", *words)
    assert not (tmp_path / "mha").exists()


def test_a_directory_that_no_unit_could_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot stand in a unit"):
        init(tmp_path / "100% mine")


@pytest.mark.parametrize("name", ["app2", "1e3", "no"])
def test_prefect_reads_its_file(tmp_path: Path, name: str) -> None:
    from prefect.cli.deploy._models import PrefectYamlModel

    init(tmp_path, "--name", name)
    read = PrefectYamlModel.model_validate(yaml.safe_load((tmp_path / "prefect.yaml").read_text()))
    assert read.deployments
    assert {each.parameters["cluster"] for each in read.deployments} == {name}
    assert all(f"cluster:{name}" in (each.tags or ()) for each in read.deployments)


def test_prefect_reads_the_automations(made: Path) -> None:
    from prefect.events.schemas.automations import AutomationCore

    for path in (made / "automations").iterdir():
        read = yaml.safe_load(path.read_text().replace("NOTIFICATION_BLOCK", "00000000-0000-4000-8000-000000000000"))
        for each in read.get("automations", [read]):
            assert AutomationCore.model_validate(each).name.startswith("mha: ")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_finds_nothing_wrong_with_the_units(made: Path, tmp_path: Path) -> None:
    for unit in made.glob("*.service"):
        text = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text())
        instance = tmp_path / unit.name.replace("@.", "@app2.")
        instance.write_text(text)
        done = subprocess.run(["systemd-analyze", "verify", str(instance)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_documentation_comes_with_it_when_it_is_wanted(tmp_path: Path) -> None:
    said = init(tmp_path, "--docs")
    for page in (ROOT / "docs").glob("*.md"):
        assert (tmp_path / "docs" / page.name).read_text() == page.read_text()
    assert (tmp_path / "examples" / "power_ipmi.sh").stat().st_mode & stat.S_IXUSR
    assert json.loads((tmp_path / "docs" / "grafana" / "mha.json").read_text())
    assert said.count("docs/") == 1


def test_the_command_of_the_quick_start_makes_what_the_page_speaks_of(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^mha init (.*)$", page, re.MULTILINE)
    init(tmp_path, *shlex.split(line)[1:])
    for name in re.findall(r"/etc/mha/([\w.@/-]+)", page):
        assert (tmp_path / name).exists(), name
    cluster = load_cluster(tmp_path / "app1.cnf", None, resolve=lambda host: f"10.0.0.{host[2]}")
    assert [server.hostname for server in cluster.servers] == ["db1", "db2", "db3"]
