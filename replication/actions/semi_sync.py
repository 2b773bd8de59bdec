"""Semi-synchronous replication: the roles of source and replica change places with the servers."""

from __future__ import annotations

from collections.abc import Mapping

from ..mysql.server import Server

#: The variables of both roles, by old and new names; a server has those of the plugins it loaded.
_SOURCE = ("rpl_semi_sync_source_enabled", "rpl_semi_sync_master_enabled")
_REPLICA = ("rpl_semi_sync_replica_enabled", "rpl_semi_sync_slave_enabled")

Roles = Mapping[str, int]


def read_roles(server: Server) -> Roles:
    """``source`` and ``replica`` as 0 or 1, each only where the server knows it."""
    return {role: value for role, (_, value) in _variables(server).items()}


def take_roles(server: Server, roles: Roles) -> bool:
    """Switch the roles on or off where the server knows them; returns whether anything was changed."""
    changed = False
    for role, (variable, value) in _variables(server).items():
        wanted = roles.get(role, value)
        if wanted != value:
            server.query(f"SET GLOBAL {variable} = {wanted:d}", action=f"set its semi-synchronous role {role}")
            changed = True
    return changed


def _variables(server: Server) -> dict[str, tuple[str, int]]:
    """By role: the name of its variable there, and its value."""
    names = (*_SOURCE, *_REPLICA)
    rows = server.query(
        f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({', '.join(['%s'] * len(names))})",
        names,
        action="read its part in semi-synchronous replication",
    )
    values = {str(row["Variable_name"]): int(str(row["Value"]).upper() in ("ON", "1")) for row in rows}
    found = {}
    for role, variables in (("source", _SOURCE), ("replica", _REPLICA)):
        name = next((name for name in variables if name in values), None)
        if name is not None:
            found[role] = (name, values[name])
    return found
