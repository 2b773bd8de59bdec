"""Semi-synchronous replication: the roles of source and replica change places with the servers."""

from __future__ import annotations

from collections.abc import Mapping

from replication.server import Server

#: The variables of both roles, by old and new names; a server has those of the plugins it loaded.
_SOURCE = ("rpl_semi_sync_source_enabled", "rpl_semi_sync_master_enabled")
_REPLICA = ("rpl_semi_sync_replica_enabled", "rpl_semi_sync_slave_enabled")

Roles = Mapping[str, int]


def read_roles(server: Server) -> Roles:
    """``source`` and ``replica`` as 0 or 1, each only where the server knows it."""
    names = (*_SOURCE, *_REPLICA)
    rows = server.query(
        f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({', '.join(['%s'] * len(names))})",
        names,
        action="read its part in semi-synchronous replication",
    )
    values = {str(row["Variable_name"]): int(str(row["Value"]).upper() in ("ON", "1")) for row in rows}
    roles = {}
    for role, variables in (("source", _SOURCE), ("replica", _REPLICA)):
        known = next((name for name in variables if name in values), None)
        if known is not None:
            roles[role] = values[known]
    return roles


def set_role(server: Server, role: str, value: int) -> bool:
    """Switch ``source`` or ``replica`` on or off where the server knows it; returns whether anything was changed."""
    if read_roles(server).get(role, value) == value:
        return False
    names = _SOURCE if role == "source" else _REPLICA
    rows = server.query(
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN (%s, %s)", names, action="read its part in semi-sync"
    )
    server.query(f"SET GLOBAL {rows[0]['Variable_name']} = {value:d}", action=f"set its semi-sync role {role}")
    return True
