"""What runs on the two servers whose roles change, and would hold up a planned switch or be cut off by it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...model.check import Check, Severity
from ...planning.switch_options import SwitchOptions
from ...workload.activity import Activity, Process
from ...workload.statements import StatementKind
from ..rule import Rule
from .subject import SwitchCase

#: How many sessions a sentence names.
NAMED = 3
UPDATES = Rule(
    "running-updates",
    "Has no statement that may write run for --running_updates_limit (1) seconds and one more on the old primary?",
    "wait until they end or end them (KILL), or raise --running_updates_limit",
)
IDLE_WRITERS = Rule(
    "open-transactions",
    "Is no transaction that wrote left open and idle as long on the old primary?",
    "have them committed, or end these sessions (KILL), which takes back what they wrote",
)
LONG_QUERIES = Rule(
    "long-queries",
    "Has no statement run for --running_seconds_limit (10) seconds, so that the read lock would have to wait for it?",
    "wait until they end or end them (KILL), or raise --running_seconds_limit",
)
DDL = Rule("ddl", "Is no table being changed?", "wait until that has ended")
LOCKS = Rule(
    "table-locks",
    "Is no table locked, and not the whole server?",
    "have it given back (UNLOCK TABLES), or end that session: a backup, or LOCK TABLES",
)
LOCK_WAITS = Rule(
    "lock-waits",
    "Does nobody wait for a lock on a table or on the whole server?",
    "find the holder (SHOW PROCESSLIST, sys.schema_table_lock_waits) and end its transaction",
)
PREPARED = Rule(
    "prepared-transactions",
    "Is no prepared transaction (XA) open on the old primary?",
    "commit or roll them back here (XA RECOVER lists them); the new primary has them only if they were replicated",
    Severity.WARNING,
)
RULES = (UPDATES, IDLE_WRITERS, LONG_QUERIES, DDL, LOCKS, LOCK_WAITS, PREPARED)


def checks(case: SwitchCase) -> Iterator[Check]:
    """The old primary is asked for everything, the target for what would hold up its opening."""
    wanted = [(case.old, True)] + ([(case.target, False)] if case.target and case.target != case.old else [])
    for server, is_old in wanted:
        activity = case.activity.get(server.address)
        if activity is not None:
            yield from _of_one(activity, case.options, is_old=is_old)


def _of_one(activity: Activity, options: SwitchOptions, *, is_old: bool) -> Iterator[Check]:
    if is_old:
        yield _updates(activity, options)
        yield _idle_writers(activity, options)
    yield _long_queries(activity, options)
    # Of the server's own threads too: an applier that executes ALTER TABLE.
    changing = [p for p in activity.processes if p.kind is StatementKind.DDL]
    yield _judge(DDL, activity, changing, "a table is being changed", "no table is being changed")
    yield _locks(activity)
    waiting = [p for p in activity.processes if p.waits_for_lock]
    wrong = "sessions wait for a lock that somebody else holds on a table or on the whole server"
    yield _judge(LOCK_WAITS, activity, waiting, wrong, "nobody waits for a lock on a table")
    if is_old:
        yield _prepared(activity)


def _updates(activity: Activity, options: SwitchOptions) -> Check:
    # MHA waits one second more than it is told, because the process list counts whole seconds.
    limit = options.running_updates_limit + 1
    # DDL is a check of its own, however short it has run.
    found = [p for p in activity.processes if p.running and p.kind is StatementKind.UPDATE and p.seconds >= limit]
    wrong = f"statements that may write have run for {limit} s or more"
    return _judge(UPDATES, activity, found, wrong, "no update runs for long")


def _idle_writers(activity: Activity, options: SwitchOptions) -> Check:
    limit = options.running_updates_limit + 1
    found = [
        p
        for p in activity.processes
        if not p.own_thread
        and not p.running
        and p.transaction is not None
        and p.transaction.rows_changed
        and p.seconds >= limit
    ]
    wrong = f"transactions that wrote are open and have done nothing for {limit} s or more"
    return _judge(IDLE_WRITERS, activity, found, wrong, "no transaction that wrote is left open")


def _long_queries(activity: Activity, options: SwitchOptions) -> Check:
    limit = options.running_seconds_limit
    found = [p for p in activity.processes if p.running and p.seconds >= limit]
    wrong = f"statements have run for {limit} s or more, and the read lock would have to wait for them"
    return _judge(LONG_QUERIES, activity, found, wrong, "no statement runs for long")


def _locks(activity: Activity) -> Check:
    told = []
    for lock in activity.locks:
        holder = activity.process(lock.process)
        told.append(f"{lock.what} is locked by {holder or 'a session that this server does not name'}")
    text = "; ".join(few(told)) or "nobody holds a table or the whole server locked"
    return LOCKS.judge(activity.name, not told, text)


def _prepared(activity: Activity) -> Check:
    wrote = [t for t in activity.sessionless if t.rows_changed]
    text = f"{len(wrote)} transactions without a session are open, such as prepared XA ones"
    return PREPARED.judge(activity.name, not wrote, text if wrote else "no prepared transaction is open")


def _judge(rule: Rule, activity: Activity, found: Sequence[Process], wrong: str, fine: str) -> Check:
    text = f"{wrong}: {'; '.join(few([_told(p) for p in found]))}" if found else fine
    return rule.judge(activity.name, not found, text)


def _told(process: Process) -> str:
    """One session in words, without literals."""
    doing = process.statement or process.command
    state = f", {process.state}" if process.waits_for_lock else ""
    changed = process.transaction.rows_changed if process.transaction else 0
    rows = f", {changed} rows changed" if changed else ""
    return f"{process} for {process.seconds} s: {doing}{state}{rows}"


def few(texts: Sequence[str]) -> list[str]:
    """The first of them, and how many more there are."""
    return [*texts[:NAMED], *([f"and {len(texts) - NAMED} more"] if len(texts) > NAMED else [])]
