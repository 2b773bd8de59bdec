"""Statements that a person is to type: with every value in its place, but for the password."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from replication.dialects import Dialect, Repoint, Row, quote_name

#: What stands where the password belongs.
MASK = "xxx"
#: What people search the log for, whatever their server calls it.
_SOUGHT = "CHANGE MASTER TO"


def follow(dialect: Dialect, channel: str, to: Repoint, user: str, like: Row) -> str:
    """A CHANGE for a server that was a primary until now, ended by a semicolon; ``like`` as for `become_replica`.

    That it may be closed to everybody (`fencing.everyone`) is taken back first: neither the CHANGE nor the applier that
    is started then could write.
    MariaDB: what it wrote as a primary is in its binary log only, and gtid_slave_pos does not know it (error 1236 once
    the new primary has purged that). MASTER_DEMOTE_TO_SLAVE joins the two (MDEV-20122, 10.10), Current_Pos did before.
    """
    demote = ""
    if to.how == "mariadb_gtid":
        if dialect.version >= (10, 10):
            demote = ", MASTER_DEMOTE_TO_SLAVE=1"
        else:
            to = replace(to, using_gtid="Current_Pos")
    sql, args = dialect.become_replica(channel, to, user, MASK, like)
    first, *rest = sql.split("%s")
    text = first + "".join(f"{_literal(value)}{part}" for value, part in zip(args, rest, strict=True)) + demote + ";"
    if closed := dialect.read_only_for_everybody:
        text = f"SET GLOBAL {closed}=0, SESSION {closed}=0; {text}"
    return text if _SOUGHT in text else f"{text} -- {_SOUGHT}, as {dialect.vendor.value} spells it now"


def _literal(value: Any) -> str:
    return quote_name(value) if isinstance(value, str) else str(value)
