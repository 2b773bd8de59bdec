"""The page itself: one HTML file in which all that a journal holds is text, and nothing is fetched."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from ...model.words import plain
from ..history.incident import Incident, Kind, Step
from ..history.text import UNKNOWN, clock, ended, facts, lost_words, move, out_words, result_words, subject, when
from .remains import remains
from .timeline import timeline
from .topology import trees

#: Steps, and lines of anything else, that a page shows; characters of a word, and of a step's name, server and error:
#: so it stays below 200 kB, whatever a journal holds.
STEPS, LINES, WORD = 150, 20, 600
NAME, SERVER, SAID = 100, 60, 150


def page(incident: Incident, conf: str = "") -> str:
    """The whole file as text; ``conf`` is the configuration that its commands name.

    Raises nothing that a journal could cause.
    """
    todo = remains(incident, conf or f"{incident.cluster}.cnf")
    steps = tuple(_short(step) for step in incident.steps[:STEPS])
    return _template().render(
        title=subject(incident),
        sentence=sentence(incident, len(todo)),
        began=when(incident.began),
        utc=datetime.fromtimestamp(incident.began, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        zone=time.strftime("%Z", time.localtime(incident.began)),
        picture=timeline(replace(incident, steps=steps)),
        out=out_words(incident),
        trees=[replace(tree, boxes=tree.boxes[:LINES]) for tree in trees(incident)],
        ledger=incident.ledger[:LINES] if incident.ledger is not None else None,
        todo=todo[:LINES],
        facts=list(facts(incident))[: 2 * LINES],
        steps=[
            {
                "at": clock(step.began),
                "name": step.name,
                "server": step.server,
                "seconds": "" if step.seconds is None else f"{step.seconds:.3f}",
                "how": ended(step),
            }
            for step in steps
        ],
        more=len(incident.steps) - len(steps),
        journal=f"{incident.cluster}.{incident.id}.journal",
    )


def _short(step: Step) -> Step:
    return replace(step, name=plain(step.name, NAME), server=plain(step.server, SERVER), said=plain(step.said, SAID))


def sentence(incident: Incident, left: int) -> str:
    """What happened, how long writes were out, what was lost, how much is left to do: the figures of the report."""
    what = f"{incident.kind.value} of {incident.cluster}, {move(incident)}: {result_words(incident)}"
    lost = f"lost: {lost_words(incident)}"
    out = out_words(incident)
    if out.startswith(UNKNOWN):
        out = "how long writes were out is unknown"
    elif incident.kind is not Kind.REJOIN:
        out = f"writes were {'held' if incident.kind is Kind.SWITCH else 'out'} for {out}"
    todo = f"left to do: {left}" if left else "nothing is left to do"
    return f"{what[0].upper()}{what[1:]}; {out}; {lost}; {todo}."


@cache
def _template() -> Template:
    # What a journal holds is escaped and cut, wherever it stands; a name that is missing is a fault of ours.
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: plain(value, WORD) if isinstance(value, str) else value,
    )
    return made.get_template("page.html")
