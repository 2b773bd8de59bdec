"""Strangers at the port, and peers that do not behave: refused, nobody else is disturbed, and closed in time."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import threading
import time

import pytest

from prefect_mha.replication.source import Account, Catalogue, Identity, Source, session
from prefect_mha.replication.source.protocol.handshake import NATIVE, SHA2
from prefect_mha.replication.source.server import PER_PEER, CannotListen
from tests.unit.replication.logs import LogBuilder, content, log
from tests.unit.replication.source.peer import ACCOUNT, Peer, ServerSaid, catalogue_of, served, threads

NAME = "mysql97-pos.000001"


@pytest.fixture
def catalogue() -> Catalogue:
    return catalogue_of([log(NAME, content(NAME))])


def follows(port: int) -> None:
    """Somebody with the right to gets everything."""
    with Peer(port).greet(0.05).dump(NAME, 4) as peer:
        assert peer.written()[NAME]


def follows_soon(port: int) -> None:
    """The same, once those that were sent away have gone."""
    ends = time.monotonic() + 5
    while True:
        with contextlib.suppress(EOFError, OSError):
            follows(port)
            return
        assert time.monotonic() < ends


def closed_within(sock: socket.socket, seconds: float) -> None:
    began = time.monotonic()
    sock.settimeout(seconds)
    with contextlib.suppress(ConnectionError):
        while sock.recv(4096):
            assert time.monotonic() - began < seconds


@pytest.mark.parametrize(
    "words",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes(4),
        b"\xff\xff\xff\x01" + bytes(100),
        b"\x20\x00\x00\x01" + b"\xff" * 32,
        b"\x28\x00\x00\x01" + struct.pack("<IIB23x", 0x200, 0, 33) + b"noendxxx",
        b"\x21\x00\x00\x01" + struct.pack("<IIB23x", 0x80A00, 0, 33) + b"\0",
        os.urandom(5000),
    ],
)
def test_garbage_instead_of_a_login_ends_the_connection_and_nothing_else(catalogue: Catalogue, words: bytes) -> None:
    with served(catalogue) as (source, port):
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            # It may be closed before all of it is said.
            with contextlib.suppress(OSError):
                stranger.sendall(words)
                stranger.shutdown(socket.SHUT_WR)
            closed_within(stranger, 3.0)
        follows(port)
        assert all(each.server_id in (0, 7) for each in source.followers())


def test_half_a_handshake_is_closed_in_time(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LOGIN", 0.5)
    with served(catalogue) as (_, port), socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.recv(100)
        stranger.sendall(b"\x50\x00\x00\x01half")
        follows(port)
        closed_within(stranger, 3.0)


def test_a_login_that_comes_one_byte_at_a_time_has_no_more_time(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LOGIN", 0.5)
    with served(catalogue) as (_, port), socket.create_connection(("127.0.0.1", port)) as stranger:
        began = time.monotonic()
        with contextlib.suppress(OSError):
            for byte in b"\x50\x00\x00\x01" + bytes(76):
                stranger.sendall(bytes([byte]))
                time.sleep(0.05)
        assert time.monotonic() - began < 3.0


@pytest.mark.parametrize("plugin", [NATIVE, SHA2])
@pytest.mark.parametrize(
    "account",
    [Account(ACCOUNT.user, "wrong"), Account("root", ACCOUNT.password), Account("", ""), Account("x" * 99, "")],
)
def test_nobody_else_is_let_in(catalogue: Catalogue, account: Account, plugin: str) -> None:
    with served(catalogue) as (source, port):
        with Peer(port) as peer, pytest.raises(ServerSaid) as said:
            peer.log_in(account, plugin)
        assert said.value.errno == 1045
        follows(port)
        assert ACCOUNT.password not in repr(source.account) + str(source.followers())


@pytest.mark.parametrize("plugin", [NATIVE, SHA2])
@pytest.mark.parametrize("version", ["5.6.24-log", "9.7.0", "8.4.3", "10.11.6-MariaDB-log", "11.8.2-MariaDB"])
def test_the_right_account_is_let_in_whatever_plugin_it_begins_with(version: str, plugin: str) -> None:
    with served(Catalogue(Identity(version, 1))) as (_, port), Peer(port) as peer:
        peer.log_in(plugin=plugin)


def test_500_connections_are_closed_and_followers_go_on(catalogue: Catalogue) -> None:
    with served(catalogue) as (source, port), Peer(port).greet(0.05).dump(NAME, 4) as first:
        assert first.written()[NAME]
        crowd = []
        for _ in range(500):
            with contextlib.suppress(OSError):
                crowd.append(socket.create_connection(("127.0.0.1", port), timeout=2))
        assert len(threads()) <= 2 * PER_PEER + 2
        assert list(first.events()) == []
        for each in crowd:
            each.close()
        follows_soon(port)
        assert source.followers()


def test_who_says_nothing_keeps_no_replica_of_the_same_host_out(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_mha.replication.source.session.LOGIN", 60.0)
    with served(catalogue) as (_, port), contextlib.ExitStack() as crowd:
        for _ in range(3 * PER_PEER):
            each = crowd.enter_context(socket.create_connection(("127.0.0.1", port), timeout=2))
            with contextlib.suppress(OSError):
                each.recv(4096)
        follows_soon(port)


def test_a_stranger_s_address_is_closed_unheard(catalogue: Catalogue) -> None:
    with Source(catalogue, peers=["127.0.0.1"]) as source:
        port = source.listen("127.0.0.1", [0])
        with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0)) as stranger:
            stranger.settimeout(3)
            with contextlib.suppress(ConnectionError):
                assert stranger.recv(10) == b""
        assert source.followers() == ()


def test_one_that_takes_nothing_is_left_and_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "STALL", 0.5)
    made = LogBuilder().gtid(1).query("BEGIN").add(30, bytes(30 << 20)).add(16, bytes(8))
    catalogue = catalogue_of([made.log("bin.000001")])
    with served(catalogue) as (source, port), Peer(port).greet().dump("bin.000001", 4, 8):
        with Peer(port).greet(0.05).dump("bin.000001", 4) as peer:
            assert len(peer.written()["bin.000001"]) > 30 << 20
        ends = time.monotonic() + 10
        while not source.follower(8).over:  # type: ignore[union-attr]
            assert time.monotonic() < ends
            source.wait_for_change(0.5)
        assert "took nothing" in source.follower(8).error  # type: ignore[union-attr]


def test_a_receiver_that_asks_anew_ends_its_former_connection(catalogue: Catalogue) -> None:
    with served(catalogue) as (source, port), Peer(port).greet(0.05).dump(NAME, 4) as former:
        assert former.written()[NAME]
        follows(port)
        with pytest.raises((EOFError, ConnectionError)):
            for _ in range(100):
                list(former.events())
        assert source.follower(7)


def test_unknown_commands_and_questions_are_told_so(catalogue: Catalogue) -> None:
    with served(catalogue) as (_, port), Peer(port).log_in() as peer:
        for packet, number in ((b"\x03SELECT * FROM mysql.user", 1193), (b"\x02app", 1047), (b"\x03", 1193)):
            peer.send(packet)
            with pytest.raises(ServerSaid) as said:
                peer.read()
            assert said.value.errno == number
        peer.query("SELECT UNIX_TIMESTAMP()")


@pytest.mark.parametrize("packet", [b"\x12", b"\x12abc", b"\x1e\x04\x00", b"\x1e" + bytes(22) + b"\xff\xff\xff\x7f"])
def test_a_request_that_is_cut_off_ends_the_connection(catalogue: Catalogue, packet: bytes) -> None:
    with served(catalogue) as (source, port):
        with Peer(port).greet() as peer:
            peer.send(packet)
            with pytest.raises((EOFError, ConnectionError, ServerSaid)):
                list(peer.events())
        follows(port)
        assert source.followers()[0].state == "refused"


def test_packets_changed_at_random_are_answered_or_refused_and_never_hang(catalogue: Catalogue) -> None:
    chance = random.Random(4711)
    with served(catalogue) as (_, port):
        for _ in range(300):
            with Peer(port, 3.0) as peer, contextlib.suppress(EOFError, OSError, ServerSaid, AssertionError):
                peer.log_in()
                for _ in range(3):
                    peer.sock.sendall(
                        struct.pack("<I", chance.randrange(1, 60)) + bytes(chance.choices(range(256), k=70))
                    )
                peer.sock.shutdown(socket.SHUT_WR)
                while peer.sock.recv(1 << 16):
                    pass
        follows(port)


def test_closing_ends_every_connection_and_thread_at_once(catalogue: Catalogue) -> None:
    before = set(threads())
    with contextlib.ExitStack() as stack:
        with served(catalogue) as (_, port):
            peers = [stack.enter_context(Peer(port).greet(0.05).dump(NAME, 4, n)) for n in range(3)]
            for peer in peers:
                assert peer.written()[NAME]
            waiting = stack.enter_context(Peer(port))
            began = time.monotonic()
        assert time.monotonic() - began < 3
        assert set(threads()) <= before
        for peer in (*peers, waiting):
            closed_within(peer.sock, 2)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_the_first_free_port_of_the_range_is_taken_and_none_is_told(catalogue: Catalogue) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with Source(catalogue, peers=[]) as source, pytest.raises(CannotListen, match=f"{port}.*rescue_port"):
            source.listen("127.0.0.1", range(port, port + 1))


def test_a_channel_of_another_kind_can_be_adopted(catalogue: Catalogue) -> None:
    ours, theirs = socket.socketpair()
    with Source(catalogue, peers=[], account=ACCOUNT) as source:
        source.adopt(ours, "reverse forward")
        peer = Peer.__new__(Peer)
        peer.sock, peer._number, peer.checksum = theirs, 0, False
        theirs.settimeout(5)
        with peer.greet(0.05).dump(NAME, 4):
            assert peer.written()[NAME]
        assert source.followers()[0].peer == "reverse forward"
    assert threading.active_count()
