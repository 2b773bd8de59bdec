"""The status row of a channel, whose columns go by another name in each version, read into a snapshot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...model.gtid import GtidSet, MariadbGtidPosition
from ...model.position import BinlogPosition
from ...model.state import Filters, ReplicaChannel, Vendor
from ...model.words import plain

Row = Mapping[str, Any]

#: What the applier says when everything that was received is executed: 5.6 and 5.7; MariaDB; 8.0.26 and newer.
_ALL_READ = ("has read all relay log",)

#: What a receiver says that found nobody: CR_CONNECTION_ERROR, CR_CONN_HOST_ERROR, CR_UNKNOWN_HOST, CR_SERVER_LOST.
_NOBODY_THERE = (2002, 2003, 2005, 2013)

#: MySQL's count of attempts: up to 8.0, and newer. MariaDB tells only how many there may be. Seen on 5.6, 9.7, 11.8.
_ATTEMPTS = re.compile(r"(?<!maximum-)retries: (\d+)|This was attempt (\d+)/")


class _Either:
    """A row whose columns may go by an old or a new name."""

    def __init__(self, row: Row) -> None:
        self._row = row

    def text(self, *names: str) -> str:
        for name in names:
            value = self._row.get(name)
            if value is not None:
                return value.decode() if isinstance(value, bytes) else str(value)
        return ""

    def number(self, *names: str) -> int | None:
        text = self.text(*names)
        return int(float(text)) if text else None


def channel_name(row: Row) -> str:
    """The name of the channel; empty for the one without a name."""
    return _Either(row).text("Channel_Name", "Connection_name")


def source_host(row: Row) -> str:
    """Where its source is, as the channel calls it."""
    return _Either(row).text("Source_Host", "Master_Host")


def source_user(row: Row) -> str:
    """The account that it comes in with."""
    return _Either(row).text("Source_User", "Master_User")


def has_read_all(state: str) -> bool:
    """Whether the applier says that everything that was received is executed."""
    return any(text in state for text in _ALL_READ)


def read_channel(vendor: Vendor, row: Row) -> ReplicaChannel:
    """One row of SHOW … STATUS as a snapshot, whatever the columns are called."""
    get = _Either(row)
    mariadb = vendor is Vendor.MARIADB
    state = get.text("Slave_SQL_Running_State", "Replica_SQL_Running_State", "Slave_SQL_State")
    return ReplicaChannel(
        name=channel_name(row),
        source_host=source_host(row),
        source_port=get.number("Source_Port", "Master_Port") or 3306,
        source_user=source_user(row),
        source_server_id=get.number("Source_Server_Id", "Master_Server_Id") or 0,
        source_uuid=get.text("Source_UUID", "Master_UUID"),
        receiver=get.text("Replica_IO_Running", "Slave_IO_Running"),
        applier_running=get.text("Replica_SQL_Running", "Slave_SQL_Running") == "Yes",
        applier_state=state,
        has_read_all=has_read_all(state),
        received=_position(get, ("Source_Log_File", "Master_Log_File"), ("Read_Source_Log_Pos", "Read_Master_Log_Pos")),
        executed=_position(
            get,
            ("Relay_Source_Log_File", "Relay_Master_Log_File"),
            ("Exec_Source_Log_Pos", "Exec_Master_Log_Pos"),
        ),
        relay_log=_position(get, ("Relay_Log_File",), ("Relay_Log_Pos",)),
        auto_position=get.number("Auto_Position") == 1,
        retrieved=None if mariadb else GtidSet.parse(get.text("Retrieved_Gtid_Set")),
        using_gtid=get.text("Using_Gtid") or "No",
        gtid_io_pos=MariadbGtidPosition.parse(get.text("Gtid_IO_Pos")) if mariadb else None,
        seconds_behind=get.number("Seconds_Behind_Source", "Seconds_Behind_Master"),
        delay=get.number("SQL_Delay") or 0,
        receiver_errno=get.number("Last_IO_Errno") or 0,
        receiver_error=plain(get.text("Last_IO_Error")),
        receiver_gave_up=_gave_up(get),
        applier_errno=get.number("Last_SQL_Errno") or 0,
        applier_error=plain(get.text("Last_SQL_Error")),
        ssl=get.text("Source_SSL_Allowed", "Master_SSL_Allowed") == "Yes",
        ssl_verify=get.text("Source_SSL_Verify_Server_Cert", "Master_SSL_Verify_Server_Cert") == "Yes",
        public_key=bool(get.number("Get_Source_public_key", "Get_master_public_key")),
        filters=Filters(
            do_db=get.text("Replicate_Do_DB"),
            ignore_db=get.text("Replicate_Ignore_DB"),
            do_table=get.text("Replicate_Do_Table"),
            ignore_table=get.text("Replicate_Ignore_Table"),
            wild_do_table=get.text("Replicate_Wild_Do_Table"),
            wild_ignore_table=get.text("Replicate_Wild_Ignore_Table"),
        ),
        row=row,
    )


def _gave_up(get: _Either) -> bool:
    """Whether the receiver ended by itself: every attempt that it may make found nobody. STOP leaves fewer of them."""
    made = _ATTEMPTS.search(get.text("Last_IO_Error"))
    allowed = get.number("Source_Retry_Count", "Master_Retry_Count")
    if made is None or not allowed or get.number("Last_IO_Errno") not in _NOBODY_THERE:
        return False
    stopped = get.text("Replica_IO_Running", "Slave_IO_Running") == "No"
    return stopped and int(made[1] or made[2]) >= allowed


def _position(get: _Either, file: tuple[str, ...], pos: tuple[str, ...]) -> BinlogPosition | None:
    name = get.text(*file)
    return BinlogPosition(name, get.number(*pos) or 4) if name else None
