"""Logging in as a replica: what a channel has, in a CHANGE and in a client's option file, and what an answer means."""

from __future__ import annotations

from typing import Any

import pytest

from prefect_mha.config import ServerConfig
from prefect_mha.replication.checks.cluster.logins import judged
from prefect_mha.replication.checks.trying_logins import TriedLogin, _read
from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.mysql.dialects.accounts import AccountLife
from prefect_mha.replication.mysql.dialects.connecting import Connecting
from prefect_mha.replication.mysql.option_file import quoted

NINE: dict[str, Any] = {
    "Source_SSL_Allowed": "Yes",
    "Source_SSL_CA_File": "/ca",
    "Source_SSL_Cert": "/cert",
    "Source_SSL_Key": "/key",
    "Source_SSL_Verify_Server_Cert": "Yes",
    "Source_TLS_Version": "TLSv1.3",
    "Source_Bind": "",
    "Connect_Retry": 7,
    "Source_Retry_Count": 11,
    "SQL_Delay": 0,
    "Get_Source_public_key": 1,
    "Replicate_Ignore_Server_Ids": "77,78",
    "COMPRESSION_ALGORITHM": "zstd,uncompressed",
    "ZSTD_COMPRESSION_LEVEL": 5,
    "HEARTBEAT_INTERVAL": 7.5,
    "TLS_CIPHERSUITES": None,
}
MARIA: dict[str, Any] = {
    "Master_SSL_Allowed": "No",
    "Master_SSL_Verify_Server_Cert": "No",
    "Slave_heartbeat_period": "3.000",
    "Replicate_Do_Domain_Ids": "1, 2",
    "Connect_Retry": 1,
}


def change(row: dict[str, Any], p: str) -> dict[str, tuple[Any, ...]]:
    return dict(Connecting.of(row).parts(p))


def test_every_option_of_a_channel_is_in_the_change_of_another() -> None:
    assert change(NINE, "SOURCE") == {
        "SOURCE_CONNECT_RETRY=%s": (7,),
        "SOURCE_RETRY_COUNT=%s": (11,),
        "SOURCE_HEARTBEAT_PERIOD=%s": (7.5,),
        "SOURCE_SSL=%s": (1,),
        "SOURCE_SSL_VERIFY_SERVER_CERT=%s": (1,),
        "SOURCE_SSL_CA=%s": ("/ca",),
        "SOURCE_SSL_CERT=%s": ("/cert",),
        "SOURCE_SSL_KEY=%s": ("/key",),
        "SOURCE_TLS_VERSION=%s": ("TLSv1.3",),
        "SOURCE_COMPRESSION_ALGORITHMS=%s": ("zstd,uncompressed",),
        "SOURCE_ZSTD_COMPRESSION_LEVEL=%s": (5,),
        "GET_SOURCE_PUBLIC_KEY=%s": (1,),
        "IGNORE_SERVER_IDS=(%s, %s)": (77, 78),
    }


def test_what_newer_servers_would_have_by_themselves_is_said_outright() -> None:
    assert change(MARIA, "MASTER") == {
        "MASTER_SSL=%s": (0,),
        "MASTER_SSL_VERIFY_SERVER_CERT=%s": (0,),
        "MASTER_CONNECT_RETRY=%s": (1,),
        "MASTER_HEARTBEAT_PERIOD=%s": (3.0,),
        "DO_DOMAIN_IDS=(%s, %s)": (1, 2),
    }


@pytest.mark.parametrize(
    ("row", "vendor", "expected"),
    [
        (NINE, Vendor.MYSQL, {"loose-ssl-mode=VERIFY_IDENTITY", "loose-ssl-cert=/cert", "loose-tls-version=TLSv1.3"}),
        ({**NINE, "Source_SSL_Verify_Server_Cert": "No"}, Vendor.MYSQL, {"loose-ssl-mode=VERIFY_CA"}),
        (
            {**NINE, "Source_SSL_Allowed": "No"},
            Vendor.MYSQL,
            {"loose-ssl-mode=DISABLED", "loose-get-server-public-key"},
        ),
        (MARIA, Vendor.MARIADB, {"loose-skip-ssl", "loose-skip-ssl-verify-server-cert"}),
        (
            {"Master_SSL_Allowed": "Yes", "Master_SSL_Verify_Server_Cert": "Yes"},
            Vendor.MARIADB,
            {"loose-ssl", "loose-ssl-verify-server-cert"},
        ),
    ],
)
def test_a_client_connects_as_the_channel_does(row: dict[str, Any], vendor: Vendor, expected: set[str]) -> None:
    assert expected <= set(Connecting.of(row).client_lines(vendor))


def test_a_channel_without_tls_shows_no_files_of_it() -> None:
    lines = Connecting.of({**NINE, "Source_SSL_Allowed": "No"}).client_lines(Vendor.MYSQL)
    assert not [line for line in lines if "cert" in line or "ssl-ca" in line or "tls-" in line]


def test_a_password_is_one_line_whatever_it_holds() -> None:
    assert quoted('a"b\\c\nd') == '"a\\"b\\\\c\\nd"'


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("id 102", (102, 0, "", "")),
        ("Please use --connect-expired-password option", (0, 1862, "the password of the account has expired", "")),
        ("ERROR 1045 (28000): Access denied", (0, 1045, "ERROR 1045 (28000): Access denied", "")),
        ("mysql: cannot execute", (0, 0, "", "mysql: cannot execute")),
        ("", (0, 0, "", "its client did not answer in time")),
    ],
)
def test_what_a_client_says(said: str, expected: tuple[int, int, str, str]) -> None:
    assert _read(said) == expected


def block(number: int) -> ServerConfig:
    ip = f"10.0.0.{number}"
    return ServerConfig(block=f"server{number}", hostname=f"db{number}", ip=ip, ssh_host=ip, ssh_ip=ip)


def login(number: int = 0, found: int = 0, own: bool = True) -> TriedLogin:
    error = f"ERROR {number}" if number else ""
    return TriedLogin(block(2), block(3), "repl", own, Connecting(), "db3", found, number, error)


@pytest.mark.parametrize(
    ("given", "text", "remedy"),
    [
        (
            login(found=4),
            "what it calls db3 is not db3(10.0.0.3:3306): there answers a server with server_id 4",
            "hosts",
        ),
        (login(1045), "ERROR 1045", "for 10.0.0.2, on db3 as elsewhere"),
        (login(1045, own=False), "of repl_password in the configuration", "write the password of repl"),
        (login(1130), "ERROR 1130", "for 10.0.0.2"),
        (login(1862), "ERROR 1862", "PASSWORD EXPIRE NEVER` on db3"),
        (login(3118), "ERROR 3118", "ACCOUNT UNLOCK` on db3"),
        (login(2026), "ERROR 2026", "the certificate of db3"),
        (login(2003), "ERROR 2003", "let db2 reach db3 at port 3306"),
        (login(2005), "ERROR 2005", "add db3 to DNS"),
        (login(1040), "ERROR 1040", "follow nobody"),
    ],
)
def test_what_is_wrong_and_what_to_do(given: TriedLogin, text: str, remedy: str) -> None:
    found = judged(given, 3, ())
    assert found is not None
    assert text in found[0]
    assert remedy in found[1]


def test_the_right_server_lets_it_in() -> None:
    assert judged(login(found=3), 3, ()) is None


def test_an_account_that_must_show_a_certificate_is_told_of_as_that() -> None:
    found = judged(login(1045), 3, (AccountLife("repl", "%", certificate=True),))
    assert found is not None
    assert "must show a certificate there, and its channel has none" in found[0]
