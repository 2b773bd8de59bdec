"""Global variables as no administrator would set them: what a session of ours must not inherit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from tests.lab.host import Host

MODES = "ANSI_QUOTES,PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH,NO_BACKSLASH_ESCAPES,IGNORE_SPACE,HIGH_NOT_PRECEDENCE"
#: What a session takes from its server, and a value that breaks something; NULL: this server has no such variable.
HOSTILE = {
    "autocommit": 0,
    "completion_type": 1,
    "sql_select_limit": 0,
    "sql_safe_updates": 1,
    "sql_big_selects": 0,
    "sql_mode": MODES,
    "time_zone": "+12:45",
    "lock_wait_timeout": 1,
    "innodb_lock_wait_timeout": 1,
    "net_read_timeout": 1,
    "net_write_timeout": 1,
    "wait_timeout": 1,
    "max_statement_time": 0.001,
    "max_execution_time": 1,
    "transaction_isolation": "READ-COMMITTED",
    "tx_isolation": "READ-COMMITTED",
    "transaction_read_only": 1,
    "tx_read_only": 1,
}
#: These end a statement that is not done in a moment, of the lab, too.
_LIMITS = {"max_statement_time", "max_execution_time"}


def hostile(host: Host, wanted: Mapping[str, Any] = HOSTILE) -> dict[str, Any]:
    """Set all of them that this server knows; the session that does it has other values."""
    known = {str(row["Variable_name"]) for row in host.sql("SHOW GLOBAL VARIABLES")}
    values = {name: value for name, value in wanted.items() if name in known}
    with host.connect() as admin, admin.cursor() as cursor:
        for name, value in values.items():
            cursor.execute(f"SET GLOBAL {name}=%s", (value,))
    return values


@contextlib.contextmanager
def hostile_for_a_while(*hosts: Host) -> Iterator[None]:
    """All of them, on these servers, and their own values again in the end."""
    former = {host: {str(r["Variable_name"]): r["Value"] for r in host.sql("SHOW GLOBAL VARIABLES")} for host in hosts}
    changed = {host: hostile(host) for host in hosts}
    try:
        yield
    finally:
        for host in hosts:
            with host.connect() as admin, admin.cursor() as cursor:
                for name in _LIMITS & changed[host].keys():
                    cursor.execute(f"SET SESSION {name}=0")
                for name in changed[host]:
                    cursor.execute(f"SET GLOBAL {name}=%s", (_value(former[host][name]),))


def _value(text: str) -> Any:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text
