"""The block of a server that is back is in the configuration again: as it was, or as far as its hold remembers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from prefect_mha.config.editing.edit import blocks_of, remove_block
from prefect_mha.replication.rejoin.job import RejoinJob
from prefect_mha.replication.rejoin.release import usual_port, write_block
from tests.unit.replication.build import configured

TEXT = """\
[server default]
user=mha
password=secret

[server1]
hostname=db1
candidate_master=1
# its own room
ssh_port=2222

[server2]
hostname=db2
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "app1.cnf"
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


def job(conf: Path, **facts: Any) -> RejoinJob:
    old = configured({}).servers[0].model_copy(update=facts)
    servers = (old, configured({}).servers[1])
    return cast(RejoinJob, SimpleNamespace(config=SimpleNamespace(path=conf, servers=servers), old=old))


def test_one_that_is_there_is_left(conf: Path) -> None:
    assert write_block(job(conf)) == ()
    assert conf.read_text() == TEXT


def test_it_is_as_it_stood_before_a_failover_took_it_out(conf: Path) -> None:
    before = blocks_of(conf)
    remove_block(conf, "server1")
    assert write_block(job(conf)) == ()
    assert blocks_of(conf) == before


def test_without_the_former_file_it_is_what_the_hold_remembers(conf: Path) -> None:
    remove_block(conf, "server1")
    conf.with_name("app1.cnf.bak").unlink()
    (left,) = write_block(job(conf, port=3307, ip="db1", ssh_port=2222))
    assert "without no_master, candidate_master" in left
    assert blocks_of(conf)["server1"] == {"hostname": "db1", "port": "3307", "ssh_port": "2222"}


def test_another_servers_former_block_of_that_name_is_not_taken(conf: Path) -> None:
    remove_block(conf, "server1")
    former = conf.with_name("app1.cnf.bak")
    former.write_text(TEXT.replace("hostname=db1", "hostname=elsewhere"))
    assert len(write_block(job(conf, ip="db1"))) == 1
    assert "candidate_master" not in blocks_of(conf)["server1"]


def test_another_server_of_the_same_host_is_not_taken_for_it(conf: Path) -> None:
    """A block without a port has the port that it was loaded with."""
    remove_block(conf, "server1")
    conf.write_text(conf.read_text().replace("hostname=db2", "hostname=db1"))
    assert len(write_block(job(conf, port=3307))) == 1
    assert blocks_of(conf)["server1"]["port"] == "3307"


def test_the_port_that_blocks_inherit_is_known(conf: Path) -> None:
    first, second = configured({"port": 3307}).servers
    blocks = blocks_of(conf)
    assert usual_port(blocks, [first, second]) == 3306
    assert usual_port(blocks, [second]) == 3307
    assert usual_port({"server2": {"port": "3307"}}, [second]) == 3306


def test_a_file_that_cannot_be_written_is_told_with_what_to_do(conf: Path) -> None:
    remove_block(conf, "server1")
    conf.write_text("[server1\n")
    (left,) = write_block(job(conf))
    assert "masterha_conf_host --command=add" in left
