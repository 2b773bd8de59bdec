"""What only the old server has, kept and read; and held against the new primary's log, as far as that can be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...binlog.rows.changes import Changes
from ...errors import HostError, LogError, RefusalError, StatementFailed
from ...model.position import BinlogPosition
from ...model.refusal import Refusal
from ...reporting.ledger import Fate, LedgerLine
from ...switchover.write_lock import set_event_scheduler
from ..facts import RejoinFacts
from ..job import RejoinJob
from ..observe import look
from ..remembered.rewound import replayed_since, rewound_of
from .archive import Archive, archive, tell_account
from .comparison import report
from .comparison.choice import Choice, Chosen, choose
from .comparison.comparing import Comparing, Tail
from .comparison.report import Compared
from .comparison.schema import executes_strictly, longest_statement, read_tables
from .comparison.sides import TheirLog, tail_of
from .comparison.to_edit import sql_to_edit
from .ledger import Reckoning
from .replaying import Replayed, replay
from .rewinding import cannot_be_undone
from .undoing import followed_up_to, forget, gtids_of_both, undo

#: Why nothing is replayed on a server that overwrites a row which is there, and passes over one which is not.
NOT_STRICT = (
    "slave_exec_mode of the new primary is not STRICT: a row that is not as this transaction found it would not be "
    "noticed; set it there, and say the same again"
)


class Own:
    """A plain class on purpose: an engine that looks into arguments and results finds no rows of anybody."""

    def __init__(self, kept: Archive, tail: Sequence[Changes], stopped: str, facts: RejoinFacts) -> None:
        self.kept, self.tail, self.stopped, self.facts = kept, tail, stopped, facts

    def __str__(self) -> str:
        return str(self.kept)

    @property
    def tables(self) -> tuple[str, ...]:
        """Those of which it changes rows."""
        return tuple(dict.fromkeys(event.table.name for changes in self.tail for event in changes.events))


class Against:
    """The comparison, which goes on while something is replayed. ``theirs`` is None where that log cannot be read."""

    def __init__(self, own: Own, comparing: Comparing, theirs: TheirLog | None) -> None:
        self.own, self.comparing, self.theirs = own, comparing, theirs

    def __str__(self) -> str:
        found = self.comparing.result()
        return (
            f"{len(found.conflicts)} conflicts, {len(found.unknown)} not comparable, {len(found.there)} there already"
        )

    def chosen(self, choice: Choice) -> Chosen:
        """What would be replayed now."""
        return choose(self.comparing.tail, self.comparing.result(), choice)


def keep_own(job: RejoinJob) -> Own:
    """Off its host, proven, synced, listed; then read. Raises what `archive` does."""
    facts = look(job.who, job.sessions)
    kept = archive(job.who, job.sessions, facts)
    tail, stopped = tail_of(kept, facts)
    return Own(kept, tail, stopped, facts)


def compare(job: RejoinJob, own: Own) -> Against:
    """Raises ServerError's children; a log of the new primary that cannot be read is a doubt about everything."""
    tables = read_tables(job.sessions.server(job.plan.new), own.tables)
    comparing = Comparing(Tail(own.tail, tables))
    replaced = own.facts.replaced
    at = replaced.at if replaced is not None else 0.0
    since = replayed_since(job.config.manager_workdir, job.config.name, job.plan.new, at)
    theirs: TheirLog | None = None
    try:
        theirs = TheirLog(job.config, job.new, job.sessions, own.facts)
        for each in theirs.read():
            place = BinlogPosition(each.transaction.log, each.transaction.start)
            comparing.take(each, ours_since=since is not None and place >= since)
    except (HostError, LogError) as error:
        theirs = None
        comparing.stopped(f"the log of {job.plan.new_name} cannot be read: {error}")
    return Against(own, comparing, theirs)


