"""What a configuration says otherwise than the code, and where it says so."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from prefect_mha.commands.views.configuration import differences_table
from prefect_mha.config.editing.differences import Difference, differences
from prefect_mha.config.errors import ConfigError

CONF = """\
[server default]
user=mha
password=se-cret
repl_password=file:/etc/mha/repl
ping_interval=1
check_repl_delay=1
port=3307
[server1]
hostname=db1
port=3306
[server2]
hostname=db2
candidate_master=1
port=3307
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "app1.cnf"
    path.write_text(CONF)
    return path


def test_every_value_that_counts_with_its_place(conf: Path, tmp_path: Path) -> None:
    general = tmp_path / "all.cnf"
    general.write_text("[server default]\nping_interval=2\nlog_level=debug\n")
    found = differences(conf, general)
    assert [(each.block, each.key, each.value, each.default, each.place) for each in found] == [
        ("server default", "ping_interval", "1", "3", "app1.cnf:5"),
        ("server default", "log_level", "debug", "info", "all.cnf:3"),
        ("server default", "user", "mha", "root", "app1.cnf:2"),
        ("server default", "password", "(secret)", "", "app1.cnf:3"),
        ("server default", "repl_password", "file:/etc/mha/repl", "", "app1.cnf:4"),
        ("server default", "port", "3307", "3306", "app1.cnf:7"),
        ("server1", "hostname", "db1", "", "app1.cnf:9"),
        ("server1", "port", "3306", "3307", "app1.cnf:10"),
        ("server2", "hostname", "db2", "", "app1.cnf:12"),
        ("server2", "candidate_master", "1", "0", "app1.cnf:13"),
    ]
    assert "se-cret" not in str(found)


def test_what_a_script_prints_counts_and_is_at_its_own_line(conf: Path) -> None:
    conf.write_text(CONF + "[server3]\nhostname=db3\n")
    conf.write_text(conf.read_text().replace("user=mha\n", "init_conf_load_script=echo ping_interval=7\n"))
    found = {each.key: each for each in differences(conf, None)}
    assert (found["ping_interval"].value, found["ping_interval"].place) == ("7", "app1.cnf:2")


def test_a_wrong_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        differences(tmp_path / "none.cnf", None)


def test_the_table_fits_80_columns(conf: Path) -> None:
    long = Difference("server default", "master_ip_online_change_script", "/opt/x " * 30, "", conf, 3)
    out = io.StringIO()
    table = differences_table("app1", [*differences(conf, None), long], width=80)
    Console(file=out, width=80, highlight=False).print(table)
    assert max(map(len, out.getvalue().splitlines())) <= 80
    assert "1 (3)" in out.getvalue()
    assert "app1.cnf:5" in out.getvalue()
