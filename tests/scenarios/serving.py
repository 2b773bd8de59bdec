"""A source of files over a killed primary's logs, and replicas that are pointed at it by hand, without a failover."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect_mha.replication.binlog.reader import LogFile
from prefect_mha.replication.model.gtid import GtidSet, MariadbGtidPosition
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.source import Catalogue, Identity, Prover, Source
from tests.lab.cluster import Cluster
from tests.lab.host import Host

DATA = "var/lib/mysql"


def identity(primary: Host) -> Identity:
    """Whom to stand in for, asked while it lives."""
    row = primary.sql("SELECT VERSION() AS v, @@GLOBAL.server_id AS id")[0]
    if primary.kind.mariadb:
        return Identity(row["v"], row["id"])
    more = primary.sql("SELECT @@GLOBAL.server_uuid AS uuid, @@GLOBAL.gtid_mode AS gtids")[0]
    return Identity(row["v"], row["id"], more["uuid"], more["gtids"])


def position(replica: Host) -> BinlogPosition:
    """The place in the primary's log up to which a replica executed."""
    status = replica.replica_status()
    return BinlogPosition(status["Relay_Source_Log_File"], status["Exec_Source_Log_Pos"])


def executed(replica: Host) -> GtidSet | MariadbGtidPosition:
    """What a replica executed, by GTID."""
    if replica.kind.mariadb:
        return MariadbGtidPosition.parse(replica.sql("SELECT @@GLOBAL.gtid_slave_pos AS g")[0]["g"])
    return GtidSet.parse(replica.sql("SELECT @@GLOBAL.gtid_executed AS g")[0]["g"])


@dataclass
class Dead:
    """What is left of a primary: who it was, copies of its logs, and where it stood when it died."""

    who: Identity
    logs: list[LogFile]

    @classmethod
    def of(cls, primary: Host, directory: Path) -> Dead:
        """Kill it and copy its logs."""
        who = identity(primary)
        names = [row["Log_name"] for row in primary.sql("SHOW BINARY LOGS")]
        primary.signal_mysqld(signal.SIGKILL)
        directory.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copy(primary.upper / DATA / name, directory / name)
        return cls(who, [LogFile.at(directory / name) for name in names])

    def catalogue(self, start: BinlogPosition, before: Any = None) -> Catalogue:
        """All of its logs from a place on, proven."""
        catalogue = Catalogue(self.who)
        Prover(catalogue, start, before).extend([log for log in self.logs if log.name >= start.file])
        catalogue.finish()
        return catalogue


def relay_logs(replica: Host, directory: Path) -> list[LogFile]:
    """Copies of a replica's relay logs."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = sorted((replica.upper / DATA).glob("relay-bin.0*"))
    return [LogFile.at(Path(shutil.copy(path, directory / path.name))) for path in paths]


def power(server: Host, *, on: bool) -> None:
    """Kill the server or start it again; its channel does not start by itself."""
    if on:
        server.start_mysqld()
    else:
        server.signal_mysqld(signal.SIGKILL)
        while server.mysqld_pids():
            time.sleep(0.02)


@contextmanager
def serving(cluster: Cluster, catalogue: Catalogue, numbers: Sequence[int] = (2, 3)) -> Iterator[tuple[Source, int]]:
    """A source on the manager's host."""
    with cluster.in_manager_net(), Source(catalogue, peers=[cluster[n].ip for n in numbers]) as source:
        yield source, source.listen(f"{cluster.subnet.prefix}.1", range(23306, 23316))


def drain(replica: Host) -> None:
    """Stop receiving, and wait until all that was received is executed."""
    word = replica.kind.word("REPLICA", "SLAVE")
    replica.sql(f"STOP {word} IO_THREAD")
    ends = time.monotonic() + 30
    while (s := replica.replica_status())["Exec_Source_Log_Pos"] != s["Read_Source_Log_Pos"] or (
        s["Relay_Source_Log_File"] != s["Source_Log_File"]
    ):
        assert time.monotonic() < ends, s
        time.sleep(0.02)


