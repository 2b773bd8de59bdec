"""What is left to do after an incident, each with the command to copy and the page that tells more. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from ...planning.role_plan import short_name
from ..history.incident import Ended, Incident, Kind
from ..ledger import Fate


@dataclass(frozen=True)
class Todo:
    """One thing: a sentence, the command (empty where there is none), and the page below docs/."""

    sentence: str
    command: str = ""
    page: str = ""


def remains(incident: Incident, conf: str) -> tuple[Todo, ...]:
    """In the order in which it is done, with the commands of that configuration; empty when nothing is known to be.

    As it was at the end of the incident: what was done since is in later journals.
    """
    words = f"--conf={shlex.quote(conf)}"
    left = (*_unfinished(incident, words), *_returning(incident, words), *_open(incident, words))
    if incident.ended is Ended.PARTLY and not (incident.remedy or any(_open(incident, words))):
        said = "; ".join(incident.notes) or incident.summary or "its report says what"
        left = (*left, Todo(f"Something is left to do: {said}.", page="runbook.md"))
    return left


def _unfinished(incident: Incident, conf: str) -> Iterator[Todo]:
    if incident.remedy:
        yield Todo(incident.remedy, page="runbook.md#refusals")
    elif incident.kind is Kind.FAILOVER and incident.ended in (Ended.REFUSED, Ended.NOT_DONE):
        sentence = f"It was {incident.ended}: see who takes writes now, then start again or let it be finished."
        yield Todo(sentence, f"mha topology {conf}", "runbook.md#refusals")
    if incident.ended is Ended.OPEN and not incident.then:
        command = f"mha failover {conf} --resume" if incident.kind is Kind.FAILOVER else ""
        yield Todo("No end is recorded: see whether it goes on, and else have it finished.", command, "runbook.md")


def _returning(incident: Incident, conf: str) -> Iterator[Todo]:
    """The old primary of every failover."""
    if incident.opened and incident.kind is Kind.FAILOVER:
        old = short_name(incident.old)
        sentence = f"{old} is held read-only: make it a replica when it is back."
        yield Todo(sentence, f"mha rejoin {conf} --host={shlex.quote(old)}", "guide.md#the-failed-server-comes-back")


def _open(incident: Incident, conf: str) -> Iterator[Todo]:
    """What is not as it was to be."""
    for name, words in incident.left_out:
        command = f"mha rejoin {conf} --host={shlex.quote(short_name(name))}"
        yield Todo(f"{name} was left out: {words}.", command, "runbook.md")
    for name, words in incident.replicas:
        if name in incident.not_recovered:
            yield Todo(f"{name}: {words}.", "", "guide.md#when-a-replica-cannot-be-brought-level")
    for line in incident.lost or ():
        more = "it may be read yet" if line.fate is Fate.UNKNOWN else "tell those whose data it was"
        yield Todo(f"Transactions {line}: {more}.", "", "runbook.md#what-was-rescued-what-is-missing")
