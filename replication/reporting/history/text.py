"""Incidents as lines of text: a block each for a list, and one of them whole. Pure; 80 columns where words allow it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ...model.words import plain
from ...planning.role_plan import short_name
from ..ledger import Fate
from .incident import Ended, Incident, Kind, Step

WIDTH = 80
UNKNOWN, NOT_HELD = "unknown", "writes were not held"
#: Of a step that took less nothing is said in a list.
WORTH = 0.1
_LABEL = 10


def when(at: float) -> str:
    """Local date and time."""
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


def clock(at: float) -> str:
    """Local time of day, with milliseconds."""
    return datetime.fromtimestamp(at).strftime("%H:%M:%S.%f")[:-3]


def ended(step: Step) -> str:
    """How a step ended, where that is to be said."""
    return "" if step.ok else "no end is recorded" if step.ok is None else f"failed: {step.said}"


def seconds(count: float | None) -> str:
    """``1.9 s``, ``41 ms``, or that nobody knows."""
    if count is None:
        return UNKNOWN
    return f"{count * 1000:.0f} ms" if count < 1 else f"{count:.1f} s"


def move(incident: Incident) -> str:
    """``db1 → db2``; of a rejoin who follows whom."""
    old, new = short_name(incident.old), short_name(incident.new) if incident.new else "nobody"
    return f"{old} → {new}" if incident.kind is not Kind.REJOIN else f"{old} follows {new}"


def out_words(incident: Incident) -> str:
    """How long nobody took writes."""
    if incident.kind is Kind.REJOIN:
        return "writes went on"
    if incident.kind is Kind.SWITCH:
        never = incident.held is None and incident.ended_at is not None and not incident.opened
        return NOT_HELD if never else seconds(incident.held)
    if incident.kind is Kind.DRILL:
        return seconds(incident.without_writes)
    if not incident.opened:
        return f"{UNKNOWN}: no new primary is recorded as opened" if incident.new is None else UNKNOWN
    out, told = incident.out, seconds(incident.without_writes)
    if out is not None and out.unseen is not None:
        told += f", perhaps up to {seconds(out.at_most)}"
    return f"at least {told}" if out is not None and out.lasts else told


def lost_words(incident: Incident) -> str:
    """What is lost, as far as anybody counted."""
    if incident.kind is Kind.DRILL:
        lost = (incident.scorecard or {}).get("lost")
        return UNKNOWN if lost is None else f"{lost} of its own rows"
    if incident.kind is Kind.SWITCH:
        return "nothing"
    if incident.kind is Kind.REJOIN:
        return _discarded(incident)
    if incident.lost is None:
        return UNKNOWN
    if not incident.opened and not incident.lost:
        return "nothing is known to be"
    rescued = sum(line.transactions or 0 for line in incident.ledger or () if line.fate is Fate.RESCUED)
    also = f" ({_transactions(rescued)} rescued)" if rescued else ""
    if not incident.lost:
        return f"nothing{also}"
    known = [line.transactions for line in incident.lost if line.fate is not Fate.UNKNOWN]
    if known and all(count is not None for count in known) and len(known) == len(incident.lost):
        return f"{_transactions(sum(count or 0 for count in known))}{also}"
    return f"something, or it may be{also}"


def _discarded(incident: Incident) -> str:
    if incident.discards in (None, "nothing") or incident.ended in (Ended.DONE, Ended.PARTLY):
        return incident.discards or UNKNOWN
    return f"{UNKNOWN}: it was to discard {incident.discards}"


def _transactions(count: int) -> str:
    return f"{count} transaction{'' if count == 1 else 's'}"


def result_words(incident: Incident) -> str:
    """How it ended, in few words."""
    return f"{incident.ended}; {incident.then}" if incident.then else str(incident.ended)


def line(incident: Incident) -> str:
    """All of that in one line."""
    told = f"{when(incident.began)} {incident.kind.value} {move(incident)}: {result_words(incident)}"
    return plain(f"{told}; out {out_words(incident)}, lost {lost_words(incident)}")


def block(incident: Incident) -> Iterator[str]:
    """One of a list: what, when, why, how long, what was lost, who agreed, and the steps that took time."""
    yield plain(f"{when(incident.began)}  {incident.kind.value}  {move(incident)}  {result_words(incident)}")
    facts = [
        ("why", incident.why or UNKNOWN),
        ("out", out_words(incident)),
        ("lost", lost_words(incident)),
        ("approved", str(incident.asked)),
        ("steps", steps_words(incident.steps) or UNKNOWN),
        ("id", incident.id),
    ]
    for label, words in facts:
        yield from labelled(label, words)


def blocks(told: Iterable[Incident]) -> str:
    """The list, with an empty line between two."""
    return "\n\n".join("\n".join(block(each)) for each in told)


def steps_words(steps: Iterable[Step]) -> str:
    """``Fence the old primary 0.8 s, …``: those that took time, failed, or have no end."""
    worth = [s for s in steps if s.seconds is None or s.seconds >= WORTH or not s.ok]
    return ", ".join(f"{s.name}{f' ({s.server})' if s.server else ''} {_took(s)}" for s in worth)


def _took(step: Step) -> str:
    if step.seconds is None:
        return "(no end is recorded)"
    return seconds(step.seconds) + ("" if step.ok else " (failed)")


def labelled(label: str, words: str) -> Iterator[str]:
    """``  why       …``, in as many lines as it needs."""
    # A width of its own: a long path or host is not cut, and stays to be copied.
    lines = textwrap.wrap(plain(words), WIDTH - _LABEL - 2, break_long_words=False, break_on_hyphens=False) or [""]
    yield f"  {label:{_LABEL}}{lines[0]}"
    yield from (f"  {'':{_LABEL}}{line}" for line in lines[1:])


def subject(incident: Incident) -> str:
    """One line: what it was, of whom, how it ended."""
    return f"{incident.cluster}: {incident.kind.value} {move(incident)}: {incident.ended}"


def facts(incident: Incident) -> Iterator[tuple[str, str]]:
    """Label and words, for a report of any form. What is not known is said to be."""
    yield "began", when(incident.began)
    yield "ended", when(incident.ended_at) if incident.ended_at is not None else UNKNOWN
    yield "result", result_words(incident) + (f" ({incident.summary})" if incident.summary else "")
    yield "exit", UNKNOWN if incident.exit_code is None else str(incident.exit_code)
    yield "why", incident.why or UNKNOWN
    yield "approved", str(incident.asked)
    if incident.resumed:
        yield "resumed", "it went on with an earlier one that was cut short"
    yield "old", incident.old
    yield "new", incident.new or UNKNOWN
    yield "out", out_words(incident) + _span(incident)
    yield "lost", lost_words(incident)
    if incident.chosen_for:
        yield "chosen", ", ".join(incident.chosen_for)
    if incident.kind is Kind.FAILOVER:
        yield "old side", (incident.fenced or UNKNOWN).removeprefix("fenced: ")
        yield "saved", incident.saved or UNKNOWN
    yield from (("address", words) for words in incident.address)
    for name, words in incident.replicas:
        yield "replica", f"{name}: {'ERROR: ' if name in incident.not_recovered else ''}{words}"
    yield from (("left out", f"{name}: {words}") for name, words in incident.left_out)
    yield from (("ledger", str(line)) for line in incident.ledger or ())
    if incident.refusal:
        yield "refused", incident.refusal
    if incident.remedy:
        yield "to do", incident.remedy
    yield from (("evidence", line) for line in incident.evidence)
    yield from (("note", line) for line in incident.notes)
    yield from _targets(incident.scorecard or {})


def _targets(card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    told = card.get("targets")
    for each in told if isinstance(told, list) else ():
        if isinstance(each, dict):
            missed = "" if each.get("met") else ": MISSED"
            yield "target", f"{each.get('name')}: {each.get('found')} (wanted {each.get('wanted')}){missed}"


def _span(incident: Incident) -> str:
    if incident.out is None:
        return ""
    return f", {incident.out.span(3)}"


def report(incident: Incident) -> str:
    """One of them whole, as plain text."""
    lines = [plain(subject(incident)), ""]
    for label, words in facts(incident):
        lines += labelled(label, words)
    lines += ["", "Steps (when, seconds, what):"]
    lines += [line for step in incident.steps for line in _line(step)] or [f"  {UNKNOWN}"]
    return "\n".join([*lines, "", f"Its journal is {incident.cluster}.{incident.id}.journal"])


def _line(step: Step) -> Iterator[str]:
    took = f"{step.seconds:9.3f}" if step.seconds is not None else f"{'?':>9}"
    about = f" ({step.server})" if step.server else ""
    how = "" if step.ok else " no end is recorded" if step.ok is None else f" FAILED: {step.said}"
    head = f"  {clock(step.began)} {took}  "
    words = textwrap.wrap(plain(f"{step.name}{about}{how}"), WIDTH - len(head), break_long_words=False) or [""]
    yield head + words[0]
    yield from (" " * len(head) + line for line in words[1:])
