"""How long an account will still be let in: what servers know of the age of its password, and of its lock."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...model.state import Vendor
from . import quote_name

_DAY = 86400.0
_ALWAYS = "User AS user, Host AS host, plugin, ssl_type"
#: 5.6 keeps it in one of two columns.
_KEPT = "SHA2(CONCAT(Password, COALESCE(authentication_string, '')), 256) AS print"
_KEPT_57 = "SHA2(authentication_string, 256) AS print"
#: What an account must show, as MariaDB numbers it: nothing, TLS, any certificate, a certain one.
_ANY_CERTIFICATE = 2


@dataclass(frozen=True)
class AccountLife:
    """``days_left`` until its password expires, None where it does not, or where nothing tells.

    ``plugin`` authenticates it, empty where that is not told; ``certificate``: who logs in must show one of its own
    (REQUIRE X509, SUBJECT or ISSUER). ``print`` differs where what is kept of the password differs, empty where nothing
    is told; most plugins keep the same password differently each time that it is set.
    """

    user: str
    host: str
    expired: bool = False
    locked: bool = False
    days_left: float | None = None
    plugin: str = ""
    certificate: bool = False
    print: str = ""


def typed_account(user: str, host: str) -> str:
    """An account as statements name it."""
    return f"{quote_name(user)}@{quote_name(host)}"


def life_query(vendor: Vendor, version: tuple[int, ...]) -> str:
    """Reads every account of some users; the names are its arguments, one placeholder is left for them."""
    if vendor is Vendor.MARIADB:
        if version < (10, 4):
            return f"SELECT {_ALWAYS}, {_KEPT} FROM mysql.user WHERE User IN ({{}})"  # noqa: S608 - no word of others
        return "SELECT User AS user, Host AS host, Priv AS priv FROM mysql.global_priv WHERE User IN ({})"
    if version < (5, 7):
        return f"SELECT {_ALWAYS}, {_KEPT}, password_expired AS expired FROM mysql.user WHERE User IN ({{}})"  # noqa: S608 - no word of others
    return (
        f"SELECT {_ALWAYS}, {_KEPT_57}, password_expired AS expired, account_locked AS locked, "  # noqa: S608 - no word of others
        "UNIX_TIMESTAMP(password_last_changed) AS changed, password_lifetime AS lifetime "
        "FROM mysql.user WHERE User IN ({})"
    )


def life_of(row: Mapping[str, Any], default_lifetime: float, now: float) -> AccountLife:
    """What a row of `life_query` says. ``default_lifetime`` is default_password_lifetime in days, 0 for ever.

    ``now`` is the server's clock, in seconds since the epoch. MariaDB keeps an account as JSON: 0 for
    password_last_changed is one that was expired by hand, -1 for its lifetime is the default.
    """
    user, host = _text(row["user"]), _text(row["host"])
    if "priv" in row:
        known = json.loads(_text(row["priv"]))
        changed, lifetime = known.get("password_last_changed"), known.get("password_lifetime", -1)
        left = _days_left(changed, default_lifetime if lifetime == -1 else lifetime, now)
        expired, locked = changed == 0 or _over(left), bool(known.get("account_locked"))
        certificate = int(known.get("ssl_type") or 0) >= _ANY_CERTIFICATE
        kept = known.get("authentication_string")
        printed = hashlib.sha256(str(kept).encode()).hexdigest() if kept else ""
        return AccountLife(user, host, expired, locked, left, str(known.get("plugin") or ""), certificate, printed)
    lifetime = row.get("lifetime")
    left = _days_left(row.get("changed"), default_lifetime if lifetime is None else lifetime, now)
    expired = _text(row.get("expired", "N")) == "Y" or _over(left)
    locked, plugin = _text(row.get("locked", "N")) == "Y", _text(row.get("plugin") or "")
    certificate = _text(row.get("ssl_type") or "") in ("X509", "SPECIFIED")
    return AccountLife(user, host, expired, locked, left, plugin, certificate, _text(row.get("print") or ""))


def _days_left(changed: Any, lifetime: Any, now: float) -> float | None:
    if not changed or not lifetime:
        return None
    return (float(changed) - now) / _DAY + float(lifetime)


def _over(days_left: float | None) -> bool:
    return days_left is not None and days_left <= 0


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
