"""Replication itself: both halves of every channel, how late it is, and what is left out of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ...model.check import Check
from ...model.state import Filters, ReplicaChannel, ServerState
from ...mysql.dialects import ChannelThread
from ...mysql.dialects.for_people import typed
from ..facts import Facts
from ..rule import Rule

RECEIVER = Rule(
    "receiver-runs",
    "Does every replica receive?",
    "`{start}` on {server}; if it stops again, its error says what to mend",
)
APPLIER = Rule(
    "applier-runs",
    "Does every replica execute what it receives?",
    "`{start}` on {server}; if it stops again, its error says what to mend",
)
LAG = Rule(
    "lag",
    "Is every replica at most --seconds_behind_master (30) seconds late, beyond a delay set on purpose?",
    "see what its applier does in SHOW PROCESSLIST on {server}; a failover has to wait for it",
    varies="NULL is an error",
)
FILTERS = Rule(
    "replication-filters",
    "Do all replicas leave out the same?",
    "give {server} the filters of the others, or set `check_repl_filter=0` when it is meant so",
)
BINLOG_FILTERS = Rule(
    "binlog-filters",
    "Do all servers that write a binary log leave the same out of it?",
    "set the same binlog_do_db and binlog_ignore_db in my.cnf of {server} as elsewhere and restart it",
)
FILTERS_AGREE = Rule(
    "filters-agree",
    "Where the primary logs only some databases and a replica takes only some: are they the same?",
    "let replicate_do_db of {server} name the databases of binlog_do_db of {primary}",
)
RULES = (RECEIVER, APPLIER, LAG, FILTERS, BINLOG_FILTERS, FILTERS_AGREE)


def checks(facts: Facts, seconds_behind: int) -> Iterator[Check]:
    """Every check of every channel; ``seconds_behind`` is the lag that is still well."""
    for state in facts.replicas:
        for channel in state.channels:
            yield from _threads(facts, state, channel)
            yield _lag(state, channel, max(1, seconds_behind))
    if facts.config.check_repl_filter:
        yield from _filters(facts)


def _threads(facts: Facts, state: ServerState, channel: ReplicaChannel) -> Iterator[Check]:
    dialect = facts.servers[state.key].dialect
    where = f" of channel {channel.name}" if channel.name else ""
    source = f"{channel.source_host}:{channel.source_port}"
    for rule, word, thread, running, how, errno, error in (
        (
            RECEIVER,
            "IO",
            ChannelThread.RECEIVER,
            channel.receiver == "Yes",
            {"No": "is stopped", "Connecting": f"does not reach {source}"}.get(channel.receiver, channel.receiver),
            channel.receiver_errno,
            channel.receiver_error,
        ),
        (
            APPLIER,
            "SQL",
            ChannelThread.APPLIER,
            channel.applier_running,
            "is stopped",
            channel.applier_errno,
            channel.applier_error,
        ),
    ):
        if running:
            yield rule.yes(state.name, f"the {word} thread{where} runs")
            continue
        because = f": error {errno}: {error}" if errno else ""
        start = typed(dialect.start(channel.name, thread), len(state.channels))
        if thread is ChannelThread.APPLIER and state.tx_read_only and dialect.read_only_for_everybody:
            # It would stop with error 1792 at once.
            start = f"SET GLOBAL {dialect.read_only_for_everybody} = 0; {start}"
        yield rule.no(state.name, f"the {word} thread{where} {how}{because}", start=start, server=state.hostname)


def _lag(state: ServerState, channel: ReplicaChannel, allowed: int) -> Check:
    behind, delay = channel.seconds_behind, channel.delay
    on_purpose = f", {delay} s of it on purpose" if delay else ""
    if behind is None:
        text = "Seconds_Behind_Master is NULL: how late it is is not known while a thread is stopped"
        return LAG.no(state.name, text, server=state.hostname)
    text = f"{behind} s behind{on_purpose}"
    too_late = f"{text}, more than {allowed} s"
    return LAG.judge(
        state.name, behind - delay <= allowed, text if behind - delay <= allowed else too_late, server=state.hostname
    )


def _filters(facts: Facts) -> Iterator[Check]:
    replicas = facts.replicas
    usual = _usual([_normal(_of(state)) for state in replicas])
    for state in replicas:
        own = _normal(_of(state))
        if usual is None or own == usual:
            yield FILTERS.yes(state.name, _told(own, "no replication filters"))
        else:
            text = f"{_told(own, 'no replication filters')}, but others: {_told(usual, 'no replication filters')}"
            yield FILTERS.no(state.name, text, server=state.hostname)
    logging = [state for state in facts.cluster.up if state.log_bin]
    primary = facts.primary_state
    of_primary = _logged(primary) if primary is not None and primary.log_bin else None
    expected = of_primary if of_primary is not None else _usual([_logged(state) for state in logging])
    for state in logging:
        own = _logged(state)
        text = _told(own, "everything is logged")
        if expected is None or own == expected:
            yield BINLOG_FILTERS.yes(state.name, text)
        else:
            other = f"{text}, but elsewhere: {_told(expected, 'everything is logged')}"
            yield BINLOG_FILTERS.no(state.name, other, server=state.hostname)
    if primary is None:
        return
    logs = _names(primary.binlog_do_db)
    for state in replicas:
        takes = _names(_of(state).do_db)
        if logs and takes:
            text = f"takes {', '.join(sorted(takes))}, and {primary.name} logs {', '.join(sorted(logs))}"
            yield FILTERS_AGREE.judge(state.name, logs == takes, text, server=state.hostname, primary=primary.hostname)


Named = tuple[tuple[str, tuple[str, ...]], ...]


def _of(state: ServerState) -> Filters:
    return state.channels[0].filters


def _normal(filters: Filters) -> Named:
    """The filters without what does not matter: order, blanks, repetitions."""
    found = ((f"replicate_{name}", tuple(sorted(_names(text)))) for name, text in vars(filters).items())
    return tuple((name, names) for name, names in found if names)


def _logged(state: ServerState) -> Named:
    found = (("binlog_do_db", state.binlog_do_db), ("binlog_ignore_db", state.binlog_ignore_db))
    return tuple((name, tuple(sorted(_names(text)))) for name, text in found if _names(text))


def _usual(all_of_them: list[Named]) -> Named | None:
    """What most have; the first when two are as frequent."""
    return max(all_of_them, key=all_of_them.count) if all_of_them else None


def _names(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())


def _told(named: Named, nothing: str) -> str:
    return " ".join(f"{name}={','.join(names)}" for name, names in named) or nothing
