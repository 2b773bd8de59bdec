"""Option syntax and endings that all masterha_* commands share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from prefect_mha.commands.shared import options
from prefect_mha.commands.shared.options import (
    OptionParser,
    SelectionError,
    add_conf,
    add_selectors,
    die,
    require_conf,
    run,
)
from prefect_mha.replication.errors import AlreadyActing
from tests.unit.commands.conftest import ROOT, environment, run_command


def parser() -> OptionParser:
    made = OptionParser("masterha_test", "Test.", "masterha_test --conf=/etc/mha/app1.cnf")
    add_conf(made)
    made.add_argument("--remove_dead_master_conf", "--remove_orig_master_conf", action="store_true")
    made.add_argument("--new_master_host")
    made.add_argument("--new_master_port", type=int, default=3306)
    made.add_argument("--ssh_options", default="")
    made.add_argument("--interactive", type=int, choices=(0, 1), default=1)
    made.add_argument("-s", action="append", default=[])
    return made


@pytest.mark.parametrize(
    "words",
    [
        ["--new_master_host=db2"],
        ["--new-master-host=db2"],
        ["--new_master_host", "db2"],
        ["--NEW_Master-host", "db2"],
        ["-new_master_host=db2"],
        ["--new_master_h=db2"],
    ],
)
def test_one_option_in_every_accepted_spelling(words: list[str]) -> None:
    assert parser().parse(words).new_master_host == "db2"


def test_values_are_taken_as_they_are() -> None:
    given = parser().parse(["--ssh_options", "-i /k -o A=b", "--new_master_host=--x=y", "-s", "a", "-s=b"])
    assert (given.ssh_options, given.new_master_host, given.s) == ("-i /k -o A=b", "--x=y", ["a", "b"])


def test_an_alias_means_the_same_option() -> None:
    assert parser().parse(["--remove-orig-master-conf"]).remove_dead_master_conf
    assert parser().parse(["--remove"]).remove_dead_master_conf, "both names begin so, and are one option"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--new_master_hots=x"], "unknown option --new_master_hots; did you mean --new_master_host?"),
        (["--zzzzqqq"], "unknown option --zzzzqqq "),
        (["--new_master"], "--new_master may mean --new_master_host or --new_master_port"),
        (["--new_master_host"], "--new_master_host needs a value"),
        (["--new_master_host", "--conf=x"], "--new_master_host needs a value"),
        (["--remove_dead_master_conf=1"], "--remove_dead_master_conf takes no value"),
        (["--new_master_port=x"], "--new_master_port: invalid int value: 'x'"),
        (["app1.cnf"], "'app1.cnf' is not an option"),
        (["--"], "'--' is not an option"),
        (["--conf=a", "db2"], "'db2' is not an option"),
    ],
)
def test_a_wrong_option_is_named_in_one_line_with_exit_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse(words)
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert message in told
    assert told.count("\n") == 1
    assert told.startswith("masterha_test: ")


def test_help_has_every_option_and_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert "--remove_dead_master_conf, --remove_orig_master_conf\n" in text
    assert "--conf FILE " in text
    assert "--interactive 0|1\n" in text
    assert "example:\n  masterha_test --conf=/etc/mha/app1.cnf\n" in text


def test_version_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "package_version", lambda: "1.2.3")
    with pytest.raises(SystemExit) as ended:
        parser().parse(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == "masterha_test version 1.2.3.\n"


def test_missing_conf_has_mhas_words(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        require_conf(parser().parse([]))
    assert ended.value.code == 1
    assert capsys.readouterr().err == "--conf=<server config file> must be set.\n"
    assert require_conf(parser().parse(["--conf=/a/app1.cnf"])) == Path("/a/app1.cnf")


def _raises(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (AlreadyActing("Another manager of app1 runs."), 1, "Another manager of app1 runs.\n"),
        (SelectionError("none"), 1, "none\n"),
        (PermissionError(13, "Permission denied", "/var/log/x"), 1, "/var/log/x: Permission denied\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_an_operator_can_cause_is_one_line(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(lambda: _raises(error)) == code
    assert capsys.readouterr().err == line


def test_a_fault_of_the_program_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 // 0)


def test_a_config_error_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "app1.cnf").write_text("[server default]\nping_intervall=3\n[server1]\nhostname=db1\n")
    result = run_command("masterha_check_status", f"--conf={tmp_path}/app1.cnf")
    assert result.code == 2
    assert result.out == ""
    assert result.err.count("\n") == 1
    assert "app1.cnf:2" in result.err
    assert "ping_interval" in result.err


def test_exit_codes_pass_through() -> None:
    assert run(lambda: 51) == 51
    with pytest.raises(SystemExit) as ended:
        die("x", 7)
    assert ended.value.code == 7


def test_a_reader_that_went_away_makes_no_noise(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "prefect_mha.commands.masterha_check_status", "--app=app1", f"--status_dir={tmp_path}"],
        cwd=ROOT,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("command", ["masterha_check_status", "masterha_stop"])
def test_nothing_heavy_is_imported(command: str, tmp_path: Path) -> None:
    code = (
        f"import sys; from prefect_mha.commands.{command} import main\n"
        f"main(['--app=app1', '--status_dir={tmp_path}'])\n"
        "print(*sorted({m.partition('.')[0] for m in sys.modules}))\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    ).stdout
    loaded = set(out.splitlines()[-1].split())
    assert "argparse" in loaded
    assert not loaded & {"prefect", "pymysql", "paramiko", "typer", "rich", "click", "pydantic"}


class TestSelection:
    """Which application, and where its files are."""

    def selection(self, *words: str) -> list[options.Target]:
        made = OptionParser("masterha_test", "Test.", "x")
        add_selectors(made)
        given = made.parse(words)
        return [options.target(given, app) for app in options.selected_apps(given)]

    def test_basedir_and_baselog_need_no_configuration(self, tmp_path: Path) -> None:
        (tmp_path / "app1").mkdir()
        (found,) = self.selection("--app=app1", f"--basedir={tmp_path}", "--baselog=/log")
        assert found == options.Target("app1", tmp_path / "app1", Path("/log/app1/app1.log"), 10.0)

    @pytest.mark.parametrize("name", ["--status_dir", "--manager_workdir", "--workdir"])
    def test_status_dir_has_three_names(self, name: str, tmp_path: Path) -> None:
        (found,) = self.selection("--app=app1", f"{name}={tmp_path}", "--log_output=/l", "--ping_limit=3")
        assert found == options.Target("app1", tmp_path, Path("/l"), 3.0)

    def test_app_is_looked_up_in_the_usual_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(options, "CONF_DIRECTORY", tmp_path)
        (tmp_path / "app7.cnf").write_text(
            f"[server default]\nmanager_workdir={tmp_path}\nmanager_log=/l\n[server1]\nhostname=db1.invalid\n"
        )
        assert self.selection("--app=app7") == [options.Target("app7", tmp_path, Path("/l"), 10.0)]

    def test_all_are_those_that_daemontools_runs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(options, "SERVICE_DIRECTORY", tmp_path)
        with pytest.raises(SelectionError, match=r"masterha_\*, and there is none"):
            self.selection("--all", f"--basedir={tmp_path}")
        for name in ("masterha_b", "masterha_a", "other", "a", "b"):
            (tmp_path / name).mkdir()
        assert [t.app for t in self.selection("--all", f"--basedir={tmp_path}")] == ["a", "b"]

    def test_command_line_goes_before_the_file(self, tmp_path: Path) -> None:
        conf = tmp_path / "app1.cnf"
        conf.write_text("[server default]\nmanager_workdir=/nowhere\nmanager_log=/l\n[server1]\nhostname=db1.invalid\n")
        (found,) = self.selection(f"--conf={conf}", f"--workdir={tmp_path}", "--manager_log=/other")
        assert found == options.Target("app1", tmp_path, Path("/other"), 10.0)

    @pytest.mark.parametrize(("interval", "limit"), [(1, 10.0), (3, 10.0), (5, 15.0), (60, 180.0)])
    def test_a_longer_ping_interval_is_not_a_hanging_manager(self, interval: int, limit: float, tmp_path: Path) -> None:
        conf = tmp_path / "app1.cnf"
        conf.write_text(
            f"[server default]\nmanager_workdir={tmp_path}\nping_interval={interval}\n[server1]\nhostname=db1.invalid\n"
        )
        assert self.selection(f"--conf={conf}")[0].ping_limit == limit

    def test_a_missing_directory_is_named(self) -> None:
        with pytest.raises(SelectionError, match=r"app1: directory /nowhere not found\."):
            self.selection("--app=app1", "--status_dir=/nowhere")

    def test_no_selector_at_all(self) -> None:
        with pytest.raises(SelectionError, match=r"--conf=<server config file> must be set"):
            self.selection()
