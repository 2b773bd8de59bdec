"""What came of a planned switch, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..model.words import in_block
from ..model.words import in_markdown as md
from ..reporting.outcome import RoleOutcome
from ..reporting.pictures.boxes import planned
from ..reporting.pictures.plan import before_and_after
from ..reporting.report import candidate_matrix, of_replicas, refused, steps_of, timeline
from .plan import SwitchPlan

TITLE = "----- Planned Switch Report -----"


@dataclass(frozen=True)
class SwitchOutcome(RoleOutcome):
    """How one planned switch ended; not done (exit code 1) means that all is as before.

    ``opened`` says that the new primary takes writes; ``held`` is how long (seconds) writes were held on the servers,
    None when they never were. ``checked_only`` is a switch that was only asked about.
    """

    plan: SwitchPlan | None = None
    opened: bool = False
    held: float | None = None
    checked_only: bool = False

    def as_dict(self) -> dict[str, Any]:
        """A short form for JSON."""
        return {
            **super().as_dict(),
            "old_primary": self.plan.old_name if self.plan else None,
            "new_primary": self.plan.new_primary_name if self.plan and self.opened else None,
            "held_seconds": None if self.held is None else round(self.held, 4),
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
        yield from refused(outcome.refusal)
        return
    if outcome.held is not None:
        yield f"Writes were held for {outcome.held * 1000:.0f} ms on the servers."
    # What is wrong of it is among the notes, beside what else is left to do.
    yield from (f"Address: {check}" for check in outcome.address if check.ok)
    yield from of_replicas(outcome)
    yield from outcome.notes
    yield result_line(outcome)


def markdown(outcome: SwitchOutcome, cluster: str) -> str:
    """The report as a Markdown document for Prefect's UI."""
    parts = [f"# {md(f'{cluster}: {outcome.summary}')}", "", *(f"- {md(line)}" for line in _story(outcome)), ""]
    parts += timeline(outcome) if outcome.timeline else ()
    return "\n".join(parts) + "\n"


def plan_text(plan: SwitchPlan) -> str:
    """The plan as `--dry-run` and the question show it: from, to, the steps, and what is not as it should be."""
    old = f" +--{plan.old_name}" if plan.orig_is_new_replica else f"{plan.old_name} (read-only, no replica)"
    lines = [f"Planned switch of {plan.cluster} ({plan.kind})", "", *plan.from_and_to(old)]
    lines += ["", *steps_of(plan)]
    lines += ["", *(f"warning: {check}" for check in plan.warnings)] if plan.warnings else []
    return "\n".join(lines)


def plan_markdown(plan: SwitchPlan) -> str:
    """The same as a Markdown document for Prefect's UI, with the candidates."""
    kept = "replica" if plan.orig_is_new_replica else "read-only"
    picture = before_and_after(planned(plan, dead=False, kept=kept, follows=plan.orig_is_new_replica), ())
    text = ["```", in_block(plan_text(plan)), "```"]
    parts = [f"# Planned switch of {md(plan.cluster)}", "", picture, "", *text, "", "## Why this server", ""]
    return "\n".join([*parts, *candidate_matrix(plan.candidates)]) + "\n"
