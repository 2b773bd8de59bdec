"""What replication leaves out, on every channel and in every binary log: whether all hold the same. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...model.check import Check
from ...model.state import Filters, ServerState
from ..facts import Facts
from ..rule import Rule

FILTERS = Rule(
    "replication-filters",
    "Do all replicas filter the same?",
    "give {server} the filters of the others, or set `check_repl_filter=0` when it is meant so",
)
BINLOG_FILTERS = Rule(
    "binlog-filters",
    "Do all servers that write a binary log filter it in the same way?",
    "set the same binlog_do_db and binlog_ignore_db in my.cnf of {server} as elsewhere and restart it",
)
FILTERS_AGREE = Rule(
    "filters-agree",
    "If the primary logs only some databases and a replica takes only some: are they the same?",
    "let replicate_do_db of {server} name the databases of binlog_do_db of {primary}",
)
RULES = (FILTERS, BINLOG_FILTERS, FILTERS_AGREE)

#: What is left out: each filter that is set and the names in it, without what does not matter (order, blanks).
Named = tuple[tuple[str, tuple[str, ...]], ...]


def checks(facts: Facts) -> Iterator[Check]:
    """Every replica's first channel and every log, compared with what most have; nothing where that is not wanted."""
    if not facts.config.check_repl_filter:
        return
    replicas, primary = facts.replicas, facts.primary_state
    usual = _usual([of_channel(_first(state)) for state in replicas])
    for state in replicas:
        yield channel_like(state, _first(state), usual, "others")
    logging = [state for state in facts.cluster.up if state.log_bin]
    of_primary = of_log(primary) if primary is not None and primary.log_bin else None
    expected = of_primary if of_primary is not None else _usual([of_log(state) for state in logging])
    for state in logging:
        yield log_like(state, expected, "elsewhere")
    if primary is None:
        return
    logs = _names(primary.binlog_do_db)
    for state in replicas:
        takes = _names(_first(state).do_db)
        if logs and takes:
            text = f"takes {', '.join(sorted(takes))}, and {primary.name} logs {', '.join(sorted(logs))}"
            yield FILTERS_AGREE.judge(state.name, logs == takes, text, server=state.hostname, primary=primary.hostname)


def channel_like(state: ServerState, filters: Filters, expected: Named | None, whose: str) -> Check:
    """A channel of a server against what another one leaves out, whose that is in words."""
    return _like(FILTERS, state, of_channel(filters), expected, whose, "no replication filters")


def log_like(state: ServerState, expected: Named | None, whose: str) -> Check:
    """The same of its binary log."""
    return _like(BINLOG_FILTERS, state, of_log(state), expected, whose, "everything is logged")


def _like(rule: Rule, state: ServerState, own: Named, expected: Named | None, whose: str, nothing: str) -> Check:
    text = words(own) or nothing
    if expected is None or own == expected:
        return rule.yes(state.name, text)
    return rule.no(state.name, f"{text}, but {whose}: {words(expected) or nothing}", server=state.hostname)


def of_channel(filters: Filters) -> Named:
    """What a channel leaves out."""
    return _set((f"replicate_{name}", text) for name, text in vars(filters).items())


def of_log(state: ServerState) -> Named:
    """What a server's binary log leaves out."""
    return _set((("binlog_do_db", state.binlog_do_db), ("binlog_ignore_db", state.binlog_ignore_db)))


def words(named: Named) -> str:
    """As options are written; empty for nothing."""
    return " ".join(f"{name}={','.join(names)}" for name, names in named)


def _first(state: ServerState) -> Filters:
    return state.channels[0].filters


def _set(found: Iterable[tuple[str, str]]) -> Named:
    return tuple((name, tuple(sorted(names))) for name, text in found if (names := _names(text)))


def _usual(all_of_them: list[Named]) -> Named | None:
    """What most have; the first when two are as frequent."""
    return max(all_of_them, key=all_of_them.count) if all_of_them else None


def _names(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())
