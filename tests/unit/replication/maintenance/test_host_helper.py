"""The helper, sudoers file and options of a key for a plain SSH user: fixed words, quoted facts, a version."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from prefect_mha.config import ClusterConfig, ConfigError, ServerConfig, SshOptions
from prefect_mha.replication.maintenance.host_helper import helper, login_options, sudoers, version_of
from prefect_mha.replication.probes.host import ServerPaths
from prefect_mha.replication.ssh.rights import as_root, without_rights

PLACES = ServerPaths("/run/my d'/pid", ("/data",), "/data", ("/data", "/logs"))


def block(number: int, **changes: Any) -> ServerConfig:
    ip = f"10.0.0.{number}"
    known = {"block": f"server{number}", "hostname": f"db{number}", "ip": ip, "ssh_host": ip, "ssh_ip": ip}
    return ServerConfig(**{**known, "ssh_user": "mha", **changes})


def cluster(*servers: ServerConfig, **changes: Any) -> ClusterConfig:
    return ClusterConfig(name="app1", path=Path("app1.cnf"), servers=servers or (block(1), block(2)), **changes)


def test_the_facts_stand_in_it_and_a_shell_understands_it() -> None:
    config = cluster(vip_addresses=("10.0.0.50/24",), vip_provider=("ip", "keepalived"))
    text = helper(config, config.servers[0], PLACES)
    assert "3306 '/run/my d'\"'\"'/pid' 10.0.0.1 /data /data,/logs" in text
    assert "10.0.0.50/24" in text
    assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0


def test_its_version_is_that_of_all_that_stands_in_it() -> None:
    config = cluster()
    first = version_of(helper(config, config.servers[0], PLACES))
    assert len(first) == 16
    assert first == version_of(helper(config, config.servers[0], PLACES))
    assert first != version_of(helper(config, config.servers[1], PLACES))
    assert first != version_of(helper(config, config.servers[0], ServerPaths("/run/pid", (), "/data")))


@pytest.mark.parametrize("name", ["/data\nrm -rf /", "/data\r", "/\x1b[2J"])
def test_a_place_with_control_characters_is_refused(name: str) -> None:
    config = cluster()
    with pytest.raises(ConfigError, match="control characters"):
        helper(config, config.servers[0], ServerPaths("", (name,), ""))


def test_sudo_starts_it_with_fixed_words_only() -> None:
    config = cluster(block(1), block(2, ip="2001:db8::2"))
    lines = sudoers(config, config.servers[0], "mha").splitlines()
    allowed = [line.partition("mha-host-3306 ")[2] for line in lines if line.startswith("mha ")]
    assert "fence 0 0" in allowed
    assert r"close \[2001\:db8\:\:2\] 3306" in allowed
    assert not [words for words in allowed if not words or "*" in words or words.startswith(("address", "keepalived"))]
    moved = sudoers(cluster(vip_addresses=("10.0.0.50/24",)), block(1), "mha")
    assert "mha-host-3306 address acquire\n" in moved


@pytest.mark.parametrize("user", ["", "mha ALL", "%wheel", "a\nb", "#0", "ALL,root", "ALL"])
def test_a_name_that_means_more_to_sudo_is_refused(user: str) -> None:
    with pytest.raises(ConfigError):
        sudoers(cluster(), block(1), user)


def test_a_key_is_of_use_from_the_manager_and_to_the_cluster_only() -> None:
    options = login_options(cluster(), block(1), ["10.0.0.9"])
    assert options.startswith(
        'restrict,from="10.0.0.9",port-forwarding,permitlisten="127.0.0.1:*",permitopen="10.0.0.1:22"'
    )
    assert " " not in options


@pytest.mark.parametrize(
    ("changes", "root"),
    [
        ({"ssh_user": "root"}, True),
        ({"ssh_user": "mha", "ssh_options": SshOptions(user="root")}, True),
        ({"ssh_user": "root", "ssh_options": SshOptions(user="mha")}, False),
        ({"ssh_user": "mha"}, False),
    ],
)
def test_only_who_is_root_for_certain_is_not_asked(changes: dict[str, Any], root: bool) -> None:
    assert (as_root(block(1, **changes), "vitals", "sh -s") == "sh -s") is root


def test_a_user_that_ssh_config_may_change_is_asked() -> None:
    known = {name: value for name, value in block(1) if name in ("block", "hostname", "ip", "ssh_host", "ssh_ip")}
    assert as_root(ServerConfig(**known), "vitals", "sh -s") != "sh -s"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("rights mha none\ndone", "mha is not root, and /usr/local/sbin/mha-host-3306 is not there"),
        ("rights mha refused\ndone", "sudo does not let mha start /usr/local/sbin/mha-host-3306"),
        ("killed 7\ndone", ""),
    ],
)
def test_what_a_user_lacked_is_told_from_the_output(said: str, sentence: str) -> None:
    told = without_rights(block(1), said.splitlines())
    assert told.startswith(sentence)
    assert bool(told) == bool(sentence)
