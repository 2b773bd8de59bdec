"""Whether a drill may be held now: what was seen in, a plan or a refusal with every reason out. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from ...config import ClusterConfig
from ..model.refusal import Refusal
from ..model.words import in_block
from ..model.words import in_markdown as md
from ..planning.role_plan import short_name
from ..reporting.approval import Choice, Question
from .kinds import DEEDS, DrillKind

#: The name of what a person is asked about.
DEED = "drill"


@dataclass(frozen=True)
class Gates:
    """What a decision rests on. Names are as in the log; seconds; ``at`` is this host's time of day.

    ``failed`` are checks that failed, in words, ``blockers`` why a failover would be refused now. ``manager`` says why
    no manager of this host watches, empty where one does. ``open_ones`` are replicas that take writes. ``unfinished``
    is what stands open of a drill that was cut short, ``under_way`` which one goes on now.
    """

    config: ClusterConfig
    kind: DrillKind
    at: datetime
    primary: str = ""
    primary_name: str = ""
    candidate: str = ""
    failed: tuple[str, ...] = ()
    blockers: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    since_failover: float | None = None
    manager: str = ""
    open_ones: tuple[str, ...] = ()
    unfinished: str = ""
    under_way: str = ""


@dataclass(frozen=True)
class DrillPlan:
    """What will be done. ``target`` is how many seconds writes may be out, ``last`` how the last such drill was."""

    cluster: str
    kind: DrillKind
    primary: str
    primary_name: str
    candidate: str
    target: float
    last: str = ""

    @property
    def title(self) -> str:
        """``drill app1: kill db1``."""
        return f"drill {self.cluster}: {self.kind} {short_name(self.primary_name)}"

    @property
    def steps(self) -> tuple[str, ...]:
        """In order, in words."""
        return tuple(self._steps())

    def _steps(self) -> Iterator[str]:
        yield "Write rows as an application does (infra.mha_drill), and remember each that was acknowledged"
        yield f"{DEEDS[self.kind].format(old=self.primary_name)}"
        if self.kind.fails_over:
            yield f"Wait for the manager that watches: by what is seen now it promotes {self.candidate}"
            yield f"Bring {self.primary_name} back, and make it a replica where it has nothing of its own"
        elif self.kind is DrillKind.SSH_LOSS:
            yield "See that nothing is failed over, that writes go on, and that SSH is let in again"
        if self.kind is not DrillKind.SSH_LOSS:
            yield f"Switch back to {self.primary_name}"
        yield "Compare the rows on every server, drop the table, and show the scorecard"

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON and the journal."""
        return {**asdict(self), "kind": self.kind.value, "steps": list(self.steps)}


def decide(gates: Gates, last: str = "") -> DrillPlan | Refusal:
    """A plan, or a refusal that names all that is in the way."""
    reasons = list(_reasons(gates))
    if reasons:
        code, sentence, remedy = reasons[0]
        more = f" And {len(reasons) - 1} more." if len(reasons) > 1 else ""
        return Refusal(
            code,
            f"No drill ({gates.kind}) of {gates.config.name} is held: {sentence}.{more}",
            remedy,
            (*(f"{each[0]}: {each[1]}. {each[2]}" for each in reasons[1:]), *gates.failed),
        )
    return DrillPlan(
        gates.config.name,
        gates.kind,
        gates.primary,
        gates.primary_name,
        gates.candidate,
        gates.config.rto_target,
        last,
    )


def _reasons(gates: Gates) -> Iterator[tuple[str, str, str]]:
    """Code, sentence without its end, what to do."""
    config, kind = gates.config, gates.kind
    if kind.value not in config.drill_allowed:
        allowed = ", ".join(config.drill_allowed) or "none"
        yield (
            "not-allowed",
            f"its file allows {allowed}",
            f"Set drill_allowed={kind} in {config.path}, if that is wanted.",
        )
    if gates.under_way:
        yield "under-way", gates.under_way, "Wait for its end."
    if config.drill_window is not None and not within(config.drill_window, gates.at):
        yield (
            "outside-window",
            f"it is {gates.at:%H:%M}, and drill_window is {config.drill_window}",
            "Start it within that time.",
        )
    if kind is DrillKind.POWER and not config.drill_power_command:
        yield (
            "no-power-command",
            "drill_power_command is not set: nothing would switch its host off, nor on again",
            "Set it to a command that does both (--command=off, --command=on), by a management board, say.",
        )
    if config.servers and config.servers[0].probe_user is None:
        yield (
            "no-probe-user",
            "probe_user is not set: rows of an account that read_only does not hold would prove nothing, and do harm",
            "Set probe_user and probe_password to an account with SELECT and INSERT on infra.*, and nothing more.",
        )
    if gates.unfinished:
        yield "drill-open", gates.unfinished, "Settle what is named below, then start again."
    if gates.held:
        names = ", ".join(gates.held)
        yield (
            "held",
            f"{names} is held read-only since a failover replaced it",
            f"mha rejoin --conf={config.path} --host=…",
        )
    if gates.since_failover is not None and gates.since_failover < config.drill_pause * 3600.0:
        hours = gates.since_failover / 3600.0
        yield (
            "too-soon",
            f"the last failover was {hours:.1f} hours ago (drill_pause is {config.drill_pause:g})",
            "Wait.",
        )
    if not gates.primary:
        yield "no-primary", "no primary is known that takes writes", "Look at the cluster: mha status, mha check."
    if gates.failed:
        count = f"{len(gates.failed)} check{'s' if len(gates.failed) > 1 else ''} failed"
        yield "checks-failed", f"{count}, as {gates.failed[0]}", "Mend that: mha check."
    if gates.open_ones:
        yield (
            "open-replicas",
            f"{', '.join(gates.open_ones)} takes writes, and is a replica: the canary's rows might be errant there",
            "SET GLOBAL read_only=1 there, and in its my.cnf.",
        )
    if gates.manager and kind is not DrillKind.SWITCH:
        yield "no-manager", gates.manager, f"Start one: mha monitor --conf {config.path}."
    if kind.fails_over and gates.blockers:
        yield "not-ready", f"a failover would be refused: {'; '.join(gates.blockers)}", "Mend that: mha check."


def within(window: str, at: datetime) -> bool:
    """Whether a time of day lies in ``10:00-16:00``; ``22:00-04:00`` is over midnight."""
    first, last = (_minutes(each) for each in window.split("-"))
    now = at.hour * 60 + at.minute
    return first <= now < last if first < last else now >= first or now < last


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def plan_text(plan: DrillPlan) -> str:
    """As `--dry-run` and the question show it."""
    lines = [f"Drill of {plan.cluster}: {plan.kind}, primary {plan.primary_name}", ""]
    lines += [f"{number:3}. {step}" for number, step in enumerate(plan.steps, 1)]
    lines += ["", f"Target: writes are out for {plan.target:g} s at most, no row is lost, no two servers take writes."]
    lines += [f"Last time: {plan.last}."] if plan.last else []
    return "\n".join(lines)


def plan_markdown(plan: DrillPlan) -> str:
    """The same for Prefect's UI."""
    return f"# {md(plan.title)}\n\n```\n{in_block(plan_text(plan))}\n```\n"


def drill_question(plan: DrillPlan) -> Question:
    """The question before it."""
    return Question(
        DEED,
        plan.cluster,
        plan.title,
        f"Hold the drill {plan.kind} on {plan.primary_name}, which takes the writes of applications now?",
        plan_text(plan),
        plan_markdown(plan),
        plan.steps,
        (Choice(plan.primary, plan.primary_name),),
        chosen_as="Primary",
    )