def tell(
    job: RejoinJob, against: Against, left: Mapping[int, str], done: Sequence[int] = (), *, hide: bool = False
) -> Compared:
    """The report as it is now, in its files beside the archive, and in the account of the failover. Raises OSError."""
    own, found = against.own, against.comparing.result()
    if there := found.there.union(done):
        tell_account(job.who, own.facts, _reckoned(job, own, there), whole=not own.stopped)
    names = [changes.name for changes in own.tail]
    told = Compared(
        job.plan.old_name,
        job.plan.new_name,
        len(own.tail),
        found,
        tuple(names[n] for n in done),
        tuple(names[n] for n in sorted(found.there - set(done))),
        {names[n]: why for n, why in sorted(left.items())},
        own.kept.directory,
        hide,
    )
    tables = against.comparing.tail.tables
    report.write(told, own.kept.directory, sql_to_edit(own.tail, tables, left, job.plan.new_name))
    return told


def _reckoned(job: RejoinJob, own: Own, there: frozenset[int]) -> list[LedgerLine]:
    opened = own.facts.replaced.at if own.facts.replaced is not None else 0.0
    rescued = Reckoning(Fate.RESCUED, job.plan.new_name)
    before, after = Reckoning(Fate.LOST), Reckoning(Fate.APART)
    for number, changes in enumerate(own.tail):
        left = before if changes.transaction.timestamp < opened else after
        (rescued if number in there else left).add(changes.transaction)
    lines = (each.line(job.plan.old_name, own.kept.directory) for each in (rescued, before, after))
    return [line for line in lines if line is not None]


def replay_chosen(job: RejoinJob, against: Against, choice: Choice, may_commit: Callable[[], None]) -> Replayed:
    """On the new primary, each committed only as ``may_commit`` raises nothing.

    Raises ServerError's children, HostError's, LogError, and what that raises.
    """
    assert against.theirs is not None, "nothing is chosen of what could not be compared"
    server = job.sessions.server(job.plan.new)
    if not executes_strictly(server):
        chosen = against.chosen(choice)
        return Replayed((), {**chosen.left, **dict.fromkeys(chosen.replay, NOT_STRICT)})
    server_id = server.observe().server_id
    return replay(job.new, server_id, against.comparing, against.theirs, choice, job.journal, may_commit)


def see_it_can_be_undone(job: RejoinJob, own: Own) -> None:
    """By its log and its tables. Raises RefusalError, ServerError's children."""
    server = job.sessions.server(job.plan.old)
    why = cannot_be_undone(
        own.tail,
        read_tables(server, own.tables),
        strict=executes_strictly(server),
        stopped=own.stopped,
        server_id=own.facts.old.server_id,
        packet=longest_statement(server),
    )
    if why:
        raise RefusalError(
            Refusal(
                "cannot-rewind",
                f"What only {job.plan.old_name} has cannot be taken back: {why[0]}.",
                f"It is kept in {own.kept.directory}. Rebuild the server: --how=rebuild.",
                why,
            )
        )


def undo_own(job: RejoinJob, own: Own) -> int:
    """In its tables. Events that would run there meanwhile are off. Raises ServerError's children."""
    server = job.sessions.server(job.plan.old)
    if own.facts.events:
        set_event_scheduler(server, "OFF")
    return undo(server, job.old, own.tail)


def forget_own(job: RejoinJob, own: Own | None) -> None:
    """In its logs and GTIDs; ``own`` is None where that was begun before. Raises ServerError's children."""
    replaced = own.facts.replaced if own is not None else None
    before = rewound_of(job.config.manager_workdir, job.config.name, job.plan.old, replaced.at if replaced else 0.0)
    if own is not None and before is not None and not before.open:
        before = None
    server = job.sessions.server(job.plan.old)
    gtids = gtids_of_both(own.facts, own.tail, followed_up_to(server)) if own is not None else ""
    if own is not None and own.kept.copy is not None and (end := server.observe().end_of_log) != own.kept.copy.end:
        said = f"its log ends at {end}, and what was kept ends at {own.kept.copy.end}: somebody wrote to it"
        raise StatementFailed(str(server), "delete its binary logs", said)
    forget(server, before, gtids, own.tables if own is not None else (), job.journal)
