"""Make an old server that is back a replica: point it, start it, see that it executes; or take that back.

Each verb looks whether it is done, does it, and looks at its effect. The server stays closed to everybody meanwhile.
"""

from __future__ import annotations

import logging
import time

from ..actions.drained import Drained, prove
from ..actions.promote import forget_source
from ..actions.repoint import follows, start_following
from ..actions.semi_sync import read_roles, take_roles
from ..cluster.catch_up import check_alive
from ..errors import DeadlineExceeded, StatementFailed, UnsafeStatement
from ..fencing.read_only import Closed, close_for_writes
from ..model.position import BinlogPosition
from ..model.state import GtidKind, ReplicaChannel, ServerState
from ..planning.selection import Follower
from ..switchover.demote import become_replica
from ..switchover.write_lock import set_event_scheduler
from .facts import RejoinFacts
from .job import RejoinJob
from .observe import password_of, replicas_of
from .remembered.interrupted import NOBODY, NOBODY_AGAIN

log = logging.getLogger("mha")

#: Seconds that it has to connect and to run, and to execute what the primary has now, while it gets nearer.
CONNECTS, LEVEL = 15.0, 10.0
#: Seconds between two looks at whether it gets nearer.
NEARER = 0.1


def close(job: RejoinJob) -> Closed:
    """Read-only, for accounts with SUPER too, with nobody connected who could write. Raises ServerError."""
    return close_for_writes(job.sessions.server(job.plan.old))


def point(job: RejoinJob, facts: RejoinFacts) -> None:
    """CHANGE … TO the new primary, with all that its other replicas connect with. Raises ServerError, UnsafeStatement.

    What its own role as a primary needed is off: events that would run there, the source's half of semi-synchronous
    replication, which would wait for replicas that it has not.
    """
    plan, server = job.plan, job.sessions.server(job.plan.old)
    followers = _others(job)
    if facts.events:
        set_event_scheduler(server, "OFF")
    take_roles(server, _roles(job, followers))
    if plan.pointed and follows(server.observe(), plan.channel, job.new) is not None:
        return
    password = password_of(job.old, followers, job.sessions)
    account = (plan.user, password or "")
    become_replica(server, plan.channel, job.new, plan.kind, facts.like, plan.position, account)


def start(job: RejoinJob, facts: RejoinFacts) -> ServerState:
    """Start both halves, and see both run and the same filters as the other replicas have.

    Raises UnsafeStatement for other filters, ServerError's children, DeadlineExceeded.
    """
    server, new = job.sessions.server(job.plan.old), job.sessions.server(job.plan.new)
    channel = follows(server.observe(), job.plan.channel, job.new)
    if channel is None:
        raise StatementFailed(str(server), f"follow {job.new.name}", "it does not point there any more")
    if facts.filters is not None and channel.filters != facts.filters:
        raise UnsafeStatement(
            f"{server} has other replication filters than the other replicas ({_words(channel)}), and would hold other "
            "data: make its my.cnf like theirs, and restart it"
        )
    return start_following(server, job.plan.channel, job.new, timeout=CONNECTS, alive=new)


def see_it_level(job: RejoinJob) -> str:
    """Wait until it has executed what the new primary has now, as long as it gets nearer; how it stands, in words.

    One that is far behind follows all the same. Raises StatementFailed when its applier stops, DeadlineExceeded when it
    stands still without being level, ServerUnreachable when the new primary is gone.
    """
    server, new = job.sessions.server(job.plan.old), job.sessions.server(job.plan.new)
    goal = new.observe()
    began = moved_at = time.monotonic()
    seen: object = None
    while True:
        state = server.observe()
        channel = follows(state, job.plan.channel, job.new)
        if (stopped := why_stopped(channel)) or channel is None:
            raise StatementFailed(str(server), f"follow {job.new.name}", stopped)
        stands, now = executed_by(state, channel), time.monotonic()
        if stands is not None and _level(state, channel, goal, job.plan.kind):
            return "level with it"
        if stands is not None and stands != seen:
            seen, moved_at = stands, now
        if stands is not None and now - began > LEVEL and now - moved_at < LEVEL / 2:
            behind = f"{channel.seconds_behind} s" if channel.seconds_behind is not None else "not known how far"
            return f"still catching up, {behind} behind"
        if now - moved_at > LEVEL:
            raise DeadlineExceeded(
                f"{server}: execute what {new} has", LEVEL, f"{channel.executed} of {goal.end_of_log}"
            )
        check_alive(new)
        time.sleep(NEARER)


