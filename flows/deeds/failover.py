"""A failover in a flow run: a manager and a command act in one that stands ready, a deployment in a person's own.

All of them end in `run_job`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from uuid import UUID

from ...config import ClusterConfig, ServerConfig
from ...replication.cluster.pool import ConnectionPool, took_writes
from ...replication.local.interrupts import ended_in_order
from ...replication.memory.journal import (
    Entry,
    Journal,
    Opened,
    begun_before,
    failed_when_open,
    opened_before,
    unfinished,
)
from ...replication.model.words import dashed
from ...replication.notify.events import finish as finish_hooks
from ...replication.planning.plan import FailoverOptions
from ...replication.reporting.approval import APPROVAL, Ask, approved_before
from ...replication.reporting.job import FailoverJob
from ...replication.reporting.ledger import table
from ...replication.reporting.outcome import Outcome
from ...replication.reporting.report import markdown, plan_text
from ...replication.rescue.tail_chain import remembered
from ...tasks.report import report
from ..engine.acting import ActingRun, Deed, Shown
from ..engine.ending import ended, run_name
from ..engine.events import with_events
from ..engine.record import Page
from ..engine.standing.run import StandingRun
from ..engine.start import step
from ..runbooks.recovery import recover
from .on_demand import decide

log = logging.getLogger("mha")

#: The flow, by its name in Prefect.
FAILOVER = "failover"

#: What a journal calls the flow run that a failover is done in: whoever finishes it says so on that run's page.
FLOW_RUN = ("prefect", "flow run")


def run_job(
    job: FailoverJob,
    *,
    ssh_reachable: bool | None = None,
    log_directories: tuple[str, ...] = (),
) -> Outcome:
    """Recover, then report."""
    outcome = recover(job, ssh_reachable=ssh_reachable, log_directories=log_directories)
    text, looks = step(report, job, outcome)
    _tell_end(job, outcome, text, looks.page)
    return replace(outcome, head=looks.head)


def standing_failover(config: ClusterConfig) -> StandingRun:
    """The flow run of a cluster's next failover; it is to `stand_by`."""
    return StandingRun(FAILOVER, config.name, config.manager_workdir)


def act_in(
    run: ActingRun,
    job: FailoverJob,
    *,
    ssh_reachable: bool | None = None,
    log_directories: tuple[str, ...] = (),
) -> Outcome:
    """`run_job` in that flow run, whose id the journal remembers for whoever has to finish it."""
    cluster = job.config.name
    if run.id is not None:
        job.journal.record(*FLOW_RUN, job.dead.address, id=str(run.id))
    job.writes_out, job.writes_back = run.hush, run.show
    job.events.within = run.ids
    deed = Deed(
        key=f"{cluster}/{job.journal.path.name}",
        name=f"failover {cluster}: {job.dead.name} is dead",
        parameters={"cluster": cluster},
        finishes=interrupted_runs(job.past),
    )
    return run.act(
        deed,
        partial(run_job, job, ssh_reachable=ssh_reachable, log_directories=log_directories),
        lambda done: _shown(cluster, job.dead.name, done),
    )


def interrupted_runs(past: Iterable[Entry]) -> tuple[UUID, ...]:
    """The flow runs of failovers that were interrupted, by what they left in their journals. Raises JournalOdd."""
    return tuple(entry.read(lambda facts: UUID(facts["id"])) for entry in past if (entry.step, entry.event) == FLOW_RUN)


def _tell_end(job: FailoverJob, outcome: Outcome, text: str, page: str) -> None:
    new = job.config_of(outcome.promoted.key) if outcome.promoted else None
    event = "completed" if outcome.exit_code != 1 else "refused" if outcome.refusal else "failed"
    remedy = outcome.refusal.remedy if outcome.refusal else ""
    facts = {**outcome.as_dict(), "remedy": remedy, "report": text, "page": page}
    job.events.tell(event, old=job.dead, new=new, text=outcome.summary, **facts)


def _shown(cluster: str, dead: str, outcome: Outcome) -> Shown:
    name = run_name("failover", cluster, outcome, outcome.plan)
    return Shown(ended(outcome), name, tuple(_pages(cluster, dead, outcome)))


def _pages(cluster: str, dead: str, outcome: Outcome) -> Iterator[Page]:
    page, told = outcome.head + markdown(outcome, cluster, dead), f"Failover report of {cluster}"
    yield Page(key=f"failover-{dashed(cluster)}", type="markdown", data=page, description=told)
    if outcome.ledger:
        rows = json.dumps(table(outcome.ledger), ensure_ascii=False)
        key, told = f"failover-{dashed(cluster)}-ledger", f"Transactions of {cluster}"
        yield Page(key=key, type="table", data=rows, description=told)


