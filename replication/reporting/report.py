"""The report of a failover, in words: for the log and `report_script` as MHA's users know it, and Markdown.

Pure: an `Outcome` in, text out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from ..memory.journal import LOCK_LOST
from ..model.refusal import Refusal
from ..model.words import in_block
from ..model.words import in_markdown as md
from ..planning.plan import ALREADY_ACTING, FailoverPlan
from ..planning.role_plan import RolePlan
from ..planning.selection import RULES, Candidate
from .ledger import Fate, losses
from .outcome import Outcome, RoleOutcome
from .pictures.boxes import Tree, planned
from .pictures.plan import before_and_after as picture
from .pictures.plan import plan_page

TITLE = "----- Failover Report -----"


def subject(outcome: Outcome, cluster: str, dead: str) -> str:
    """One line: who went to whom and how it ended."""
    if outcome.promoted is None:
        return f"{cluster}: MySQL Master failover {dead} failed"
    new = outcome.promoted.name
    ended = "succeeded" if outcome.exit_code == 0 else "done, but something is left to do"
    missing = ", transactions may be missing" if losses(outcome.ledger) else ""
    return f"{cluster}: MySQL Master failover {dead} to {new} {ended}{missing}"


def result_line(outcome: Outcome) -> str:
    """The line people grep for at the end of the log."""
    if outcome.promoted is None:
        # Somebody else is at work, which is no error.
        waits = outcome.refusal is not None and outcome.refusal.code in (ALREADY_ACTING, LOCK_LOST)
        return f"{'No failover' if waits else 'Got ERROR'}: {outcome.summary}"
    if outcome.exit_code == 0:
        return f"Master failover to {outcome.promoted.name} completed successfully."
    return f"Master failover to {outcome.promoted.name} done, but recovery on slave partially failed."


def text(outcome: Outcome, cluster: str, dead: str, log_file: str) -> str:
    """The report as plain text, ready for a mail."""
    return "\n".join([TITLE, "", subject(outcome, cluster, dead), "", *_story(outcome, dead, log_file)])


def _story(outcome: Outcome, dead: str, log_file: str) -> Iterator[str]:
    if outcome.out is not None:
        out = outcome.out
        perhaps = f", perhaps for up to {out.at_most:.1f} s" if out.unseen is not None else ""
        least = "at least " if out.lasts else ""
        yield f"Writes were out for {least}{out.seconds:.1f} s{perhaps}: {out.span(1)}."
        yield ""
    yield f"Master {dead} is down!"
    yield ""
    if log_file:
        yield f"Check MHA Manager logs at {log_file} for details."
        yield ""
    if outcome.refusal is not None:
        yield from refused(outcome.refusal)
        return
    if outcome.fenced is not None:
        yield f"Old primary: {outcome.fenced}."
    halves = [half for moved in (outcome.released, outcome.acquired) if moved is not None for half in moved.halves]
    yield from dict.fromkeys(f"Address: {'ERROR: ' if half.failed else ''}{half}." for half in halves)
    for check in outcome.address:
        yield f"Address: {'' if check.ok else 'ERROR: '}{check}"
    plan, promoted = outcome.plan, outcome.promoted
    if outcome.rescue is not None:
        yield f"Binary log of {dead}: {outcome.rescue}."
    if plan is not None:
        latest = ", ".join(x.name for x in plan.levelings if x.key in plan.latest)
        yield f"The latest slave {latest} received the most of {dead}'s log ({plan.kind})."
        yield f"Selected {plan.new_primary_name} as a new master: {', '.join(plan.candidates[0].merits)}."
    if promoted is not None:
        if promoted.cut is not None and promoted.cut.transactions:
            yield (
                f"{promoted.name}: OK: Applied {promoted.cut.transactions} transactions "
                f"({promoted.cut.bytes} bytes) that no replica had{f', {promoted.means}' if promoted.means else ''}."
            )
        elif any(line.fate is Fate.LOST for line in outcome.ledger):
            yield f"{promoted.name}: ERROR: All logs that could be read are applied, and transactions are missing:"
        else:
            yield f"{promoted.name}: OK: Applying all logs succeeded."
    for line in outcome.ledger:
        yield f"Transactions {line}."
    yield from of_replicas(outcome)
    for name, reason in plan.left_out if plan else ():
        yield f"{name}: left out: {reason}"
    yield from outcome.notes
    yield result_line(outcome)


def refused(refusal: Refusal) -> Iterator[str]:
    """A refusal, what to do, and the evidence."""
    yield f"Refused ({refusal.code}): {refusal.sentence}"
    yield f"What to do: {refusal.remedy}"
    for line in refusal.evidence:
        yield f"  {line}"


def of_replicas(outcome: RoleOutcome) -> Iterator[str]:
    """A line for each of the other replicas."""
    for replica in outcome.replicas:
        yield f"{replica.name}: {'OK: ' if replica.ok else 'ERROR: '}{replica.detail}"


def timeline(outcome: RoleOutcome) -> Iterator[str]:
    """Every step as a Markdown table."""
    yield from ("## Timeline", "", "| at | step | server | seconds | |", "|---|---|---|---:|---|")
    for step in outcome.timeline:
        at = datetime.fromtimestamp(step.began).strftime("%H:%M:%S.%f")[:-3]
        yield f"| {at} | {md(step.step)} | {md(step.server)} | {step.seconds:.3f} | {'' if step.ok else 'failed'} |"


def markdown(outcome: Outcome, cluster: str, dead: str) -> str:
    """The report as a Markdown document for Prefect's UI."""
    parts = [f"# {md(subject(outcome, cluster, dead))}", ""]
    if outcome.refusal is not None:
        refused, remedy = md(outcome.refusal.sentence), md(outcome.refusal.remedy)
        parts += [f"**Refused** (`{outcome.refusal.code}`): {refused}", "", remedy, ""]
        parts += [f"- {md(line)}" for line in outcome.refusal.evidence]
        return "\n".join(parts) + "\n"
    parts += [f"- {md(line)}" for line in _story(outcome, dead, "") if line]
    parts += [""]
    if outcome.plan is not None and outcome.promoted is not None:
        parts += [*_trees(outcome.plan, [r.name for r in outcome.replicas if r.ok]), ""]
    if outcome.plan is not None:
        parts += [*_matrix(outcome.plan), ""]
    parts += timeline(outcome)
    return "\n".join(parts) + "\n"


