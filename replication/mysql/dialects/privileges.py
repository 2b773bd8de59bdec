"""Which privileges a server wants for what: vendors name them differently, and newer servers have divided SUPER."""

from __future__ import annotations

from enum import StrEnum

from ...model.state import Vendor


class Power(StrEnum):
    """What an account may be allowed to do, whatever the privilege for it is called."""

    SEE_SESSIONS = "see-sessions"
    SEE_REPLICATION = "see-replication"
    SEE_LOG = "see-log"
    RUN_REPLICATION = "run-replication"
    RESET_REPLICATION = "reset-replication"
    SET_READ_ONLY = "set-read-only"
    PASS_READ_ONLY = "pass-read-only"  # noqa: S105 - a name, no password
    SET_VARIABLES = "set-variables"
    SET_LOG_VARIABLES = "set-log-variables"
    END_SESSIONS = "end-sessions"
    END_ANY_SESSION = "end-any-session"
    MOVE_EVENTS = "move-events"
    FLUSH = "flush"
    APPLY_LOG = "apply-log"
    REPLICATE = "replicate"


#: The privileges that serve everywhere; the others are SUPER's, as far as a newer server has not divided it.
_POWERS = {
    Power.SEE_SESSIONS: ("PROCESS",),
    Power.SEE_REPLICATION: ("REPLICATION CLIENT", "SUPER"),
    Power.SEE_LOG: ("REPLICATION CLIENT", "SUPER"),
    Power.RESET_REPLICATION: ("RELOAD",),
    Power.FLUSH: ("RELOAD",),
    Power.MOVE_EVENTS: ("EVENT",),
    Power.REPLICATE: ("REPLICATION SLAVE",),
}
#: MySQL 8.0 (Reference Manual, "Privileges Provided by MySQL").
_POWERS_MYSQL_80 = {
    Power.RUN_REPLICATION: ("REPLICATION_SLAVE_ADMIN", "SUPER"),
    Power.SET_READ_ONLY: ("SYSTEM_VARIABLES_ADMIN", "SUPER"),
    Power.PASS_READ_ONLY: ("CONNECTION_ADMIN", "SUPER"),
    Power.SET_VARIABLES: ("SYSTEM_VARIABLES_ADMIN", "SUPER"),
    Power.SET_LOG_VARIABLES: ("SYSTEM_VARIABLES_ADMIN", "SUPER"),
    Power.END_SESSIONS: ("CONNECTION_ADMIN", "SUPER"),
    Power.APPLY_LOG: ("REPLICATION_APPLIER", "SUPER"),
    Power.END_ANY_SESSION: ("SYSTEM_USER",),
}
#: MariaDB 10.5 (Knowledge Base, GRANT). It shows REPLICATION CLIENT as BINLOG MONITOR.
_POWERS_MARIADB_105 = {
    Power.SEE_REPLICATION: ("SLAVE MONITOR", "SUPER"),
    Power.SEE_LOG: ("BINLOG MONITOR", "SUPER"),
    Power.RUN_REPLICATION: ("REPLICATION SLAVE ADMIN", "SUPER"),
    Power.SET_READ_ONLY: ("READ_ONLY ADMIN", "SUPER"),
    Power.PASS_READ_ONLY: ("READ_ONLY ADMIN", "SUPER"),
    Power.END_SESSIONS: ("CONNECTION ADMIN", "SUPER"),
    Power.APPLY_LOG: ("BINLOG REPLAY", "SUPER"),
    Power.SET_LOG_VARIABLES: ("BINLOG ADMIN", "SUPER"),
    Power.END_ANY_SESSION: ("CONNECTION ADMIN", "SUPER"),
}


def privileges_for(vendor: Vendor, version: tuple[int, ...], power: Power) -> tuple[str, ...]:
    """The privileges any one of which gives this power, as SHOW GRANTS of such a server writes them.

    What counts on 5.6, 9.7 and MariaDB 10.11 was tried there, one by one. SUPER lost READ_ONLY ADMIN in MariaDB 10.11.0
    and the rest of what has a privilege of its own in 11.0.1.
    """
    common = _POWERS.get(power, ("SUPER",))
    if vendor is Vendor.MYSQL:
        return _POWERS_MYSQL_80.get(power, common) if version >= (8,) else common
    if version < (10, 5, 2):
        return common
    divided = _POWERS_MARIADB_105.get(power)
    if divided is None:
        return common
    lost = version >= (11, 0, 1) or (divided[0] == "READ_ONLY ADMIN" and version >= (10, 11))
    return tuple(name for name in divided if not (lost and name == "SUPER"))
