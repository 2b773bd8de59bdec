"""Who is held, through crashes and several failovers; and when a server that came back may be closed."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_mha.config import ServerConfig
from prefect_mha.replication.address import haproxy_socket
from prefect_mha.replication.fencing.guard import FormerPrimaryGuard, News
from prefect_mha.replication.fencing.ports import knock
from prefect_mha.replication.fencing.returning import PrimaryView, Return, decide
from prefect_mha.replication.local import addresses
from prefect_mha.replication.memory.held_servers import HeldServers, come_back_elsewhere, config_of, reached_by
from prefect_mha.replication.model.state import ClusterState
from tests.unit.replication.build import channel, server

DB1, DB2, DB3 = (f"10.0.0.{n}:3306" for n in (1, 2, 3))


@pytest.fixture
def holds(tmp_path: Path) -> HeldServers:
    return HeldServers(tmp_path, "app1")


def test_nobody_is_held_and_nothing_is_written_by_looking(holds: HeldServers) -> None:
    assert holds.current() == ()
    assert not holds.path.exists()


def test_a_replaced_primary_is_held_until_it_is_released(holds: HeldServers) -> None:
    holds.replaced(DB1, "db1", DB2, ("mysql.service",))
    holds.closed(DB1, how="set read-only")
    holds.left_trace(DB1, ("/etc/mysql/conf.d/zz-mha-fenced.cnf",))
    (hold,) = HeldServers(holds.path.parent, "app1").current()
    assert (hold.key, hold.instead, hold.returns) == (DB1, DB2, 1)
    assert hold.traces == ("mysql.service", "/etc/mysql/conf.d/zz-mha-fenced.cnf")
    assert "came back 1 times" in str(hold)
    holds.release(DB1, "ann@mgr", "mha release")
    assert holds.current() == ()
    assert '"by": "ann@mgr"' in holds.path.read_text()


def test_a_second_failover_frees_the_one_that_is_promoted_and_moves_the_others(holds: HeldServers) -> None:
    holds.replaced(DB1, "db1", DB2)
    holds.replaced(DB2, "db2", DB3)
    assert {h.key: h.instead for h in holds.current()} == {DB1: DB3, DB2: DB3}
    holds.replaced(DB3, "db3", DB1)
    assert {h.key: h.instead for h in holds.current()} == {DB2: DB1, DB3: DB1}


@pytest.mark.parametrize("cut", [1, 30, 90])
def test_what_a_crash_left_of_a_line_hides_nothing(holds: HeldServers, cut: int) -> None:
    holds.replaced(DB1, "db1", DB2)
    whole = holds.path.read_bytes()
    holds.closed(DB1, how="x")
    holds.path.write_bytes(holds.path.read_bytes()[:-cut])
    assert holds.path.read_bytes().startswith(whole)
    holds.replaced(DB3, "db3", DB2)
    assert {h.key for h in holds.current()} == {DB1, DB3}


def test_a_release_in_another_process_is_seen(holds: HeldServers) -> None:
    holds.replaced(DB1, "db1", DB2)
    assert holds.get(DB1) is not None
    HeldServers(holds.path.parent, "app1").release(DB1, "x", "y")
    assert holds.get(DB1) is None


def _server(number: int, name: str, **facts: object) -> ServerConfig:
    ip = f"10.0.0.{number}"
    known = {"block": f"server{number}", "hostname": name, "ip": ip, "ssh_host": name, "ssh_ip": ip, "user": "u"}
    return ServerConfig.model_validate({**known, **facts})


def test_a_server_with_its_name_and_another_address_is_held_on(holds: HeldServers) -> None:
    holds.replaced(DB1, "db1", DB2, server=reached_by(_server(1, "db1")), uuid="u-1")
    now = [_server(9, "db1"), _server(2, "db2"), _server(3, "db3")]
    again = HeldServers(holds.path.parent, "app1", now)
    again.closed("10.0.0.9:3306", how="set read-only")
    (hold,) = again.current()
    assert (hold.key, hold.instead, hold.returns) == ("10.0.0.9:3306", DB2, 1)
    again.release("10.0.0.9:3306", "x", "y")
    assert again.current() == ()


@pytest.mark.parametrize(
    "now",
    [
        pytest.param([_server(1, "other"), _server(9, "db1")], id="its address is somebody else's now"),
        pytest.param([_server(9, "db1", port=3307)], id="another instance of that host"),
        pytest.param([_server(9, "10.0.0.1")], id="an address is no name"),
    ],
)
def test_a_name_alone_does_not_make_a_server_held(holds: HeldServers, now: list[ServerConfig]) -> None:
    named = "10.0.0.1" if now[0].hostname == "10.0.0.1" else "db1"
    holds.replaced(DB1, named, DB2, server=reached_by(_server(1, named)))
    assert [h.key for h in HeldServers(holds.path.parent, "app1", now).current()] == [DB1]


@pytest.mark.parametrize(
    ("receiver", "uuid", "found"),
    [
        pytest.param("No", "u-1", True, id="nobody receives from it"),
        pytest.param("Yes", "u-1", False, id="others receive from it: somebody made it the primary"),
        pytest.param("No", "u-2", False, id="another server"),
        pytest.param("No", "", False, id="a server that has no uuid"),
    ],
)
def test_a_held_server_is_known_by_its_uuid(holds: HeldServers, receiver: str, uuid: str, found: bool) -> None:
    holds.replaced(DB1, "10.0.0.1", DB2, uuid="u-1")
    back = replace(server(9), server_uuid=uuid)
    follower = server(3, channel(source_uuid="u-1", receiver=receiver))
    present = [_server(9, "10.0.0.9"), _server(2, "db2"), _server(3, "db3")]
    moved = come_back_elsewhere(holds.current(), present, ClusterState((back, follower), ()))
    assert moved == (((DB1, back.key),) if found else ())
    for key, to in moved:
        holds.moved(key, to)
        assert [h.key for h in holds.current()] == [to]


VIEW = PrimaryView(DB2, "db2", writable=True, follows_held=False)


@pytest.mark.parametrize(
    ("view", "act"),
    [
        (VIEW, Return.CLOSE),
        (None, Return.LEAVE),
        (replace(VIEW, writable=False), Return.LEAVE),
        (replace(VIEW, follows_held=True), Return.LEAVE),
        (replace(VIEW, writable=False, follows_held=True), Return.LEAVE),
        (replace(VIEW, follows_held=True, receives=True), Return.LEAVE),
        (replace(VIEW, writable=False, follows_held=True, receives=True), Return.RELEASE),
        (replace(VIEW, writable=False, follows_held=True, receives=True, locked=True), Return.LEAVE),
        (replace(VIEW, key=DB1), Return.LEAVE),
        (replace(VIEW, key=DB1, writable=False), Return.LEAVE),
    ],
)
def test_it_is_closed_only_while_another_is_seen_to_take_the_writes(
    holds: HeldServers, view: PrimaryView | None, act: Return
) -> None:
    holds.replaced(DB1, "db1", DB2)
    (hold,) = holds.current()
    assert decide(hold, view)[0] is act


def test_a_hold_that_is_made_while_the_dead_one_is_watched_names_the_present_primary(holds: HeldServers) -> None:
    """Until its failover is over the manager itself knows the dead one only."""
    guard = FormerPrimaryGuard((), holds, lambda _news: None)
    guard.watching(DB1)
    assert guard._primary == DB1
    holds.replaced(DB1, "db1", DB2)
    guard._look_at_the_file()
    assert guard._primary == DB2
    guard.watching(DB1)
    assert guard._primary == DB2, "a held server has no say in it, nor has who follows it"
    # Released and replaced again, by the same one: newer than what is watched.
    holds.release(DB1, "ann@mgr", "mha release")
    guard._look_at_the_file()
    guard.watching(DB1)
    holds.replaced(DB1, "db1", DB2)
    guard._look_at_the_file()
    assert guard._primary == DB2


def test_one_that_comes_back_read_only_is_told_of_once(holds: HeldServers) -> None:
    holds.replaced(DB1, "db1", DB2)
    (hold,) = holds.current()
    told: list[News] = []
    guard = FormerPrimaryGuard((), holds, told.append)
    assert not guard.back_closed(hold), "fencing closed it, and it never went away"
    guard.away(hold)
    assert FormerPrimaryGuard((), HeldServers(holds.path.parent, "app1"), told.append).back_closed(hold)
    guard.away(hold)
    assert not guard.back_closed(hold)
    assert [(n.event, "came back read-only" in n.text) for n in told] == [("returned", True)]
    # Replaced once more: a new hold, and a new return.
    holds.replaced(DB1, "db1", DB2)
    guard.away(hold)
    holds.closed(DB1, how="set read-only")
    assert not guard.back_closed(hold), "told already, as one that took writes"


def test_knocking_tells_who_listens_from_a_host_that_lives() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert knock("127.0.0.1", port, 0.2) == "refused"
        listener.listen()
        assert knock("127.0.0.1", port, 0.2) == "open"


def test_one_that_left_the_configuration_is_never_reached_at_another_servers_address(
    holds: HeldServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its hold does not remember is another server's; that server's name must not lead there."""
    other = _server(2, "db2")
    other.known_by("db2", "db2")
    other.beside([_server(3, "db3")])
    holds.replaced(DB1, "db1", DB2, server=reached_by(_server(1, "db1")))
    (hold,) = holds.current()
    monkeypatch.setattr(addresses, "_ask", lambda name: {"db2": ("10.0.0.2",), "db1": ("10.0.0.1",)}.get(name, ()))
    found = config_of(hold, [other])
    assert found is not None
    assert addresses.address_of(found) == "10.0.0.1"
    assert addresses.ssh_address_of(found) == "10.0.0.1"
    assert addresses.address_of(other) == "10.0.0.2"


def test_a_proxys_host_is_not_reached_at_the_server_whose_settings_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    like, asked = _server(2, "db2"), list[ServerConfig]()
    like.known_by("db2", "db2")
    monkeypatch.setattr(addresses, "_ask", lambda name: {"db2": ("10.0.0.2",)}.get(name, ()))
    monkeypatch.setattr(haproxy_socket, "resolve_host", lambda name, timeout: "10.0.0.77")
    monkeypatch.setattr(haproxy_socket, "SshHost", asked.append)
    haproxy_socket.HaproxySocket("ssh://lb1/run/h.sock", like, "", 1.0)._ssh_host()
    assert addresses.ssh_address_of(asked[0]) == "10.0.0.77"
