"""What a ProxySQL is told and how it is believed: by the stub of one, and by a real one (``make try-proxysql``)."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from prefect_mha.config import ClusterConfig, ServerConfig
from prefect_mha.replication.address import AddressChain
from prefect_mha.replication.address.proxies.proxysql import ProxysqlProvider
from prefect_mha.replication.address.proxies.proxysql_admin import ProxysqlAdmin
from prefect_mha.replication.errors import AddressError
from tests.lab.proxysql_stub import ADMIN_PORT, READER, WRITER, Ports, Proxysql, stubbed

USER, PASSWORD = "radmin", "an admin's word"
#: Addresses of documentation (RFC 5737), for a real one that must not find a server there.
HOSTS = tuple(f"192.0.2.{n}" for n in (1, 2, 3))
#: Groups that a real one does not use, for the same reason.
FREE = 9010, 9020


def config(*admins: str, groups: tuple[int, int] = (WRITER, READER), **changes) -> ClusterConfig:
    servers = tuple(
        ServerConfig(block=f"server{n}", hostname=f"db{n}", ip=ip, ssh_host=ip, ssh_ip=ip, ssh_user="root")
        for n, ip in enumerate(HOSTS, 1)
    )
    values = {
        "name": "app1",
        "path": Path("/app1.cnf"),
        "servers": servers,
        "proxysql_admins": admins,
        "proxysql_user": USER,
        "proxysql_password": SecretStr(PASSWORD),
        "proxysql_writer": groups[0],
        "proxysql_reader": groups[1],
        "vip_timeout": 2.0,
    }
    return ClusterConfig(**{**values, **changes})


OLD, NEW, THIRD = config().servers


class Stub:
    """A stub with three servers, of which the first writes; ``read_only`` is what its monitor sees."""

    def __init__(self, address: str, every: float = 0.02) -> None:
        self.place = f"{address}:{ADMIN_PORT}"
        self.ports = Ports(USER, PASSWORD, every, address)
        self.read_only: dict[str, bool | None] = {OLD.ip: False, NEW.ip: True, THIRD.ip: True}
        self.ports.look = lambda host, port: self.read_only[host]
        for n, host in enumerate(HOSTS):
            group, lag = (READER, 5) if n else (WRITER, 0)
            row = f"({group}, '{host}', 3306, {lag})"
            columns = "hostgroup_id, hostname, port, max_replication_lag"
            self.ports.proxysql.run(f"INSERT INTO mysql_servers ({columns}) VALUES {row}")
        self.ports.proxysql.run("LOAD MYSQL SERVERS TO RUNTIME")

    def looks(self) -> int:
        """How many its monitor has come back with."""
        (row,) = self.proxysql.db.execute("SELECT COUNT(*) FROM mysql_server_read_only_log")
        return int(row[0])

    @property
    def proxysql(self) -> Proxysql:
        return self.ports.proxysql

    def table(self, name: str = "runtime_mysql_servers") -> set[tuple[int, str, str]]:
        """Who is in which group, and how."""
        rows = self.proxysql.db.execute(f"SELECT hostgroup_id, hostname, status FROM {name}")
        return {(int(group), str(host), str(status)) for group, host, status in rows}


@pytest.fixture
def stub() -> Iterator[Stub]:
    made = Stub("127.0.91.1")
    with stubbed(made.ports):
        yield made


def wait(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 5
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_why_it_is_deleted(stub: Stub) -> None:
    """The stub's monitor, as the real one: OFFLINE_HARD as a writer and not read-only, it is a writer again."""
    stub.proxysql.run(f"INSERT INTO mysql_servers (hostgroup_id, hostname) VALUES ({READER}, '{OLD.ip}')")
    where = f"WHERE hostgroup_id = {WRITER} AND hostname = '{OLD.ip}'"
    stub.proxysql.run(f"UPDATE mysql_servers SET status = 'OFFLINE_HARD' {where}")
    stub.proxysql.run("LOAD MYSQL SERVERS TO RUNTIME")
    wait(lambda: (WRITER, OLD.ip, "ONLINE") in stub.table())


