"""The port that a server keeps for administrators: what tells of it, and when it is taken."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pymysql
import pytest

from prefect_mha.config import ServerConfig
from prefect_mha.replication.mysql import admin_port as reserved_way
from prefect_mha.replication.mysql.admin_port import AdminPort, enter, learn, told_by, way_of

FULL = pymysql.OperationalError(1040, "Too many connections")


def block(number, **more):
    return ServerConfig(
        block=f"server{number}", hostname=f"db{number}", ip=f"10.0.0.{number}", ssh_host="", ssh_ip="", **more
    )


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch):
    monkeypatch.setattr(reserved_way, "_told", {})


def session(server_id=1, port=3306):
    """One whose server says this of itself."""
    cursor = SimpleNamespace(execute=lambda _: None, fetchone=lambda: (server_id, port))
    return SimpleNamespace(cursor=lambda: nullcontext(cursor), close=lambda: None)


def at(full, by_port):
    """Connects to a server of which these are the answers without and with the kept port."""

    def connect(way):
        found = full if way is None else by_port
        if isinstance(found, Exception):
            raise found
        return found

    return connect


@pytest.mark.parametrize(
    ("variables", "way"),
    [
        ({"server_id": "1"}, None),
        ({"server_id": "1", "extra_port": "0"}, None),
        ({"server_id": "7", "extra_port": "3307"}, AdminPort(3307, server_id=7)),
        ({"server_id": "1", "admin_port": "33062", "admin_address": ""}, None),
        ({"server_id": "7", "admin_port": "33062", "admin_address": "db7"}, AdminPort(33062, server_id=7)),
        ({"server_id": "7", "admin_port": "33062", "admin_address": "127.0.0.1"}, None),
        ({"server_id": "7", "admin_port": "33062", "admin_address": "localhost"}, None),
        ({"server_id": "7", "admin_port": "33062", "admin_address": "10.9.0.1/net"}, AdminPort(33062, "10.9.0.1", 7)),
    ],
)
def test_a_server_tells_of_its_port(variables, way):
    assert told_by(variables) == way


def test_the_configuration_names_it_before_a_server_was_seen():
    assert way_of(block(1)) is None
    assert way_of(block(1, admin_port=3307)) == AdminPort(3307)
    learn(block(1), {"server_id": "7", "extra_port": "3307"})
    assert way_of(block(1, admin_port=3307)) == AdminPort(3307, server_id=7)
    assert way_of(block(1, admin_port=3308)) == AdminPort(3308)


def test_it_is_taken_only_when_all_connections_are():
    ours = session()
    assert enter(block(1, admin_port=3307), at(ours, OSError())) == (ours, False)
    assert enter(block(1, admin_port=3307), at(FULL, ours)) == (ours, True)
    with pytest.raises(pymysql.OperationalError, match="Too many connections"):
        enter(block(1), at(FULL, ours))
    with pytest.raises(pymysql.OperationalError, match="Access denied"):
        enter(block(1, admin_port=3307), at(pymysql.OperationalError(1045, "Access denied"), ours))


@pytest.mark.parametrize(
    ("told", "there"),
    [({}, session(port=3310)), ({"server_id": "7", "extra_port": "3307"}, session(server_id=8))],
)
def test_another_server_at_that_port_is_no_way_in(told, there):
    if told:
        learn(block(1), told)
    with pytest.raises(pymysql.OperationalError, match=r"port 3307 for administrators .* another server") as error:
        enter(block(1, admin_port=3307), at(FULL, there))
    assert error.value.args[0] == 1040


def test_both_ways_are_told_when_neither_gives_a_session():
    with pytest.raises(pymysql.OperationalError, match=r"Too many connections; and its port 3307 .* refused"):
        enter(block(1, admin_port=3307), at(FULL, ConnectionRefusedError(111, "refused")))
