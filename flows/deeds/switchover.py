"""A planned switch in a flow run: a command acts in one that stands ready, a deployment in a person's own."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ...config import ClusterConfig, ConfigError
from ...config.editing.edit import remove_block
from ...replication.checks.cluster.topology import of_strangers
from ...replication.checks.trying_logins import try_logins
from ...replication.cluster.pool import ConnectionPool
from ...replication.cluster.unknown_replicas import look_for_strangers
from ...replication.coordination.failover_lock import FailoverLock
from ...replication.errors import RefusalError
from ...replication.local.interrupts import Interrupted, ended_in_order
from ...replication.memory.journal import SWITCH, Journal
from ...replication.model.refusal import Refusal
from ...replication.model.words import dashed
from ...replication.notify.events import EventHooks
from ...replication.notify.events import finish as finish_hooks
from ...replication.planning.switch_options import SwitchOptions
from ...replication.reporting.approval import APPROVAL, ASK_AT_MOST, Answer, Ask
from ...replication.reporting.incident.beside import write_page
from ...replication.switchover.approval import approved_switch, switch_question
from ...replication.switchover.job import SwitchJob
from ...replication.switchover.outcome import SwitchOutcome, markdown, plan_text, text
from ...replication.switchover.plan import SwitchPlan, make_switch_plan
from ...replication.workload.activity import observe_activities
from ..engine.acting import ActingRun, Deed, Shown
from ..engine.ending import Ending, ended, run_name
from ..engine.events import with_events
from ..engine.record import Page
from ..engine.standing.run import StandingRun
from ..forms import SwitchRequest
from ..runbooks.resume_switchover import finish_switch
from ..runbooks.switchover import switch_over

log = logging.getLogger("mha")

#: The flow, by its name in Prefect.
SWITCHOVER = "switchover"


def switch_now(
    config: ClusterConfig,
    options: SwitchOptions,
    *,
    dry_run: bool = False,
    ask: Ask | None = None,
    run: ActingRun | None = None,
) -> SwitchOutcome:
    """Look, plan, ask, then switch. ``ask`` puts the plan to a person.

    ``run`` is the flow run that this is called in; without one it makes its own. A dry run and --check_only change
    nothing. A refusal is an outcome with exit code 1. Raises MhaError's children when the servers cannot be looked at.
    """
    sessions = ConnectionPool(config)
    if run is None:
        run = StandingRun(SWITCHOVER, config.name, config.manager_workdir)
        if not dry_run and not options.check_only:
            run.stand_by()
    try:
        if not dry_run and not options.check_only:
            with ended_in_order():
                finished = finish_switch(config, sessions)
            if finished is not None:
                return _shown(run, config, options, finished)
        log.info("Starting online master switch..")
        log.info("* Phase 1: Configuration Check Phase..")
        plan = _plan(config, options, sessions, acting=False)
        if dry_run or options.check_only:
            log.info("** Phase 1: Configuration Check Phase completed.")
            return SwitchOutcome(0, plan_text(plan), plan=plan, checked_only=True)
        answer = None
        if ask is not None:
            plan, options, answer = _agree(config, options, sessions, plan, ask)
            if not answer.go_on:
                return SwitchOutcome(1, f"{answer}; nothing was changed", plan=plan, stopped=True)
        run.wait_until_entered()
        return _act_in(run, config, options, partial(_act, run, config, options, sessions, plan, answer))
    except RefusalError as error:
        outcome = SwitchOutcome(1, error.refusal.sentence, refusal=error.refusal)
        log.error("%s %s", error.refusal.sentence, error.refusal.remedy)
        for line in error.refusal.evidence:
            log.error("  %s", line)
        return _shown(run, config, options, outcome)
    finally:
        run.stand_down()
        sessions.close()
        finish_hooks(config.hook_timeout)


#: Started by a person; who does it as a part of something else tells Prefect of its events itself.
switch_by_hand = with_events(switch_now)


def _agree(
    config: ClusterConfig, options: SwitchOptions, sessions: ConnectionPool, plan: SwitchPlan, ask: Ask
) -> tuple[SwitchPlan, SwitchOptions, Answer]:
    """Ask, and plan again with what was answered; asked anew when the cluster has changed meanwhile."""
    changed: tuple[str, ...] = ()
    for _ in range(ASK_AT_MOST):
        question = switch_question(plan, changed)
        answer = ask(question)
        log.info("%s.", answer)
        if not answer.go_on:
            return plan, options, answer
        options = approved_switch(config, options, question, answer)
        newer = _plan(config, options, sessions, acting=False)
        if (newer.old, newer.new_primary) == (plan.old, answer.new_primary):
            return newer, options, answer
        changed, plan = (_moved(config, plan, newer).sentence,), newer
    raise RefusalError.of("cluster-changed", changed[0], "Look at the cluster, then start again.")


def _act(
    run: ActingRun,
    config: ClusterConfig,
    options: SwitchOptions,
    sessions: ConnectionPool,
    shown: SwitchPlan,
    answer: Answer | None,
) -> SwitchOutcome:
    """Switch; who asks this process to end meanwhile gets it taken back, or, once the new primary is open, finished."""
    try:
        with ended_in_order():
            return _switch(run, config, options, sessions, shown, answer)
    except Interrupted as asked:
        outcome = SwitchOutcome(1, f"{asked}; nothing was changed", plan=shown, stopped=True)
        old = config.server(shown.old)
        events = EventHooks(config)
        events.within = run.ids
        events.tell("failed", old=old, text=outcome.summary, **_facts(config, outcome))
        log.error("\n%s", text(outcome, config.name))
        return outcome


def _switch(
    run: ActingRun,
    config: ClusterConfig,
    options: SwitchOptions,
    sessions: ConnectionPool,
    shown: SwitchPlan,
    answer: Answer | None,
) -> SwitchOutcome:
    """With the failover lock everywhere, look again: what is done is what was shown, or nothing."""
    lock = FailoverLock(config.servers)
    try:
        lock.take()
        plan = _plan(config, options, sessions, acting=True)
        if (plan.old, plan.new_primary, plan.kind) != (shown.old, shown.new_primary, shown.kind):
            raise RefusalError(_moved(config, shown, plan))
        log.info("** Phase 1: Configuration Check Phase completed.")
        job = SwitchJob(config, plan, options, sessions, Journal.new(config.manager_workdir, config.name, SWITCH))
        job.events.within = run.ids
        job.writes_out, job.writes_back = run.hush, run.show
        if answer is not None:
            job.journal.record(APPROVAL, "answered", plan.old, **answer.as_dict())
        with contextlib.closing(job.address):
            outcome = switch_over(job)
        if answer is not None:
            outcome = replace(outcome, notes=(f"{answer}.", *outcome.notes))
    finally:
        lock.release()
    looks = write_page(job.journal, config.name, config.path)
    event = "switched" if outcome.opened else "failed"
    job.events.tell(event, old=job.old, new=job.new, text=outcome.summary, page=looks.page, **_facts(config, outcome))
    if outcome.exit_code == 0 and options.remove_orig_master_conf and not plan.orig_is_new_replica:
        _remove_old(config, job)
    log.info("\n%s", text(outcome, config.name))
    return replace(outcome, head=looks.head)


def _facts(config: ClusterConfig, outcome: SwitchOutcome) -> dict[str, Any]:
    return {**outcome.as_dict(), "report": markdown(outcome, config.name)}


def _plan(config: ClusterConfig, options: SwitchOptions, sessions: ConnectionPool, *, acting: bool) -> SwitchPlan:
    cluster = sessions.observe()
    activities = observe_activities(sessions, cluster)
    # Under the lock it was tried a moment ago.
    logins = () if acting else try_logins(cluster, sessions)
    decided = make_switch_plan(config, cluster, activities, options, acting=acting, logins=logins)
    if isinstance(decided, Refusal):
        raise RefusalError(decided)
    unknown = of_strangers(config, look_for_strangers(config, cluster, sessions))
    decided = replace(decided, checks=(*decided.checks, *unknown))
    for check in decided.warnings:
        log.warning("%s", check)
    return decided


def _moved(config: ClusterConfig, shown: SwitchPlan, plan: SwitchPlan) -> Refusal:
    return Refusal(
        "cluster-changed",
        f"{config.name} changed while the question stood: the switch would now be from {plan.old_name} to "
        f"{plan.new_primary_name} and not from {shown.old_name} to {shown.new_primary_name}.",
        "Look at the cluster, then start again.",
    )


def _remove_old(config: ClusterConfig, job: SwitchJob) -> None:
    try:
        remove_block(config.path, job.old.block)
        log.info("Deleted %s entry from %s .", job.old.block, config.path)
    except ConfigError as error:
        log.error("%s", error)


# in Prefect --------------------------------------------------------------------------------------------------------


def _act_in(
    run: ActingRun, config: ClusterConfig, options: SwitchOptions, core: Callable[[], SwitchOutcome]
) -> SwitchOutcome:
    """The switch, its steps as tasks of that flow run."""
    cluster = config.name
    how = SwitchRequest(
        new_primary=options.new_master_host or "",
        keep_old_as_replica=options.orig_master_is_new_slave,
        ask_first=False,
    )
    deed = Deed(
        key=f"{cluster}/switchover/{datetime.now(UTC).isoformat()}",
        name=f"switchover {cluster}",
        parameters={"cluster": cluster, "how": how.model_dump()},
    )
    try:
        return run.act(deed, core, lambda done: _shown_as(cluster, done))
    finally:
        run.wait()


def concluded(outcome: SwitchOutcome) -> Ending:
    """How the flow run ends in the UI."""
    if outcome.checked_only:
        return Ending("COMPLETED", "a switch is possible; nothing was changed", "Checked")
    return ended(outcome, "Taken back")


def _shown_as(cluster: str, outcome: SwitchOutcome) -> Shown:
    name = run_name("switchover", cluster, outcome, outcome.plan)
    page, told = outcome.head + markdown(outcome, cluster), f"Planned switch of {cluster}"
    pages = (Page(key=f"switchover-{dashed(cluster)}", type="markdown", data=page, description=told),)
    return Shown(concluded(outcome), name, pages)


def _shown(run: ActingRun, config: ClusterConfig, options: SwitchOptions, outcome: SwitchOutcome) -> SwitchOutcome:
    """Show what was not done by this run's steps on its page, where a person started it and looks there."""
    return _act_in(run, config, options, lambda: outcome) if run.of_a_person else outcome
