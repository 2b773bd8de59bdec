"""The only place that knows versions and vendors: which words a server speaks, and what its answers mean.

Servers differ in vocabulary (SLAVE/MASTER up to MySQL 8.0.21 and in all of MariaDB, REPLICA/SOURCE from MySQL
8.0.22/23, nothing else from 8.4), in the columns of their status, in GTIDs and in variables. A `Dialect` is made
from what a server answered when it was probed, and turns intentions into statements and rows into snapshots.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from ...model.position import BinlogPosition
from ...model.state import ReplicaChannel, Vendor
from .changing import Repoint, options
from .channel_status import channel_name, has_read_all, read_channel
from .connecting import Connecting
from .variables import RENAMED

__all__ = ["ChannelThread", "Dialect", "Repoint", "channel_name"]

Row = Mapping[str, Any]


class ChannelThread(StrEnum):
    """The two halves of a replica: the one that receives and the one that executes."""

    RECEIVER = "IO_THREAD"
    APPLIER = "SQL_THREAD"


def parse_version(text: str) -> tuple[int, ...]:
    """The numeric part of any version string: 5.6.24-log, 8.0.36-28, 5.5.5-10.11.6-MariaDB-0+deb12u1-log."""
    mariadb = re.search(r"(\d+)\.(\d+)\.(\d+)-MariaDB", text, re.IGNORECASE)
    found = mariadb or re.match(r"\s*(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in found.groups() if part is not None) if found else (0,)


def quote_name(value: str) -> str:
    """A string literal for statements that take no bound parameters, such as FOR CHANNEL."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def quote_identifier(name: str) -> str:
    """A name of a table, a column, an account, as a statement has it."""
    return "`" + name.replace("`", "``") + "`"


def log_readers(vendor: Vendor) -> tuple[str, ...]:
    """Names of the program that reads a server's binary log from afar, best first."""
    return ("mariadb-binlog", "mysqlbinlog") if vendor is Vendor.MARIADB else ("mysqlbinlog",)


def reader_id_option(known: Container[str]) -> str:
    """The option for the server id that such a program shows; ``known`` are the options of its ``--help``.

    MySQL renamed it in 5.7 and took the old one away later; MariaDB and 5.6 have only the old one.
    """
    return "connection-server-id" if "connection-server-id" in known else "stop-never-slave-server-id"


def binary_log(row: Row) -> tuple[str, int]:
    """Name and bytes of one row of SHOW BINARY LOGS, as a client reads that file.

    The header of an encrypted log (512 bytes; MySQL 8.0.14 and newer) stays on the server.
    """
    header = 512 if str(row.get("Encrypted") or "No") == "Yes" else 0
    return str(row["Log_name"]), max(0, int(row["File_size"]) - header)


def channel_index(basename: str, channel: str) -> str:
    """The file in which a server lists the relay logs of a channel (both vendors put its name in lower case)."""
    return f"{basename}{'-' + channel.lower() if channel else ''}.index"


def program_version(text: str) -> tuple[Vendor, tuple[int, ...]] | None:
    """Whose program it is and of which server version, from a line of ``--version``; None when it does not say.

    mysqlbinlog of MySQL up to 5.7 and of MariaDB up to 10.11 tells only a number of its own (Ver 3.4, Ver 3.5).
    """
    mariadb = re.search(r"(\d+\.\d+\.\d+)-MariaDB", text, re.IGNORECASE)
    if mariadb:
        return Vendor.MARIADB, parse_version(mariadb[1])
    mysql = re.search(r"(?:Distrib|Ver)\s+(\d+\.\d+\.\d+)", text)
    return (Vendor.MYSQL, parse_version(mysql[1])) if mysql else None


