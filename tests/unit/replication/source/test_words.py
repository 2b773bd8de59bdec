"""Packets, logins and the questions of receivers, word for word."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_mha.replication.model.gtid import MariadbGtidPosition
from prefect_mha.replication.model.one_time_account import is_one_time_user
from prefect_mha.replication.source import Account, Identity
from prefect_mha.replication.source.catalogue import Catalogue
from prefect_mha.replication.source.protocol.handshake import NATIVE, SHA2, greeting, parse_login, scramble
from prefect_mha.replication.source.protocol.packets import FULL, Gone, ProtocolError, Refused, Wire, length_encoded
from prefect_mha.replication.source.protocol.queries import Said, answer

MYSQL56 = Identity("5.6.24-log", 1, "11111111-1111-1111-1111-111111111111", "ON")
MYSQL97 = Identity("9.7.0", 1, "11111111-1111-1111-1111-111111111111")
MARIADB = Identity("10.11.6-MariaDB-log", 1, domain=3)


class Pipe:
    """A socket that gives back what was put into it, in pieces."""

    def __init__(self, data: bytes = b"", piece: int = 1 << 30) -> None:
        self.data, self.piece = bytearray(data), piece

    def send(self, data: bytes, /) -> int:
        self.data += data[: self.piece]
        return min(len(data), self.piece)

    def recv(self, size: int, /) -> bytes:
        taken = bytes(self.data[: min(size, self.piece)])
        del self.data[: len(taken)]
        return taken

    def settimeout(self, seconds: float, /) -> None: ...
    def close(self) -> None: ...


@pytest.mark.parametrize("size", [0, 1, FULL - 1, FULL, FULL + 1, 2 * FULL])
def test_payloads_are_split_where_they_must_be(size: int) -> None:
    pipe = Pipe()
    Wire(pipe, stall=1).send(bytes(size))
    found, at, number = 0, 0, 0
    while at < len(pipe.data):
        length = int.from_bytes(pipe.data[at : at + 3], "little")
        assert pipe.data[at + 3] == number
        found, at, number = found + length, at + 4 + length, number + 1
        last = length
    assert (found, at) == (size, len(pipe.data))
    assert last < FULL


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=9), st.integers(1, 50))
def test_what_is_sent_in_pieces_is_read_whole(payloads: list[bytes], piece: int) -> None:
    pipe = Pipe(piece=piece)
    wire = Wire(pipe, stall=1)
    for payload in payloads:
        wire.add(payload)
    wire.flush()
    assert [wire.read(until=time.monotonic() + 5, limit=400) for _ in payloads] == payloads
    with pytest.raises(Gone):
        wire.read(until=time.monotonic() + 5, limit=400)


def test_a_packet_that_claims_too_much_is_not_waited_for() -> None:
    for head in (b"\xff\xff\xff\x00", b"\x00\x10\x00\x00"):
        with pytest.raises(ProtocolError):
            Wire(Pipe(head + bytes(100)), stall=1).read(until=time.monotonic() + 5, limit=4000)


def test_pieces_that_do_not_make_up_their_size_are_an_error() -> None:
    with pytest.raises(ProtocolError):
        Wire(Pipe(), stall=1).add_pieces(10, [b"123"])


def test_lengths_take_as_few_bytes_as_they_can() -> None:
    assert [len(length_encoded(n)) for n in (0, 250, 251, 65535, 65536, 1 << 23, 1 << 24, 1 << 40)] == [
        1, 1, 3, 3, 4, 4, 9, 9,
    ]  # fmt: skip


@given(st.binary(max_size=200))
def test_any_bytes_are_a_login_or_an_error(payload: bytes) -> None:
    try:
        user, given_answer, plugin = parse_login(payload, NATIVE)
    except ProtocolError as error:
        assert str(error)
    else:
        assert isinstance(user, bytes) and isinstance(given_answer, bytes) and isinstance(plugin, str)


def test_scrambles_are_those_of_the_manual() -> None:
    nonce = bytes(range(1, 21))
    assert (len(scramble(NATIVE, "x", nonce)), len(scramble(SHA2, "x", nonce))) == (20, 32)
    import pymysql._auth

    assert scramble(NATIVE, "secret", nonce) == pymysql._auth.scramble_native_password(b"secret", nonce)
    assert scramble(SHA2, "secret", nonce) == pymysql._auth.scramble_caching_sha2(b"secret", nonce)


def test_the_greeting_names_the_dead_primary_s_version() -> None:
    assert b"5.5.5-10.11.6-MariaDB-log\0" in greeting(MARIADB.greeting, NATIVE, bytes(20), 1)
    assert Identity("11.8.2-MariaDB", 1).greeting == "11.8.2-MariaDB"
    assert MYSQL97.greeting == "9.7.0"


def text_of(payloads: tuple[bytes, ...]) -> bytes:
    return payloads[-2][1:]


@pytest.mark.parametrize(
    ("query", "identity", "wanted"),
    [
        ("SELECT @@GLOBAL.SERVER_ID", MYSQL97, b"1"),
        ("SHOW VARIABLES LIKE 'SERVER_ID'", MYSQL56, b"\tserver_id\x011"),
        ("SHOW VARIABLES LIKE 'SERVER_UUID'", MYSQL56, b"\x0bserver_uuid$11111111-1111-1111-1111-111111111111"),
        ("SELECT @@GLOBAL.SERVER_UUID", MYSQL97, b"11111111-1111-1111-1111-111111111111"),
        ("SELECT @@GLOBAL.GTID_MODE", MYSQL56, b"ON"),
        ("SELECT @@GLOBAL.gtid_domain_id", MARIADB, b"3"),
        ("SELECT @master_binlog_checksum", MARIADB, b"CRC32"),
        ("SELECT @source_binlog_checksum", MYSQL97, b"CRC32"),
    ],
)
def test_what_receivers_ask_is_answered_as_the_primary_would_have(
    query: str, identity: Identity, wanted: bytes
) -> None:
    payloads, _ = answer(query, identity, lambda: True, Said())
    assert text_of(payloads) in (wanted, wanted[1:])
    assert abs(int(text_of(answer("SELECT UNIX_TIMESTAMP()", identity, lambda: True, Said())[0])) - time.time()) < 5


@pytest.mark.parametrize(
    ("query", "identity"),
    [
        ("SHOW VARIABLES LIKE 'rpl_semi_sync_master_enabled'", MARIADB),
        ("SHOW VARIABLES LIKE 'SERVER_UUID'", Identity("5.6.24-log", 1)),
    ],
)
def test_what_a_receiver_takes_no_error_for_has_an_empty_result(query: str, identity: Identity) -> None:
    """Semi-synchronous replication to MariaDB; a uuid that nobody knows any more to MySQL 5.6."""
    payloads, _ = answer(query, identity, lambda: True, Said())
    assert payloads[-1][:1] == payloads[-2][:1] == b"\xfe"


@pytest.mark.parametrize(
    "query",
    ["SELECT @@global.rpl_semi_sync_source_enabled", "SELECT binlog_gtid_pos('x',4)", "SELECT 1", "DROP TABLE t", ""],
)
def test_what_is_not_known_is_an_error(query: str) -> None:
    with pytest.raises(Refused) as refused:
        answer(query, MYSQL97, lambda: True, Said())
    assert refused.value.errno == 1193


def test_what_followers_tell_of_themselves_is_kept() -> None:
    said = Said()
    for query in (
        "SET @master_heartbeat_period= 30000001024",
        "SET @master_binlog_checksum= @@global.binlog_checksum",
        "SET @mariadb_slave_capability=4",
        "SET @slave_connect_state='0-1-5,3-2-7'",
        "SET @slave_until_gtid=''",
    ):
        _, said = answer(query, MARIADB, lambda: True, said)
    assert said == Said(30.000001024, MariadbGtidPosition.parse("0-1-5,3-2-7"))
    for query in (
        "SET @slave_connect_state='nonsense'",
        "SET @slave_until_gtid='0-1-9'",
        "SET @master_binlog_checksum='NONE'",
    ):
        with pytest.raises(Refused):
            answer(f"SET {query}", MARIADB, lambda: True, said)


def test_accounts_are_made_once_fit_old_servers_and_are_recognised() -> None:
    made = {Account.new() for _ in range(50)}
    assert len({each.password for each in made}) == 50
    for each in made:
        assert len(each.user) <= 16 and len(each.password) <= 32
        assert is_one_time_user(each.user) and each.password not in repr(each)
    assert not is_one_time_user("repl")


def test_waiting_for_the_catalogue_ends_with_a_change_or_in_time() -> None:
    catalogue = Catalogue(MYSQL97)
    began = time.monotonic()
    assert catalogue.wait(catalogue.view().version, 0.05).version == 0
    assert time.monotonic() - began < 5
    catalogue.finish()
    assert catalogue.wait(0, 60).finished