def point(replica: Host, cluster: Cluster, source: Source, port: int, *, by_gtid: bool) -> None:
    """Turn a drained replica to the source: MySQL with its applier running, others with both threads stopped."""
    kind = replica.kind
    word, p = kind.word("REPLICA", "SLAVE"), kind.word("SOURCE", "MASTER")
    what = kind.word("REPLICATION SOURCE", "MASTER")
    place = position(replica)
    if not kind.modern:
        replica.sql(f"STOP {word}")
    where = "" if by_gtid else f", {p}_LOG_FILE='{place.file}', {p}_LOG_POS={place.pos}"
    replica.sql(
        f"CHANGE {what} TO {p}_HOST=%s, {p}_PORT=%s, {p}_USER=%s, {p}_PASSWORD=%s, {p}_SSL=0{where}",
        (f"{cluster.subnet.prefix}.1", port, source.account.user, source.account.password),
    )
    replica.sql(f"START {word}")


def wait_level(replica: Host, source: Source, *, by_gtid: bool, seconds: float = 60.0) -> None:
    """Until the replica executed the tail's last group; its own words when it stops."""
    ends, catalogue = time.monotonic() + seconds, source.catalogue
    while True:
        status = replica.replica_status()
        told = (status["Last_IO_Error"], status["Last_SQL_Error"])
        assert told == ("", ""), (told, source.followers())
        assert time.monotonic() < ends, (status, source.followers(), catalogue.view())
        if by_gtid:
            if catalogue.gtids is None or catalogue.gtids <= executed(replica):  # type: ignore[operator]
                return
        elif catalogue.end is not None and position(replica) >= catalogue.end:
            return
        time.sleep(0.03)


# The manager's own table is written by a promotion, and by no tail.
_OURS = "NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys', 'infra')"


def everything(server: Host) -> dict[str, Any]:
    """All data of a server, and all that is said about it: definitions, definers, comments, accounts, grants."""
    found: dict[str, Any] = {}
    for row in server.sql(
        "SELECT TABLE_SCHEMA AS d, TABLE_NAME AS t, TABLE_COMMENT AS c, ENGINE AS e FROM information_schema.TABLES "
        f"WHERE TABLE_SCHEMA {_OURS} AND TABLE_TYPE NOT IN ('VIEW', 'SYSTEM VIEW')"
    ):
        name = f"`{row['d']}`.`{row['t']}`"
        sums = server.sql(f"CHECKSUM TABLE {name} EXTENDED")[0]["Checksum"]
        found[name] = (sums, row["c"], row["e"])
    for what, schema, left_out in (
        ("COLUMNS", "TABLE_SCHEMA", ("PRIVILEGES",)),
        ("ROUTINES", "ROUTINE_SCHEMA", ("CREATED", "LAST_ALTERED")),
        ("TRIGGERS", "TRIGGER_SCHEMA", ("CREATED",)),
        # A replica switches an event off that was switched on where it was made, which is where it fires: a new primary
        # that had looked at it in time makes it its own.
        ("EVENTS", "EVENT_SCHEMA", ("CREATED", "LAST_ALTERED", "STATUS", "STARTS", "LAST_EXECUTED", "ORIGINATOR")),
        ("VIEWS", "TABLE_SCHEMA", ()),
    ):
        rows = server.sql(f"SELECT * FROM information_schema.{what} WHERE {schema} {_OURS}")
        found[what] = sorted(str([value for name, value in row.items() if name not in left_out]) for row in rows)
    accounts = "mysql.global_priv" if server.kind.mariadb else "mysql.user"
    for table in (accounts, "mysql.db", "mysql.tables_priv", "mysql.procs_priv", "mysql.proxies_priv"):
        rows = server.sql(f"SELECT * FROM {table}")
        # Who granted is, for an applier, whom the statement names, and for a session also where it came from.
        left_out = ("Timestamp", "Grantor")
        found[table] = sorted(str([v for k, v in row.items() if k not in left_out]) for row in rows)
    return found
