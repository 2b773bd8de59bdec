"""A drill in a flow run, and the ways to start it: a person, or the schedule of its deployment."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from ...config import ClusterConfig, ServerConfig
from ...replication.cluster.pool import ConnectionPool
from ...replication.drill.canary import read_ledger, rows_on
from ...replication.drill.job import DrillJob
from ...replication.drill.kinds import DrillKind
from ...replication.drill.outcome import DrillOutcome
from ...replication.drill.past import PastDrill, close_drill, in_words, last_of_each_kind, open_drill
from ...replication.drill.plan import DrillPlan, decide, drill_question, plan_text
from ...replication.drill.scorecard import markdown, text
from ...replication.errors import RefusalError, ServerError
from ...replication.local.interrupts import ended_in_order
from ...replication.local.person import this_person
from ...replication.memory.journal import DRILL, END, Journal
from ...replication.model.refusal import Refusal
from ...replication.model.ways_back import How
from ...replication.model.words import dashed
from ...replication.mysql.server import Server
from ...replication.notify.events import finish as finish_hooks
from ...replication.planning.switch_options import SwitchOptions
from ...replication.probes.host import ServerPaths
from ...replication.rejoin.outcome import RejoinOutcome
from ...replication.reporting.approval import APPROVAL, Answer, Ask
from ...replication.reporting.incident.beside import write_page
from ...replication.switchover.outcome import SwitchOutcome
from ...tasks.drill import note_how_it_runs, see_gates
from ...tasks.health_check import assess, judge, look_at_cluster
from ..engine.acting import ActingRun, Deed, Shown
from ..engine.ending import Ending, ended
from ..engine.events import with_events
from ..engine.record import Page
from ..engine.standing.run import StandingRun
from ..engine.start import step
from ..forms import DrillRequest
from .drill_phases import DrillRunbook, Moves
from .rejoin import rejoin_now
from .switchover import switch_now

log = logging.getLogger("mha")

#: The flow, by its name in Prefect.
DRILL_FLOW = "drill"
#: How late a replica may be before one (seconds).
LATE = 30


@with_events
def drill_by_hand(
    config: ClusterConfig,
    kind: DrillKind,
    *,
    load: Callable[[], ClusterConfig],
    dry_run: bool = False,
    ask: Ask | None = None,
    run: ActingRun | None = None,
) -> DrillOutcome:
    """Look, decide, ask, look again, then hold it. ``ask`` puts the plan to a person; ``load`` reads the file afresh.

    ``run`` is the flow run that this is called in; without one it makes its own. A dry run changes nothing. A refusal
    is an outcome with exit code 1. Raises MhaError's children when the servers cannot be looked at, OSError.
    """
    sessions = ConnectionPool(config)
    if run is None:
        run = StandingRun(DRILL_FLOW, config.name, config.manager_workdir)
        if not dry_run:
            run.stand_by()
    try:
        plan, places = _plan(config, kind)
        if dry_run:
            return DrillOutcome(0, plan_text(plan), plan, planned_only=True)
        answer = None
        if ask is not None:
            answer = ask(drill_question(plan))
            log.info("%s.", answer)
            if not answer.go_on:
                return DrillOutcome(1, f"{answer}; nothing was changed", plan, stopped=True)
        # Minutes may have gone by.
        newer, places = _plan(config, kind)
        if newer.primary != plan.primary:
            raise RefusalError(_moved(plan, newer))
        if kind.fails_over:
            # The first that is written anywhere, when nothing else forbids it any more.
            step(note_how_it_runs, config, _primary(config, newer), places, sessions)
        return _act_in(run, config, newer, partial(_act, run, config, newer, sessions, places, load, answer))
    except RefusalError as error:
        return _shown(run, config, kind, error.refusal)
    finally:
        run.stand_down()
        sessions.close()
        finish_hooks(config.hook_timeout)


def _plan(config: ClusterConfig, kind: DrillKind) -> tuple[DrillPlan, ServerPaths]:
    facts = step(look_at_cluster, config)
    checks, ready = step(judge, facts, LATE), step(assess, facts)
    gates = step(see_gates, config, kind, facts, checks, ready)
    last = last_of_each_kind(config.manager_workdir, config.name).get(kind.value)
    plan = decide(gates, in_words(last))
    if isinstance(plan, Refusal):
        raise RefusalError(plan)
    return plan, ServerPaths.of(_primary(config, plan), facts.cluster.get(plan.primary))


def _primary(config: ClusterConfig, plan: DrillPlan) -> ServerConfig:
    return next(server for server in config.servers if server.address == plan.primary)


def _moved(plan: DrillPlan, newer: DrillPlan) -> Refusal:
    now = f"the primary was {plan.primary_name}, and is {newer.primary_name}"
    return Refusal("cluster-changed", f"{plan.cluster} changed while the question stood: {now}.", "Start again.")


def _act(
    run: ActingRun,
    config: ClusterConfig,
    plan: DrillPlan,
    sessions: ConnectionPool,
    places: ServerPaths,
    load: Callable[[], ClusterConfig],
    answer: Answer | None,
) -> DrillOutcome:
    """With a journal of its own; told to people however it ends."""
    if (former := open_drill(config.manager_workdir, config.name)) is not None:
        well = f"every check passes by now, and nobody is held; {_rows_of(former, sessions.server(plan.primary))}"
        log.warning("Left open: %s; %s.", former, well)
        close_drill(former, f"closed by the next drill: {well}")
    job = DrillJob(config, plan, sessions, Journal.new(config.manager_workdir, config.name, DRILL), load, places)
    job.events.within = run.ids
    try:
        told = {"pid": os.getpid(), "by": this_person(), "kind": plan.kind.value, "old_name": plan.primary_name}
        job.journal.record(DRILL, "began", plan.primary, plan=plan.as_dict(), **told)
        if answer is not None:
            job.journal.record(APPROVAL, "answered", plan.primary, **answer.as_dict())
        with ended_in_order():
            card = DrillRunbook(job, Moves(_switch, _rejoin), plan.last).hold()
        outcome = DrillOutcome(0 if card.passed else 1, card.summary, plan, card)
        job.journal.record(
            END,
            "ended",
            plan.primary,
            new_primary=card.new_primary,
            notes=[*card.notes, *card.left],
            held_seconds=card.out,
            **outcome.as_dict(),
        )
    finally:
        job.canary.stop()
        job.journal.close()
    for line in text(card).splitlines():
        log.info("%s", line)
    facts = {**outcome.as_dict(), "report": markdown(card)}
    new = next((server for server in config.servers if server.name == card.new_primary), None)
    job.events.tell(
        "drilled" if card.passed else "drill_failed", old=job.primary, new=new, text=outcome.summary, **facts
    )
    write_page(job.journal, config.name, config.path)
    return outcome


def _rows_of(former: PastDrill, primary: Server) -> str:
    """What became of the rows of one that was cut short, before its table goes."""
    try:
        acked = frozenset(ack.id for ack in read_ledger(former.ledger))
        lost = len(acked - rows_on(primary))
    except (OSError, ServerError) as error:
        return f"its rows cannot be counted: {error}"
    return f"{lost} of its {len(acked)} acknowledged rows are lost"


def _switch(config: ClusterConfig, to: ServerConfig | None) -> SwitchOutcome:
    options = SwitchOptions(
        new_master_host=to.hostname if to is not None else None,
        new_master_port=to.port if to is not None else None,
        orig_master_is_new_slave=True,
    )
    return switch_now(config, options)


def _rejoin(config: ClusterConfig, host: str) -> RejoinOutcome:
    return rejoin_now(config, host, How.AUTO, by=this_person())


# in Prefect --------------------------------------------------------------------------------------------------------


def _act_in(run: ActingRun, config: ClusterConfig, plan: DrillPlan, core: Callable[[], DrillOutcome]) -> DrillOutcome:
    """The drill, its steps as tasks of that run; failover, rejoin and switch have runs of their own."""
    return _deed(run, config, plan.kind, plan.title, core)


def _shown(run: ActingRun, config: ClusterConfig, kind: DrillKind, refusal: Refusal) -> DrillOutcome:
    """A refusal; shown where a person, or the schedule, started it and looks there."""
    log.error("%s %s", refusal.sentence, refusal.remedy)
    for line in refusal.evidence:
        log.error("  %s", line)
    outcome = DrillOutcome(1, refusal.sentence, refusal=refusal)
    return _deed(run, config, kind, f"drill {config.name}: refused", lambda: outcome) if run.of_a_person else outcome


def _deed(
    run: ActingRun, config: ClusterConfig, kind: DrillKind, name: str, core: Callable[[], DrillOutcome]
) -> DrillOutcome:
    deed = Deed(
        key=f"{config.name}/drill/{datetime.now(UTC).isoformat()}",
        name=name,
        parameters={"cluster": config.name, "how": DrillRequest(kind=kind.value, ask_first=False).model_dump()},
    )
    try:
        return run.act(deed, core, lambda done: _as_shown(config.name, name, done))
    finally:
        run.wait()


def _as_shown(cluster: str, name: str, outcome: DrillOutcome) -> Shown:
    pages: tuple[Page, ...] = ()
    if outcome.card is not None:
        page, told = markdown(outcome.card), f"Drill of {cluster}"
        pages = (Page(key=artifact_key(cluster), type="markdown", data=page, description=told),)
    return Shown(concluded(outcome), name, pages)


def concluded(outcome: DrillOutcome) -> Ending:
    """How the flow run ends in the UI."""
    if outcome.planned_only:
        return Ending("COMPLETED", "a drill may be held; nothing was changed", "Planned")
    return ended(outcome)


def artifact_key(cluster: str) -> str:
    """The scorecard in Prefect."""
    return f"drill-{dashed(cluster)}"
