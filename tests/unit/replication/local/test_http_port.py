"""The health port and those who do not ask as a load balancer does, on loopback."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_mha.replication.local.http_port import LONGEST, MOST, Asker, HttpPort, Reply, _asker, _reply

FUZZ = int(os.environ.get("MHA_FUZZ", "200"))


def answering(target: str, _asker: Asker) -> Reply:
    if not target.startswith("/"):
        raise ValueError(target)
    if target == "/broken":
        raise KeyError(target)
    return 200, "application/json", f'"{len(target)}"'.encode()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    made = HttpPort("127.0.0.1", 0, answering)
    made.start()
    yield made.port
    made.stop()
    with pytest.raises(OSError, match=r"."):
        socket.create_connection(("127.0.0.1", made.port), 1)


def ask(port: int, data: bytes = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", seconds: float = 3.0) -> bytes:
    with socket.create_connection(("127.0.0.1", port), seconds) as connection:
        connection.settimeout(seconds)
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                answer += part
        return answer


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"OPTIONS / HTTP/1.0\r\n\r\n", 200),
        (b"GET /x HTTP/1.0\n\n", 200),
        (b"POST /x HTTP/1.0\r\n\r\n", 501),
        (b"GET nonsense HTTP/1.0\r\n\r\n", 400),
        (b"GET /x\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\n\n", 400),
        (b"GET /" + b"x" * LONGEST + b" HTTP/1.0\r\n\r\n", 431),
    ],
)
def test_a_question_has_an_answer(port: int, data: bytes, code: int) -> None:
    assert ask(port, data).startswith(f"HTTP/1.0 {code} ".encode())


def test_head_has_no_body_and_an_error_of_ours_ends_nothing(port: int) -> None:
    head, _, body = ask(port, b"HEAD /abc HTTP/1.1\r\n\r\n").partition(b"\r\n\r\n")
    assert (b"Content-Length: 3" in head, body) == (True, b"")
    assert ask(port, b"GET /broken HTTP/1.0\r\n\r\n") == b""
    assert ask(port).endswith(b'"2"')


def test_who_asks_nothing_or_slowly_holds_nobody_up_and_costs_no_thread(port: int) -> None:
    """Three times as many as there may be, some of which say a byte now and then."""
    before = threading.active_count()
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 5)) for _ in range(3 * MOST)]
        for round_ in range(5):
            for each in silent[::3]:
                with contextlib.suppress(OSError):
                    each.sendall(b"G" if round_ == 0 else b"x")
            began = time.monotonic()
            assert ask(port).startswith(b"HTTP/1.0 200")
            assert time.monotonic() - began < 1.0
        assert threading.active_count() == before


def test_a_flood_is_answered_in_part_and_leaves_time_for_others(port: int) -> None:
    """A second of one thread that asks and asks; whoever else wants the processor gets it."""
    over = threading.Event()

    def flood() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                ask(port, seconds=0.5)

    floods = [threading.Thread(target=flood, daemon=True) for _ in range(8)]
    for each in floods:
        each.start()
    late = 0.0
    for _ in range(50):
        began = time.monotonic()
        time.sleep(0.02)
        late = max(late, time.monotonic() - began - 0.02)
    over.set()
    for each in floods:
        each.join(5)
    assert late < 0.5


REQUESTS = st.from_regex(rb"(GET|HEAD|X) \S{0,40} HTTP/1.\d\r?\n(.{0,20}\r?\n){0,3}")


@settings(max_examples=FUZZ, deadline=None)
@given(data=st.one_of(st.binary(max_size=300), REQUESTS))
def test_any_bytes_have_an_answer(data: bytes) -> None:
    made = HttpPort("127.0.0.1", 0, answering)
    try:
        assert made._answer(data, "127.0.0.1").startswith(b"HTTP/1.0 ")
    finally:
        made._listener.close()
        made._selector.close()


def test_every_answer_forbids_a_browser_what_it_need_not_do(port: int) -> None:
    for data in (b"GET /x HTTP/1.0\r\n\r\n", b"POST /x HTTP/1.0\r\n\r\n", b"\r\n\r\n"):
        head = ask(port, data).partition(b"\r\n\r\n")[0]
        for line in (b"nosniff", b"X-Frame-Options: DENY", b"no-store", b"no-referrer", b"default-src 'none'"):
            assert line in head


def test_who_asks_is_told_by_the_first_header_of_a_name() -> None:
    said = b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\nAUTHORIZATION:  Bearer x \r\n\r\n"
    assert _asker(said, "::1") == Asker("::1", "Bearer x", "a")
    assert _asker(b"GET / HTTP/1.0\n\n", "") == Asker()
    assert b"401 Unauthorized\r\n" in (asked := _reply(401, "text/plain", b"")) and b"WWW-Authenticate: Basic" in asked
