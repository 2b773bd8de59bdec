"""The question before a failover that a person starts, and the answer: one for the terminal and the UI.

Pure: a plan in, a `Question` out; options and an `Answer` in, options out. How a person is asked is somebody else's
(`commands/shared/asking.py`, `flows/approval.py`); on the automatic path nobody is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from ...config import ClusterConfig
from ..memory.journal import Entry
from ..planning.plan import FailoverOptions, FailoverPlan
from ..planning.selection import Candidate
from .at_stake import Stake
from .report import plan_markdown, plan_text

#: What a journal calls an answer.
APPROVAL = "approval"
#: How often one run asks before it gives up on a cluster that changes from question to question.
ASK_AT_MOST = 3


@dataclass(frozen=True)
class Choice:
    """A server that may be chosen: its key ``ip:port``, and its name as people are shown it."""

    key: str
    name: str


@dataclass(frozen=True)
class Question:
    """What a person is asked: the plan as text, as Markdown and its steps; who may be chosen, the plan's own first.

    ``accept_loss`` is what the form says before anybody touches it: True, go on when transactions are or may be lost;
    False, stop then; None when nothing can be lost. ``at_stake`` is what hangs on it, in words. ``changed`` tells what
    is not as it was at the question before. ``chosen_as`` is what the choices are.
    """

    deed: str
    cluster: str
    run_name: str
    sentence: str
    plan: str
    document: str
    steps: tuple[str, ...]
    choices: tuple[Choice, ...]
    accept_loss: bool | None = None
    changed: tuple[str, ...] = ()
    at_stake: str = ""
    chosen_as: str = "New primary"

    @property
    def chosen(self) -> Choice:
        """Who is promoted unless another one is chosen."""
        return self.choices[0]


@dataclass(frozen=True)
class Answer:
    """What was answered: go on or not, with whom (``ip:port``), by whom, where and when (seconds since the epoch).

    ``accept_loss`` None leaves it to the configured policy.
    """

    go_on: bool
    new_primary: str
    by: str
    where: str
    at: float
    accept_loss: bool | None = None

    def __str__(self) -> str:
        clock = datetime.fromtimestamp(self.at).strftime("%Y-%m-%d %H:%M:%S")
        loss = {None: "", True: ", a possible loss is accepted", False: ", not if anything is or may be lost"}
        what = f"Approved{loss[self.accept_loss]}" if self.go_on else "Stopped"
        return f"{what}: by {self.by}, {self.where}, at {clock}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the journal."""
        return asdict(self)


Ask = Callable[[Question], Answer]
"""Puts a question to a person and waits for the answer, or for what its timer says."""


def failover_question(
    plan: FailoverPlan, salvage_policy: str, changed: Iterable[str] = (), stake: Stake | None = None
) -> Question:
    """The question before a failover; ``salvage_policy`` is the one in force.

    Where transactions may be lost as far as anybody can see now, nobody accepts that by not saying so.
    """
    return Question(
        plan.DEED,
        plan.cluster,
        plan.title,
        f"Master {plan.dead_name} is dead. Start the failover to {plan.new_primary_name}?",
        plan_text(plan),
        plan_markdown(plan),
        plan.steps,
        choices_of(plan.candidates),
        accept_loss=salvage_policy != "strict" and not (stake is not None and stake.may_be_lost),
        changed=tuple(changed),
        at_stake=str(stake) if stake is not None else "",
    )


def approved_failover(
    config: ClusterConfig, options: FailoverOptions, question: Question, answer: Answer
) -> FailoverOptions:
    """The options of a failover that was approved.

    Whoever only agrees leaves the choice open: should the chosen one fail on the way, the next best is tried.
    """
    policy = options.salvage_policy or config.salvage_policy
    if answer.accept_loss is True and policy == "strict":
        options = replace(options, salvage_policy="safe")
    elif answer.accept_loss is False:
        options = replace(options, salvage_policy="strict")
    if answer.new_primary == question.chosen.key:
        return options
    host, port = host_and_port(config, answer.new_primary)
    return replace(options, new_master_host=host, new_master_port=port)


def approved_before(past: Iterable[Entry]) -> Answer | None:
    """What was approved for a failover that was interrupted, by its journal; the last word counts.

    Raises JournalOdd.
    """
    told = [e for e in past if e.step == APPROVAL]
    return told[-1].read(lambda facts: Answer(**facts)) if told else None


def choices_of(candidates: Iterable[Candidate]) -> tuple[Choice, ...]:
    """Who of the candidates may be chosen, in their order."""
    return tuple(Choice(c.key, c.name) for c in candidates if c.eligible)


def host_and_port(config: ClusterConfig, key: str) -> tuple[str, int]:
    """How options name the server at ``ip:port``."""
    server = next(s for s in config.servers if s.address == key)
    return server.hostname, server.port
