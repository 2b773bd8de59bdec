"""Whom a failover waits for while it executes what it received, for how long, and who is passed over meanwhile."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from ....replication.actions.drain import Patience
from ....replication.actions.drained import Drained, prove
from ....replication.cluster.catch_up import LEVEL_LIMIT
from ....replication.errors import RefusalError, ServerError, TooBusy
from ....replication.model.refusal import Refusal
from ....replication.model.state import ReplicaChannel, ServerState
from ....replication.mysql.server import Server
from ....replication.planning.plan import FailoverPlan
from ....replication.planning.role_plan import ReplicaRecovery
from ....replication.planning.selection import bytes_behind
from ....replication.planning.soonest import DrainTime, Next, decide
from ....replication.rescue.pointing import channel_named
from ....replication.workload import applier_threads, busy

if TYPE_CHECKING:
    from .one_replica import Leveler

log = logging.getLogger("mha")

BUSY = "busy-candidate"
#: Seconds for a look at all the other candidates, and after which the bytes that one executed a second are believed.
LOOK_WITHIN, RATED_AFTER = 1.5, 1.0
#: Seconds that an applier has to stand still for an estimate to be believed.
STANDS_AFTER = 0.5
#: One that moves on gets so many times `busy_after`: how fast it is may change, and it gets nearer all the time.
MOVES_ON = 4


class Waiting:
    """How long each replica is waited for; ``passed`` tells by ``ip:port`` why a candidate was passed over.

    ``busy`` are those that were not waited for, and why: somebody goes on with them when they are free.
    """

    def __init__(self, failover: Leveler) -> None:
        self._failover = failover
        self.passed: dict[str, str] = {}
        self.busy: dict[str, str] = {}

    def of(self, plan: FailoverPlan, replica: ReplicaRecovery, *, in_tail: bool = False) -> Patience:
        """How long that replica is waited for; ``in_tail``: while it executes what was saved, as all have to.

        There only a lock is none of the others' trouble.
        """
        if replica.key == plan.new_primary:
            return _Candidate(self, self._failover, plan, in_tail)
        return self.for_other(replica, in_tail=in_tail)

    def for_other(self, replica: ReplicaRecovery, *, in_tail: bool = False) -> Patience:
        """Nobody waits for a long statement, or a lock, of a replica that can come later."""
        job = self._failover.job
        server = job.sessions.server(replica.key)

        def goes_on(channel: ReplicaChannel, stood: float) -> bool:
            work = _seen(server, channel)
            if work is None or (in_tail and not work.locked):
                return work is not None
            if stood < STANDS_AFTER or max(stood, busy.seconds_left(work)) <= job.config.busy_after:
                return True
            self.busy[replica.key] = str(work)
            raise TooBusy(f"{replica.name} has not executed what it received: {work}")

        return goes_on

    def pass_over(self, plan: FailoverPlan, error: TooBusy) -> None:
        """This one comes last from now on, and the one that is taken instead does not."""
        self.passed[plan.new_primary] = str(error)
        self.passed.pop(error.other, None)


class _Candidate:
    """Asked again and again while the replica to be promoted is not drained."""

    def __init__(self, waiting: Waiting, failover: Leveler, plan: FailoverPlan, in_tail: bool) -> None:
        self._waiting, self._failover, self._plan, self._in_tail = waiting, failover, plan, in_tail
        self._began = time.monotonic()
        self._first: ReplicaChannel | None = None
        self._said = ""

    def __call__(self, channel: ReplicaChannel, stood: float) -> bool:
        job, plan = self._failover.job, self._plan
        config = job.config
        server = job.sessions.server(plan.new_primary)
        work = _seen(server, channel)
        if self._in_tail and not (work is not None and work.locked):
            return work is not None and time.monotonic() - self._began < LEVEL_LIMIT
        chosen = self._need(channel, work, stood)
        after = config.busy_after * (MOVES_ON if stood < STANDS_AFTER else 1)
        if max(chosen.seconds, stood) <= after:
            return work is not None
        others = self._others()
        policy = "wait" if job.options.new_master_host is not None else config.busy_candidate
        step = decide(chosen, others, stood, after=after, policy=policy, end_blockers=config.end_blockers)
        needs = "; ".join(f"{need.name} needs {need.words}" for need in (chosen, *others))
        if step.what is Next.REFUSE:
            raise RefusalError(_refusal(plan, chosen, others))
        if step.what is Next.OTHER:
            for need in others:
                if need.key != step.other and not need.ready:
                    self._waiting.passed.setdefault(need.key, need.why)
            raise TooBusy(f"{plan.new_primary_name} is passed over: {chosen.why} ({needs})", step.other)
        if step.what is Next.END and work is not None:
            for each in busy.end(server, work.blockers):
                text = f"{each} was ended on {plan.new_primary_name}: its lock kept the applier waiting (end_blockers)"
                log.warning("%s.", text)
                self._failover.notes.append(f"{text}.")
        elif chosen.why != self._said:
            self._said = chosen.why
            name = plan.new_primary_name
            log.warning("Waiting for %s, because nobody is ready sooner: %s (%s).", name, chosen.why, needs)
        return work is not None and time.monotonic() - self._began < LEVEL_LIMIT

    def _need(self, channel: ReplicaChannel, work: busy.Work | None, stood: float) -> DrainTime:
        plan = self._plan
        why = str(work) if work is not None else ""
        self._first = self._first or channel
        seconds = busy.seconds_left(work) if work is not None else 0.0
        if stood < STANDS_AFTER:
            seconds = self._at_this_rate(channel)
        ends = work is not None and bool(work.blockers)
        return DrainTime(plan.new_primary, plan.new_primary_name, max(seconds, 0.1), why, ends=ends)

    def _at_this_rate(self, channel: ReplicaChannel) -> float:
        """Seconds for what is left, in bytes of the dead primary's log, as fast as so far; 0 where nobody can tell."""
        took = time.monotonic() - self._began
        first = self._first.executed if self._first is not None else None
        done, left = bytes_behind(first, channel.executed), bytes_behind(channel.executed, channel.received)
        return took * left / done if took > RATED_AFTER and done and left else 0.0

    def _others(self) -> list[DrainTime]:
        """The other candidates as they are, in the order of the plan."""
        plan, job = self._plan, self._failover.job
        able = [c for c in plan.candidates if c.eligible and c.key != plan.new_primary]
        channels = {x.key: x.channel for x in plan.others if not x.broken}

        def need(key: str) -> DrainTime:
            server = job.sessions.server(key)
            state = server.observe()
            channel = channel_named(state, channels[key])
            passed = key in self._waiting.passed
            if _ready(state, channel) or (channel.has_read_all and applier_threads.waits(server, state, channel.name)):
                return DrainTime(key, state.name, 0.0)
            work = _seen(server, channel)
            seconds = busy.seconds_left(work) if work is not None else job.config.busy_after
            return DrainTime(key, state.name, max(seconds, 0.1), str(work or "its applier does not run"), passed)

        looked = job.sessions.each(need, [c.key for c in able if c.key in channels], timeout=LOOK_WITHIN)
        return [result for _, result in looked if isinstance(result, DrainTime)]


def _seen(server: Server, channel: ReplicaChannel) -> busy.Work | None:
    """What its applier is at; a look that fails says nothing, and is no failure of the replica."""
    try:
        return busy.look(server, channel)
    except ServerError as error:
        log.debug("%s", error)
        return None


def _ready(state: ServerState, channel: ReplicaChannel) -> bool:
    return isinstance(prove(state, state, channel.name, appliers_wait=False), Drained)


def _refusal(plan: FailoverPlan, chosen: DrainTime, others: list[DrainTime]) -> Refusal:
    return Refusal(
        BUSY,
        f"{plan.new_primary_name} has not executed what it received, and busy_candidate is refuse: {chosen.why}.",
        "Wait until it has, or end what it waits for, then start again; or set busy_candidate=other or wait.",
        tuple(f"{need.name} needs {need.words}" for need in (chosen, *others)),
    )