@dataclass(frozen=True)
class Dialect:
    """How to speak to one server. ``replica_words`` and ``binary_log_status`` were probed, not guessed."""

    vendor: Vendor
    version: tuple[int, ...]
    replica_words: bool
    binary_log_status: bool
    multi_channel: bool

    # statements ------------------------------------------------------------------------------------------------

    @property
    def _replica(self) -> str:
        return "REPLICA" if self.replica_words else "SLAVE"

    def _in_channel(self, verb: str, channel: str, tail: str = "") -> str:
        """Place a channel's name where the vendor wants it; MariaDB calls it a connection."""
        tail = f" {tail}" if tail else ""
        if self.vendor is Vendor.MARIADB:
            return f"{verb} {self._replica}{' ' + quote_name(channel) if channel else ''}{tail}"
        return f"{verb} {self._replica}{tail}{self._for_channel(channel)}"

    def _for_channel(self, channel: str) -> str:
        """MySQL: the one without a name is named, too, or a statement would mean all channels of the server.

        START, STOP and RESET do then, and CHANGE is refused where there are several (error 3079; seen on 9.7).
        """
        return f" FOR CHANNEL {quote_name(channel)}" if self.multi_channel else ""

    def show_channels(self) -> str:
        """One row for each channel, whatever their number."""
        if self.vendor is Vendor.MARIADB:
            return "SHOW ALL SLAVES STATUS"
        return f"SHOW {self._replica} STATUS"

    def show_replicas(self) -> str:
        """Who has introduced itself as a replica of this server."""
        return "SHOW REPLICAS" if self.replica_words else "SHOW SLAVE HOSTS"

    def show_log_status(self) -> str:
        """The server's own end of the binary log."""
        return "SHOW BINARY LOG STATUS" if self.binary_log_status else "SHOW MASTER STATUS"

    def start(self, channel: str, thread: ChannelThread | None = None) -> str:
        """Start both halves of a channel, or one of them."""
        verb = f"START {self._replica}"
        if self.vendor is Vendor.MARIADB:
            # MariaDB: START SLAVE ['name'] [SQL_THREAD]
            return self._in_channel("START", channel, thread.value if thread else "")
        return f"{verb}{' ' + thread.value if thread else ''}{self._for_channel(channel)}"

    def fill_gaps(self, channel: str) -> str:
        """Execute what parallel appliers skipped when one of them stopped, and end there (MySQL only)."""
        suffix = f" FOR CHANNEL {quote_name(channel)}" if self.multi_channel and channel else ""
        return f"START {self._replica} SQL_THREAD UNTIL SQL_AFTER_MTS_GAPS{suffix}"

    def start_until(self, channel: str, gtids: str, log: str, offset: int) -> tuple[str, tuple[Any, ...]]:
        """Start both halves; the applier stops once these GTIDs are executed, or at that place without any."""
        if gtids:
            name, args = "master_gtid_pos" if self.vendor is Vendor.MARIADB else "SQL_AFTER_GTIDS", (gtids,)
            return self._in_channel("START", channel, f"UNTIL {name} = %s"), args
        p = "SOURCE" if self._source_words else "MASTER"
        return self._in_channel("START", channel, f"UNTIL {p}_LOG_FILE = %s, {p}_LOG_POS = %s"), (log, offset)

    def reset_logs(self) -> str:
        """Delete all of its binary logs and forget which GTIDs are in them; the words came with the other (8.2)."""
        return "RESET BINARY LOGS AND GTIDS" if self.binary_log_status else "RESET MASTER"

    def stop(self, channel: str, thread: ChannelThread | None = None) -> str:
        """Stop both halves of a channel, or one of them; nothing that was received is lost by it."""
        return self._in_channel("STOP", channel, thread.value if thread else "")

    def reset_all(self, channel: str) -> str:
        """Forget the source and DELETE the relay logs. Only `replication.actions.drained` may issue it."""
        return self._in_channel("RESET", channel, "ALL")

    @property
    def can_clone(self) -> bool:
        """Whether CLONE INSTANCE is known (MySQL 8.0.17)."""
        return self.vendor is Vendor.MYSQL and self.version >= (8, 0, 17)

    def flush_relay_logs(self, channel: str) -> str:
        """Begin a new relay log. LOCAL: without it the statement goes into the binary log, as an errant transaction."""
        if self.vendor is Vendor.MARIADB:
            return f"FLUSH LOCAL RELAY LOGS{' ' + quote_name(channel) if channel else ''}"
        return f"FLUSH LOCAL RELAY LOGS{self._for_channel(channel)}"

    def change_source(self, channel: str, to: Repoint) -> tuple[str, tuple[Any, ...]]:
        """A CHANGE with bound parameters that names only what is to differ. It deletes relay logs."""
        p = "SOURCE" if self._source_words else "MASTER"
        parts, args = [f"{p}_HOST=%s", f"{p}_PORT=%s"], [to.host, to.port]
        if to.how == "position":
            assert to.position is not None
            parts += [f"{p}_LOG_FILE=%s", f"{p}_LOG_POS=%s"]
            args += [to.position.file, to.position.pos]
        elif to.how == "gtid":
            parts += [f"{p}_AUTO_POSITION=1"]
        else:
            parts += [f"MASTER_USE_GTID={to.using_gtid.lower()}"]
        more, values = options(p, to)
        return self._change(channel, [*parts, *more]), (*args, *values)

    def go_on_in_relay_logs(
        self, channel: str, relay_log: BinlogPosition, *, auto_position: bool
    ) -> tuple[str, tuple[Any, ...]]:
        """A CHANGE that keeps the relay logs, because it says where in them to go on, and ends a deliberate delay.

        With auto-position that is not allowed (error 1776), so it is put off too, and MariaDB puts its GTIDs off by
        itself: the CHANGE that points the replica elsewhere brings both back. Seen on 5.6, 9.7 and 10.11.
        """
        p = "SOURCE" if self._source_words else "MASTER"
        parts = [f"{p}_AUTO_POSITION=0"] if auto_position else []
        parts += ["RELAY_LOG_FILE=%s", "RELAY_LOG_POS=%s", f"{p}_DELAY=0"]
        return self._change(channel, parts), (relay_log.file, relay_log.pos)

    def show_relay_events(self, channel: str, position: int, limit: int) -> str:
        """A page of a relay log, whose name is the statement's parameter, from an event's place on."""
        name = f" {quote_name(channel)}" if channel and self.vendor is Vendor.MARIADB else ""
        return f"SHOW RELAYLOG{name} EVENTS IN %s FROM {position:d} LIMIT {limit:d}{self._for_channel(channel)}"

    def _change(self, channel: str, parts: Sequence[str]) -> str:
        if self.vendor is Vendor.MARIADB:
            return f"CHANGE MASTER{' ' + quote_name(channel) if channel else ''} TO {', '.join(parts)}"
        verb = "CHANGE REPLICATION SOURCE TO" if self._source_words else "CHANGE MASTER TO"
        return f"{verb} {', '.join(parts)}{self._for_channel(channel)}"

    def table_locks(self) -> str:
        """Whose locks outlive their statements, from the performance schema: process and object.

        LOCK TABLES takes these on tables until UNLOCK TABLES, FLUSH TABLES WITH READ LOCK takes explicit ones on the
        whole server; a statement's own are of other types. Seen on 9.7 and 10.11.
        """
        whole = "'BACKUP'" if self.vendor is Vendor.MARIADB else "'GLOBAL', 'COMMIT'"
        return (
            "SELECT t.PROCESSLIST_ID AS process, l.OBJECT_TYPE AS object_type, l.OBJECT_SCHEMA AS object_schema, "  # noqa: S608 - no word of others
            "l.OBJECT_NAME AS object_name FROM performance_schema.metadata_locks l "
            "JOIN performance_schema.threads t ON t.THREAD_ID = l.OWNER_THREAD_ID "
            "WHERE l.LOCK_STATUS = 'GRANTED' AND ("
            f"(l.OBJECT_TYPE IN ({whole}) AND l.LOCK_DURATION = 'EXPLICIT') "
            "OR (l.OBJECT_TYPE = 'TABLE' AND l.LOCK_TYPE IN ('SHARED_READ_ONLY', 'SHARED_NO_READ_WRITE')))"
        )

    def is_idle_worker(self, state: str) -> bool:
        """Whether a thread's state is that of a parallel applier that waits for the next part of a transaction."""
        return self.vendor is Vendor.MYSQL and state == "Waiting for an event from Coordinator"

    def is_waiting_applier(self, state: str) -> bool:
        """Whether a thread's state is that of an applier, or a part of one, with nothing to do."""
        waits = ("Waiting for an event from Coordinator", "Waiting for work from SQL thread")
        return state in waits or has_read_all(state)

    def keeps_place_in_file(self, repository: str) -> bool:
        """Whether a replica's place in its relay logs is in a file; ``repository`` is relay_log_info_repository.

        MariaDB knows nothing else, MySQL 8.3 and newer only a table (release notes); between, the variable says which.
        """
        return self.vendor is Vendor.MARIADB or repository.upper() == "FILE"

    @property
    def kill_conn_timeout(self) -> str:
        """The variable (seconds) for how long a stopped receiver tries to kill its session on the primary; or empty.

        A semi-synchronous replica of MariaDB does that over another connection, which it waits 5 s for when the
        primary's host is dark (since 10.3.3).
        """
        since = self.vendor is Vendor.MARIADB and self.version >= (10, 3, 3)
        return "rpl_semi_sync_slave_kill_conn_timeout" if since else ""

    @property
    def speaks_while_commits_wait(self) -> bool:
        """Whether it tells of its binary log while commits wait for an acknowledgement.

        MariaDB does not: the second group that waits AFTER_SYNC keeps LOCK_log (seen with 10.11), and SHOW MASTER
        STATUS waits with it.
        """
        return self.vendor is not Vendor.MARIADB

    @property
    def kill_unheard(self) -> str:
        """The words before a session's number that cut its client off, and let no commit go that waits.

        A group of commits waits AFTER_SYNC in the session of one of them. MariaDB's KILL of that one ends the waiting
        of all, and the clients of the others read that they are committed (seen with 10.11); a soft KILL only closes
        the client's connection. MySQL's KILL does not end the waiting.
        """
        return "KILL SOFT CONNECTION" if self.vendor is Vendor.MARIADB else "KILL"

    @property
    def stop_waits_for_connecting(self) -> bool:
        """Whether STOP of a receiver may wait for its attempt to connect: MariaDB 11 (11.8 does, 10.11 does not)."""
        return self.vendor is Vendor.MARIADB and self.version >= (11,)

    @property
    def kill_ends_a_login(self) -> bool:
        """Whether a KILL may end a receiver's login that nobody answers: 10.11's within 2 s, not 5.6's, nor 11.8's."""
        return self.vendor is Vendor.MARIADB and self.version < (11,)

    @property
    def read_only_for_everybody(self) -> str:
        """The variable that lets no new session write, not even with SUPER, where no super_read_only does; or empty.

        MariaDB has no super_read_only, MySQL since 5.7.8; this one came with 5.6.5, and MariaDB renamed it in 11.1.
        """
        if self.vendor is Vendor.MARIADB:
            return self.variable("transaction_read_only")
        return "tx_read_only" if (5, 6, 5) <= self.version < (5, 7, 8) else ""

    def variable(self, name: str) -> str:
        """What it calls a variable whose newest name that is; see `spelled` where its variables are known."""
        old, versions = RENAMED.get(name, (name, {}))
        since = versions.get(self.vendor)
        return name if since is not None and self.version >= since else old

    def set_at_run_time(self) -> str:
        """A question with the name of a variable, whose answer is 1 when it was set globally since the server started.

        Empty where nothing tells (before MySQL 8.0).
        """
        if self.vendor is Vendor.MARIADB:
            return (
                "SELECT COUNT(*) FROM information_schema.SYSTEM_VARIABLES "
                "WHERE VARIABLE_NAME = %s AND GLOBAL_VALUE_ORIGIN = 'SQL'"
            )
        if self.version >= (8,):
            return (
                "SELECT COUNT(*) FROM performance_schema.variables_info "
                "WHERE VARIABLE_NAME = %s AND VARIABLE_SOURCE = 'DYNAMIC'"
            )
        return ""

    def wait_for_gtids(self) -> str:
        """A question with two parameters, a set and seconds, whose answer is 0 once the set is executed."""
        if self.vendor is Vendor.MARIADB:
            return "SELECT -MASTER_GTID_WAIT(%s, %s)"
        if self.version >= (5, 7, 5):
            return "SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)"
        return "SELECT IF(WAIT_UNTIL_SQL_THREAD_AFTER_GTIDS(%s, %s) >= 0, 0, 1)"

    def wait_for_place(self, channel: str) -> str:
        """A question with a log's name, an offset and seconds, whose answer is 0 once a channel executed up to there.

        SOURCE_POS_WAIT came with 8.0.26, when the old name was deprecated; 5.6 knows no channels.
        """
        word = "SOURCE" if self.version >= (8, 0, 26) and self.vendor is Vendor.MYSQL else "MASTER"
        named = f", {quote_name(channel)}" if self.multi_channel or (channel and self.vendor is Vendor.MARIADB) else ""
        return f"SELECT IF({word}_POS_WAIT(%s, %s, %s{named}) >= 0, 0, 1)"

    def become_replica(
        self, channel: str, to: Repoint, user: str, password: str, like: Row, *, tls: bool = False
    ) -> tuple[str, tuple[Any, ...]]:
        """A CHANGE with bound parameters for a server that was no replica.

        ``like`` is the status row of a replica whose ways to connect it takes over, all of them (`Connecting`). With
        ``tls`` the channel demands it, whatever that one does.
        """
        p = "SOURCE" if self._source_words else "MASTER"
        sql, args = self.change_source(channel, to)
        more: list[tuple[str, tuple[Any, ...]]] = [(f"{p}_USER=%s", (user,)), (f"{p}_PASSWORD=%s", (password,))]
        connecting = Connecting.of(like)
        more += (replace(connecting, tls=True) if tls else connecting).parts(p)
        head, place = sql.split(f"{p}_PORT=%s, ", 1)
        named = ", ".join(text for text, _ in more)
        values = (value for _, several in more for value in several)
        return f"{head}{p}_PORT=%s, {named}, {place}", (*args[:2], *values, *args[2:])

    @property
    def has_public_keys(self) -> bool:
        """Whether a channel can ask its source for an RSA key (MySQL 8.0.4)."""
        return self.vendor is Vendor.MYSQL and self.version >= (8, 0, 4)

    def ask_for_key(self, channel: str, heartbeat: float | None) -> tuple[str, tuple[Any, ...]]:
        """A CHANGE that lets a stopped receiver ask its source for its RSA key; the applier may run.

        The heartbeat is named, or it would be reset.
        """
        p = "SOURCE" if self._source_words else "MASTER"
        more, args = ("", ()) if heartbeat is None else (f"{p}_HEARTBEAT_PERIOD=%s", (heartbeat,))
        return self._change(channel, [f"GET_{p}_PUBLIC_KEY=1", *([more] if more else [])]), args

    @property
    def _source_words(self) -> bool:
        # STOP REPLICA came with 8.0.22, CHANGE REPLICATION SOURCE TO with 8.0.23 (release notes of both).
        return self.replica_words and self.version >= (8, 0, 23)

    def channel(self, row: Row) -> ReplicaChannel:
        """One row of SHOW … STATUS as a snapshot, whatever the columns are called."""
        return read_channel(self.vendor, row)
