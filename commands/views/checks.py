"""Checks as people and programs want them: MHA's lines, a table, or JSON. No logic of the checks here.

What is not well comes first, the gravest before the others; what is well is one line, unless all is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ...replication.model.check import Check, Severity, failed, rows
from ...replication.model.words import plain
from .terminal import draw, print_document

if TYPE_CHECKING:
    from rich.table import Table

    from ...replication.checks.facts import Facts

log = logging.getLogger("mha")

OUTPUTS = ("text", "table", "json")
_MARKS = {Severity.ERROR: "FAILED", Severity.WARNING: "warning", Severity.INFO: "note"}
_LEVELS = {Severity.ERROR: logging.ERROR, Severity.WARNING: logging.WARNING, Severity.INFO: logging.INFO}
_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


def line(check: Check) -> str:
    """``db2(10.0.0.2:3306): lag: 0 s behind [ok]``, and the hint behind what is not."""
    head = f"{check.subject}: {check.name}: {check.text}"
    return f"{head} [ok]" if check.ok else f"{head} [{_MARKS[check.severity]}] ({check.hint})"


def ordered(checks: Iterable[Check], *, verbose: bool) -> tuple[list[Check], int]:
    """Those to be shown, the gravest first, what is well last and only with ``verbose``; and how many are well."""
    order, all_of_them = list(Severity), list(checks)
    shown = sorted(all_of_them, key=lambda c: (c.ok, order.index(c.severity) if not c.ok else 0))
    well = sum(check.ok for check in all_of_them)
    return (shown if verbose else [check for check in shown if not check.ok]), well


def well_line(count: int) -> str:
    """``148 checks ok``"""
    return f"{count} check{'' if count == 1 else 's'} ok"


def say(checks: Iterable[Check], *, verbose: bool = False) -> None:
    """What is not well as lines of the log, at the level of its severity, and one line for all the others."""
    shown, well = ordered(checks, verbose=verbose)
    for check in shown:
        log.log(logging.INFO if check.ok else _LEVELS[check.severity], "%s", line(check))
    log.info("%s", well_line(well))


def picture(facts: Facts) -> Iterator[str]:
    """Who is dead, who is alive and who follows whom, as MHA shows it."""
    from ...replication.model.state import GtidKind
    from ...replication.model.topology import listing, tree
    from ...replication.planning.selection import followers_of, gtid_kind

    primary = facts.primary
    if primary is None:
        return
    followers = followers_of(primary, facts.config, facts.cluster)
    kind = gtid_kind(followers, facts.config.use_gtid_auto_pos)
    yield f"GTID failover mode = {int(kind is GtidKind.MYSQL)}"
    yield from listing(facts.config, facts.cluster, primary)
    if facts.primary_state is not None:
        yield f"Current Alive Master: {primary.name}"
    yield "\n".join(tree(facts.config, facts.cluster, primary))


def replica_health(facts: Facts, checks: Sequence[Check]) -> Iterator[str]:
    """MHA's two lines for each replica: that it is looked at, and `` ok.`` where it replicates in time."""
    from ...replication.checks.cluster.replicas import APPLIER, LAG, RECEIVER
    from ...replication.planning.selection import followers_of

    if facts.primary is None:
        return
    of_replicas = {rule.name for rule in (RECEIVER, APPLIER, LAG)}
    ill = {check.subject for check in failed(checks) if check.name in of_replicas}
    for follower in followers_of(facts.primary, facts.config, facts.cluster):
        yield f"Checking replication health on {follower.state.hostname}.."
        if follower.state.name not in ill:
            yield " ok."


def table(title: str, checks: Sequence[Check], *, verbose: bool = False, width: int | None = None) -> Table:
    """For a terminal, in the same order; the hint stands below what was found."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown, well = ordered(checks, verbose=verbose)
    named = Text(plain(f"{title}: {well_line(well)}"))
    made = Table(title=named, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    made.width = width
    made.add_column("", no_wrap=True)
    made.add_column("subject, check", overflow="fold", ratio=2)
    made.add_column("what was found, and what to do", overflow="fold", ratio=3)
    for check in shown:
        mark, colour = ("ok", "green") if check.ok else (_MARKS[check.severity], _COLOURS[check.severity])
        # Text, not markup: a server's words may hold brackets.
        about = Text(f"{plain(check.subject)}\n").append(plain(check.name), style="bold")
        found = Text(plain(check.text))
        if not check.ok and check.hint:
            found.append(f"\n→ {plain(check.hint)}", style="dim")
        made.add_row(Text(mark, style=colour), about, found)
    return made


def print_table(title: str, checks: Sequence[Check], *, verbose: bool = False) -> None:
    """The same on standard output; without a heading of columns where there is no row."""
    if not ordered(checks, verbose=verbose)[0]:
        print(plain(f"{title}: {well_line(len(checks))}"))
        return
    draw(table(title, checks, verbose=verbose))


def print_json(
    cluster: str, checks: Sequence[Check], result: str, code: int, readiness: dict[str, Any] | None = None
) -> None:
    """One object on standard output, with every check; ``result`` is the line that the text ends with."""
    told = {
        "cluster": cluster,
        "ok": code == 0,
        "exit_code": code,
        "failed": len(failed(checks)),
        "result": result,
        "readiness": readiness,
        "checks": rows(checks),
    }
    print_document("check", told)