def works(job: RejoinJob) -> bool:
    """It follows the new primary, and both halves run without an error. Raises ServerError."""
    channel = follows(job.sessions.server(job.plan.old).observe(), job.plan.channel, job.new)
    return channel is not None and channel.works


def why_stopped(channel: ReplicaChannel | None) -> str:
    """Why that channel executes nothing more, in the server's words; empty while both halves go on."""
    if channel is None:
        return "it points elsewhere"
    if channel.broken or channel.receiver_stopped:
        return channel.applier_error or channel.receiver_error or "its threads stopped"
    return ""


def executed_by(state: ServerState, channel: ReplicaChannel) -> tuple[object, ...] | None:
    """What changes as it gets nearer: what it received brings it no nearer while it executes nothing.

    None while its applier does not run: a guard that sets it free starts that anew, which takes a moment.
    """
    return (channel.executed, state.gtid_executed, state.mariadb_gtid) if channel.applier_running else None


def take_back(job: RejoinJob) -> str:
    """It does not follow: stopped, and a replica of nobody again where it executed nothing; what was done, in words.

    It stays read-only. Raises ServerError.
    """
    server = job.sessions.server(job.plan.old)
    state = server.observe()
    channel = follows(state, job.plan.channel, job.new)
    if channel is None:
        return NOBODY if not state.channels else f"it points at {state.sources} by now, and was left as it is"
    server.query(server.dialect.stop(channel.name), action="stop replication", timeout=65.0)
    state = server.observe()
    proof = prove(state, state, channel.name, appliers_wait=False)
    if not isinstance(proof, Drained) or _executed_something(job, follows(state, channel.name, job.new)):
        return f"it points at {job.new.name}, stopped, and is read-only"
    forget_source(server, proof)
    return NOBODY_AGAIN


def _executed_something(job: RejoinJob, channel: ReplicaChannel | None) -> bool:
    """Then the place where it stands is known by its channel alone."""
    if channel is None or job.plan.kind is not GtidKind.POSITION:
        return False
    return job.plan.position is None or channel.executed != job.plan.position


def _level(state: ServerState, channel: ReplicaChannel, goal: ServerState, kind: GtidKind) -> bool:
    if kind is GtidKind.MYSQL:
        return state.executed_all(goal.gtid_executed) or not goal.gtid_executed
    if kind is GtidKind.MARIADB:
        return state.executed_all(goal.mariadb_gtid) or not goal.mariadb_gtid
    return _reached(channel.executed, goal.end_of_log)


def _reached(executed: BinlogPosition | None, end: BinlogPosition | None) -> bool:
    return end is None or (executed is not None and executed.base == end.base and executed >= end)


def _others(job: RejoinJob) -> tuple[Follower, ...]:
    return replicas_of(job.config, job.sessions.observe(), job.plan.new, job.plan.old)


def _roles(job: RejoinJob, followers: tuple[Follower, ...]) -> dict[str, int | str]:
    """Of semi-synchronous replication: no source, and a replica as another one is; with none, as the primary asks."""
    if followers:
        roles = dict(read_roles(job.sessions.server(followers[0].key)))
    else:
        roles = {"replica": read_roles(job.sessions.server(job.plan.new)).get("source", 0)}
    return {**roles, "source": 0}


def _words(channel: ReplicaChannel) -> str:
    told = [f"{name}={value}" for name, value in vars(channel.filters).items() if value]
    return ", ".join(told) or "none"
