"""The incident as a page: its figures are those of the journal, its time line is true, and what is hostile is text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from prefect_mha.replication.drill.outcome import DrillOutcome
from prefect_mha.replication.drill.scorecard import Scorecard
from prefect_mha.replication.memory.journal import DRILL, END, REJOIN, SWITCH, VERDICT
from prefect_mha.replication.notify.manager_log import register_secrets
from prefect_mha.replication.reporting.history.incident import Ended, Incident, Step
from prefect_mha.replication.reporting.history.text import facts, lost_words, out_words, report
from prefect_mha.replication.reporting.incident.page import MOST_IN_PREFECT, ROOMS, head, page
from prefect_mha.replication.reporting.incident.remains import remains
from prefect_mha.replication.reporting.incident.timeline import LEAD, LEAST, NAMES, WIDTH, timeline
from prefect_mha.replication.reporting.incident.topology import trees
from prefect_mha.replication.reporting.ledger import Fate
from tests.unit.replication.reporting.history.test_history import (
    AT,
    DB1,
    DB2,
    LOST,
    OLD,
    RESCUED,
    THIRD,
    entry,
    failover,
    one,
)

VOID = {"meta", "br"}
DOCS = Path(__file__).parents[5] / "docs"
HOSTILE = "<script>alert(1)</script>]]></svg>\u202e'\"--><img src=x onerror=alert(1)>"


class Checked(HTMLParser):
    """Every element is closed where it was opened; what is fetched or run is noted."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[str] = []
        self.bad: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.bad += [f"{tag} {name}" for name, _ in attrs if name.startswith("on") or name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(made: Incident) -> tuple[str, Checked]:
    text = page(made, "/etc/mha/app1.cnf")
    seen = Checked(text)
    assert seen.open == []
    assert seen.bad == []
    assert not {"script", "img", "iframe", "link", "form"} & set(seen.elements)
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        ElementTree.fromstring(svg)  # noqa: S314 - made here
    assert len(text.encode()) < 200_000
    return text, seen


def test_its_sentence_has_the_figures_of_the_journal() -> None:
    text, _ = checked(one(failover(exit_code=10, ledger=[LOST, RESCUED])))
    assert (
        "<h1>Failover of app1, db1 → db2: done, but something is left to do; writes were out for 1.9 s; lost: "
        "3 transactions (6 transactions rescued); left to do: 2.</h1>"
    ) in text
    assert '<td class="fate">lost</td><td class="n" data-of="transactions">3</td>' in text
    assert "mha rejoin --conf=/etc/mha/app1.cnf --host=db1" in text
    assert "Nobody took writes for 1.9 s." in text
    assert "nobody was asked: the manager acted (root@seat)" in text


def test_what_is_unknown_is_said_to_be() -> None:
    text, _ = checked(one(failover(end=False)))
    assert "how long writes were out is unknown" in text
    assert "Unknown: the journal has no account of transactions." in text
    assert "mha failover --conf=/etc/mha/app1.cnf --resume" in text


def test_the_time_line_is_true_and_one_long_wait_is_a_break() -> None:
    made = one(failover())
    drawn = timeline(made)
    assert drawn is not None
    assert [lane.name for lane in drawn.lanes] == ["db1", "the manager", "db2"]
    assert drawn.gap is None
    old, new = drawn.writers
    assert (old.label, new.label) == ("db1 took writes", "db2 took writes")
    assert old.x + old.width <= new.x
    assert drawn.out is not None
    assert new.x == drawn.out[1]
    assert timeline(replace(made, out=None)).writers == ()  # type: ignore[union-attr]
    fence = next(bar for bar in drawn.bars if "Fence" in bar.label)
    whole = made.ended_at - (AT - 0.4)  # type: ignore[operator]
    wide = WIDTH - NAMES - 2 * LEAD
    assert fence.x == pytest.approx(NAMES + LEAD + wide * 0.6 / whole, abs=0.2)
    assert fence.width == pytest.approx(wide * 0.9 / whole, abs=0.2)
    assert (old.x, new.x + new.width) == (NAMES, WIDTH)
    assert [mark.label for mark in drawn.marks] == [
        "15:05:20.600 first sign of trouble",
        "15:05:21.000 found dead",
        "15:05:22.500 writes are back",
        "15:05:23.000 ended",
    ]
    long = replace(made, steps=(*made.steps, Step("Verify", "", AT + 3600, 0.5, True)), ended_at=AT + 3601)
    broken = timeline(long)
    assert broken is not None
    assert broken.gap is not None
    assert broken.gap == pytest.approx(3598.5)
    assert "≈ 3598.5 s shortened ≈" in [mark.label for mark in broken.marks if not mark.line]
    assert max(bar.x + bar.width for bar in broken.bars) <= WIDTH + LEAST
    assert next(bar for bar in broken.bars if "Fence" in bar.label).width > 50


def test_steps_at_the_same_time_on_one_server_stand_below_each_other() -> None:
    steps = tuple(Step(f"s{n}", "db1", AT + n / 10, 5.0, True) for n in range(3))
    drawn = timeline(replace(one(failover()), steps=steps))
    assert drawn is not None
    assert len({bar.y for bar in drawn.bars}) == 3
    assert all(bar.words.endswith(" 5.0 s") for bar in drawn.bars)
    assert timeline(replace(one(failover()), steps=())) is None


def test_who_follows_whom_before_and_after() -> None:
    left = {"db4(10.0.0.4:3306)": "it is broken"}
    before, after = trees(one(failover(left_out=left)))
    assert [(box.name, box.role, box.below) for box in before.boxes] == [
        ("db1", "primary, dead", False),
        ("db2", "replica", True),
        ("db3", "replica", True),
        ("db4", "replica", True),
    ]
    assert [(box.name, box.role, box.below) for box in after.boxes] == [
        ("db2", "primary", False),
        ("db3", "replica", True),
        ("db4", "does not follow", False),
        ("db1", "held read-only", False),
    ]
    assert trees(replace(one(failover()), new=None)) == ()
    # A switch whose old primary follows, and whose other replica does not: that one stands below.
    name = f"db3({THIRD})"
    told = {"replicas": {name: "broken", DB1: f"replicates from {DB2}"}, "not_recovered": [name]}
    switch = [entry(0, SWITCH, "began", OLD, new_name=DB2), entry(2, END, "ended", DB1, exit_code=10, **told)]
    _, after = trees(replace(one(switch, "app1.switch-20261130150521-7"), old=DB1))
    assert [(box.name, box.below) for box in after.boxes] == [("db2", False), ("db1", True), ("db3", False)]


def test_what_remains_names_commands() -> None:
    made = one(failover(not_recovered=[f"db3({THIRD})"], replicas={f"db3({THIRD})": "error 1236"}))
    assert [(todo.sentence, todo.command) for todo in remains(made, "a b.cnf")] == [
        ("db1 is held read-only: make it a replica when it is back.", "mha rejoin --conf='a b.cnf' --host=db1"),
        (f"db3({THIRD}): error 1236.", ""),
    ]
    # One that was refused leaves a cluster whose primary is dead, whatever an old journal says of the remedy.
    told = failover(exit_code=1, refusal="no-server-reachable", new_primary=None)
    (refused,) = remains(one([each for each in told if each.step != "promote"]), "c")
    assert (refused.command, refused.page) == ("mha topology --conf=c", "runbook.md#refusals")
    assert remains(replace(made, ended=Ended.OPEN, then="x", opened=False, not_recovered=()), "c") == ()


def test_every_page_that_it_names_is_there() -> None:
    source = (DOCS.parent / "replication" / "reporting" / "incident" / "remains.py").read_text()
    for name, anchor in re.findall(r'"(\w+\.md)(?:#([\w-]+))?"', source):
        headings = re.findall(r"^#+ (.+)$", (DOCS / name).read_text(), re.MULTILINE)
        assert not anchor or anchor in {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}


def test_hostile_words_are_text() -> None:
    facts = {"summary": HOSTILE, "notes": [HOSTILE, "y" * 1_000_000], "fenced": HOSTILE, "replicas": {HOSTILE: HOSTILE}}
    ledger = [{**LOST, "why": HOSTILE, "where": "z" * 1_000_000}]
    made = one(failover(**facts, ledger=ledger, left_out={HOSTILE: HOSTILE}, remedy=HOSTILE, not_recovered=[HOSTILE]))
    made = replace(made, steps=(*made.steps, Step(HOSTILE, HOSTILE, AT, 1.0, False, HOSTILE)), new=HOSTILE, old=HOSTILE)
    text, _ = checked(made)
    assert "<script>" not in text
    assert "\u202e" not in text


def test_many_lines_are_read_in_time_and_the_page_stays_small() -> None:
    steps = tuple(Step(f"step {n}", f"db{n % 40}", AT + n, 1.0, True) for n in range(50_000))
    began = time.process_time()
    text, _ = checked(replace(one(failover()), steps=steps))
    assert time.process_time() - began < 6
    assert f"{50_000 - ROOMS[0].steps} further steps are in the journal" in text


def test_a_refusal_and_one_without_roles_have_pages_too() -> None:
    told = failover(exit_code=1, refusal="too-early", remedy="Wait an hour.", new_primary=None, ledger=[])
    text, _ = checked(one([each for each in told if each.step != "promote"]))
    assert "☐ Wait an hour." in text
    assert "Who follows whom" not in text
    assert DB1.split("(")[0] in text


def test_the_longest_hostile_words_keep_it_small_and_what_is_cut_is_said() -> None:
    bad = "<'&\"" * 1000
    told = failover(
        exit_code=10,
        ledger=[{**LOST, "why": bad, "where": bad, "source": bad, "server": bad, "tables": [bad] * 50}] * 300,
        left_out={f"{n}{bad}": bad for n in range(300)},
        replicas={f"{n}{bad}": bad for n in range(300)},
        not_recovered=[f"{n}{bad}" for n in range(300)],
        notes=[bad] * 300,
        remedy=bad,
    )
    step = Step(bad, bad, AT, 1.0, False, bad)
    text, _ = checked(replace(one(told), steps=tuple(replace(step, server=f"{n}{bad}") for n in range(500))))
    room = ROOMS[-1]
    assert f"{500 - room.steps} further steps are in the journal." in text
    assert f"{300 - room.lines} further lines are in the journal." in text
    assert "further things are in the journal." in text


def test_exit_10_is_never_nothing_left_to_do() -> None:
    switch = [
        entry(0, SWITCH, "began", OLD, new_name=DB2),
        entry(2, END, "ended", OLD, exit_code=10, notes=["the address stayed"], new_primary=DB2),
    ]
    text, _ = checked(one(switch, "app1.switch-20261130150521-7"))
    assert "left to do: 1.</h1>" in text
    assert "Something is left to do: the address stayed." in text
    assert "held for writes" not in text
    assert "Only a failover has an account" in text


def test_a_refused_switch_held_nothing() -> None:
    switch = [
        entry(0, SWITCH, "began", OLD, new_name=DB2),
        entry(2, END, "ended", OLD, exit_code=1, refusal="too-late", remedy="Wait."),
    ]
    text, _ = checked(one(switch, "app1.switch-20261130150521-7"))
    assert "refused; writes were not held; lost: nothing; left to do: 1.</h1>" in text


@pytest.mark.parametrize(
    ("discards", "code", "lost"),
    [
        ("nothing", 0, "nothing"),
        ("its own 3 transactions", 10, "its own 3 transactions"),
        ("its own 3 transactions", 1, "unknown: it was to discard its own 3 transactions"),
        (None, 0, "unknown"),
    ],
)
def test_what_a_rejoin_discards_is_lost(discards: str | None, code: int, lost: str) -> None:
    plan = {"new_name": DB2, "how": "rebuild"} | ({"discards": discards} if discards else {})
    made = one(
        [entry(0, REJOIN, "began", OLD, plan=plan), entry(2, END, "ended", OLD, exit_code=code, summary="so")],
        "app1.rejoin-20261130150521-7",
    )
    text, _ = checked(made)
    assert f"lost: {lost}; " in text
    assert ("left to do: 1" in text) is (code == 10)
    assert made.as_dict()["discards"] == discards


def test_what_the_log_hides_the_page_hides() -> None:
    register_secrets(["opensesame7"])
    text, _ = checked(one(failover(notes=["password opensesame7 was wrong"], summary="opensesame7")))
    assert "opensesame7" not in text


class Read(HTMLParser):
    """What a person reads: the cells of each row, and all words in one line."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[str]] = []
        self.parts: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.parts.append(data)
        if self.inside:
            self.rows[-1][-1] += data

    @property
    def words(self) -> str:
        return " ".join("".join(self.parts).split())


TOLD = {
    "done": lambda: one(failover()),
    "partly": lambda: one(failover(exit_code=10, ledger=[LOST, RESCUED], left_out={"db4(10.0.0.4:3306)": "broken"})),
    "refused": lambda: one(failover(exit_code=1, refusal="too-early", remedy="Wait an hour.", ledger=[])),
    "cut short": lambda: one(failover(end=False)),
    "switch": lambda: one(
        [
            entry(0, SWITCH, "began", OLD, new_name=DB2),
            entry(1, "Hold writes", "began", DB1),
            entry(1.25, "Hold writes", "done", DB1),
            entry(2, END, "ended", OLD, exit_code=0, new_primary=DB2, held_seconds=0.0417),
        ],
        "app1.switch-20261130150521-7",
    ),
    "drill": lambda: drill(),
    "rejoin": lambda: rejoin(),
}


def drill() -> Incident:
    parts = (("detect", 0.31), ("open", 0.02))
    card = Scorecard(
        "app1", "kill", AT, DB1, 30.0, DB2, failed_over=True, out=1.337, back=0.041, parts=parts,
        acknowledged=471, lost=2, total=41.7, trouble="it is not back",
    )  # fmt: skip
    facts = {**DrillOutcome(1, card.summary, card=card).as_dict(), "new_primary": DB2, "held_seconds": card.out}
    told = [
        entry(0, DRILL, "began", OLD, kind="kill", old_name=DB1, by="root@seat"),
        entry(1, "Start the canary", "began", DB1),
        entry(2.25, "Start the canary", "done", DB1),
        entry(42, END, "ended", OLD, notes=["db1 was started again"], **facts),
    ]
    return one(told, "app1.drill-20261130150521-7")


def rejoin() -> Incident:
    plan = {"new_name": DB2, "how": "rescue", "discards": "nothing"}
    told = [
        entry(0, REJOIN, "began", OLD, old_name=DB1, plan=plan, by="ada@seat"),
        entry(1, "Compare it with the new primary's log", "began", DB1),
        entry(3.5, "Compare it with the new primary's log", "done", DB1),
        entry(4, END, "ended", OLD, exit_code=10, summary="kept 7 transactions; 3 rows were changed on both (app.t)",
              notes=["conflict: app.t: 3 rows changed on db1 and on db2"]),
    ]  # fmt: skip
    return one(told, "app1.rejoin-20261130150521-7")


def test_a_drill_is_judged_on_its_page_and_a_rejoin_names_its_conflicts() -> None:
    text, _ = checked(drill())
    assert "Drill of app1, db1 → db2: not done; writes were out for 1.3 s; lost: 2 of its own rows" in text
    for words in ("1.337 s (wanted at most 30 s)", "2 of 471 (wanted 0): MISSED", "db1 was started again"):
        assert words in text
    # The role is back where it was, or the scorecard says that it is not.
    assert "Who follows whom" not in text
    text, _ = checked(rejoin())
    assert "conflict: app.t: 3 rows changed on db1 and on db2" in text
    assert "left to do: 1.</h1>" in text


def test_who_looked_and_what_was_tried_again_stand_on_the_time_line() -> None:
    told = failover()
    seen = [
        {"source": "replica", "who": f"db3({THIRD})", "finding": "disconnected", "at": AT - 0.2, "took": 0.1},
        {"at": "x"},
        7,
    ]
    told[0] = entry(0, VERDICT, "dead", OLD, why="w", row="r", seen=seen)
    made = one([*told[:3], entry(0.6, "Fence the old primary", "again", DB1, error="the session broke"), *told[3:]])
    drawn = timeline(made)
    assert drawn is not None
    assert [lane.name for lane in drawn.lanes] == ["who looked", "db1", "the manager", "db2"]
    words = [bar.words for bar in drawn.bars]
    assert "replica (db3): disconnected 100 ms" in words
    # Cut, as every name is; the whole of it is in the bar's title.
    assert "↻ Fence the old primary: the session broke" in words
    assert [step.name for step in made.steps] == [step.name for step in one(failover()).steps]
    checked(made)


@pytest.mark.parametrize("which", TOLD)
def test_every_figure_is_that_of_the_journal_and_of_the_report(which: str) -> None:
    made = TOLD[which]()
    seen = Read(page(made, "app1.cnf"))
    for label, words in facts(made):
        assert [label, words] in seen.rows
        # The report in text tells the same, in lines of 80 columns.
        assert " ".join(words.split()) in " ".join(report(made).split())
    steps = [row for row in seen.rows if len(row) == 5 and row[0] != "at"]
    told = [[s.name, s.server, "" if s.seconds is None else f"{s.seconds:.3f}"] for s in made.steps]
    assert [row[1:4] for row in steps] == told
    counted = [row for row in seen.rows if len(row) == 4 and row[0] in {fate.value for fate in Fate}]
    lines = made.ledger or ()
    assert [row[:3] for row in counted] == [
        [line.fate.value, str(line.transactions), "unknown" if line.bytes is None else str(line.bytes)]
        for line in lines
    ]
    first = seen.words.partition("Times are those")[0]
    assert out_words(made) in first or "how long writes were out is unknown" in first
    assert f"lost: {lost_words(made)};" in first
    left = len(remains(made, "app1.cnf"))
    assert (f"left to do: {left}." in first) if left else ("nothing is known to be left." in first)
    assert seen.words.count("☐") == left


def test_what_prefect_shows_first_is_the_sentence_and_stays_small() -> None:
    many = tuple(Step(f"step {n} {HOSTILE}", f"db{n % 40}", AT + n, 1.0, True) for n in range(5000))
    for made in (one(failover()), replace(one(failover()), steps=many), one(failover(end=False))):
        parts = head(made).strip().split("\n\n")
        assert parts[0].startswith("**Failover of app1, db1 → db2: ")
        assert [part.partition("(data:")[0] for part in parts[1:]] == [
            "![The time line]",
            "![Who followed whom before, and who follows whom now]",
        ]
        assert len(head(made)) < MOST_IN_PREFECT + 1000


def test_a_hundred_thousand_lines_are_read_in_time_and_memory(tmp_path: Path) -> None:
    path = tmp_path / "app1.failover-20261130150521-7.journal"
    with path.open("w") as file:
        for each in (*failover(end=False), *(entry(3 + n / 1000, "Copy", "began", DB2) for n in range(100_000))):
            line = {"t": each.at, "at": "", "step": each.step, "event": each.event, "server": each.server}
            file.write(json.dumps(line | {"facts": each.facts}) + "\n")
    program = (
        "import re, time; began = time.process_time()\n"
        "from pathlib import Path; from prefect_mha.replication.memory.journal import Journal\n"
        "from prefect_mha.replication.reporting.incident.beside import write_page\n"
        f"path = write_page(Journal(Path({str(path)!r})), 'app1', Path('x')).page; assert path\n"
        # Not the most that getrusage tells: that counts what this process was before it was that program.
        "most = re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]\n"
        "print(time.process_time() - began, most)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    seconds, kilobytes = map(float, done.stdout.split())
    assert seconds < 6  # 2 to 3 s alone on the machine; here others are at work
    assert kilobytes < 200_000
