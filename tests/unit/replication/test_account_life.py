"""When an account will no longer be let in, by what each kind of server keeps of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from replication.dialects.accounts import AccountLife, life_of, life_query
from replication.snapshots import Vendor

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
