"""How checks are shown: the lines that people grep for, exit codes, a table, JSON, and no secret in any of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prefect_mha.commands import masterha_check_repl, masterha_check_ssh
from prefect_mha.commands.views.checks import line, print_json, print_table
from prefect_mha.replication.model.check import Check, Severity

HEALTHY, UNHEALTHY = "MySQL Replication Health is OK.", "MySQL Replication Health is NOT OK!"
NOT_PASSED = "SSH Configuration Check Failed!"


def test_a_line_has_its_subject_its_mark_and_the_hint_of_what_is_not_well() -> None:
    assert line(Check("lag", "db2", True, "0 s behind", hint="wait")) == "db2: lag: 0 s behind [ok]"
    assert line(Check("lag", "db2", False, "40 s behind", hint="wait")) == "db2: lag: 40 s behind [FAILED] (wait)"
    assert line(Check("x", "db2", False, "off", Severity.WARNING, "set it")) == "db2: x: off [warning] (set it)"
    assert line(Check("x", "db2", False, "off", Severity.INFO, "set it")) == "db2: x: off [note] (set it)"


def test_json_is_one_object_with_the_last_line_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    checks = [Check("lag", "db2", False, "40 s", hint="wait"), Check("ssh", "db2", True, "in")]
    print_json("app1", checks, UNHEALTHY, 1)
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["exit_code"], told["failed"], told["result"]) == (False, 1, 1, UNHEALTHY)
    assert told["checks"][0] == {
        "name": "lag",
        "subject": "db2",
        "ok": False,
        "text": "40 s",
        "severity": "error",
        "hint": "wait",
    }


def test_a_table_shows_brackets_as_they_are_and_what_failed_first(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = Check("ssh", "db1", True, "in"), Check("lag", "db2", False, "[red]late[/red]", hint="wait [here]")
    print_table("app1", [good, bad], verbose=True)
    out = capsys.readouterr().out
    assert "[red]late[/red]" in out
    assert "wait [here]" in out
    assert out.index("lag") < out.index("ssh")


@pytest.fixture
def nobody(tmp_path: Path) -> Path:
    """A cluster of one server where nobody answers."""
    path = tmp_path / "app1.cnf"
    path.write_text(
        f"[server default]\nmanager_workdir={tmp_path}\nuser=mha\npassword=se-cret\nssh_user=root\n"
        "[server1]\nhostname=127.0.0.1\nport=1\nssh_port=1\n"
    )
    return path


def test_nobody_answers(nobody: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert masterha_check_repl.main([f"--conf={nobody}"]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == UNHEALTHY
    errors = [text for text in told.err.splitlines() if "[error]" in text]
    (server,) = [text for text in errors if "server-answers" in text]
    assert "127.0.0.1(127.0.0.1:1): server-answers: connect: error 2003:" in server
    assert "is mysqld running there" in server
    assert any("127.0.0.1(127.0.0.1:1): ssh: root@127.0.0.1:1: " in text for text in errors)
    assert told.err.splitlines()[-1].endswith("Got exit code 1 (Not master dead).")
    assert "se-cret" not in told.out + told.err


def test_ssh_alone_says_its_own_last_line(nobody: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert masterha_check_ssh.main([f"--conf={nobody}"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == NOT_PASSED


def test_json_of_a_run_is_all_of_standard_output(nobody: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert masterha_check_repl.main([f"--conf={nobody}", "--output=json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["result"] == UNHEALTHY
    assert {"server-answers", "primary", "ssh"} <= {check["name"] for check in told["checks"] if not check["ok"]}


def test_without_ssh_no_host_is_looked_at(nobody: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert masterha_check_repl.main([f"--conf={nobody}", "--skip_check_ssh", "--output", "json"]) == 1
    assert "ssh" not in {check["name"] for check in json.loads(capsys.readouterr().out)["checks"]}


@pytest.mark.parametrize(
    ("line_of_file", "says"),
    [("pasword=x", "did you mean 'password'?"), ("nonsense", "app1.cnf:"), ("[servre2]", "servre2")],
)
@pytest.mark.parametrize("output", ["text", "json"])
def test_a_file_that_is_wrong(
    output: str, line_of_file: str, says: str, nobody: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody.write_text(nobody.read_text() + line_of_file + "\n")
    assert masterha_check_repl.main([f"--conf={nobody}", f"--output={output}"]) == 2
    told = capsys.readouterr()
    if output == "json":
        (check,) = json.loads(told.out)["checks"]
        assert says in check["text"]
    else:
        assert says in told.err
        assert told.out.splitlines()[-1] == UNHEALTHY


@pytest.mark.parametrize("command", [masterha_check_repl, masterha_check_ssh])
def test_an_unknown_option_names_the_nearest(command: object, nobody: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main([f"--conf={nobody}", "--outptu=json"])  # type: ignore[attr-defined]
    assert end.value.code == 2
    assert "did you mean --output?" in capsys.readouterr().err


def test_a_configuration_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        masterha_check_repl.main([])
    assert end.value.code == 1
    assert "--conf=<server config file> must be set." in capsys.readouterr().err
