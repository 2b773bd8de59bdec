"""Statements that a person is to type: with every value in its place, but for the password."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from . import Dialect, Repoint, Row, quote_name

#: What stands where the password belongs.
MASK = "xxx"
#: What people search the log for, whatever their server calls it.
_SOUGHT = "CHANGE MASTER TO"


def typed(sql: str, channels: int = 1) -> str:
    """As a person types it: the channel without a name is named only where there are several."""
    return sql.replace(" FOR CHANNEL ''", "") if channels < 2 else sql


def follow(dialect: Dialect, channel: str, to: Repoint, user: str, like: Row) -> str:
    """A CHANGE for a server that was a primary until now, ended by a semicolon; ``like`` as for `become_replica`.

    See `opened_first` for one that is closed to everybody.
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
    first, *rest = typed(sql).split("%s")
    text = first + "".join(f"{_literal(value)}{part}" for value, part in zip(args, rest, strict=True)) + demote + ";"
    return text if _SOUGHT in text else f"{text} -- {_SOUGHT}, as {dialect.vendor.value} spells it now"


def opened_first(dialect: Dialect) -> str:
    """What is typed before it on a server that may be closed to everybody (`fencing.everyone`), empty where none is:
    neither the CHANGE of a MariaDB server nor the applier that is started then could write."""
    variable = dialect.read_only_for_everybody
    return f"SET GLOBAL {variable}=0, SESSION {variable}=0; " if variable else ""


def _literal(value: Any) -> str:
    return quote_name(value) if isinstance(value, str) else str(value)
