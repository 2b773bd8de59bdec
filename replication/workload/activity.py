"""What runs on one server now: sessions, transactions, locks, and what the manager's account may do there.

Observed with a few short statements that change nothing and take no locks. What a server cannot tell, or does not
tell this account, is named in `Activity.unseen`, never guessed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..cluster.pool import ConnectionPool
from ..coordination.failover_lock import FAILOVER_LOCK, MONITOR_LOCK
from ..errors import PrivilegeMissing, StatementFailed
from ..model.state import ClusterState
from ..mysql.advisory_locks import holders
from ..mysql.dialects import Dialect
from ..mysql.dialects.accounts import typed_account
from ..mysql.grants import Grants, parse_grants
from ..mysql.server import Row, Server
from .statements import StatementKind, kind_of, names_table, shorten

log = logging.getLogger("mha")

#: Seconds for one statement; each needs milliseconds.
TIMEOUT = 4.0
#: How often a table is found in use by no statement before somebody is said to hold it.
LOOKS = 4
PROGRAM = "prefect-mha"

#: Users of the server's own threads, and commands of sessions that execute nothing.
_OWN_THREADS = frozenset({"system user", "event_scheduler"})
_IDLE_COMMANDS = frozenset({"Sleep", "Binlog Dump", "Binlog Dump GTID", "Daemon", "Register Slave"})


@dataclass(frozen=True)
class OpenTransaction:
    """An open transaction: how old it is (seconds) and how many rows it changed, as InnoDB counts them."""

    seconds: int
    rows_changed: int


@dataclass(frozen=True)
class Process:
    """One line of the process list. ``statement`` is short and without literals, ``seconds`` those in this state."""

    id: int
    user: str
    host: str
    command: str
    seconds: int
    state: str
    statement: str
    kind: StatementKind
    transaction: OpenTransaction | None = None

    def __str__(self) -> str:
        return f"session {self.id} ({self.user}@{self.host})"

    @property
    def own_thread(self) -> bool:
        """A thread of the server itself: replication, the event scheduler."""
        return self.user in _OWN_THREADS

    @property
    def running(self) -> bool:
        """A client's statement is being executed."""
        return not self.own_thread and self.command not in _IDLE_COMMANDS and self.kind is not StatementKind.NONE

    @property
    def waits_for_lock(self) -> bool:
        """For a second or more it waits for a lock on a table or on the whole server (not for a row)."""
        waits = self.state.startswith("Waiting for") and self.state.endswith(("lock", "flush"))
        return waits and self.seconds >= 1 and "query cache" not in self.state


@dataclass(frozen=True)
class TableLock:
    """A lock that outlives a statement.

    ``what`` is ``schema.table`` or ``the whole server``; ``process`` is None where the server does not tell whose.
    """

    what: str
    process: int | None


@dataclass(frozen=True)
class AdvisoryLock:
    """Who holds one of MHA's two locks. ``ours`` is a manager or a command of this system, as far as can be told;
    ``counts``: it may be any manager or command at all (`advisory_locks`).
    """

    name: str
    process: int
    user: str
    host: str
    ours: bool
    counts: bool = True


@dataclass(frozen=True)
class Activity:
    """What ran on one server at one moment, our own session apart.

    ``account`` is who we are there, quoted; ``dialect`` how it is spoken to.
    ``replication_accounts`` are (user, host pattern) pairs that have REPLICATION SLAVE, None when they may not be read.
    ``supers`` are the users that read_only does not stop, by name, None when they may not be read.
    ``events`` counts enabled events. ``sessionless`` are transactions without a session, such as prepared XA ones.
    """

    key: str
    name: str
    dialect: Dialect
    account: str = ""
    processes: tuple[Process, ...] = ()
    locks: tuple[TableLock, ...] = ()
    advisory: tuple[AdvisoryLock, ...] = ()
    grants: Grants = field(default_factory=Grants)
    replication_accounts: frozenset[tuple[str, str]] | None = None
    supers: frozenset[str] | None = None
    events: int = 0
    sessionless: tuple[OpenTransaction, ...] = ()
    unseen: tuple[str, ...] = ()

    def process(self, number: int | None) -> Process | None:
        """The session of that number, if it is still there."""
        return next((p for p in self.processes if p.id == number), None)


