"""A server's variables and status, whose names differ by vendor and version, read into a snapshot."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from ....config import ServerConfig
from ...model.gtid import GtidSet, MariadbGtid, MariadbGtidPosition
from ...model.position import BinlogPosition
from ...model.state import SemiSync, ServerState, Vendor
from ...model.words import plain
from . import Dialect, Row

#: Every server has these.
ALWAYS = ("version", "server_id", "read_only", "log_bin", "datadir")
#: What is asked of every server, by every name that one has for it.
STATE_VARIABLES = (
    *"version version_comment server_id server_uuid read_only super_read_only log_bin log_slave_updates "
    "log_replica_updates binlog_format gtid_mode gtid_purged gtid_binlog_pos gtid_slave_pos gtid_binlog_state "
    "log_bin_basename datadir pid_file relay_log_basename relay_log_purge "
    "relay_log_recovery relay_log_info_repository event_scheduler rpl_semi_sync_master_enabled "
    "rpl_semi_sync_slave_enabled rpl_semi_sync_source_enabled rpl_semi_sync_replica_enabled "
    "rpl_semi_sync_source_timeout rpl_semi_sync_master_timeout rpl_semi_sync_source_wait_point "
    "rpl_semi_sync_master_wait_point rpl_semi_sync_source_wait_no_replica rpl_semi_sync_master_wait_no_slave "
    "slave_checkpoint_period replica_checkpoint_period tx_read_only transaction_read_only offline_mode".split(),
)
_LONGEST_PATH, _LONGEST_VERSION = 4096, 200


def _check_path(path: str) -> None:
    """Raise ValueError for what no server calls a directory or a log of its own."""
    if path and (not path.startswith("/") or not path.isprintable() or len(path) > _LONGEST_PATH):
        raise ValueError(f"{path[:80]!r} is no path")


def read_state(
    config: ServerConfig,
    dialect: Dialect,
    v: dict[str, str],
    channels: Sequence[Row],
    log: Row,
) -> ServerState:
    """From its variables, the status rows of its channels, and that of its own log. Raises ValueError for nonsense."""

    flag = partial(_flag, v)
    mysql = dialect.vendor is Vendor.MYSQL
    has_gtid = mysql and "gtid_mode" in v
    executed = GtidSet.parse(str(log.get("Executed_Gtid_Set") or "")) if has_gtid else None
    mariadb = None
    written = v.get("gtid_binlog_state", "").replace(" ", "").split(",")
    if not mysql:
        mariadb = MariadbGtidPosition.parse(v.get("gtid_slave_pos", "")).merge(
            MariadbGtidPosition.parse(v.get("gtid_binlog_pos", ""))
        )
    file = str(log.get("File") or "")
    for name in ("datadir", "log_bin_basename", "relay_log_basename"):
        _check_path(v.get(name, ""))
    return ServerState(
        key=config.address,
        name=config.name,
        hostname=config.hostname,
        vendor=dialect.vendor,
        version=dialect.version,
        version_text=plain(v.get("version", ""), _LONGEST_VERSION),
        server_id=int(v.get("server_id", "0")),
        server_uuid=v.get("server_uuid", ""),
        read_only=v.get("read_only", "OFF").upper() not in ("OFF", "0", "NO"),
        super_read_only=flag("super_read_only"),
        log_bin=bool(flag("log_bin")),
        log_replica_updates=bool(flag("log_replica_updates", "log_slave_updates")),
        binlog_format=v.get("binlog_format", "ROW"),
        gtid_mode=v.get("gtid_mode") if mysql else None,
        gtid_executed=executed,
        gtid_purged=GtidSet.parse(v.get("gtid_purged", "")) if has_gtid else None,
        mariadb_gtid=mariadb,
        gtid_binlog_state=tuple(MariadbGtid.parse(part) for part in written if part),
        end_of_log=BinlogPosition(file, int(log["Position"])) if file else None,
        binlog_do_db=str(log.get("Binlog_Do_DB") or ""),
        binlog_ignore_db=str(log.get("Binlog_Ignore_DB") or ""),
        log_bin_basename=v.get("log_bin_basename", ""),
        datadir=v.get("datadir", ""),
        pid_file=v.get("pid_file", ""),
        relay_log_basename=v.get("relay_log_basename", ""),
        relay_log_purge=bool(flag("relay_log_purge")),
        relay_log_recovery=bool(flag("relay_log_recovery")),
        relay_log_info_repository=v.get("relay_log_info_repository", ""),
        event_scheduler=v.get("event_scheduler", "OFF"),
        semi_sync=semi_sync_of(v),
        checkpoint_period=int(v.get("replica_checkpoint_period") or v.get("slave_checkpoint_period") or 0) / 1000,
        channels=tuple(dialect.channel(row) for row in channels),
        observed_at=time.time(),
        tx_read_only=flag("transaction_read_only", "tx_read_only"),
        offline_mode=flag("offline_mode"),
    )


def semi_sync_of(v: dict[str, str]) -> SemiSync:
    """From its variables, whose names are in small letters."""
    timeout = v.get("rpl_semi_sync_source_timeout", v.get("rpl_semi_sync_master_timeout", ""))
    return SemiSync(
        source_enabled=_flag(v, "rpl_semi_sync_source_enabled", "rpl_semi_sync_master_enabled"),
        replica_enabled=_flag(v, "rpl_semi_sync_replica_enabled", "rpl_semi_sync_slave_enabled"),
        timeout=int(timeout) if timeout.isdigit() else None,
        wait_point=v.get("rpl_semi_sync_source_wait_point", v.get("rpl_semi_sync_master_wait_point", "")),
        alone=_flag(v, "rpl_semi_sync_source_wait_no_replica", "rpl_semi_sync_master_wait_no_slave"),
    )


def _flag(v: dict[str, str], *names: str) -> bool | None:
    value = next((v[name] for name in names if name in v), None)
    return None if value is None else value.upper() in ("ON", "1", "YES", "TRUE")
