"""masterha_conf_host: lines, exit codes, names of blocks, parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_mha.commands.masterha_conf_host import main, parameters
from prefect_mha.config import ConfigError, load_cluster
from tests.unit.commands.conftest import run_command

FILE = """\
# ours
[server default]
user=mha

[server1]
hostname=db1.invalid ; first

[server_2]
hostname=db2.invalid
"""


@pytest.fixture
def cnf(tmp_path: Path) -> Path:
    path = tmp_path / "app1.cnf"
    path.write_text(FILE)
    return path


def conf_host(cnf: Path, command: str, *words: str) -> int:
    return main([f"--command={command}", f"--conf={cnf}", *words])


@pytest.mark.parametrize(
    ("words", "block"),
    [
        (["--block=9"], "server9"),
        (["--block=server9"], "server9"),
        (["--block=server_9"], "server_9"),
        ([], "server_db9.invalid"),
        (["--block=binlog1"], "binlog1"),
    ],
)
def test_added_and_deleted_again_the_file_is_as_before(cnf, capsys, words, block):
    added = conf_host(cnf, "add", "--hostname=db9.invalid", '--params=port=3307;no_master=1;repl_user="a=b;c"', *words)
    assert added == 0
    assert capsys.readouterr().out == f"Wrote {block} entry to {cnf} .\n"
    assert cnf.read_text() == f"{FILE}\n[{block}]\nhostname=db9.invalid\nport=3307\nno_master=1\nrepl_user=a=b;c\n"
    assert conf_host(cnf, "delete", "--hostname=db9.invalid", *words) == 0
    assert capsys.readouterr().out == f"Deleted {block} entry from {cnf} .\n"
    assert cnf.read_text() == FILE + "\n"


def test_a_block_that_is_there_is_an_error_whatever_its_spelling(cnf, capsys):
    for block in ("1", "server1", "server_1", "2", "server_2"):
        assert conf_host(cnf, "add", "--hostname=x", f"--block={block}") == 1
        assert "already" in capsys.readouterr().err
    assert cnf.read_text() == FILE


def test_what_is_not_there_is_told_and_is_no_error(cnf, capsys):
    assert conf_host(cnf, "delete", "--block=77") == 0
    assert capsys.readouterr().out == f"Entry server77 not found from {cnf} .\n"
    assert conf_host(cnf, "remove", "--hostname=db77") == 0
    assert capsys.readouterr().out == f"Entry server_db77 not found from {cnf} .\n"


def test_deleted_by_its_hostname_or_by_the_number_of_its_block(cnf, capsys):
    assert conf_host(cnf, "delete", "--hostname=db1.invalid") == 0
    assert capsys.readouterr().out == f"Deleted server1 entry from {cnf} .\n"
    assert "# ours\n" in cnf.read_text()
    cnf.write_text(FILE)
    assert conf_host(cnf, "delete", "--block=2") == 0
    assert "server_2" not in cnf.read_text()


def test_the_modern_form(tmp_path, capsys):
    path = tmp_path / "mha.toml"
    path.write_text('# ours\n[server.db1]\nhostname = "db1"\n')
    for block, table in (("server_db2", "[server.db2]"), ("db3", "[server.db3]"), ("binlog.far", "[binlog.far]")):
        assert conf_host(path, "add", f"--hostname={block}.invalid", f"--block={block}", "--params=no_master=1") == 0
        assert f"\n{table}\n" in path.read_text()
    assert conf_host(path, "add", "--hostname=db4.example") == 0
    assert '[server."db4.example"]' in path.read_text()
    assert load_cluster(path, None, resolve=str).servers[0].hostname == "db1"
    assert conf_host(path, "delete", "--hostname=db4.example") == 0
    assert conf_host(path, "add", "--hostname=x", "--block=db1") == 1
    assert "already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ("no_mster=1", "did you mean 'no_master'?"),
        ("port=3307;candidate_mastr=1", "did you mean 'candidate_master'?"),
        ("port", "without ="),
        ("port=x", "[server9] was not added: port must be a whole number"),
    ],
)
def test_parameters_that_are_wrong_change_nothing(cnf, capsys, params, says):
    assert conf_host(cnf, "add", "--hostname=x", "--block=9", f"--params={params}") == 2
    assert says in capsys.readouterr().err
    assert cnf.read_text() == FILE
    assert not cnf.with_suffix(".cnf.bak").exists()


def test_values_of_parameters():
    given = "user=a=b; password = 'x;y' ;report_script=/a --b=c; ; node_label=\"\""
    assert parameters(given) == {"user": "a=b", "password": "x;y", "report_script": "/a --b=c", "node_label": ""}
    with pytest.raises(ConfigError) as refused:
        parameters("password=s3;cret")
    assert "cret" not in str(refused.value)


@pytest.mark.parametrize(
    "words", [[], ["--command=add"], ["--command=add", "--conf=x"], ["--command=delete", "--conf=x"]]
)
def test_what_is_missing_is_said(words):
    done = run_command("masterha_conf_host", *words)
    assert done.code == 1
    assert "must be set" in done.err


def test_a_password_in_the_parameters_is_warned_of_and_taken(cnf):
    done = run_command(
        "masterha_conf_host",
        "--command=add",
        f"--conf={cnf}",
        "--hostname=x",
        '--params=password="\'\\!=#&;` |*?$<>()[]{}"',
    )
    assert done.code == 0, done.err
    assert "password=file:/path" in done.err
    assert "&;`" not in done.out + done.err
    added = load_cluster(cnf, None, resolve=str).servers[-1]
    assert added.password.get_secret_value() == "'\\!=#&;` |*?$<>()[]{}"