def plan_key(cluster: str) -> str:
    """The artifact of a plan."""
    return f"failover-{dashed(cluster)}-plan"


@with_events
def fail_over_by_hand(
    config: ClusterConfig,
    options: FailoverOptions,
    *,
    dead_host: str | None = None,
    dead_port: int | None = None,
    dry_run: bool = False,
    ask: Ask | None = None,
    resume: bool = False,
    run: ActingRun | None = None,
) -> Outcome:
    """A failover that was not begun by a monitor: find the dead primary, prove it dead, plan, then recover.

    ``ask`` puts the plan to a person. ``resume``: when a failover was interrupted, go on with it, as it was asked
    for and approved then. ``run`` is the flow run that this is called in; without one it makes its own. Raises
    MhaError's children when there is nothing to do or nothing may be done.
    """
    sessions = ConnectionPool(config)
    if run is None:
        run = standing_failover(config)
        if not dry_run:
            run.stand_by()
    try:
        interrupted = interrupted_failover(config, sessions)
        if interrupted is not None and not dry_run:
            return _recover(run, new_job(config, interrupted, options, sessions), None)
        cut = unfinished(config.manager_workdir, config.name)
        past = cut if resume else ()
        begun = begun_before(past)
        if begun is not None:
            dead_host, dead_port = begun.dead, None
            opened = opened_before(past)
            if opened is not None and dead_again(config, sessions, opened):
                # The one that it had opened is lost, too: what that one took is the next failover's, and its tail.
                dead_host = opened.key
            log.warning("Going on with a failover of %s that was interrupted.", dead_host)
            options = replace(begun.options(FailoverOptions), ignore_last_failover=True)
        decision = decide(
            config,
            sessions,
            dead_host,
            dead_port,
            options,
            None if dry_run else ask,
            approved_before(past),
            ours=begun_before(cut) is not None,
        )
        if dry_run:
            return Outcome(0, plan_text(decision.plan), plan=decision.plan)
        if decision.approval is not None and not decision.approval.go_on:
            log.warning("%s; nothing was changed.", decision.approval)
            return Outcome(1, f"{decision.approval}; nothing was changed", plan=decision.plan, stopped=True)
        job = new_job(config, decision.dead, decision.options, sessions)
        job.somebody_else = job.somebody_else or decision.somebody_else
        job.answers_though_dead = job.answers_though_dead or decision.somebody_else
        if decision.approval is not None:
            job.approval = decision.approval
            job.journal.record(APPROVAL, "answered", job.dead.address, **decision.approval.as_dict())
        return _recover(run, job, decision.ssh_reachable)
    finally:
        run.stand_down()
        sessions.close()
        finish_hooks(config.hook_timeout)


def _recover(run: ActingRun, job: FailoverJob, ssh_reachable: bool | None) -> Outcome:
    # Who cancels a run of his own in Prefect can go on with it there, by Retry; a command is finished.
    with ended_in_order(between_steps=run.of_a_person):
        outcome = act_in(run, job, ssh_reachable=ssh_reachable)
    run.wait()
    return outcome


def interrupted_failover(config: ClusterConfig, sessions: ConnectionPool) -> ServerConfig | None:
    """The dead primary of a failover that died after it had opened a new one: that is finished before all else.

    One that ended with an error then is gone on with while its new primary answers; else that one is the dead primary.
    """
    past = unfinished(config.manager_workdir, config.name)
    opened = opened_before(past)
    if opened is None or not took_writes(sessions, opened):
        return None
    if dead_again(config, sessions, opened) or (failed_when_open(past) and not sessions.server(opened.key).connected):
        return None
    return next((s for s in config.servers if s.address == opened.dead), None)


def dead_again(config: ClusterConfig, sessions: ConnectionPool, opened: Opened) -> bool:
    """What a failover had opened does not answer, and this host remembers with what it was opened: it is the next."""
    if sessions.server(opened.key).connected:
        return False
    return any((tail.dead, tail.opened) == (opened.dead, opened.key) for tail in remembered(config))


def failed_as_it_opened(config: ClusterConfig) -> str:
    """The ``ip:port`` that a failover of this host was about to open, or had opened, when it failed; empty for none."""
    past = unfinished(config.manager_workdir, config.name)
    opened = opened_before(past)
    return opened.key if opened is not None and failed_when_open(past) else ""


def new_job(
    config: ClusterConfig, dead: ServerConfig, options: FailoverOptions, sessions: ConnectionPool
) -> FailoverJob:
    """A job with a journal of its own, and what is known of a failover that was interrupted."""
    past = unfinished(config.manager_workdir, config.name, dead.address)
    journal = Journal.new(config.manager_workdir, config.name)
    return FailoverJob(config, dead, options, sessions, journal, past=past)
