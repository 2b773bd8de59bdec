"""What hangs on a question: counted where the dead primary's log can be read, and off by default where it cannot."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest

from prefect_mha.replication.errors import RemoteFileError
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.reporting.approval import failover_question
from prefect_mha.replication.reporting.at_stake import Stake, at_stake
from prefect_mha.replication.ssh.sftp_reader import RemoteStat
from tests.unit.replication import logs
from tests.unit.replication.build import block
from tests.unit.replication.reporting.test_approval import PLAN

SAMPLES = Path(logs.__file__).parent
DEAD = block(1, master_binlog_dir=(str(SAMPLES),))


class Host:
    """The dead primary's host: the directory of the samples, of which the logs of one name are there."""

    name = "db1"

    def __init__(self, base: str) -> None:
        self._base = base

    def listdir(self, path: str) -> list[str]:
        return [each.name for each in Path(path).iterdir() if each.name.startswith(f"{self._base}.")]

    def stat(self, path: str, *, links: bool = True) -> RemoteStat:
        found = Path(path).stat()
        return RemoteStat(found.st_size, found.st_mtime, found.st_mode)

    def open(self, path: str, *, links: bool = True) -> BinaryIO:
        try:
            return Path(path).open("rb")
        except OSError as error:
            raise RemoteFileError(self.name, f"read {path}", str(error)) from None


def looked(base: str, pos: int, *, ssh: bool = True) -> Stake:
    host = Host(base)

    def each(work: Any, items: Any, *, timeout: float) -> list[Any]:
        found = []
        for item in items:
            try:
                found.append((item, work(item)))
            except RemoteFileError as error:
                found.append((item, error))
        return found

    sessions: Any = SimpleNamespace(host=lambda key: host, each=each)
    return at_stake(sessions, DEAD, (), BinlogPosition(f"{base}.000001", pos), ssh)


@pytest.mark.parametrize("base", ["mysql97-gtid", "mysql56-pos", "mariadb-gtid", "mariadb-pos"])
def test_what_only_the_dead_host_has_is_counted(base: str) -> None:
    size = (SAMPLES / f"{base}.000001").stat().st_size
    found = looked(base, 4)
    assert found.bytes == size - 4
    assert found.transactions
    assert not found.may_be_lost
    assert (
        str(found) == f"{found.transactions} transactions, {size - 4:,} bytes that only db1 has, rescued first over SSH"
    )
    assert str(looked(base, size)) == "nothing, the replicas have received all"


def test_what_cannot_be_read_may_be_lost() -> None:
    away = looked("mysql97-gtid", 4, ssh=False)
    assert str(away) == "nobody can tell how much that only db1 has, out of reach: its host does not answer over SSH"
    locked = looked("mariadb-encrypted", 4)
    assert locked.bytes
    assert str(locked).startswith(f"{locked.bytes:,} bytes that only db1 has, out of reach: its log: ")
    absent = looked("no-such", 4)
    assert "out of reach: its log: db1" in str(absent)
    assert all(each.may_be_lost for each in (away, locked, absent))


@pytest.mark.parametrize("policy", ["safe", "availability", "strict"])
def test_a_loss_is_accepted_by_default_only_where_none_is_in_sight(policy: str) -> None:
    lost, rescued = Stake("db1", why_not="its host does not answer over SSH"), Stake("db1", 42, 1)
    assert failover_question(PLAN, policy, stake=lost).accept_loss is False
    assert failover_question(PLAN, policy, stake=lost).at_stake == str(lost)
    assert failover_question(PLAN, policy, stake=rescued).accept_loss is (policy != "strict")
