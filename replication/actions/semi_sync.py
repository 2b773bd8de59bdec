"""Semi-synchronous replication: the roles of source and replica, and how the source waits, go with the servers."""

from __future__ import annotations

import time
from collections.abc import Mapping

from ..mysql.server import Server, shown

#: By our word, the variables of both roles, by old and new names; a server has those of the plugins it loaded.
_ROLES = {
    "source": ("rpl_semi_sync_source_enabled", "rpl_semi_sync_master_enabled"),
    "replica": ("rpl_semi_sync_replica_enabled", "rpl_semi_sync_slave_enabled"),
}
#: How a source waits: how long (milliseconds), before or after its own commit, for how many, and also for nobody.
_WAITING = {
    "timeout": ("rpl_semi_sync_source_timeout", "rpl_semi_sync_master_timeout"),
    "wait_point": ("rpl_semi_sync_source_wait_point", "rpl_semi_sync_master_wait_point"),
    "acknowledgements": ("rpl_semi_sync_source_wait_for_replica_count", "rpl_semi_sync_master_wait_for_slave_count"),
    "alone": ("rpl_semi_sync_source_wait_no_replica", "rpl_semi_sync_master_wait_no_slave"),
}
_CLIENTS = ("Rpl_semi_sync_source_clients", "Rpl_semi_sync_master_clients")
#: What ``semi_sync=require`` asks of a source: MySQL's longest wait, 49 days, before anybody sees the row.
REQUIRED: Mapping[str, int | str] = {
    "source": 1,
    "timeout": "4294967295",
    "wait_point": "AFTER_SYNC",
    "alone": "ON",
}
#: Seconds between two looks at who acknowledges.
_LOOK = 0.2

Roles = Mapping[str, int | str]


def read_roles(server: Server) -> Roles:
    """``source`` and ``replica`` as 0 or 1, and how a source waits as text; each only where the server knows it."""
    found: dict[str, int | str] = {role: _flag(value) for role, (_, value) in _known(server, _ROLES).items()}
    return {**found, **{name: value for name, (_, value) in _known(server, _WAITING).items()}}


def take_roles(server: Server, roles: Roles) -> bool:
    """Switch the roles on or off where the server knows them, one that becomes a source waiting as these say.

    Returns whether anything was changed.
    """
    changed = take_waiting(server, roles) if roles.get("source") else False
    for role, (variable, value) in _known(server, _ROLES).items():
        on = int(roles.get(role, _flag(value)))
        if on != _flag(value):
            server.query(f"SET GLOBAL {variable} = {on:d}", action=f"set its semi-synchronous role {role}")
            changed = True
    return changed


def take_waiting(server: Server, roles: Roles) -> bool:
    """Set how a source waits, which changes nothing as long as it is none. Returns whether anything was changed."""
    changed = False
    for name, (variable, value) in _known(server, _WAITING).items():
        wanted = str(roles.get(name, value))
        if wanted.upper() != value.upper():
            typed: int | str = int(wanted) if wanted.isdigit() else wanted
            server.query(f"SET GLOBAL {variable} = %s", (typed,), action="set how it waits for acknowledgements")
            changed = True
    return changed


def acknowledgements(server: Server) -> int:
    """How many replicas have to acknowledge a transaction there, at least 1. Raises ServerError."""
    known = _known(server, {"acknowledgements": _WAITING["acknowledgements"]})
    return max([1, *(int(value) for _, value in known.values())])


def acknowledging(server: Server, wanted: int, seconds: float) -> int:
    """How many are connected that acknowledge; waited for until there are ``wanted``. Raises ServerError."""
    ends = time.monotonic() + seconds
    while True:
        rows = server.query(
            "SHOW GLOBAL STATUS WHERE Variable_name IN (%s, %s)", _CLIENTS, action="see who acknowledges"
        )
        found = max((int(row["Value"]) for row in rows), default=0)
        if found >= wanted or not rows or time.monotonic() >= ends:
            return found
        time.sleep(_LOOK)


def _flag(value: str) -> int:
    return int(value.upper() in ("ON", "1"))


def _known(server: Server, wanted: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """By our word: the name of the variable there, and its value."""
    names = [name for each in wanted.values() for name in each]
    values = shown(server, names, action="read its part in semi-synchronous replication")
    found = {}
    for word, variables in wanted.items():
        name = next((name for name in variables if name in values), None)
        if name is not None:
            found[word] = (name, values[name])
    return found
