"""How the old primary of a failover may come back: the statement that a person types there, or why none may be."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ....replication.cluster.catch_up import ALIVE_WITHIN
from ....replication.errors import ServerGone
from ....replication.memory.last_check import LastCheck, left_behind
from ....replication.mysql.dialects.for_people import opened_first
from ....replication.reporting.ledger import LedgerLine
from ....replication.reporting.statement import STATEMENT, may_be_ahead, not_to_be_typed, statement

if TYPE_CHECKING:
    from ..failover import Runbook

log = logging.getLogger("mha")


def tell_how_to_return(run: Runbook, ledger: tuple[LedgerLine, ...]) -> None:
    """In the log and in the report, once the new primary is open; and of replicas that were left behind unknown."""
    for line in left_behind(LastCheck(run.job.config).read()):
        log.warning("%s", line)
        run.notes.append(line)
    job, plan, promoted = run.job, run.found.plan, run.found.promoted
    assert plan is not None and promoted is not None, "somebody was opened"
    rescue, fenced = run.found.rescue, run.found.fenced
    read = run.opened is None and rescue is not None and rescue.copy is not None
    why = may_be_ahead(ledger, read=read, closed=fenced is not None and fenced.sure)
    server, new = job.sessions.server(plan.new_primary), job.config_of(plan.new_primary)
    if run.gone:
        raise ServerGone(server.config.name, "find out how others follow it", "it does not answer any more")
    server.connect(ALIVE_WITHIN)
    dialect = server.dialect
    place = promoted.end_of_log
    # As it was before the rescue, which may have pointed it elsewhere for a while.
    state = run.stopped.get(plan.new_primary) if run.stopped is not None else None
    channel = next((c for c in state.channels if c.name == plan.target.channel), None) if state else None
    like = channel.row if channel is not None else {}
    typed = "" if why else statement(dialect, plan.target.channel, job.dead, new, plan.kind, place, like)
    if not typed:
        behind = max((x.received for x in plan.levelings if x.received), default=None)
        run.notes.append(not_to_be_typed(job.dead, plan.new_primary_name, why or "its place is not known", behind))
        log.warning("%s", run.notes[-1])
        return
    log.info(STATEMENT, typed)
    run.notes.append(f"To make {job.dead.name} a replica of {plan.new_primary_name}: {opened_first(dialect)}{typed}")
    run.notes.append(f"Or let that be done: mha rejoin --conf={job.config.path} --host={job.dead.hostname}")
