"""Files as people published them load and mean what their authors meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_mha.config import load_cluster
from tests.unit.config.conftest import SAMPLES, resolve


def sample(name: str, general: str | None = None):
    return load_cluster(SAMPLES / name, SAMPLES / general if general else None, resolve=resolve)


def test_trailing_spaces_never_reach_a_value():
    cluster = sample("trailing_spaces.cnf")
    first = cluster.servers[0]
    assert (first.user, first.password.get_secret_value(), first.ssh_user) == ("mha", "mha", "root")
    assert first.master_binlog_dir == ("/data/binlog",)
    assert cluster.manager_log == Path("/var/log/mha/app1/manager")
    assert cluster.ping_interval == 2
    assert [s.name for s in cluster.servers] == [f"10.0.0.{n}(10.0.0.{n}:3306)" for n in (51, 52, 53)]
    assert [(b.block, b.no_master, b.master_binlog_dir) for b in cluster.binlog_servers] == [
        ("binlog1", True, ("/data/mysql/binlog",))
    ]
    assert cluster.warnings == ()


@pytest.mark.parametrize("general", ["indented_global.cnf", "quoted_global.cnf"])
def test_indented_files_inherit_from_the_global_one(general):
    cluster = sample("indented_app.cnf", general)
    assert [(s.hostname, s.ip) for s in cluster.servers] == [(f"node{n}", f"192.168.10.{215 + n}") for n in (1, 2, 3)]
    assert {s.password.get_secret_value() for s in cluster.servers} == {"geekwolf"}
    assert [s.candidate_master for s in cluster.servers] == [True, True, False]
    assert [s.no_master for s in cluster.servers] == [False, False, True]
    assert cluster.servers[0].master_binlog_dir == ("/usr/local/mysql/logs",)
    assert cluster.secondary_check_script is not None
    assert cluster.secondary_check_script.endswith("--master_ip=192.168.10.216 --master_port=3306")
    assert cluster.global_path == SAMPLES / general
    assert (cluster.master_ip_failover_script == "/etc/mha/scripts/master_ip_failover") is general.startswith("quoted")


@pytest.mark.parametrize("name", ["hash_comments.cnf", "slash_comments.cnf", "without_comments.cnf"])
def test_comments_behind_values_are_not_part_of_them(name):
    cluster = sample(name)
    first, second, third = cluster.servers
    assert cluster.ping_interval == 1
    assert cluster.manager_log == Path("/var/log/masterha/app1/manager.log")
    assert cluster.master_ip_failover_script == "/usr/local/bin/master_ip_failover"
    assert cluster.report_script == "/usr/local/send_report"
    assert cluster.shutdown_script is None
    assert first.password.get_secret_value() == "123456"
    assert first.repl_password is not None
    assert first.repl_password.get_secret_value() == "123456"
    assert (first.repl_user, first.ssh_user, first.remote_workdir) == ("repl", "root", "/tmp")
    assert first.master_binlog_dir == ("/data/mysql",)
    assert [s.candidate_master for s in (first, second, third)] == [False, True, False]
    assert [s.check_repl_delay for s in (first, second, third)] == [True, False, True]
    assert len({s.address for s in cluster.servers}) == 3


def test_every_comment_taken_for_one_is_told_with_its_line():
    warned = {w.line: w.text for w in sample("hash_comments.cnf").warnings}
    assert "# after password is taken as a comment" in warned[7]
    assert 15 not in warned, "a quoted empty value needs no warning"
    assert len(warned) == 15


def test_the_same_file_without_comments_is_silent():
    assert sample("without_comments.cnf").warnings == ()


def test_a_user_with_a_comment_that_nothing_begins_is_told():
    cluster = sample("slash_comments.cnf")
    assert {s.user for s in cluster.servers} == {"root"}
    assert any(":15: what follows the first word of user" in str(w) for w in cluster.warnings)


@pytest.mark.parametrize("name", ["hash_comments.cnf", "without_comments.cnf"])
def test_three_servers_of_one_host_are_told_apart_by_their_ports(name):
    assert [s.name for s in sample(name).servers] == [f"172.18.17.5(172.18.17.5:{port})" for port in (3320, 3321, 3322)]
