"""What came of a planned switch, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..model.check import Check
from ..model.refusal import Refusal
from ..model.words import in_block
from ..model.words import in_markdown as md
from ..reporting.outcome import ReplicaOutcome, StepTime
from ..reporting.report import candidate_matrix
from .plan import SwitchPlan

TITLE = "----- Planned Switch Report -----"


@dataclass(frozen=True)
class SwitchOutcome:
    """How one planned switch ended. ``exit_code``: 0 done, 10 something is left to do, 1 not done, all as before.

    ``opened`` says that the new primary takes writes; ``held`` is how long (seconds) writes were held on the servers,
    None when they never were. ``address`` is where it was found at the end. ``checked_only`` is a switch that was only
    asked about, ``stopped`` one not wanted.
    """

    exit_code: int
    summary: str
    plan: SwitchPlan | None = None
    refusal: Refusal | None = None
    opened: bool = False
    held: float | None = None
    replicas: tuple[ReplicaOutcome, ...] = ()
    address: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()
    timeline: tuple[StepTime, ...] = field(default=())
    checked_only: bool = False
    stopped: bool = False

    def as_dict(self) -> dict[str, Any]:
        """A short form for JSON."""
        return {
            "exit_code": self.exit_code,
            "summary": self.summary,
            "old_primary": self.plan.old_name if self.plan else None,
            "new_primary": self.plan.new_primary_name if self.plan and self.opened else None,
            "refusal": self.refusal.code if self.refusal else None,
            "evidence": list(self.refusal.evidence) if self.refusal else [],
            "held_seconds": None if self.held is None else round(self.held, 4),
            "replicas": {r.name: r.detail for r in self.replicas},
            "address": [check.text for check in self.address],
            "notes": list(self.notes),
            "steps": [{"step": t.step, "server": t.server, "seconds": round(t.seconds, 4)} for t in self.timeline],
        }


def result_line(outcome: SwitchOutcome) -> str:
    """The line people grep for at the end of the log."""
    if not outcome.opened or outcome.plan is None:
        return f"Got ERROR: {outcome.summary}"
    if outcome.exit_code == 0:
        return f"Switching master to {outcome.plan.new_primary_name} completed successfully."
    return f"Switching master to {outcome.plan.new_primary_name} done, but switching slaves partially failed."


def text(outcome: SwitchOutcome, cluster: str) -> str:
    """The report as plain text."""
    return "\n".join([TITLE, "", f"{cluster}: {outcome.summary}", "", *_story(outcome)])


def _story(outcome: SwitchOutcome) -> Iterator[str]:
    if outcome.refusal is not None:
        yield f"Refused ({outcome.refusal.code}): {outcome.refusal.sentence}"
        yield f"What to do: {outcome.refusal.remedy}"
        yield from (f"  {line}" for line in outcome.refusal.evidence)
        return
    if outcome.held is not None:
        yield f"Writes were held for {outcome.held * 1000:.0f} ms on the servers."
    # What is wrong of it is among the notes, beside what else is left to do.
    yield from (f"Address: {check}" for check in outcome.address if check.ok)
    for replica in outcome.replicas:
        yield f"{replica.name}: {'OK: ' if replica.ok else 'ERROR: '}{replica.detail}"
    yield from outcome.notes
    yield result_line(outcome)


def markdown(outcome: SwitchOutcome, cluster: str) -> str:
    """The report as a Markdown document for Prefect's UI."""
    parts = [f"# {md(f'{cluster}: {outcome.summary}')}", "", *(f"- {md(line)}" for line in _story(outcome)), ""]
    if outcome.timeline:
        parts += ["## Timeline", "", "| at | step | server | seconds | |", "|---|---|---|---:|---|"]
    for step in outcome.timeline:
        at = datetime.fromtimestamp(step.began).strftime("%H:%M:%S.%f")[:-3]
        parts.append(
            f"| {at} | {md(step.step)} | {md(step.server)} | {step.seconds:.3f} | {'' if step.ok else 'failed'} |"
        )
    return "\n".join(parts) + "\n"


def plan_text(plan: SwitchPlan) -> str:
    """The plan as `--dry-run` and the question show it: from, to, the steps, and what is not as it should be."""
    others = [x.name for x in plan.others]
    lines = [f"Planned switch of {plan.cluster} ({plan.kind})", "", "From:", f"{plan.old_name} (current master)"]
    lines += [f" +--{name}" for name in (plan.new_primary_name, *others)]
    lines += ["", "To:", f"{plan.new_primary_name} (new master)"]
    lines += [f" +--{name}" for name in others]
    lines += [f" +--{plan.old_name}" if plan.orig_is_new_replica else f"{plan.old_name} (read-only, no replica)"]
    lines += ["", *(f"{number:3}. {step}" for number, step in enumerate(plan.steps, 1))]
    lines += ["", *(f"warning: {check}" for check in plan.warnings)] if plan.warnings else []
    return "\n".join(lines)


def plan_markdown(plan: SwitchPlan) -> str:
    """The same as a Markdown document for Prefect's UI, with the candidates."""
    picture = ["```", in_block(plan_text(plan)), "```"]
    parts = [f"# Planned switch of {md(plan.cluster)}", "", *picture, "", "## Why this server", ""]
    return "\n".join([*parts, *candidate_matrix(plan.candidates)]) + "\n"