def _matrix(plan: FailoverPlan) -> Iterator[str]:
    yield "## Why this server"
    yield ""
    yield from candidate_matrix(plan.candidates)


def candidate_matrix(candidates: Sequence[Candidate]) -> Iterator[str]:
    """Server × rule as a Markdown table: the first rule that a server loses is marked, and told in the last column.

    Only rules that some server loses have a column; the others are named below.
    """
    lost = {rule for c in candidates for rule in c.lost}
    rules = [rule for rule in RULES if rule in lost]
    yield f"| server | place | {''.join(f'{rule} | ' for rule in rules)}for it | against it |"
    yield f"|---|---:|{'---|' * len(rules)}---|---|"
    for c in candidates:
        first = c.lost[0] if c.lost else ""
        cells = "".join(f"{'**✗ lost**' if rule == first else '✗' if rule in c.lost else '✓'} | " for rule in rules)
        yield f"| {md(c.name)} | {c.rank or '–'} | {cells}{md(', '.join(c.merits))} | {md('; '.join(c.barred))} |"
    met = [rule for rule in RULES if rule not in lost]
    yield ""
    yield f"Every server meets: {', '.join(met)}."


def plan_markdown(plan: FailoverPlan) -> str:
    """The plan as a Markdown document for Prefect's UI: the tree as it is and as it will be, steps, candidates."""
    moved = f"**{md(plan.dead_name)} → {md(plan.new_primary_name)}** ({plan.kind})"
    parts = [f"# Failover plan for {md(plan.cluster)}", "", moved]
    parts += ["", picture(planned_trees(plan), _trees(plan, [x.name for x in plan.others]))]
    parts += ["", "## Steps", "", *numbered(plan.steps)]
    parts += ["", *_matrix(plan)]
    parts += [f"- left out: {md(f'{name}: {reason}')}" for name, reason in plan.left_out]
    parts += [f"- {md(remark)}" for remark in plan.remarks]
    return "\n".join(parts) + "\n"


def planned_trees(plan: FailoverPlan) -> tuple[Tree, Tree]:
    """As it is and as it will be."""
    return planned(plan, dead=True, kept="kept away")


def plan_html(plan: FailoverPlan) -> str:
    """The plan as a page."""
    return plan_page(plan, planned_trees(plan), plan.remarks)


def numbered(steps: Sequence[str]) -> Iterator[str]:
    """Steps as a table: Prefect's UI cuts the first digit off a list's numbers from 10 on."""
    yield from ("| | step |", "|---:|---|")
    yield from (f"| {number} | {md(step)} |" for number, step in enumerate(steps, 1))


def _trees(plan: FailoverPlan, followers: Sequence[str]) -> Iterator[str]:
    """Before a failover and after it, with those that follow the new primary then."""
    replicas = [plan.new_primary_name, *(x.name for x in plan.others)]
    apart = [f"{name} (does not follow)" for name in replicas if name not in (plan.new_primary_name, *followers)]
    after = (plan.new_primary_name, followers, [*apart, f"{plan.dead_name} (kept away)"])
    return before_and_after((f"{plan.dead_name} (dead)", replicas, []), after)


TextTree = tuple[str, Sequence[str], Sequence[str]]
"""A primary, its replicas, and who stands apart."""


def before_and_after(before: TextTree, after: TextTree) -> Iterator[str]:
    """Two topologies as a picture of text: Prefect's UI shows a fixed-width block as it stands, and no diagrams."""
    yield "```"
    for title, (primary, replicas, apart) in (("before", before), ("after", after)):
        yield in_block(f"{title + ':':8}{primary}")
        yield from (in_block(f"{'':8} +--{name}") for name in replicas)
        yield from (in_block(f"{'':8}{name}") for name in apart)
    yield "```"


def steps_of(plan: RolePlan) -> Iterator[str]:
    """The steps, numbered, as text."""
    yield from (f"{number:3}. {step}" for number, step in enumerate(plan.steps, 1))


def plan_text(plan: FailoverPlan) -> str:
    """The plan as `--dry-run` prints it."""
    lines = [f"Failover plan for {plan.cluster}: {plan.dead_name} to {plan.new_primary_name} ({plan.kind})", ""]
    lines += [*steps_of(plan), "", "Candidates:"]
    for c in plan.candidates:
        why = ", ".join(c.merits) if c.eligible else f"not chosen: {'; '.join(c.barred)}"
        lines.append(f"  {c.rank or '-'}  {c.name}: {why}")
    for name, reason in plan.left_out:
        lines.append(f"  left out: {name}: {reason}")
    lines += plan.remarks
    return "\n".join(lines)
