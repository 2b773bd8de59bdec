"""Each server's own settings: what keeps it fit to be followed, to be promoted, and to have its logs rescued. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from ...model.check import Check, Severity
from ...model.state import GtidKind, ServerState
from ..facts import Facts, ServerFacts
from ..rule import Rule
from . import admin_ports as kept_ports

#: Seconds between two clocks from which on it is worth saying.
CLOCK_SECONDS = 2.0

READ_ONLY = Rule(
    "read-only",
    "Is read_only set on every replica?",
    "`SET GLOBAL read_only=1` on {server}, and the same in its my.cnf",
    Severity.INFO,
    varies="warning before a planned switch",
)
SUPER_READ_ONLY = Rule(
    "super-read-only",
    "Is super_read_only set on every replica that knows it?",
    "`SET GLOBAL super_read_only=1` on {server}, and the same in its my.cnf: it keeps administrators out, too",
    Severity.INFO,
)
LOG_BIN = Rule(
    "binary-log",
    "Does every server write a binary log?",
    "set `log_bin` in my.cnf of {server} and restart it",
    Severity.WARNING,
    varies="error on the primary, and on the target of a planned switch",
)
LOG_UPDATES = Rule(
    "log-replica-updates",
    "Does every replica log what it receives, so that others could follow it?",
    "set `{variable}=1` in my.cnf of {server} and restart it",
    Severity.WARNING,
    varies="only told with file and position, where a promotion does not need it; error on the target of a planned "
    "switch by GTIDs",
)
FORMAT = Rule(
    "binlog-format",
    "Is binlog_format ROW on every server?",
    "`SET GLOBAL binlog_format=ROW` on {server}, and the same in its my.cnf",
    Severity.INFO,
    varies="warning for STATEMENT, whose replicas can come to differ",
)
ROW_IMAGE = Rule(
    "binlog-row-image",
    "Is binlog_row_image FULL on every server?",
    "`SET GLOBAL binlog_row_image=FULL` on {server}, and the same in its my.cnf: then a row can be undone by hand",
    Severity.INFO,
)
DURABLE = Rule(
    "durability",
    "Does every server write each commit to disk (sync_binlog=1, innodb_flush_log_at_trx_commit=1)?",
    "`SET GLOBAL {setting}` on {server}, and the same in its my.cnf: then a crash of the host loses no commit",
    Severity.INFO,
)
RELAY_PURGE = Rule(
    "relay-log-purge",
    "Do replicas keep the relay logs that they executed, for other replicas to take from?",
    "`SET GLOBAL relay_log_purge=0` on {server}, the same in its my.cnf, and purge_relay_logs in a cron job",
    Severity.WARNING,
    varies="only told with GTIDs",
)
RELAY_RECOVERY = Rule(
    "relay-log-recovery",
    "Do replicas keep received but unexecuted relay logs when their server restarts?",
    "set `relay_log_recovery=0` and `sync_relay_log=1` in my.cnf of {server} and restart it: "
    "at a restart it throws away what nobody else may have once the primary is dead",
    Severity.WARNING,
    varies="only told with GTIDs",
)
SERVER_ID = Rule(
    "server-id",
    "Has every server a server_id of its own?",
    "`SET GLOBAL server_id={free}` on {server}, and the same in its my.cnf",
)
SERVER_UUID = Rule(
    "server-uuid",
    "Has every server a server_uuid of its own?",
    "stop {server}, remove auto.cnf from its data directory {datadir}, and start it",
)
CLOCK = Rule(
    "server-clock",
    "Do the servers' clocks agree with this machine's, to two seconds?",
    "let chrony or ntpd set the clock of {server} and of this machine",
    Severity.WARNING,
)
PROVEN = Rule(
    "server-proven",
    "Is every server's certificate verified, so that the password goes to nobody else?",
    "set `ssl_mode=verify_ca` and `ssl_ca`: MySQL's own is ca.pem in the data directory of {server}; "
    "docs/security.md tells what holds without",
    Severity.WARNING,
)
LOCKS = Rule(
    "named-locks",
    "Do only managers and commands hold MHA's named locks, and no account that could not do their work?",
    "find out who uses {account} on {server}, and why it takes {lock}; a failover ends that session",
    Severity.WARNING,
)
RULES = (
    READ_ONLY,
    SUPER_READ_ONLY,
    LOG_BIN,
    LOG_UPDATES,
    FORMAT,
    ROW_IMAGE,
    DURABLE,
    RELAY_PURGE,
    RELAY_RECOVERY,
    SERVER_ID,
    SERVER_UUID,
    CLOCK,
    LOCKS,
    PROVEN,
    *kept_ports.RULES,
)


def checks(facts: Facts) -> Iterator[Check]:
    """Every check of every answering server."""
    replicas = {state.key for state in facts.replicas}
    for state in facts.cluster.up:
        seen = facts.servers[state.key]
        if state.key in replicas:
            yield from _replica(state, seen)
        yield from _log(state, seen, is_primary=facts.primary is not None and state.key == facts.primary.address)
        yield from _durable(state, seen)
        yield from _clock(state, seen)
        if seen.unproven is not None:
            text = seen.unproven or "its certificate is verified"
            yield PROVEN.judge(state.name, not seen.unproven, text, server=state.hostname)
        yield from _locks(state, seen)
        if seen.kept_port is not None:
            yield from kept_ports.checks(state, seen.kept_port)
    yield from _unique(facts, SERVER_ID, lambda state: str(state.server_id or ""), "server_id")
    yield from _unique(facts, SERVER_UUID, lambda state: state.server_uuid, "server_uuid")


def _replica(state: ServerState, seen: ServerFacts) -> Iterator[Check]:
    where = {"server": state.hostname}
    yield READ_ONLY.judge(state.name, state.read_only, f"read_only is {_on(state.read_only)}", **where)
    if state.super_read_only is not None:
        text = f"super_read_only is {_on(state.super_read_only)}"
        yield SUPER_READ_ONLY.judge(state.name, state.super_read_only, text, **where)
    if state.log_bin:
        name = seen.name_of("log_replica_updates")
        by_position = state.channels[0].gtid_kind is GtidKind.POSITION
        yield LOG_UPDATES.judge(
            state.name,
            state.log_replica_updates,
            f"{name} is {_on(state.log_replica_updates)}",
            Severity.INFO if by_position else None,
            variable=name,
            **where,
        )
    mild = None if state.channels[0].gtid_kind is GtidKind.POSITION else Severity.INFO
    purge, recovery = state.relay_log_purge, state.relay_log_recovery
    yield RELAY_PURGE.judge(state.name, not purge, f"relay_log_purge is {_on(purge)}", mild, **where)
    yield RELAY_RECOVERY.judge(state.name, not recovery, f"relay_log_recovery is {_on(recovery)}", mild, **where)


def _log(state: ServerState, seen: ServerFacts, *, is_primary: bool) -> Iterator[Check]:
    where = {"server": state.hostname}
    if not state.log_bin:
        text = "log_bin is off. " + ("Nobody can replicate from it" if is_primary else "This host cannot be a master")
        yield LOG_BIN.no(state.name, text, Severity.ERROR if is_primary else None, **where)
        return
    yield LOG_BIN.yes(state.name, "log_bin is on")
    bad = Severity.WARNING if state.binlog_format == "STATEMENT" else None
    yield FORMAT.judge(
        state.name, state.binlog_format == "ROW", f"binlog_format is {state.binlog_format}", bad, **where
    )
    image = seen.value("binlog_row_image")
    if image is not None:
        # FULL_NODUP, MariaDB 11.4: everything that FULL has, once.
        full = image.upper().startswith("FULL")
        yield ROW_IMAGE.judge(state.name, full, f"binlog_row_image is {image}", **where)


def _durable(state: ServerState, seen: ServerFacts) -> Iterator[Check]:
    wrong = []
    for variable in ("sync_binlog", "innodb_flush_log_at_trx_commit"):
        value = seen.value(variable)
        if value not in (None, "1") and not (variable == "sync_binlog" and not state.log_bin):
            wrong.append((variable, value))
    if wrong:
        text = ", ".join(f"{variable} is {value}" for variable, value in wrong)
        setting = ", GLOBAL ".join(f"{variable}=1" for variable, _ in wrong)
        yield DURABLE.no(state.name, text, setting=setting, server=state.hostname)
    else:
        yield DURABLE.yes(state.name, "every commit is written to disk")


def _locks(state: ServerState, seen: ServerFacts) -> Iterator[Check]:
    if not seen.squatters:
        yield LOCKS.yes(state.name, "nobody else holds MHA's locks")
    for holder in seen.squatters:
        text = f"{holder} holds {holder.lock} and can be no manager"
        yield LOCKS.no(state.name, text, None, account=holder.user, server=state.hostname, lock=holder.lock)


def _clock(state: ServerState, seen: ServerFacts) -> Iterator[Check]:
    if seen.clock_ahead is not None:
        yield CLOCK.judge(
            state.name, abs(seen.clock_ahead) <= CLOCK_SECONDS, clock_text(seen.clock_ahead), server=state.hostname
        )


def clock_text(ahead: float) -> str:
    """How two clocks differ, in words."""
    if abs(ahead) <= CLOCK_SECONDS:
        return "its clock agrees with this machine's"
    return f"its clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"


def _unique(facts: Facts, rule: Rule, value: Callable[[ServerState], str], variable: str) -> Iterator[Check]:
    owners: dict[str, list[ServerState]] = defaultdict(list)
    for state in facts.cluster.up:
        owners[value(state)].append(state)
    free = max((state.server_id for state in facts.cluster.up), default=0) + 1
    for state in facts.cluster.up:
        own = value(state)
        if not own and rule is SERVER_UUID:
            continue
        others = [each.name for each in owners[own] if each.key != state.key]
        fields = {"server": state.hostname, "datadir": state.datadir, "free": free}
        if not own:
            yield rule.no(state.name, f"{variable} is 0", **fields)
        elif others:
            yield rule.no(state.name, f"{variable} {own} is also that of {', '.join(others)}", **fields)
        else:
            yield rule.yes(state.name, f"{variable} is {own}")


def _on(value: bool) -> str:
    return "on" if value else "off"