def test_a_former_primary_that_is_not_read_only_gets_no_writes(stub: Stub) -> None:
    provider = ProxysqlProvider(config(stub.place))
    assert "sends nothing to db1" in str(provider.release(OLD))
    assert OLD.ip not in {host for _, host, _ in stub.table()} | {
        host for _, host, _ in stub.table("disk_mysql_servers")
    }
    stub.read_only[NEW.ip] = False
    assert "sends writes to db2" in str(provider.acquire(NEW))
    assert provider.verify()[0].only_at(NEW)
    seen = stub.looks()
    wait(lambda: stub.looks() > seen + 10)
    expected = {(WRITER, NEW.ip, "ONLINE"), (READER, NEW.ip, "ONLINE"), (READER, THIRD.ip, "ONLINE")}
    assert stub.table() == expected
    assert stub.table("disk_mysql_servers") == expected


def test_it_is_a_reader_again_with_the_limit_of_another_reader(stub: Stub) -> None:
    provider = ProxysqlProvider(config(stub.place))
    provider.release(OLD)
    stub.read_only |= {NEW.ip: False, OLD.ip: True}
    provider.acquire(NEW)
    chain = AddressChain([provider], "go_on")
    chain.let_read(OLD)
    chain.let_read(OLD)
    found = stub.proxysql.run(f"SELECT * FROM runtime_mysql_servers WHERE hostname = '{OLD.ip}'")
    assert [(r["hostgroup_id"], r["max_replication_lag"]) for r in found] == [(str(READER), "5")]
    assert provider.verify()[0].only_at(NEW)


def test_the_writer_keeps_what_it_had_as_a_reader_and_reads_only_where_that_is_wanted(stub: Stub) -> None:
    stub.proxysql.run("UPDATE global_variables SET variable_value = 'false'")
    stub.proxysql.run(
        f"UPDATE mysql_servers SET gtid_port = 7, comment = 'it''s \\ rack 2' WHERE hostname = '{NEW.ip}'"
    )
    stub.proxysql.run("LOAD MYSQL SERVERS TO RUNTIME")
    stub.read_only = {OLD.ip: None, NEW.ip: False, THIRD.ip: True}
    provider = ProxysqlProvider(config(stub.place))
    provider.release(OLD)
    provider.acquire(NEW)
    found = stub.proxysql.run(f"SELECT * FROM runtime_mysql_servers WHERE hostname = '{NEW.ip}'")
    assert [(r["hostgroup_id"], r["gtid_port"], r["comment"]) for r in found] == [(str(WRITER), "7", "it's \\ rack 2")]


def test_names_of_its_own_are_kept(stub: Stub) -> None:
    stub.proxysql.run(f"UPDATE mysql_servers SET hostname = 'db2' WHERE hostname = '{NEW.ip}'")
    stub.proxysql.run("LOAD MYSQL SERVERS TO RUNTIME")
    stub.read_only |= {"db2": True, OLD.ip: True}
    provider = ProxysqlProvider(config(stub.place))
    provider.release(OLD)
    stub.read_only["db2"] = False
    provider.acquire(NEW)
    assert (WRITER, "db2", "ONLINE") in stub.table()
    assert provider.verify()[0].only_at(NEW)


def test_one_that_was_given_the_role_before_it_was_opened_is_waited_for(stub: Stub) -> None:
    """Its monitor, which sees it read-only, takes the role from it again, until it sees it open."""
    provider = ProxysqlProvider(config(stub.place))
    provider.release(OLD)
    provider.acquire(NEW)
    wait(lambda: not any(group == WRITER for group, _, _ in stub.table()))
    stub.read_only[NEW.ip] = False
    assert provider.verify()[0].only_at(NEW)


