"""When an account will no longer be let in, by what each kind of server keeps of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.mysql.dialects.accounts import AccountLife, life_of, life_query

DAY, NOW = 86400.0, 1_800_000_000.0


def mariadb(**known: Any) -> dict[str, Any]:
    return {"user": "mha", "host": "%", "priv": json.dumps({"access": 1, **known})}


def mysql(changed: float | None = None, lifetime: int | None = None, **more: str) -> dict[str, Any]:
    return {"user": "mha", "host": "%", "expired": "N", "locked": "N", "changed": changed, "lifetime": lifetime, **more}


@pytest.mark.parametrize(
    ("row", "default", "expected"),
    [
        (mysql(NOW - 80 * DAY), 90, {"days_left": 10.0}),
        (mysql(NOW - 80 * DAY), 0, {}),
        (mysql(NOW - 80 * DAY, 0), 90, {}),
        (mysql(NOW - 80 * DAY, 60), 90, {"days_left": -20.0, "expired": True}),
        (mysql(expired="Y"), 0, {"expired": True}),
        (mysql(locked="Y"), 0, {"locked": True}),
        ({"user": b"mha", "host": b"%", "expired": "Y"}, 0, {"expired": True}),
        ({"user": "mha", "host": "%"}, 90, {}),
        (mariadb(password_last_changed=NOW - 80 * DAY), 90, {"days_left": 10.0}),
        (mariadb(password_last_changed=NOW - 80 * DAY, password_lifetime=-1), 90, {"days_left": 10.0}),
        (mariadb(password_last_changed=NOW - 80 * DAY, password_lifetime=0), 90, {}),
        (mariadb(password_last_changed=0), 0, {"expired": True}),
        (mariadb(account_locked=True), 0, {"locked": True}),
    ],
)
def test_what_a_server_keeps_of_an_account(row: dict[str, Any], default: int, expected: dict[str, Any]) -> None:
    assert life_of(row, default, NOW) == AccountLife("mha", "%", **expected)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (mysql(plugin="caching_sha2_password", ssl_type="X509"), ("caching_sha2_password", True)),
        (mysql(plugin="mysql_native_password", ssl_type="ANY"), ("mysql_native_password", False)),
        (mariadb(plugin="ed25519", ssl_type=3), ("ed25519", True)),
        (mariadb(plugin="mysql_native_password", ssl_type=1), ("mysql_native_password", False)),
    ],
)
def test_what_an_account_asks_for(row: dict[str, Any], expected: tuple[str, bool]) -> None:
    life = life_of(row, 0, NOW)
    assert (life.plugin, life.certificate) == expected


def test_the_same_password_leaves_the_same_print_and_is_not_shown() -> None:
    lives = [life_of(mariadb(authentication_string=kept), 0, NOW) for kept in ("*A", "*A", "*B")]
    assert lives[0].print == lives[1].print != lives[2].print
    assert "*A" not in repr(lives)


@pytest.mark.parametrize(
    ("vendor", "version", "column"),
    [
        (Vendor.MYSQL, (5, 6, 24), "password_expired"),
        (Vendor.MYSQL, (8, 4, 0), "password_lifetime"),
        (Vendor.MARIADB, (10, 3, 0), "Host"),
        (Vendor.MARIADB, (10, 11, 6), "global_priv"),
    ],
)
def test_each_server_is_asked_in_its_own_words(vendor: Vendor, version: tuple[int, ...], column: str) -> None:
    assert column in life_query(vendor, version).format("%s")
