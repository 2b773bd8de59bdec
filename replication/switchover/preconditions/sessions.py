"""What runs on the two servers whose roles change, and would hold up a planned switch or be cut off by it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...model.check import Check, Severity
from ...workload.activity import Activity, Process
from ...workload.statements import StatementKind
from .options import SwitchOptions

#: How many sessions a sentence names.
NAMED = 3


def session_checks(activity: Activity, options: SwitchOptions, *, is_old: bool) -> Iterator[Check]:
    """The old primary is asked for everything, the target for what would hold up its opening."""
    if is_old:
        yield _updates(activity, options)
        yield _idle_writers(activity, options)
    yield _long_queries(activity, options)
    yield _ddl(activity)
    yield _locks(activity)
    yield _lock_waits(activity)
    if is_old:
        yield _sessionless(activity)


def _updates(activity: Activity, options: SwitchOptions) -> Check:
    # MHA waits one second more than it is told, because the process list counts whole seconds.
    limit = options.running_updates_limit + 1
    # DDL is a check of its own, however short it has run.
    found = [p for p in activity.processes if p.running and p.kind is StatementKind.UPDATE and p.seconds >= limit]
    return _check(
        "running-updates",
        activity,
        found,
        f"statements that may write have run for {limit} s or more",
        "no update runs for long",
        "wait until they end or end them (KILL), or raise --running_updates_limit",
    )


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
    return _check(
        "open-transactions",
        activity,
        found,
        f"transactions that wrote are open and have done nothing for {limit} s or more",
        "no transaction that wrote is left open",
        "have them committed, or end these sessions (KILL), which takes back what they wrote",
    )


def _long_queries(activity: Activity, options: SwitchOptions) -> Check:
    limit = options.running_seconds_limit
    found = [p for p in activity.processes if p.running and p.seconds >= limit]
    return _check(
        "long-queries",
        activity,
        found,
        f"statements have run for {limit} s or more, and the read lock would have to wait for them",
        "no statement runs for long",
        "wait until they end or end them (KILL), or raise --running_seconds_limit",
    )


def _ddl(activity: Activity) -> Check:
    # Of the server's own threads too: an applier that executes ALTER TABLE.
    found = [p for p in activity.processes if p.kind is StatementKind.DDL]
    return _check(
        "ddl", activity, found, "a table is being changed", "no table is being changed", "wait until that has ended"
    )


def _locks(activity: Activity) -> Check:
    told = []
    for lock in activity.locks:
        holder = activity.process(lock.process)
        told.append(f"{lock.what} is locked by {holder or 'a session that this server does not name'}")
    return Check(
        "table-locks",
        activity.name,
        not told,
        "; ".join(_few(told)) if told else "nobody holds a table or the whole server locked",
        hint="have it given back (UNLOCK TABLES), or end that session: a backup, or LOCK TABLES",
    )


def _lock_waits(activity: Activity) -> Check:
    found = [p for p in activity.processes if p.waits_for_lock]
    return _check(
        "lock-waits",
        activity,
        found,
        "sessions wait for a lock that somebody else holds on a table or on the whole server",
        "nobody waits for a lock on a table",
        "find the holder (SHOW PROCESSLIST, sys.schema_table_lock_waits) and end its transaction",
    )


def _sessionless(activity: Activity) -> Check:
    wrote = [t for t in activity.sessionless if t.rows_changed]
    return Check(
        "prepared-transactions",
        activity.name,
        not wrote,
        f"{len(wrote)} transactions without a session are open, such as prepared XA ones"
        if wrote
        else "no prepared transaction is open",
        Severity.WARNING,
        "commit or roll them back here (XA RECOVER lists them); the new primary has them only if they were replicated",
    )


def _check(name: str, activity: Activity, found: Sequence[Process], wrong: str, fine: str, hint: str) -> Check:
    text = f"{wrong}: {'; '.join(_few([_told(p) for p in found]))}" if found else fine
    return Check(name, activity.name, not found, text, hint=hint)


def _told(process: Process) -> str:
    """One session in words, without literals."""
    doing = process.statement or process.command
    state = f", {process.state}" if process.waits_for_lock else ""
    changed = process.transaction.rows_changed if process.transaction else 0
    rows = f", {changed} rows changed" if changed else ""
    return f"{process} for {process.seconds} s: {doing}{state}{rows}"


def _few(texts: Sequence[str]) -> list[str]:
    return [*texts[:NAMED], *([f"and {len(texts) - NAMED} more"] if len(texts) > NAMED else [])]
