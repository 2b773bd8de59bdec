"""Checks as people and programs want them: MHA's lines, a table, or JSON. No logic of the checks here."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ...replication.model.check import Check, Severity, failed, rows
from ...replication.model.words import plain

if TYPE_CHECKING:
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


def say(checks: Iterable[Check]) -> None:
    """Every check as a line of the log, at the level of its severity."""
    for check in checks:
        log.log(logging.INFO if check.ok else _LEVELS[check.severity], "%s", line(check))


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


def print_table(title: str, checks: Sequence[Check]) -> None:
    """A table for a terminal: what is not well first within each severity, the rest after it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for heading in ("", "subject", "check", "what was found", "what to do"):
        table.add_column(heading, overflow="fold")
    order = list(Severity)
    for check in sorted(checks, key=lambda c: (c.ok, order.index(c.severity) if not c.ok else 0)):
        mark, colour = ("ok", "green") if check.ok else (_MARKS[check.severity], _COLOURS[check.severity])
        # Text, not markup: a server's words may hold brackets.
        cells = (check.subject, check.name, check.text, "" if check.ok else check.hint)
        table.add_row(Text(mark, style=colour), *(Text(plain(cell)) for cell in cells))
    console = Console()
    console.print(table)


def print_json(
    cluster: str, checks: Sequence[Check], result: str, code: int, readiness: dict[str, Any] | None = None
) -> None:
    """One object on standard output; ``result`` is the line that the text ends with."""
    told = {
        "cluster": cluster,
        "ok": code == 0,
        "exit_code": code,
        "failed": len(failed(checks)),
        "result": result,
        "readiness": readiness,
        "checks": rows(checks),
    }
    json.dump(told, sys.stdout, ensure_ascii=False, indent=2)
    print()
