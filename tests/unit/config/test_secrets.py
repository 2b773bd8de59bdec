"""Where secrets come from, that they show nowhere, and that who needs none gets none."""

from __future__ import annotations

import pickle
import traceback

import pytest
from pydantic import SecretStr

from prefect_mha.config import ConfigError, load_cluster
from prefect_mha.config.forms.ini import parse_ini
from prefect_mha.config.forms.init_script import run_init_script
from prefect_mha.config.forms.raw import Value
from tests.unit.config.conftest import resolve
from tests.unit.config.test_edit import INI

ONE = "[server1]\nhostname=node1\n"


def test_secrets_come_from_the_environment_and_from_files(load, tmp_path, monkeypatch):
    monkeypatch.setenv("MHA_TEST_SECRET", " #p'\"w ")
    (tmp_path / "repl").write_text("two\nlines\n\n")
    secrets = f"password=env:MHA_TEST_SECRET\nrepl_password=file:{tmp_path}/repl\n"
    server = load(f"[server default]\n{secrets}{ONE}").servers[0]
    assert server.password.get_secret_value() == " #p'\"w "
    assert server.repl_password is not None
    assert server.repl_password.get_secret_value() == "two\nlines\n"


@pytest.mark.parametrize("literal", ["env", "env:", "file:relative", "filename", "environment:X"])
def test_passwords_that_only_look_like_references_are_passwords(load, literal):
    assert load(f"{ONE}password={literal}\n").servers[0].password.get_secret_value() == literal


@pytest.mark.parametrize("reference", ["env:MHA_NOT_SET", "file:/nonexistent/secret", "file:/", "file:~/no-such-file"])
def test_a_secret_that_is_not_where_it_should_be_is_an_error(load, reference):
    with pytest.raises(ConfigError, match=rf"app1\.cnf:3: password names .*{reference.partition(':')[2]}") as caught:
        load(f"{ONE}password={reference}\n")
    assert caught.value.key == "password"


def test_a_secret_that_is_not_text_is_an_error(load, tmp_path, monkeypatch):
    (tmp_path / "latin").write_bytes(b"S3cr3t\xff\n")
    monkeypatch.setenv("MHA_TEST_SECRET", "S3cr3t\udcff")
    for reference in (f"file:{tmp_path}/latin", "env:MHA_TEST_SECRET"):
        with pytest.raises(ConfigError, match="which is not UTF-8 text") as caught:
            load(f"{ONE}password={reference}\n")
        assert "S3cr3t" not in "".join(traceback.format_exception(caught.value))


def test_an_empty_replication_password_leaves_the_servers_own(load):
    text = f'[server default]\nrepl_password=x\n{ONE}repl_password=""\n'
    assert load(text).servers[0].repl_password is None


def test_models_and_what_was_read_never_print_a_secret(load):
    text = f"{ONE}password=S3cr3t\nrepl_password=S3cr3t\n[binlog1]\nhostname=node2\npassword=S3cr3t\n"
    cluster = load(text)
    shown = f"{cluster!r} {cluster} {cluster.servers[0]} {cluster.model_dump_json()} {cluster.model_dump()}"
    assert "S3cr3t" not in shown + repr(parse_ini(text, INI))
    assert pickle.loads(pickle.dumps(cluster)).servers[0].password.get_secret_value() == "S3cr3t"


MISTAKES = [
    "password S3cr3t=x\n",
    "password: S3cr3t=x\n",
    "passwordS3cr3t\n",
    "[server2] password=S3cr3t\n",
    "password=S3cr3t #x\nport=none\n",
    'password="S3cr3t\0"\n',
    "password='S3cr3t\nno_master=7\n",
    "password=S3cr3t\nhostname=nowhere\n",
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_no_error_shows_a_secret_even_in_its_traceback(load, mistake):
    with pytest.raises(ConfigError) as caught:
        load(ONE + mistake)
    assert "S3cr3t" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("printed", ["S3cr=3t", "password S3cr=3t", "password: S3cr=3t"])
def test_a_name_that_the_script_should_not_have_printed_is_not_shown(load, printed):
    with pytest.raises(ConfigError, match=r"app1\.cnf:2: init_conf_load_script printed a parameter name") as caught:
        load(f"[server default]\ninit_conf_load_script=echo '{printed}'\n{ONE}")
    assert "S3cr" not in str(caught.value)
    assert "3t" not in str(caught.value)


def test_what_a_script_prints_is_not_shown_by_what_holds_it():
    assert "S3cr3t" not in repr(run_init_script(Value("echo password=S3cr3t", INI, 2)))


@pytest.fixture
def guarded(tmp_path):
    """A file whose script leaves a trace, and whose secrets cannot be had."""
    path = tmp_path / "app1.cnf"
    path.write_text(
        f"[server default]\ninit_conf_load_script=touch {tmp_path}/ran; exit 1\nmanager_workdir=/w\n"
        f"password=literal\nrepl_password=env:MHA_NOT_SET\n{ONE}"
        "[server2]\nhostname=node2\npassword=env:MHA_NOT_SET\nrepl_password=file:/nonexistent\n"
        "[server3]\nhostname=node3\nrepl_password=\n[binlog1]\nhostname=node1\npassword=file:/nonexistent\n"
    )
    return path


def test_without_secrets_no_script_runs_and_no_reference_is_followed(guarded, tmp_path):
    cluster = load_cluster(guarded, None, resolve=resolve, secrets=False)
    assert not (tmp_path / "ran").exists()
    empty = SecretStr("")
    assert [s.password for s in (*cluster.servers, *cluster.binlog_servers)] == [empty] * 4
    assert [s.repl_password for s in cluster.servers] == [empty, empty, None]
    assert str(cluster.manager_workdir) == "/w"
    assert cluster.init_conf_load_script is not None


def test_without_secrets_everything_else_is_still_checked(guarded):
    guarded.write_text(guarded.read_text() + "passwrod=x\n")
    with pytest.raises(ConfigError, match="did you mean 'password'"):
        load_cluster(guarded, None, resolve=resolve, secrets=False)


def test_with_secrets_the_failing_script_is_an_error(guarded, tmp_path):
    with pytest.raises(ConfigError, match="init_conf_load_script ended with exit code 1"):
        load_cluster(guarded, None, resolve=resolve)
    assert (tmp_path / "ran").exists()
