"""What came of a rejoin, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..model.refusal import Refusal, as_facts
from ..model.ways_back import How
from ..model.words import in_block
from ..model.words import in_markdown as md
from ..planning.role_plan import short_name
from ..reporting.approval import Choice, Question
from ..reporting.outcome import StepTime
from .diverged.comparison.report import Compared
from .plan import RejoinPlan


@dataclass(frozen=True)
class RejoinOutcome:
    """How one rejoin ended. ``exit_code``: 0 a replica, 10 one with something left to do, 1 not done.

    ``planned_only`` is one that was only planned, ``stopped`` one that was not wanted. ``all_there``: the new primary
    has all that the old server had. ``page`` is what a comparison found, as Markdown; ``head`` what Prefect
    shows first; ``clashes`` its conflicts in sentences without any value of a row.
    """

    exit_code: int
    summary: str
    plan: RejoinPlan | None = None
    refusal: Refusal | None = None
    notes: tuple[str, ...] = ()
    timeline: tuple[StepTime, ...] = ()
    planned_only: bool = False
    stopped: bool = False
    all_there: bool = False
    page: str = ""
    head: str = ""
    clashes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """A short form for JSON."""
        return {
            "exit_code": self.exit_code,
            "summary": self.summary,
            "server": self.plan.old_name if self.plan else None,
            "primary": self.plan.new_name if self.plan else None,
            "how": self.plan.how.value if self.plan else None,
            **as_facts(self.refusal),
            "notes": list(self.notes),
            "steps": [{"step": t.step, "server": t.server, "seconds": round(t.seconds, 4)} for t in self.timeline],
        }


def refused(refusal: Refusal, plan: RejoinPlan | None = None) -> RejoinOutcome:
    """Nothing was done, and why."""
    return RejoinOutcome(1, refusal.sentence, plan=plan, refusal=refusal)


def story(outcome: RejoinOutcome) -> Iterator[str]:
    """Line by line."""
    if outcome.refusal is not None:
        yield f"Refused ({outcome.refusal.code}): {outcome.refusal.sentence}"
        yield f"What to do: {outcome.refusal.remedy}"
        yield from (f"  {line}" for line in outcome.refusal.evidence)
        return
    yield outcome.summary
    yield from outcome.notes


def plan_text(plan: RejoinPlan) -> str:
    """The plan as `--dry-run` and the question show it."""
    lines = [f"Rejoin of {plan.old_name} in {plan.cluster}: {plan.how}", ""]
    lines += [f"It keeps {plan.keeps}.", f"It discards {plan.discards}.", f"It is sent {plan.copies}.", ""]
    lines += [f"{number:3}. {step}" for number, step in enumerate(plan.steps, 1)]
    lines += ["", *(f"warning: {warning}" for warning in plan.warnings)] if plan.warnings else []
    return "\n".join(lines)


def plan_markdown(plan: RejoinPlan) -> str:
    """The same for Prefect's UI."""
    return f"# Rejoin of {md(plan.old_name)} in {md(plan.cluster)}\n\n```\n{in_block(plan_text(plan))}\n```\n"


def markdown(outcome: RejoinOutcome, cluster: str) -> str:
    """The report as a Markdown document for Prefect's UI."""
    parts = [f"# {md(f'{cluster}: {outcome.summary}')}", "", *(f"- {md(line)}" for line in story(outcome)), ""]
    if outcome.timeline:
        parts += ["## Timeline", "", "| at | step | server | seconds | |", "|---|---|---|---:|---|"]
    for step in outcome.timeline:
        at = datetime.fromtimestamp(step.began).strftime("%H:%M:%S.%f")[:-3]
        parts.append(
            f"| {at} | {md(step.step)} | {md(step.server)} | {step.seconds:.3f} | {'' if step.ok else 'failed'} |"
        )
    return "\n".join(parts) + "\n"


def rejoin_question(plan: RejoinPlan) -> Question:
    """The question before a rejoin that a person starts."""
    asked = f"Make {plan.old_name} a replica of {plan.new_name}?"
    if plan.how is How.EMPTIES:
        asked = f"Commit empty transactions on {plan.new_name} in the place of those that {plan.old_name} alone has?"
    return Question(
        "rejoin",
        plan.cluster,
        f"rejoin {plan.cluster}: {short_name(plan.old_name)}",
        asked,
        plan_text(plan),
        plan_markdown(plan),
        plan.steps,
        (Choice(plan.how.value, plan.how.value),),
        chosen_as="Way",
    )


def replay_question(plan: RejoinPlan, told: Compared, count: int) -> Question:
    """The question before something is written to the new primary."""
    lines = list(told.lines())
    return Question(
        "rejoin",
        plan.cluster,
        f"replay on {plan.cluster}: {short_name(plan.old_name)}",
        f"Replay {count} transactions of {plan.old_name} on {plan.new_name}?",
        "\n".join(lines),
        told.markdown(),
        plan.steps,
        (Choice(plan.how.value, plan.how.value),),
        chosen_as="Way",
    )
