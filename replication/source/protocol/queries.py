"""The words that receivers say before they ask for a log, and what the dead primary would have answered.

Seen with MySQL 5.6 and 9.7, MariaDB 10.11 and 11.8. What is not known is answered with an error (1193), which every
receiver takes well but for MariaDB's question after semi-synchronous replication and MySQL 5.6's after a server_uuid,
which a replica that was pointed back has forgotten: these want an empty result.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ...model.gtid import MariadbGtidPosition
from ..catalogue import Identity
from .packets import OK, Refused, result

_HEARTBEAT = re.compile(r"heartbeat_period\s*=\s*(\d{1,19})", re.IGNORECASE)
_STATE = re.compile(r"@slave_connect_state\s*=\s*'([^']*)'", re.IGNORECASE)
_UNTIL = re.compile(r"@slave_until_gtid\s*=", re.IGNORECASE)
_CHECKSUM = re.compile(r"@(?:master|source)_binlog_checksum\s*=\s*(.+)", re.IGNORECASE)
_SHOW = re.compile(r"SHOW (?:GLOBAL )?VARIABLES LIKE '(\w+)'")
_SELECT = re.compile(r"SELECT (\S+)(?: LIMIT 1)?")


@dataclass(frozen=True)
class Said:
    """What a follower told about itself: its heartbeat's period in seconds (0: none), and MariaDB's GTID state."""

    heartbeat: float = 0.0
    state: MariadbGtidPosition | None = None


def answer(query: str, identity: Identity, checksum: Callable[[], bool], said: Said) -> tuple[tuple[bytes, ...], Said]:
    """The payloads to send, and what is known of the follower now; ``checksum`` tells whether events carry one.

    Raises Refused.
    """
    text = " ".join(query.split())
    words = text.upper().rstrip("; ")
    if words.startswith("SET "):
        return (OK,), _set(text, said)
    if words.startswith("KILL "):
        # MariaDB ends its former session so; it is no session of ours.
        return (OK,), said
    if found := _SHOW.fullmatch(words):
        name = found[1].lower()
        value = {"server_id": str(identity.server_id), "server_uuid": identity.uuid}.get(name)
        if value:
            return result(("Variable_name", "Value"), ((name, value),)), said
        if name.startswith("rpl_semi_sync") or name == "server_uuid":
            # 5.6 stops for good at an error here; what a server has not, it shows nothing of.
            return result(("Variable_name", "Value"), ()), said
    elif found := _SELECT.fullmatch(words):
        value = _value(found[1], identity, checksum)
        if value is not None:
            return result((text.split(None, 1)[1],), ((value,),)), said
    raise Refused(1193, f"Unknown to this source of a rescue: {text[:80]}")


def _set(text: str, said: Said) -> Said:
    if found := _HEARTBEAT.search(text):
        said = replace(said, heartbeat=int(found[1]) / 1e9)
    if found := _STATE.search(text):
        try:
            said = replace(said, state=MariadbGtidPosition.parse(found[1]))
        except ValueError as error:
            raise Refused(1236, f"The GTID state cannot be read: {error}") from None
    if _UNTIL.search(text) and not re.search(r"@slave_until_gtid\s*=\s*(''|NULL)", text, re.IGNORECASE):
        raise Refused(1236, "START SLAVE UNTIL is not served by the source of a rescue")
    if (found := _CHECKSUM.search(text)) and "@@" not in found[1] and "CRC32" not in found[1].upper():
        raise Refused(1236, "events are served with the checksums that they were written with")
    return said


def _value(name: str, identity: Identity, checksum: Callable[[], bool]) -> str | None:
    if name in ("@MASTER_BINLOG_CHECKSUM", "@SOURCE_BINLOG_CHECKSUM"):
        return "CRC32" if checksum() else "NONE"
    values = {
        "UNIX_TIMESTAMP()": str(int(time.time())),
        "@@GLOBAL.SERVER_ID": str(identity.server_id),
        "@@GLOBAL.COLLATION_SERVER": "utf8mb4_general_ci",
        "@@GLOBAL.TIME_ZONE": "SYSTEM",
        "VERSION()": identity.version,
    }
    if identity.mariadb:
        values["@@GLOBAL.GTID_DOMAIN_ID"] = str(identity.domain)
    else:
        values["@@GLOBAL.GTID_MODE"] = identity.gtid_mode
        values |= {"@@GLOBAL.SERVER_UUID": identity.uuid} if identity.uuid else {}
    return values.get(name)
