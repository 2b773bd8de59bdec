"""Whether the servers of a planned switch hold and pass on the same data: their filters compared. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ...model.check import Check, Severity
from ...model.state import Filters
from .subject import SwitchCase, judged


def filter_checks(case: SwitchCase) -> Iterator[Check]:
    """Of every replica's channel against the target's, of every binary log against the target's."""
    state, old = case.target_state, case.old_state
    mine = next((f for f in case.followers if state is not None and f.key == state.key), None)
    if not case.config.check_repl_filter or mine is None or state is None or old is None:
        return
    hint = "give all servers the same filters, or set check_repl_filter=0 when you know what is missing where"
    for other in case.followers:
        if other.key != state.key:
            told = _filter_difference(other.channel.filters, mine.channel.filters)
            yield judged(
                "filters",
                other.state.name,
                f"its replication filters differ from those of {state.name}: {told}" if told else "",
                f"its replication filters are those of {state.name}",
                hint,
            )
    for other_state in (old, *(f.state for f in case.followers if f.key != state.key)):
        told = _difference(
            ("binlog_do_db", other_state.binlog_do_db, state.binlog_do_db),
            ("binlog_ignore_db", other_state.binlog_ignore_db, state.binlog_ignore_db),
        )
        yield judged(
            "binlog-filters",
            other_state.name,
            f"its binary log leaves out other schemas than that of {state.name}: {told}" if told else "",
            f"its binary log holds the same schemas as that of {state.name}",
            hint,
        )
    yield judged(
        "target-unfiltered",
        state.name,
        f"it filters what it replicates ({_words(mine.channel.filters)}), so it does not hold all of the primary's data"
        if mine.channel.filters
        else "",
        "it replicates everything",
        "make sure that applications need only what it holds",
        Severity.WARNING,
    )


def _filter_difference(theirs: Filters, mine: Filters) -> str:
    return _difference(*((name, value, getattr(mine, name)) for name, value in vars(theirs).items()))


def _difference(*compared: tuple[str, str, str]) -> str:
    """Lists of names are equal whatever their order; an empty one is not the same as any other."""
    return "; ".join(
        f"{name} is {theirs or 'empty'}, there {mine or 'empty'}"
        for name, theirs, mine in compared
        if _names(theirs) != _names(mine)
    )


def _names(listed: str) -> frozenset[str]:
    return frozenset(name.strip() for name in listed.split(",") if name.strip())


def _words(filters: Filters) -> str:
    return "; ".join(f"{name}: {value}" for name, value in vars(filters).items() if value)
