"""Snapshots for tests of decisions: a replica that is well in every respect, and changes to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect_mha.config import ClusterConfig, ServerConfig
from prefect_mha.replication.model.gtid import GtidSet
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.model.state import (
    ClusterState,
    Filters,
    ReplicaChannel,
    SemiSync,
    ServerDown,
    ServerState,
    Vendor,
)
from prefect_mha.replication.mysql.dialects import Dialect
from prefect_mha.replication.mysql.grants import Grants
from prefect_mha.replication.workload.activity import Activity, Process
from prefect_mha.replication.workload.statements import kind_of, shorten

UUID = "11111111-1111-1111-1111-111111111111"


def block(number: int, **changes: Any) -> ServerConfig:
    """The configured server 10.0.0.NUMBER."""
    name, ip = f"db{number}", f"10.0.0.{number}"
    known = {"block": f"server{number}", "hostname": name, "ip": ip, "ssh_host": name, "ssh_ip": ip, "ssh_user": "root"}
    return ServerConfig(**{**known, **changes})


def configured(*blocks: dict[str, Any], **app: Any) -> ClusterConfig:
    """db1 is the primary; a dict of changes a further server."""
    servers = tuple(block(number, **changes) for number, changes in enumerate(({}, *blocks), 1))
    return ClusterConfig(**{"name": "app1", "path": Path("app1.cnf"), "servers": servers, **app})


def at(pos: int, file: int = 1) -> BinlogPosition:
    """A place in the primary's log."""
    return BinlogPosition(f"mysql-bin.{file:06d}", pos)


def channel(**changes: Any) -> ReplicaChannel:
    """A channel that follows 10.0.0.1, level at 1000."""
    well = ReplicaChannel(
        name="",
        source_host="10.0.0.1",
        source_port=3306,
        source_user="repl",
        source_server_id=1,
        source_uuid=UUID,
        receiver="Yes",
        applier_running=True,
        applier_state="Slave has read all relay log; waiting for more updates",
        has_read_all=True,
        received=at(1000),
        executed=at(1000),
        relay_log=BinlogPosition("relay.000002", 1200),
        auto_position=False,
        retrieved=None,
        using_gtid="No",
        gtid_io_pos=None,
        seconds_behind=0,
        delay=0,
        receiver_errno=0,
        receiver_error="",
        applier_errno=0,
        applier_error="",
        filters=Filters(),
    )
    return replace(well, **changes)


def server(number: int, *channels: ReplicaChannel, version: tuple[int, ...] = (8, 4, 0), **changes: Any) -> ServerState:
    """The server 10.0.0.NUMBER: read-only, with its log on; without channels it is no replica."""
    well = ServerState(
        key=f"10.0.0.{number}:3306",
        name=f"db{number}(10.0.0.{number}:3306)",
        hostname=f"db{number}",
        vendor=Vendor.MYSQL,
        version=version,
        version_text=".".join(map(str, version)),
        server_id=number,
        server_uuid=UUID.replace("1", str(number)),
        read_only=True,
        super_read_only=False,
        log_bin=True,
        log_replica_updates=True,
        binlog_format="ROW",
        gtid_mode="OFF",
        gtid_executed=GtidSet(),
        gtid_purged=GtidSet(),
        mariadb_gtid=None,
        gtid_binlog_state=(),
        end_of_log=at(5000),
        binlog_do_db="",
        binlog_ignore_db="",
        log_bin_basename="/var/lib/mysql/mysql-bin",
        datadir="/var/lib/mysql/",
        pid_file="",
        relay_log_basename="/var/lib/mysql/relay",
        relay_log_purge=True,
        relay_log_recovery=False,
        relay_log_info_repository="",
        event_scheduler="OFF",
        semi_sync=SemiSync(),
        checkpoint_period=0.3,
        channels=channels,
    )
    return replace(well, **changes)


def cluster(*up: ServerState, down: tuple[int, ...] = ()) -> ClusterState:
    """Servers that answer, and the numbers of those that do not."""
    gone = tuple(
        ServerDown(f"10.0.0.{n}:3306", f"db{n}(10.0.0.{n}:3306)", f"db{n}", "connection refused", False) for n in down
    )
    return ClusterState(up, gone)


def process(statement: str = "", seconds: int = 0, **changes: Any) -> Process:
    """Session 7 of an application: it executes the statement, or sleeps when there is none."""
    well = Process(
        id=7,
        user="app",
        host="10.0.0.9:50000",
        command="Query" if statement else "Sleep",
        seconds=seconds,
        state="",
        statement=shorten(statement),
        kind=kind_of(statement),
    )
    return replace(well, **changes)


def activity(number: int, *processes: Process, **changes: Any) -> Activity:
    """What runs on 10.0.0.NUMBER, where the manager may do everything and repl may replicate from anywhere."""
    well = Activity(
        key=f"10.0.0.{number}:3306",
        name=f"db{number}(10.0.0.{number}:3306)",
        dialect=Dialect(Vendor.MYSQL, (8, 4, 0), replica_words=True, binary_log_status=True, multi_channel=True),
        account="'mha'@'%'",
        processes=processes,
        grants=Grants(everywhere=frozenset({"ALL PRIVILEGES"})),
        replication_accounts=frozenset({("repl", "%")}),
    )
    return replace(well, **changes)
