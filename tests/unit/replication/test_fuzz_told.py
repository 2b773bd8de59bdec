"""What stands in a journal, or in the state of a binlog server elsewhere: shown or passed over; nothing raises.

Made from a seed: to have hypothesis think of ten thousand journals takes a quarter of an hour.
"""

from __future__ import annotations

import json
import math
import os
import random
import re
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from prefect_mha.replication.maintenance.binlog_server import health as copies
from prefect_mha.replication.memory.journal import BEGIN, END, REJOIN, SWITCH, VERDICT
from prefect_mha.replication.reporting.history.incident import Incident
from prefect_mha.replication.reporting.history.journals import incidents, newest
from prefect_mha.replication.reporting.history.pages import markdown, rows
from prefect_mha.replication.reporting.history.text import blocks, line, report
from prefect_mha.replication.reporting.incident.page import MOST, page
from tests.lab.hostile import NASTY

#: Of each; make test-all runs 10,000.
ROUNDS = int(os.environ.get("MHA_FUZZ", "400"))

WORDS = (
    NASTY,
    "",
    " ",
    "\n",
    "\ud800",
    "db1(10.0.0.1:3306)",
    "10.0.0.1:3306",
    "9" * 40,
    "lost",
    "done",
    "x" * 5000,
    "(",
)
NUMBERS = (0, -1, 1, 10, 1.5, 1.79e9, 1e18, 1e308, -1e308, math.nan, math.inf, 10**30, 10**400, True, None)
LEDGER = "fate where source server transactions bytes first last tables why left_out".split()
PLAN = "old old_name new new_name discards how kind position".split()
FACTS = (
    "exit_code summary refusal remedy new_primary primary out held_seconds fenced saved chosen_for replicas notes by "
    "left_out resumed address evidence not_recovered why error accept_loss go_on where at new_name dead"
).split()
STEPS = (
    BEGIN,
    SWITCH,
    REJOIN,
    END,
    VERDICT,
    "approval",
    "promote",
    "settings",
    "",
    " ",
    NASTY,
    "Fence the old primary",
)
EVENTS = ("began", "done", "failed", "ended", "intent", "dead", "", NASTY)
KINDS = ("failover", "switch", "rejoin", "other")


class Odd:
    """Values that nobody expects, from one seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def word(self) -> str:
        if self.chance.random() < 0.7:
            return self.chance.choice(WORDS)
        return "".join(
            chr(self.chance.choice((self.chance.randrange(0xD800), self.chance.randrange(256)))) for _ in "123"
        )

    def value(self, depth: int = 0) -> Any:
        match self.chance.randrange(8 if depth < 3 else 6):
            case 6:
                return [self.value(depth + 1) for _ in range(self.chance.randrange(4))]
            case 7:
                return {self.word(): self.value(depth + 1) for _ in range(self.chance.randrange(4))}
            case 0 | 1 | 2:
                return self.word()
        return self.chance.choice(NUMBERS)

    def some_of(self, names: list[str]) -> dict[str, Any]:
        return {self.chance.choice(names): self.value() for _ in range(self.chance.randrange(8))}

    def facts(self) -> Any:
        if self.chance.random() < 0.1:
            return self.value()
        ledger = [self.some_of(LEDGER) | {"fate": "lost"} for _ in range(self.chance.randrange(3))]
        more = {
            "ledger": self.chance.choice((ledger, self.value())),
            "plan": self.chance.choice((self.some_of(PLAN), 7)),
        }
        return {**self.some_of(FACTS), **more}

    def entry(self) -> dict[str, Any]:
        at = self.chance.choice((1.79e9 + self.chance.random(), 1.8e9, self.chance.choice(NUMBERS)))
        step, event = self.chance.choice(STEPS), self.chance.choice(EVENTS)
        return {"t": at, "step": step, "event": event, "server": self.word(), "facts": self.facts()}


def shown(told: tuple[Incident, ...]) -> str:
    """Everything that anybody shows of them."""
    text = "\n".join([blocks(told), *map(line, told), *map(report, told), *map(markdown, told)])
    return text + json.dumps([rows(told), [each.as_dict() for each in told]], default=str)


def test_any_journal_is_shown_as_text_as_markdown_as_json_and_as_a_page(tmp_path: Path) -> None:
    odd, seen = Odd(20261201), 0
    for number in range(ROUNDS):
        kind = odd.chance.choice(KINDS)
        first = {"t": 1.79e9, "step": kind, "event": "began", "server": "10.0.0.1:3306"}
        entries = [odd.entry() for _ in range(odd.chance.randrange(9))]
        entries += [{**each, "event": "done"} for each in entries if odd.chance.random() < 0.5]
        entries = [first, *entries] if odd.chance.random() < 0.7 else entries
        path = tmp_path / f"app1.{kind}-20261130150520-7.journal"
        path.write_text("\n".join(json.dumps(each) for each in entries))
        told = incidents(tmp_path, "app1")
        newest(tmp_path, "app1")
        assert "\x1b" not in shown(told), number
        for each in told:
            made = page(each, "/etc/mha/app1.cnf")
            assert len(made.encode()) < MOST, number
            assert "<script" not in made, number
            for picture in re.findall(r"<svg.*?</svg>", made, re.DOTALL):
                ElementTree.fromstring(picture)  # noqa: S314 - made here
        seen += len(told)
        path.unlink()
    assert seen > ROUNDS // 3


def test_any_state_of_a_binlog_server_is_a_line_or_none(tmp_path: Path) -> None:
    whole = asdict(copies.BinlogHealth("binlog1", 7, copies.CopyState.COPYING, "db1", "mysql-bin.000001", 4, 0))
    odd, names, seen = Odd(20261202), [field.name for field in fields(copies.BinlogHealth)], 0
    for number in range(ROUNDS):
        said = odd.some_of(names) if odd.chance.random() < 0.9 else {}
        text = json.dumps({**whole, **said} if odd.chance.random() < 0.8 else said)
        found = copies.parse_health(text)
        assert found is None or found.line(1.79e9), number
        (tmp_path / copies.FILE).write_text(text)
        copies.known_gaps(tmp_path)
        seen += found is not None
    assert seen > ROUNDS // 20
