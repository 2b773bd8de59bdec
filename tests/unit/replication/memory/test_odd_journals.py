"""What goes on with a former run reads its journal: whatever stands there, it is understood, or is one clear error."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefect_mha.flows.deeds.failover import FLOW_RUN, interrupted_runs
from prefect_mha.replication.drill.past import in_words, past_drills
from prefect_mha.replication.errors import JournalOdd
from prefect_mha.replication.memory.journal import (
    BEGIN,
    DRILL,
    END,
    SWITCH,
    Entry,
    begun_before,
    lifted_delays,
    opened_before,
    read_journal,
    saved_before,
    unfinished,
    unrestored_settings,
)
from prefect_mha.replication.memory.open_business import stopped_receivers
from prefect_mha.replication.planning.plan import FailoverOptions
from prefect_mha.replication.rejoin.remembered.replacement import replacement_of
from prefect_mha.replication.reporting.approval import approved_before
from prefect_mha.replication.rescue.kept_copies import copies
from prefect_mha.replication.rescue.pointing import turned
from prefect_mha.replication.rescue.tail_chain import open_tails
from prefect_mha.replication.switchover.resume import interrupted_switch
from tests.unit.replication.test_fuzz_told import NUMBERS, ROUNDS, Odd

DEAD = "10.0.0.1:3306"
PLACE = "bin.000002:4"
#: Facts of each kind of entry that is gone on with, as they are when all is well.
STEPS: dict[tuple[str, str], dict[str, Any]] = {
    (BEGIN, "began"): {"options": {"new_master_host": "db2"}},
    ("promote", "intent"): {"dead": DEAD, "kind": "MySQL GTID", "end_of_log": PLACE},
    ("rescue", "saved"): {"end": PLACE},
    ("settings", "intent"): {"former": {"sync_binlog": 1}, "boot_id": "x"},
    ("delay", "intent"): {"seconds": 60},
    ("turn to the saved log", "intent"): {"host": "db1", "port": 3306, "user": "repl"},
    ("saved", "done"): {"begin": PLACE, "directory": "/", "names": ["bin.000002"], "start": PLACE, "end": PLACE},
    ("tail", "open"): {"opened": DEAD, "kind": "MySQL GTID", "end": PLACE, "begins": PLACE},
    ("tail", "settled"): {"opened": DEAD},
    ("receivers", "intent"): {"channels": {DEAD: ""}},
    ("receivers", "settled"): {"keys": [DEAD]},
    ("approval", "answered"): {"go_on": True},
    FLOW_RUN: {"id": "00000000-0000-4000-8000-000000000000"},
    (SWITCH, "began"): {"pid": 1 << 22, "old": DEAD, "kind": "MySQL GTID", "followers": []},
    ("hold", "intent"): {"former": {}, "events": []},
    ("open", "intent"): {"end": PLACE, "gtids": ""},
    (DRILL, "began"): {"kind": "kill", "pid": 1 << 22, "old_name": "db1"},
    (END, "ended"): {"scorecard": {"out": 1.5, "passed": True}},
}


def readers(workdir: Path) -> tuple[Callable[[tuple[Entry, ...]], object], ...]:
    """All that reads a former run's entries, or its journals below a directory."""
    return (
        opened_before,
        saved_before,
        unrestored_settings,
        lifted_delays,
        turned,
        open_tails,
        approved_before,
        interrupted_runs,
        lambda past: list(copies(past, DEAD)),
        lambda past: (begun := begun_before(past)) and begun.options(FailoverOptions),
        lambda _: stopped_receivers(workdir, "app1"),
        lambda _: interrupted_switch(workdir, "app1"),
        lambda _: replacement_of(workdir, "app1", DEAD),
        lambda _: unfinished(workdir, "app1"),
        lambda _: [(str(each), in_words(each), each.cut_short) for each in past_drills(workdir, "app1")],
    )


def test_any_journal_of_a_former_run_is_understood_or_is_that_journals_error(tmp_path: Path) -> None:
    odd = Odd(25)
    for _ in range(ROUNDS):
        lines = []
        for (step, event), facts in odd.chance.choices(list(STEPS.items()), k=6):
            changed = dict(facts)
            for name in list(changed):
                match odd.chance.randrange(4):
                    case 0:
                        changed[name] = odd.value()
                    case 1:
                        del changed[name]
            lines.append({"t": 1.79e9, "step": step, "event": event, "server": DEAD, "facts": changed})
        text = "\n".join(map(json.dumps, lines))
        lines[0]["t"] = odd.chance.choice((1.79e9, *NUMBERS))
        for kind in ("failover", "switch", "drill"):
            path = tmp_path / f"app1.{kind}-20261130150520-7.journal"
            path.write_text(text)
        past = tuple(read_journal(path))
        for reader in readers(tmp_path):
            with contextlib.suppress(JournalOdd):
                reader(past)


def test_the_error_names_the_file_the_step_and_what_to_do() -> None:
    entry = Entry(1.0, "promote", "intent", "10.0.0.2:3306", {"dead": DEAD}, "app1.failover-1-2.journal")
    with pytest.raises(JournalOdd) as odd:
        opened_before((entry,))
    assert str(odd.value).startswith("app1.failover-1-2.journal: what it says of promote (intent) makes no sense")
    assert "move that file out of manager_workdir" in str(odd.value)
