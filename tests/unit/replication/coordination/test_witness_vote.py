"""A witness gives its lease to one manager at a time, in a directory of its own user."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from prefect_mha.config import ClusterConfig, ServerConfig
from prefect_mha.replication.coordination.witness_vote import lease_names, voting_witness
from prefect_mha.replication.scripts import script


@dataclass(frozen=True)
class Manager:
    """One that comes from that address to a witness whose home directory this is."""

    home: Path
    address: str
    id: str = "a1"

    def asks(self, mode: str, *names: str, lease: int = 4) -> str:
        words = ["sh", "-s", "--", mode, str(lease), self.id, "4711", *(names or ("db1_3306", "db2_3306"))]
        told = {**os.environ, "HOME": str(self.home), "SSH_CLIENT": f"{self.address} 5000 22"}
        done = subprocess.run(words, input=script("vote.sh"), env=told, capture_output=True, text=True, timeout=10)
        return done.stdout.strip() or done.stderr.strip()


def test_it_is_one_managers_at_a_time(tmp_path: Path) -> None:
    one, two = Manager(tmp_path, "10.0.0.8"), Manager(tmp_path, "10.0.0.9")
    assert one.asks("look") == "free"
    assert not (tmp_path / ".mha-votes").exists(), "a look makes nothing"
    assert one.asks("take") == "ours"
    assert one.asks("take") == "ours"
    assert two.asks("take") == two.asks("look") == two.asks("release") == "another's 10.0.0.8, pid 4711"
    assert one.asks("look") == "free", "its own is in nobody else's hands"
    assert two.asks("take") == "another's 10.0.0.8, pid 4711", "and a look gives nothing back"
    assert one.asks("release") == "free"
    assert two.asks("take") == "ours"


def test_another_manager_of_that_host_is_another(tmp_path: Path) -> None:
    assert Manager(tmp_path, "10.0.0.8", "a1").asks("take") == "ours"
    assert Manager(tmp_path, "10.0.0.8", "b2").asks("take") == "another's 10.0.0.8, pid 4711"


def test_one_server_in_common_is_enough(tmp_path: Path) -> None:
    one, two = Manager(tmp_path, "10.0.0.8"), Manager(tmp_path, "10.0.0.9")
    assert one.asks("take", "db1_3306", "db2_3306") == "ours"
    assert two.asks("take", "db2_3306", "db3_3306").startswith("another's")
    assert two.asks("take", "db8_3306", "db9_3306") == "ours", "another cluster"


@pytest.mark.parametrize("of", ["an earlier start", "a lease that is over"])
def test_what_is_over_is_nobodys(tmp_path: Path, of: str) -> None:
    one, two = Manager(tmp_path, "10.0.0.8"), Manager(tmp_path, "10.0.0.9")
    one.asks("take")
    for name in ("db1_3306", "db2_3306"):
        file = tmp_path / ".mha-votes" / name
        address, id_, pid, boot, end = file.read_text().split()
        boot, end = ("other", end) if of == "an earlier start" else (boot, "1")
        file.write_text(f"{address} {id_} {pid} {boot} {end}\n")
    assert two.asks("take") == "ours"


def test_a_host_that_was_just_started_votes_for_nobody(tmp_path: Path) -> None:
    """A power cut may have taken the lease from its disk."""
    assert "was started" in Manager(tmp_path, "10.0.0.8").asks("take", lease=1 << 31)


def test_a_directory_of_others_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".mha-votes").symlink_to(tmp_path / "elsewhere")
    assert "not this user's own" in Manager(tmp_path, "10.0.0.8").asks("take")


def server(name: str, ip: str) -> ServerConfig:
    return ServerConfig(block=name, hostname=name, ip=ip, ssh_host=ip, ssh_ip=ip, user="mha")


def test_two_files_that_call_a_server_differently_share_a_lease() -> None:
    by_name, by_address = (
        set(lease_names(ClusterConfig.model_construct(servers=(server(name, "10.0.0.1"), server(other, "10.0.0.2")))))
        for name, other in (("db1", "DB2.lan"), ("10.0.0.1", "elsewhere"))
    )
    assert by_name == {"db1_3306", "10.0.0.1_3306", "db2.lan_3306", "10.0.0.2_3306"}
    assert by_name & by_address == {"10.0.0.1_3306", "10.0.0.2_3306"}


def test_a_witness_votes_where_the_servers_are_even_in_number() -> None:
    one, two, three = (server(f"db{n}", f"10.0.0.{n}") for n in (1, 2, 3))
    log, beside = server("log1", "10.0.0.7"), server("db1-again", "10.0.0.1")

    def voter(servers: tuple[ServerConfig, ...], *witnesses: ServerConfig) -> ServerConfig | None:
        made = ClusterConfig.model_construct(servers=servers, witnesses=witnesses)
        return voting_witness(made)

    assert voter((one, two), log) is log
    assert voter((one, two), beside, log) is log
    assert voter((one, two), beside) is None
    assert voter((one, two, three), log) is None
    assert voter((one, two)) is None