def observe_activities(sessions: ConnectionPool, cluster: ClusterState, *, timeout: float = 8.0) -> dict[str, Activity]:
    """What runs on every server that answers, at once; one that cannot be looked at is left out and logged."""
    servers = [s for s in sessions.config.servers if cluster.get(s.address) is not None]
    looked = sessions.each(lambda s: observe_activity(sessions.server(s.address)), servers, timeout=timeout)
    found = {}
    for server, result in looked:
        if isinstance(result, Activity):
            found[server.address] = result
        else:
            log.warning("%s", result or f"{server.name}: what runs there was not seen within {timeout:g} s")
    return found


def observe_activity(server: Server) -> Activity:
    """Look once, some ten statements of milliseconds.

    Raises ServerError when the server cannot be asked at all; what it only refuses is named in ``unseen``.
    """
    unseen: list[str] = []

    def ask(what: str, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        try:
            return server.query(sql, args, action=f"see {what}", timeout=TIMEOUT)
        except (PrivilegeMissing, StatementFailed) as error:
            unseen.append(f"{what}: error {error.errno}: {error.cause}")
            return []

    (me,) = server.query(_ME, action="see its own session", timeout=TIMEOUT)
    user, _, host = _text(me["account"]).rpartition("@")
    transactions = {
        int(row["id"] or 0): OpenTransaction(int(row["seconds"] or 0), int(row["rows_changed"] or 0))
        for row in ask("open transactions", _TRANSACTIONS)
    }
    processes = _processes(ask("sessions", "SHOW FULL PROCESSLIST"), transactions, int(me["id"]))
    instrumented = _instrumented(server)
    owned = ask("metadata locks", server.dialect.table_locks()) if "metadata_locks" in instrumented else []
    locks = _merged(_metadata_locks(owned, int(me["id"])), _tables_in_use(ask, int(me["id"])))
    events = ask("events", "SELECT COUNT(*) AS n FROM information_schema.EVENTS WHERE STATUS = 'ENABLED'")
    supers = ask("accounts with SUPER", _SUPERS)
    accounts = ask("accounts", "SELECT User, Host FROM mysql.user WHERE Repl_slave_priv = 'Y'")
    return Activity(
        key=server.key,
        name=server.config.name,
        dialect=server.dialect,
        account=typed_account(user, host),
        processes=processes,
        locks=locks,
        advisory=_advisory(server, ask, processes, me, programs="session_connect_attrs" in instrumented),
        grants=parse_grants(_text(next(iter(row.values()))) for row in ask("its own privileges", "SHOW GRANTS")),
        replication_accounts=None
        if any(line.startswith("accounts:") for line in unseen)
        else frozenset((_text(row["User"]), _text(row["Host"])) for row in accounts),
        supers=None
        if any(line.startswith("accounts with SUPER:") for line in unseen)
        else frozenset(_text(row["grantee"]).rpartition("@")[0].strip("'") for row in supers),
        events=int(events[0]["n"]) if events else 0,
        sessionless=tuple(t for number, t in transactions.items() if number == 0),
        unseen=tuple(unseen),
    )


_ME = "SELECT CONNECTION_ID() AS id, USER() AS who, CURRENT_USER() AS account"
_Ask = Callable[..., list[Row]]

# MariaDB since 10.11 divides the right to pass read_only from SUPER.
_SUPERS = (
    "SELECT DISTINCT GRANTEE AS grantee FROM information_schema.USER_PRIVILEGES "
    "WHERE PRIVILEGE_TYPE IN ('SUPER', 'READ ONLY ADMIN', 'READ_ONLY ADMIN')"
)

# trx_started is in the operating system's time zone, whatever the session's is.
_TRANSACTIONS = (
    "SELECT trx_mysql_thread_id AS id, trx_rows_modified AS rows_changed, "
    "TIMESTAMPDIFF(SECOND, trx_started, CONVERT_TZ(NOW(), @@session.time_zone, 'SYSTEM')) AS seconds "
    "FROM information_schema.INNODB_TRX"
)


def _processes(rows: Sequence[Row], transactions: Mapping[int, OpenTransaction], own: int) -> tuple[Process, ...]:
    """The process list without our own session."""
    found = []
    for row in rows:
        number, text = int(row["Id"]), _text(row["Info"])
        if number == own:
            continue
        found.append(
            Process(
                id=number,
                user=_text(row["User"]),
                host=_text(row["Host"]),
                command=_text(row["Command"]),
                seconds=int(row["Time"] or 0),
                state=_text(row["State"]),
                statement=shorten(text),
                kind=kind_of(text),
                transaction=transactions.get(number),
            )
        )
    return tuple(found)


def _instrumented(server: Server) -> frozenset[str]:
    """Which of the performance schema's tables hold what they should: none where it is off."""
    found: set[str] = set()
    try:
        if server.scalar("SELECT @@performance_schema", action="see whether it has a performance schema") != 1:
            return frozenset()
        found.add("session_connect_attrs")
        enabled = server.scalar(
            "SELECT ENABLED FROM performance_schema.setup_instruments WHERE NAME = 'wait/lock/metadata/sql/mdl'",
            action="see whether metadata locks are kept",
            timeout=TIMEOUT,
        )
        if _text(enabled) == "YES":
            found.add("metadata_locks")
    except (PrivilegeMissing, StatementFailed) as error:
        log.debug("%s", error)
    return frozenset(found)


def _metadata_locks(rows: Sequence[Row], own: int) -> tuple[TableLock, ...]:
    """Locks that LOCK TABLES and FLUSH TABLES WITH READ LOCK took."""
    locks = {}
    for row in rows:
        number = int(row["process"] or 0)
        if number == own:
            continue
        table = f"{_text(row['object_schema'])}.{_text(row['object_name'])}"
        what = table if _text(row["object_type"]) == "TABLE" else "the whole server"
        locks[number, what] = TableLock(what, number or None)
    return tuple(locks.values())


# The server itself writes in its own schema all the time: GTIDs, positions.
_USED = "SHOW OPEN TABLES WHERE In_use > 0 AND `Database` NOT IN ('mysql', 'sys', 'performance_schema')"


def _merged(owned: Sequence[TableLock], found: Sequence[TableLock]) -> tuple[TableLock, ...]:
    """MariaDB's performance schema does not tell LOCK TABLES … READ from a SELECT, so both views count."""
    named = {lock.what for lock in owned}
    return (*owned, *(lock for lock in found if lock.what not in named))


def _tables_in_use(ask: _Ask, own: int) -> tuple[TableLock, ...]:
    """Tables that are in use although no statement uses them, several times in a row: somebody holds them.

    SHOW OPEN TABLES counts LOCK TABLES as a use, and is all that a server without a performance schema tells.
    """
    suspects: set[tuple[str, str]] | None = None
    at_work = False
    for _ in range(LOOKS):
        before = ask("sessions", "SHOW FULL PROCESSLIST")
        used = ask("open tables", _USED)
        names = {(_text(row["Database"]), _text(row["Table"])) for row in used}
        after = ask("sessions", "SHOW FULL PROCESSLIST") if names else []
        texts = [_text(row["Info"]) for row in (*before, *after) if int(row["Id"]) != own and _uses_tables(row)]
        at_work = at_work or bool(texts)
        unexplained = {(schema, table) for schema, table in names if not any(_explains(t, table) for t in texts)}
        suspects = unexplained if suspects is None else suspects & unexplained
        if not suspects:
            return ()
    held = (suspect for suspect in sorted(suspects or ()) if not (at_work and _used_by_others(ask, *suspect)))
    return tuple(TableLock(f"{schema}.{table}", None) for schema, table in held)


def _used_by_others(ask: _Ask, schema: str, table: str) -> bool:
    """Whether a statement may use that table without naming it: through a trigger, a view, a routine, a foreign key."""
    # Word boundaries are written in several ways by the servers' regular expressions, this one in none.
    whole = f"(^|[^0-9a-zA-Z_$]){re.escape(table)}([^0-9a-zA-Z_$]|$)"
    rows = ask("what uses a table", _INDIRECT, (whole, whole, whole, schema, table, table))
    return not rows or bool(rows[0]["uses"])


_INDIRECT = (
    "SELECT EXISTS(SELECT 1 FROM information_schema.TRIGGERS "
    "WHERE TRIGGER_SCHEMA <> 'sys' AND ACTION_STATEMENT REGEXP %s) "
    "OR EXISTS(SELECT 1 FROM information_schema.VIEWS WHERE TABLE_SCHEMA <> 'sys' AND VIEW_DEFINITION REGEXP %s) "
    "OR EXISTS(SELECT 1 FROM information_schema.ROUTINES "
    "WHERE ROUTINE_SCHEMA <> 'sys' AND ROUTINE_DEFINITION REGEXP %s) "
    "OR EXISTS(SELECT 1 FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = %s "
    "AND (TABLE_NAME = %s OR REFERENCED_TABLE_NAME = %s)) AS uses"
)


def _uses_tables(row: Row) -> bool:
    """It executes something, or is a part of an applier with something to do."""
    if _text(row["Command"]) in _IDLE_COMMANDS:
        return False
    if _text(row["User"]) == "system user":
        return not _text(row["State"]).startswith(_WAITS)
    return not _text(row["State"]).endswith("metadata lock")


_WAITS = ("Waiting for", "Slave has read", "Replica has read", "Connecting", "Reconnecting", "Queueing")


def _explains(text: str, table: str) -> bool:
    """Whether that statement may be what uses the table; a replica's applier shows no text at all."""
    return not text or names_table(text, table) or text[:40].lstrip().upper().startswith(("CALL", "COMMIT", "EXECUTE"))


def _advisory(
    server: Server, ask: _Ask, processes: Sequence[Process], me: Row, *, programs: bool
) -> tuple[AdvisoryLock, ...]:
    """Who holds MHA's locks. Ours is a session whose program is ours; where that is not told, one of our account that
    comes from our host.
    """
    found = []
    user, _, host = _text(me["who"]).rpartition("@")
    for name in (FAILOVER_LOCK, MONITOR_LOCK):
        rows = ask("MHA's locks", "SELECT IS_USED_LOCK(%s) AS process", (name,))
        holder = int(rows[0]["process"] or 0) if rows else 0
        if not holder or holder == int(me["id"]):
            continue
        session = next((p for p in processes if p.id == holder), None)
        its_user, its_host = (session.user, session.host.rsplit(":", 1)[0]) if session else ("", "")
        ours = (its_user, its_host) == (user, host)
        told = ask("who holds MHA's locks", _PROGRAMS, (PROGRAM,)) if programs else []
        sessions_of_ours = {int(row["process"]) for row in told}
        if int(me["id"]) in sessions_of_ours:
            ours = holder in sessions_of_ours
        # What a session says of its own program anybody may say.
        counts = all(one.counts for one in holders(server, (name,), timeout=TIMEOUT) if one.session == holder)
        found.append(AdvisoryLock(name, holder, its_user, its_host, ours and counts, counts))
    return tuple(found)


_PROGRAMS = (
    "SELECT PROCESSLIST_ID AS process FROM performance_schema.session_connect_attrs "
    "WHERE ATTR_NAME = 'program_name' AND ATTR_VALUE = %s"
)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
