"""A rejoin in a flow run, and the ways to start it: a person, a manager, what was interrupted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ...config import ClusterConfig
from ...replication.cluster.pool import ConnectionPool
from ...replication.errors import RefusalError
from ...replication.local.interrupts import Interrupted, ended_in_order
from ...replication.local.person import this_person
from ...replication.memory.journal import REJOIN, Journal
from ...replication.meter import Watcher
from ...replication.model.refusal import Refusal
from ...replication.model.ways_back import How
from ...replication.model.words import dashed
from ...replication.notify.events import finish as finish_hooks
from ...replication.planning.role_plan import short_name
from ...replication.rejoin.diverged.comparison.choice import Choice
from ...replication.rejoin.diverged.empties import plan_for
from ...replication.rejoin.job import RejoinJob
from ...replication.rejoin.observe import WhoIsBack, look, who_is_back
from ...replication.rejoin.outcome import (
    RejoinOutcome,
    markdown,
    plan_text,
    refused,
    rejoin_question,
    story,
)
from ...replication.rejoin.plan import TAKEN_BACK, RejoinPlan, unattended
from ...replication.rejoin.rebuild.job import RebuildJob
from ...replication.rejoin.remembered.interrupted import MANAGER
from ...replication.rejoin.starting import start_if_down
from ...replication.reporting.approval import APPROVAL, Answer, Ask
from ...replication.reporting.incident.beside import write_page
from ...tasks.rebuild import plan_of
from ...tasks.rejoin import under_way
from ..engine.acting import ActingRun, Deed, Shown
from ..engine.ending import Ending, ended
from ..engine.events import with_events
from ..engine.record import Page
from ..engine.standing.run import StandingRun
from ..forms import RejoinRequest
from ..runbooks.returning.empties import accept_as_empties
from ..runbooks.returning.progress import watched
from ..runbooks.returning.rebuild import rebuild_server
from ..runbooks.returning.rejoin import rejoin_server
from ..runbooks.returning.rescue import Wanted, rescue_its_own, way_back_of
from ..runbooks.returning.take_back import take_back_what_was_cut_short

log = logging.getLogger("mha")

#: The flow, by its name in Prefect.
REJOIN_FLOW = "rejoin"
#: Nothing of what only the old server has is replayed.
NOTHING = Choice()


def rejoin_now(
    config: ClusterConfig,
    host: str,
    how: How = How.AUTO,
    *,
    dry_run: bool = False,
    ask: Ask | None = None,
    replay: Choice = NOTHING,
    hide: bool = False,
    run: ActingRun | None = None,
    alone: bool = False,
    by: str = "",
    asked_to_end: Callable[[], bool] = lambda: False,
    method: str = "",
    watch: Watcher | None = None,
) -> RejoinOutcome:
    """Look, plan, ask, then make the server that is back a replica. ``ask`` puts the plan to a person.

    ``replay`` is what of its own transactions a rescue executes on the new primary; with ``hide`` no values are told.
    ``run`` is the flow run that this is called in; without one it makes its own. A dry run changes nothing. ``alone``:
    nobody asked for it, so it is done only where nothing is worth a word; ``by`` is who asked for one that is gone on
    with, ``asked_to_end`` whether it is to be left while nothing was pointed yet. One that was cut short goes on, as
    each step looks whether it is done, or is taken back where it may not. ``method`` is by which means a rebuild is
    done, where that is not as configured; ``watch`` is told how far its copy is. A refusal is an outcome with exit
    code 1. Raises MhaError's children when the servers cannot be looked at, or others act.
    """
    if run is None:
        run = StandingRun(REJOIN_FLOW, config.name, config.manager_workdir)
        if not dry_run:
            run.stand_by()
    sessions: ConnectionPool | None = None
    try:
        who = who_is_back(config, host)
        sessions = ConnectionPool(who.config)
        if not dry_run and not alone:
            start_if_down(who, sessions)
        if how is How.REBUILD:
            plan = _plan_of_rebuild(who, sessions, method)
        else:
            plan = _plan(who, sessions, how, alone=alone, dry_run=dry_run)
        if dry_run:
            return RejoinOutcome(0, plan_text(plan), plan, planned_only=True)
        if not (alone or by):
            # A manager that goes on with one may have to end it at once.
            run.wait_until_entered()
        if plan.how is How.RESCUE:
            wanted = Wanted(replay, hide, ask)
            return _act_in(run, config, plan, partial(_rescue, who, plan, sessions, wanted, by or this_person()))
        answer = None
        if ask is not None:
            answer = ask(rejoin_question(plan))
            log.info("%s.", answer)
            if not answer.go_on:
                return RejoinOutcome(1, f"{answer}; nothing was changed", plan, stopped=True)
        by = answer.by if answer is not None else MANAGER if alone else by or this_person()
        if plan.how is How.EMPTIES:
            return _act_in(run, config, plan, partial(accept_as_empties, who, plan, sessions, by))
        act = partial(_act, who, plan, sessions, answer, by=by, asked_to_end=asked_to_end, watch=watch)
        return _act_in(run, config, plan, act)
    except RefusalError as error:
        return refused(error.refusal)
    finally:
        run.stand_down()
        if sessions is not None:
            sessions.close()
        finish_hooks(config.hook_timeout)


#: Started by a person; a manager tells Prefect of its events itself.
rejoin_by_hand = with_events(rejoin_now)


def _plan(who: WhoIsBack, sessions: ConnectionPool, how: How, *, alone: bool, dry_run: bool) -> RejoinPlan:
    if not dry_run and (refusal := under_way(who)):
        raise RefusalError(refusal)
    facts = look(who, sessions)
    plan = plan_for(facts, how)
    if isinstance(plan, Refusal):
        for_good = plan.code in TAKEN_BACK and not (facts.there is not None and facts.there.works)
        if for_good and not dry_run and (done := take_back_what_was_cut_short(who, sessions)):
            log.warning("A rejoin of %s was cut short, and may not go on: %s.", who.old.name, done)
        raise RefusalError(plan)
    if alone and (why := unattended(facts, plan)):
        remedy = f"Look at it, then say so: mha rejoin --conf={who.config.path} --host={who.old.hostname}"
        raise RefusalError(Refusal("needs-a-person", f"{who.old.name} is not made a replica by itself: {why}.", remedy))
    return plan


def _plan_of_rebuild(who: WhoIsBack, sessions: ConnectionPool, method: str) -> RejoinPlan:
    config = who.config
    plan = plan_of(who, sessions, method or config.rebuild_method, config.rebuild_rate, keep=config.keep_old_data)
    if isinstance(plan, Refusal):
        raise RefusalError(plan)
    return plan


def _rescue(who: WhoIsBack, plan: RejoinPlan, sessions: ConnectionPool, wanted: Wanted, by: str) -> RejoinOutcome:
    """With all of its own on the new primary, it becomes a replica, as who asked for that wants it."""
    rescued = rescue_its_own(who, plan, sessions, wanted)
    if not (rescued.all_there and wanted.replay):
        return rescued
    back = way_back_of(who, sessions)
    if isinstance(back, Refusal) and back.code == "already-a-replica":
        # One with errant transactions, which the primary has by now.
        return replace(rescued, notes=(*rescued.notes, f"{plan.old_name} replicates, and nothing is errant any more."))
    if isinstance(back, Refusal):
        left = f"It was not made a replica: {back.sentence} {back.remedy}"
        return replace(rescued, exit_code=10, notes=(*rescued.notes, left))
    done = _act(who, back, sessions, None, by=by, asked_to_end=lambda: False)
    code = done.exit_code if done.exit_code != 1 else 10
    notes = (*rescued.notes, *done.notes)
    return replace(done, exit_code=code, summary=f"{rescued.summary}; {done.summary}", notes=notes, page=rescued.page)


def _act(
    who: WhoIsBack,
    plan: RejoinPlan,
    sessions: ConnectionPool,
    answer: Answer | None,
    *,
    by: str,
    asked_to_end: Callable[[], bool],
    watch: Watcher | None = None,
) -> RejoinOutcome:
    """With a journal of its own; told to people however it ends."""
    config = who.config
    journal = Journal.new(config.manager_workdir, config.name, REJOIN)
    job = RejoinJob(who, plan, sessions, journal)
    try:
        if answer is not None:
            job.journal.record(APPROVAL, "answered", plan.old, **answer.as_dict())
        with ended_in_order():
            if plan.copying is not None:
                state = sessions.server(plan.old).observe()
                job = RebuildJob(who, plan, sessions, journal, state, watched(journal, plan, watch))
                outcome = rebuild_server(job, by)
            else:
                outcome = rejoin_server(job, by, asked_to_end)
    except Interrupted as asked:
        log.warning("The rejoin of %s ends before it is pointed: %s.", plan.old_name, asked)
        return RejoinOutcome(1, f"{asked}; {plan.old_name} is as it was, and read-only", plan, stopped=True)
    finally:
        job.journal.close()
    for line in story(outcome):
        log.info("%s", line)
    event = "rejoined" if outcome.exit_code != 1 else "not_rejoined"
    looks = write_page(journal, config.name, config.path)
    facts = {**outcome.as_dict(), "report": markdown(outcome, config.name), "page": looks.page}
    job.events.tell(event, old=job.old, new=job.new, text=outcome.summary, **facts)
    return replace(outcome, head=looks.head)


# in Prefect --------------------------------------------------------------------------------------------------------


def _act_in(run: ActingRun, config: ClusterConfig, plan: RejoinPlan, core: Any) -> RejoinOutcome:
    """The rejoin, its steps as tasks of that flow run."""
    server = short_name(plan.old_name)
    deed = Deed(
        key=f"{config.name}/rejoin/{datetime.now(UTC).isoformat()}",
        name=f"rejoin {config.name}: {server}",
        parameters={"cluster": config.name, "how": RejoinRequest(server=server, ask_first=False).model_dump()},
    )

    def shown(done: RejoinOutcome) -> Shown:
        page = Page(
            key=artifact_key(config.name),
            type="markdown",
            data=done.head + markdown(done, config.name),
            description=f"Rejoin of {plan.old_name}",
        )
        pages: tuple[Page, ...] = (page,)
        if done.page:
            key, title = f"{page.key}-conflicts", f"What only {plan.old_name} has against {plan.new_name}"
            pages = (page, Page(key=key, type="markdown", data=done.page, description=title))
        return Shown(concluded(done), deed.name, pages)

    try:
        outcome: RejoinOutcome = run.act(deed, core, shown)
        return outcome
    finally:
        run.wait()


def concluded(outcome: RejoinOutcome) -> Ending:
    """How the flow run ends in the UI."""
    if outcome.planned_only:
        return Ending("COMPLETED", "a rejoin is possible; nothing was changed", "Planned")
    return ended(outcome)


def artifact_key(cluster: str) -> str:
    """The page of a rejoin in Prefect."""
    return f"rejoin-{dashed(cluster)}"
