"""Incidents as Markdown, and as the plain data of a JSON document. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...model.words import in_markdown as md
from .incident import Incident
from .text import clock, ended, facts, lost_words, move, out_words, result_words, subject, when


def markdown(incident: Incident) -> str:
    """One of them whole."""
    parts = [f"# {md(subject(incident))}", "", "| | |", "|---|---|"]
    parts += [f"| {label} | {md(words)} |" for label, words in facts(incident)]
    parts += ["", "## Steps", "", "| at | step | server | seconds | |", "|---|---|---|---:|---|"]
    for step in incident.steps:
        took = "" if step.seconds is None else f"{step.seconds:.3f}"
        parts.append(f"| {clock(step.began)} | {md(step.name)} | {md(step.server)} | {took} | {md(ended(step))} |")
    return "\n".join([*parts, "", f"Journal: `{incident.cluster}.{incident.id}.journal`"]) + "\n"


def rows(told: Iterable[Incident]) -> list[dict[str, Any]]:
    """A line each for a table, the most telling first; the id has the kind and the time in it."""
    return [
        {
            "id": each.id,
            "servers": move(each),
            "result": result_words(each),
            "out": out_words(each),
            "lost": lost_words(each),
            "began": when(each.began),
            "what": each.kind.value,
            "approved": str(each.asked),
            "why": each.why or "unknown",
        }
        for each in told
    ]
