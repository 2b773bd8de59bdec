"""The driver's errors as ours: which kind each is, and whether it was the server that said it."""

from __future__ import annotations

import ssl

import pymysql
import pytest

from prefect_mha.replication.errors import (
    AccessDenied,
    PrivilegeMissing,
    ServerBusy,
    ServerError,
    ServerUnreachable,
    StatementFailed,
)
from prefect_mha.replication.mysql.session import _marked, map_error


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (1040, ServerBusy),
        (1226, ServerBusy),
        (1045, AccessDenied),
        (1129, AccessDenied),
        (1820, AccessDenied),
        (1862, AccessDenied),
        (3118, AccessDenied),
        (3955, AccessDenied),
        (4151, AccessDenied),
        (1142, PrivilegeMissing),
        (1053, ServerUnreachable),
        (4031, ServerUnreachable),
        (1064, StatementFailed),
        (-25536, StatementFailed),
    ],
)
def test_what_a_server_says_is_answered_whatever_kind_it_is(number: int, kind: type[ServerError]) -> None:
    mapped = map_error("db1", "ping", pymysql.OperationalError(number, "so"))
    assert type(mapped) is kind
    assert mapped.answered


@pytest.mark.parametrize(
    "error",
    [
        pymysql.OperationalError(2003, "Can't connect"),
        pymysql.OperationalError(2013, "Lost connection"),
        pymysql.OperationalError(2059, "a plugin, of nobody that greeted"),
        pymysql.InterfaceError(0, ""),
        pymysql.InternalError("Packet sequence number wrong"),
        ConnectionResetError(104, "reset"),
        TimeoutError("timed out"),
    ],
)
def test_what_nobody_says_is_no_answer(error: Exception) -> None:
    mapped = map_error("db1", "ping", error)
    assert type(mapped) is ServerUnreachable
    assert not mapped.answered


def wrapped(cause: OSError) -> pymysql.OperationalError:
    """As PyMySQL has what the operating system says while it connects."""
    error = pymysql.OperationalError(2003, f"Can't connect ({cause})")
    error.original_exception = cause  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("cause", "answered"),
    [
        (ssl.SSLError(1, "TLSV1_ALERT_PROTOCOL_VERSION"), True),
        (ssl.SSLCertVerificationError(1, "certificate has expired"), True),
        (ssl.SSLEOFError(8, "EOF occurred"), False),
        (TimeoutError("timed out"), False),
        (ConnectionRefusedError(111, "refused"), False),
    ],
)
def test_a_failed_connect_is_an_answer_when_tls_fails_after_a_greeting(cause: OSError, answered: bool) -> None:
    assert map_error("db1", "connect", _marked(wrapped(cause), greeted=True)).answered is answered
    assert not map_error("db1", "connect", _marked(wrapped(cause), greeted=False)).answered


def test_a_plugin_that_the_driver_does_not_know_is_an_answer_of_who_greeted() -> None:
    error = pymysql.OperationalError(2059, "Authentication plugin 'x' not configured")
    mapped = map_error("db1", "connect", _marked(error, greeted=True))
    assert isinstance(mapped, AccessDenied)
    assert mapped.answered
    assert "caching_sha2_password" in mapped.hint
