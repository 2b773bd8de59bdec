"""Errant transactions of a replica get empty twins on its primary: from there on nobody lacks their GTIDs.

Then every replica may be promoted again, and may follow each other. Its data are not made equal by that: what the
transactions did stays on the one server. MySQL alone can do it: there a session may say which GTID comes next (MySQL
manual, "Skipping Transactions With GTIDs").
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

from ....config import ServerConfig
from ...errors import StatementFailed
from ...model.errant import strays
from ...model.gtid import GtidSet
from ...model.refusal import Refusal
from ...model.state import GtidKind
from ...model.ways_back import How
from ...mysql.server import Server
from ..facts import RejoinFacts
from ..plan import RejoinPlan, rejoin_plan
from .equal import ended_with_its_server

#: Transactions for which that is done at most: each is a commit of its own on the primary, and on every replica.
AT_MOST = 10_000
#: Seconds that one of its statements may take; a commit may wait for a replica's word.
STATEMENT = 60.0


def errant_of(facts: RejoinFacts) -> GtidSet:
    """What only the replica has, as the check `errant-transactions` says; what another channel brought it is not.

    It was looked at before the primary, so that nothing of it is merely on its way.
    """
    return _beyond(facts) & GtidSet.parse(strays(facts.new, facts.old))


def _beyond(facts: RejoinFacts) -> GtidSet:
    old, new = facts.old.gtid_executed, facts.new.gtid_executed
    return old - new if old is not None and new is not None else GtidSet()


def empties_plan(facts: RejoinFacts) -> RejoinPlan | Refusal:
    """For a replica that follows, by GTIDs, and has more; or why not. Pure."""
    old, new = facts.old.name, facts.new.name
    if facts.kind is not GtidKind.MYSQL:
        return Refusal(
            "no-empties",
            f"An empty transaction takes the place of another by MySQL's GTIDs only, and {old} goes by {facts.kind}.",
            "Bring what it has to the primary (--how=rescue), or give it the data of another server: --how=rebuild.",
        )
    if facts.new.server_uuid.lower() in (lost := _beyond(facts)).sources():
        return Refusal(
            "primarys-own",
            f"{old} has transactions that {new} itself wrote and has no more: {lost}. Its disk may have lost them.",
            f"Look at {new} first: other replicas may have them, too.",
            facts.evidence,
        )
    more = errant_of(facts)
    if not more:
        return Refusal("nothing-errant", f"{old} has executed nothing that {new} lacks.", "Nothing is to be done.")
    there = facts.there
    rewinds = facts.rewound is not None and facts.rewound.open
    if there is None or not there.works or facts.hold is not None or rewinds:
        return Refusal(
            "no-replica",
            f"{old} is no replica of {new} that runs, and empty transactions would let it follow with data of its own: "
            f"{more.count()} transactions, {more}.",
            "Let it be compared, replayed or taken back: --how=rescue, --how=rewind; or --how=rebuild.",
            facts.evidence,
        )
    if more.count() > AT_MOST:
        return Refusal(
            "too-many",
            f"{old} has {more.count()} transactions that {new} lacks: that is not somebody's slip.",
            "Let them be listed (--how=rescue), or give it the data of another server: --how=rebuild.",
            (str(more),),
        )
    return replace(
        RejoinPlan.about(facts, How.EMPTIES),
        traces=(),
        block=False,
        keeps=f"all of its data: {old} goes on as it is",
        discards="nothing",
        errant=str(more),
        copies=f"nothing; {new} gets {more.count()} empty transactions: {more}",
        warnings=(f"what these transactions did stays on {old} alone: see that it does no harm there, or rebuild it",),
    )


def plan_for(facts: RejoinFacts, how: How) -> RejoinPlan | Refusal:
    """What is to be done by that way, or why nothing may be. Pure."""
    return empties_plan(facts) if how is How.EMPTIES else rejoin_plan(facts, how)


def commit_empty(new: ServerConfig, gtids: GtidSet, may_commit: Callable[[], None]) -> int:
    """Those that the primary lacks by now, one after the other; how many. Raises ServerError's children, soon after
    it went dark.

    ``may_commit`` is asked before each, and raises where it may not.
    """
    done = 0
    with contextlib.closing(Server(new)) as server, ended_with_its_server(server):

        def execute(statement: str) -> None:
            server.query(statement, action="commit an empty transaction", timeout=STATEMENT, same_session=True)

        missing = gtids - (server.observe().gtid_executed or GtidSet())
        for gtid in missing:
            may_commit()
            execute(f"SET gtid_next = '{gtid}'")
            execute("BEGIN")
            execute("COMMIT")
            done += 1
        execute("SET gtid_next = 'AUTOMATIC'")
        left = gtids - (server.observe().gtid_executed or GtidSet())
    if left:
        raise StatementFailed(new.name, "commit empty transactions", f"it still lacks {left}")
    return done
