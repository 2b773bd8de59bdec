"""Option files are read as MySQL's own programs read them, and passwords of arguments are taken out of sight."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from prefect_mha.commands.purge_relay_logs import parser, server_config
from prefect_mha.commands.shared.option_file import read_client_options
from prefect_mha.config import ConfigError, ServerConfig
from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.rescue.apply import client_options
from tests.unit.commands.conftest import environment
from tests.unit.replication.build import block

AWKWARD = "\"'\\!=#&;` |*?$<>()[]{}"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_what_we_write_for_clients_is_read_back(tmp_path):
    server = ServerConfig.model_validate(
        {"block": "b", "hostname": "h", "ip": "10.0.0.1", "ssh_host": "h", "ssh_ip": "10.0.0.1"}
        | {"user": "m h", "password": AWKWARD}
    )
    read = read_client_options(write(tmp_path / "my.cnf", client_options(server)))
    assert (read["user"], read["password"], read["host"]) == ("m h", AWKWARD, "10.0.0.1")


@pytest.mark.parametrize(
    ("line", "password"),
    [
        ("password=a#b", "a"),
        ("password = 'a#b' # why", "a#b"),
        ('password="a\\"b"', 'a"b'),
        (r"password=a\sb\\c\d", r"a b\c\d"),
        ("password", ""),
        ("password=a=b", "a=b"),
    ],
)
def test_a_line(tmp_path, line, password):
    path = write(
        tmp_path / "my.cnf", f"!includedir /x\n[mysql]\npassword=no\n[client]\n; c\n{line}\n[other]\npassword=no\n"
    )
    assert read_client_options(path) == {"password": password}


def test_a_file_that_is_wrong(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_client_options(tmp_path / "none")
    with pytest.raises(ConfigError, match=":1: this line is not a group"):
        read_client_options(write(tmp_path / "my.cnf", "[client\n"))


def test_options_win_over_the_file(tmp_path, monkeypatch):
    file = write(tmp_path / "my.cnf", "[client]\nuser=f\npassword=fp\nport=3307\nsocket=/s\nssl-ca=/ca\n")
    monkeypatch.setenv("MYSQL_PWD", "ep")
    config = server_config(parser().parse([f"--defaults_file={file}", "--user=o"]))
    assert (config.user, config.port, config.unix_socket, config.ssl_ca) == ("o", 3307, "/s", "/ca")
    assert config.password.get_secret_value() == "fp"
    config = server_config(parser().parse([f"--defaults_file={file}", "--host=127.0.0.2", "--password=env:MYSQL_PWD"]))
    assert (config.ip, config.unix_socket, config.password.get_secret_value()) == ("127.0.0.2", None, "ep")
    assert server_config(parser().parse([])).password.get_secret_value() == "ep"


def test_a_secret_leaves_the_arguments_that_others_see():
    program = (
        "import sys; from prefect_mha.commands.shared.arguments import hide; hide(sys.argv[2], 'told'); "
        "print(open('/proc/self/cmdline').read().replace(chr(0), chr(10)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--user=mha", AWKWARD, f"--password={AWKWARD}"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "told\n"
    assert AWKWARD not in done.stdout
    assert "--user=mha\n" in done.stdout
    assert f"--password={'x' * len(AWKWARD)}" in done.stdout


def test_mariadbs_client_has_nothing_to_load_that_tells_the_password() -> None:
    server = block(1)
    native = client_options(server, vendor=Vendor.MARIADB, plugin="mysql_native_password")
    assert "plugin-dir=/nonexistent" in native
    for vendor, plugin in ((Vendor.MARIADB, "client_ed25519"), (Vendor.MYSQL, "mysql_native_password"), (None, "")):
        assert "plugin-dir" not in client_options(server, vendor=vendor, plugin=plugin)
    for text in (native, client_options(server)):
        assert "local-infile=0" in text
        assert "public-key" not in text