def test_who_puts_it_back_again_and_again_is_told_of(stub: Stub) -> None:
    """Somebody's own script, or a second manager, which loads what it thinks best."""
    load = stub.proxysql.load

    def others() -> None:
        stub.proxysql.run(f"INSERT OR IGNORE INTO mysql_servers (hostgroup_id, hostname) VALUES (10, '{OLD.ip}')")
        load()

    stub.proxysql.load = others  # type: ignore[method-assign]
    began = time.monotonic()
    with pytest.raises(
        AddressError, match=r"proxysql: .*db1.* is still among its servers: it has 192.0.2.1:3306 ONLINE"
    ):
        ProxysqlProvider(config(stub.place)).release(OLD)
    assert time.monotonic() - began < 4.0


def test_every_one_is_told_and_the_one_that_fails_is_named(stub: Stub) -> None:
    """A port that nobody listens on, and one where nobody ever answers; a wrong password. Nothing of it holds long."""
    with socket.create_server(("127.0.91.2", ADMIN_PORT)):
        places = ("127.0.91.2:6032", "127.0.91.3:6032", stub.place)
        began = time.monotonic()
        with pytest.raises(AddressError) as caught:
            ProxysqlProvider(config(*places)).release(OLD)
        assert time.monotonic() - began < 6.0
    assert "2 of 3 proxies" in str(caught.value) and places[0] in str(caught.value) and places[1] in str(caught.value)
    assert not any(host == OLD.ip for _, host, _ in stub.table())
    with pytest.raises(AddressError, match=r"Access denied.*see proxysql_admins") as caught:
        ProxysqlProvider(config(stub.place, proxysql_password=SecretStr("another word"))).acquire(NEW)
    assert "another word" not in str(caught.value)


def test_what_would_be_missing_is_said_beforehand(stub: Stub) -> None:
    stub.read_only[OLD.ip] = False
    checks = ProxysqlProvider(config(stub.place)).check()
    assert [(c.name, c.ok) for c in checks] == [("proxysql-servers", True), ("proxysql-writer", True)]
    ProxysqlProvider(config(stub.place)).release(OLD)
    stub.proxysql.run("INSERT INTO runtime_mysql_replication_hostgroups VALUES (20, 30)")
    found = {c.name: c for c in ProxysqlProvider(config(stub.place)).check() if not c.ok}
    assert "lacks db1" in found["proxysql-servers"].text
    assert "to nobody" in found["proxysql-writer"].text
    assert "hostgroups 20 and 30" in found["proxysql-groups"].text
    (check,) = ProxysqlProvider(config("127.0.91.3:6032")).check()
    assert not check.ok and "127.0.91.3:6032" in check.text


@pytest.mark.skipif("MHA_TRY_PROXYSQL" not in os.environ, reason="make try-proxysql ADMIN=host:6032 runs it")
def test_a_real_one_does_what_the_stub_does() -> None:
    """Every statement that a failover, a switch and a rejoin send, in two groups that it does not use otherwise."""
    user = os.environ.get("MHA_TRY_PROXYSQL_USER", USER)
    password = SecretStr(os.environ.get("MHA_TRY_PROXYSQL_PASSWORD", USER))
    place = os.environ["MHA_TRY_PROXYSQL"]
    ours = config(place, groups=FREE, proxysql_user=user, proxysql_password=password, vip_timeout=10.0)
    provider, admin = ProxysqlProvider(ours), ProxysqlAdmin(place, ours)
    with admin.open() as asking:
        print(f"\n{asking.ask('SELECT @@version AS version')}")
        assert not asking.backends(), f"the groups {FREE} are in use"
    try:
        provider.acquire(OLD)
        for server in (NEW, THIRD):
            provider.let_read(server)
        assert all(check.ok for check in provider.check()), provider.check()
        assert provider.verify()[0].only_at(OLD)
        provider.release(OLD)
        provider.acquire(NEW)
        assert provider.verify()[0].only_at(NEW)
        provider.let_read(OLD)
        with admin.open() as asking:
            readers = {b.host for b in asking.backends() if b.group == FREE[1] and b.used}
        assert {OLD.ip, THIRD.ip} <= readers
    finally:
        for server in (OLD, NEW, THIRD):
            provider.release(server)
