"""The moment of a planned switch: stop writes on the old primary, wait for the new one, open it.

Every millisecond here is one in which applications wait, so nothing is done that could be done before or after:
sessions are open and former values known. One line is journaled, before the opening.
"""

from __future__ import annotations

import time

from ..deadline import Deadline
from ..errors import DeadlineExceeded, ServerError, StatementFailed, UnsafeStatement
from ..fencing.everyone import lift
from ..local.interrupts import finish_from_here
from ..memory.journal import Journal
from ..model.position import BinlogPosition
from ..model.state import GtidKind, Vendor
from ..mysql.server import Server
from ..threads import ThreadPool
from ..workload.client_sessions import end_client_sessions, holders_of_locks
from .job import HandedOver, Preparation, SwitchJob
from .write_lock import EndOfLog, lacking

#: Seconds that the server waits by itself before it is asked whether its applier still runs.
SLICE = 1
#: Seconds to find out what became of an opening whose answer was lost.
FIND_OUT = 5.0


def hand_over(job: SwitchJob, ready: Preparation) -> HandedOver:
    """Stop, wait, end sessions, note, journal, open. Whatever is raised, `close_again` comes before giving back.

    Sessions are ended before the opening and not after it: should this process be killed, the lock goes with it, and
    where there is no super_read_only a session with SUPER that waits for the lock would write beside the new primary.
    """
    began, parts, clock = time.monotonic(), [], time.monotonic()
    deadline = Deadline(job.options.deadline)
    target = job.sessions.server(job.plan.new_primary)

    def took(part: str) -> None:
        nonlocal clock
        now = time.monotonic()
        parts.append((part, now - clock))
        clock = now

    job.stop.stop_events()
    end = job.stop.stop(deadline)
    took("stop writes")
    # Things that wait for others, a disk and two servers: side by side. What finishes a switch looks at the servers,
    # so the line may be there before the new primary has executed everything; its own end is known only then.
    with ThreadPool(max_workers=2, thread_name_prefix="hand-over") as beside:
        by_place = job.plan.kind is GtidKind.POSITION
        noting = None if by_place else beside.submit(record_opening, job.journal, job, end, None)
        wait_until_executed(target, job.plan.target.channel, job.plan.kind, end, ready, deadline)
        took("wait for the new primary")
        ending = beside.submit(_end_sessions, job, ready)
        target_end = end_of_log(target) if by_place else None
        finish_from_here()
        if noting is None:
            record_opening(job.journal, job, end, target_end)
        else:
            noting.result()
        ended = ending.result()
    job.stop.check_held()
    if deadline.over:
        raise DeadlineExceeded("hand the writes over", job.options.deadline, f"{target} has executed everything")
    took("journal, end sessions")
    if ready.target_former.tx_read_only:
        # It was the primary before another switch.
        job.lifted = True
        lift(target)
    job.may_be_open = True
    _open(target)
    took("open the new primary")
    return HandedOver(end, target_end, time.monotonic() - began, tuple(parts), ended)


def _end_sessions(job: SwitchJob, ready: Preparation) -> int:
    """Where read_only keeps out everybody, one that may not be ended does no harm."""
    old = job.sessions.server(job.plan.old)
    spare = {*job.stop.threads, *holders_of_locks(old)}
    return end_client_sessions(old, spare, all_of_them=ready.former.super_read_only is None)


def wait_until_executed(
    server: Server, channel: str, kind: GtidKind, end: EndOfLog, ready: Preparation | None, deadline: Deadline
) -> None:
    """Let the server itself wait until it has executed the old primary's log to its end, in slices.

    Raises StatementFailed as soon as its applier does not run any more, DeadlineExceeded.
    """
    if kind is GtidKind.POSITION:
        question = server.dialect.wait_for_place(channel)
        args: tuple[str | int, ...] = (end.position.file, end.position.pos, SLICE)
    else:
        gtids = end.gtids
        if server.dialect.vendor is Vendor.MARIADB:
            gtids = lacking(end, ready.target_gtids if ready is not None else None)
        if not gtids:
            return
        question, args = server.dialect.wait_for_gtids(), (gtids, SLICE)
    while server.scalar(question, args, action="wait for the end of the old primary's log", timeout=SLICE + 5.0) != 0:
        for seen in server.observe().channels:
            if seen.name == channel and (seen.broken or not seen.applier_running):
                why = seen.applier_error or "its applier does not run"
                raise StatementFailed(str(server), "execute the old primary's log to its end", why, seen.applier_errno)
            if seen.name == channel and seen.receiver_stopped and seen.received != end.position:
                why = seen.receiver_error or "its receiver does not run"
                raise StatementFailed(str(server), "receive the old primary's log to its end", why, seen.receiver_errno)
        if deadline.over:
            raise DeadlineExceeded(f"{server}: execute the old primary's log to its end", deadline.seconds, str(end))


def end_of_log(server: Server) -> BinlogPosition | None:
    """Where a server's own log ends; None when it writes none."""
    rows = server.query(server.dialect.show_log_status(), action="read the end of its binary log")
    return BinlogPosition(str(rows[0]["File"]), int(rows[0]["Position"])) if rows else None


def record_opening(journal: Journal, job: SwitchJob, end: EndOfLog, target_end: BinlogPosition | None) -> None:
    """The line that the next run needs, should this one die now: the new primary may be open from here on."""
    journal.record(
        "open", "intent", job.plan.new_primary, end=str(end.position), gtids=end.gtids, target_end=str(target_end or "")
    )


class OpeningUnknown(UnsafeStatement):
    """The new primary may or may not have been opened, so neither server can be let take writes."""


def _open(target: Server) -> None:
    target.query("SET GLOBAL read_only = 0", action="open it for writes", timeout=FIND_OUT)


def close_again(target: Server) -> None:
    """It was about to be opened, and something failed: see that it is closed, or close it.

    Raises OpeningUnknown when that cannot be had: then the old primary must not take writes.
    """
    ends, last = time.monotonic() + FIND_OUT, ""
    while time.monotonic() < ends:
        try:
            if not target.observe().writable:
                return
            target.query("SET GLOBAL read_only = 1", action="close it again")
        except ServerError as error:
            last = str(error)
            time.sleep(SLICE / 10)
    raise OpeningUnknown(
        f"{target} may have been opened for writes, and does not answer any more ({last}); bring it back, then start "
        "the switch again"
    )
