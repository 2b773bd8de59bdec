"""The question before a planned switch that a person starts, and what the answer makes of its options. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ...config import ClusterConfig
from ..planning.switch_options import SwitchOptions
from ..reporting.approval import Answer, Question, choices_of, host_and_port
from .outcome import plan_markdown, plan_text
from .plan import SwitchPlan


def switch_question(plan: SwitchPlan, changed: Iterable[str] = ()) -> Question:
    """The question before a planned switch: it loses nothing, or does not happen."""
    return Question(
        "switchover",
        plan.cluster,
        plan.title,
        f"Starting master switch from {plan.old_name} to {plan.new_primary_name}?",
        plan_text(plan),
        plan_markdown(plan),
        plan.steps,
        choices_of(plan.candidates),
        changed=tuple(changed),
    )


def approved_switch(config: ClusterConfig, options: SwitchOptions, question: Question, answer: Answer) -> SwitchOptions:
    """The options of a planned switch that was approved."""
    if answer.new_primary == question.chosen.key:
        return options
    host, port = host_and_port(config, answer.new_primary)
    return replace(options, new_master_host=host, new_master_port=port)
