"""Follow up: whoever a failover left out is brought along when it is free, beside the watch over the new primary."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from ...config import ClusterConfig, ServerConfig
from ...replication.actions.drained import Drained
from ...replication.cluster.pool import ConnectionPool, reachable
from ...replication.coordination.failover_lock import FailoverLock
from ...replication.errors import AlreadyActing, CannotLevel, MhaError, ServerError, TooBusy
from ...replication.memory.follow_up import LeftOut, NextStep, ahead, decide, left_out, note_done
from ...replication.memory.journal import Journal, journals
from ...replication.model.position import BinlogPosition
from ...replication.model.refusal import Refusal
from ...replication.model.state import ClusterState, GtidKind, ServerState
from ...replication.notify.events import EventHooks
from ...replication.planning.plan import FailoverOptions, FailoverPlan, resume_plan
from ...replication.planning.role_plan import ReplicaRecovery
from ...replication.reporting.job import FailoverJob
from ...replication.reporting.outcome import ReplicaOutcome
from ...replication.rescue.kept_copies import kept
from ...replication.rescue.saved import AppliedBinlog, SavedBinlog
from ...replication.threads import Thread
from ...replication.workload import busy
from ...tasks import fence
from .failover import Runbook
from .leveling.new_primary import Level, until

log = logging.getLogger("mha")

#: Seconds between two looks at those that were left out, and before one that could not be brought along is tried again.
LOOK_EVERY, AGAIN = 1.0, 60.0
#: Seconds for a look at all of them, and those that the host of the dead primary has to answer.
LOOK_WITHIN, HOST_WITHIN = 2.0, 3.0
#: Seconds that the end of it waits for a replica that is just being pointed.
ENDS_WITHIN = 5.0


class FollowUp(Runbook):
    """Phase 4 of a failover once more, for those that it left out; the dead primary and the address are left alone."""

    def __init__(self, job: FailoverJob, left: LeftOut) -> None:
        super().__init__(job, False, ())
        self._left = left
        self.stands = BinlogPosition.parse(left.place) if left.place else None

    def bring(self, keys: list[str]) -> tuple[ReplicaOutcome, ...]:
        """Level these and point them at the new primary. Raises MhaError where none can be."""
        job, opened = self.job, self._left.opened
        cluster = job.sessions.observe([job.config_of(key) for key in (opened.key, *keys)])
        plan = resume_plan(job.config, job.dead, cluster, opened.key, GtidKind(opened.kind))
        if isinstance(plan, Refusal):
            raise CannotLevel(str(plan))
        levelings = tuple(x for x in plan.levelings if x.key in (opened.key, *keys))
        plan = replace(plan, levelings=levelings)
        self.found.plan = plan
        self.lock = job.lock = FailoverLock([job.config_of(x.key) for x in plan.others])
        self.lock.take()
        try:
            self.stopped = self.run(fence.stop_receivers, job, replace(plan, levelings=plan.others))
            self.see(self.stopped)
            level = self._level(plan, self.stopped)
            return self.phase_4_other_replicas(plan, level)
        finally:
            self.lock.release()

    def _level(self, plan: FailoverPlan, stopped: ClusterState) -> Level:
        opened = self._left.opened
        end = BinlogPosition.parse(opened.end_of_log) if opened.end_of_log else None
        proof = Drained(opened.key, plan.new_primary_name, plan.target.channel, None, None)
        places = [c.executed for s in stopped.up for c in s.channels if c.executed is not None]
        rescue = SavedBinlog(None, "not needed")
        if plan.kind is GtidKind.POSITION and places and self.stands is not None and min(places) < self.stands:
            rescue = until(self._saved(plan, min(places)), self.stands)
        return Level(proof, rescue, AppliedBinlog(opened.key, plan.new_primary_name, None, end))

    def _saved(self, plan: FailoverPlan, start: BinlogPosition) -> SavedBinlog:
        """What the failover saved; once more from the dead host where that does not reach back far enough."""
        job = self.job
        for key in (self._left.opened.key, *(x.key for x in plan.others)):
            if found := kept(self._left.entries, job.dead.address, key, start):
                return found
        self.fencing.ssh = reachable(job.sessions.host(job.dead.address), HOST_WITHIN)
        return self.saved(plan, start, plan.others[0].key)

    def level_by_position(self, plan: FailoverPlan, level: Level, other: ReplicaRecovery, proof: Drained) -> Drained:
        """One that stands where the new primary stood lacks nothing."""
        if self.stands is not None and proof.executed == self.stands:
            return proof
        return super().level_by_position(plan, level, other, proof)

    def follow(self, plan: FailoverPlan, level: Level, other: ReplicaRecovery) -> ReplicaOutcome:
        """As in the failover; one that has more than the new primary had is left as it is."""
        proof = self.drained(plan, other)
        state = self.job.sessions.server(other.key).observe()
        if why := ahead(self._left, state, proof.executed):
            raise CannotLevel(f"{other.name}: {why}; take over by hand what you need of it, then rebuild it")
        return self.level_and_point(plan, level, other, proof)


class Following:
    """Looks after those that the last failover left out, in a thread of its own; `end` stops it.

    ``may_act`` is whether this manager has the right to. What becomes of them is told, once each.
    """

    def __init__(self, config: ClusterConfig, may_act: Callable[[], bool]) -> None:
        self._config, self._may_act = config, may_act
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._said: dict[str, str] = {}
        self._again: dict[str, float] = {}

    def start(self, primary: str, settled: Callable[[], object]) -> None:
        """Go on with them while the server at ``ip:port`` is the primary; nothing where nobody was left out.

        ``settled`` is called when nobody is left out any more.
        """
        left = left_out(self._config.manager_workdir, self._config.name)
        if left is None or left.opened.key != primary:
            return
        self._thread = Thread(target=self._run, args=(left, settled), name="follow up", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Begin nothing more; what is being done to a replica is waited for."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(ENDS_WITHIN)

    def here(self, primary: str, seconds: float, stop: threading.Event) -> bool:
        """Look after them in this thread while one of them is at work, ``seconds`` at most; whether one is left."""
        left = left_out(self._config.manager_workdir, self._config.name)
        if left is None or left.opened.key != primary:
            return False
        ends = time.monotonic() + seconds
        return self._look_after(left, lambda waits: not waits or time.monotonic() > ends or stop.is_set())

    def _journal(self) -> Journal:
        """The newest: of the journals that are appended to, the newest is the last."""
        return Journal(journals(self._config.manager_workdir, self._config.name)[0])

    def _run(self, left: LeftOut, settled: Callable[[], object]) -> None:
        try:
            if not self._look_after(left, lambda waits: False):
                settled()
        except Exception:
            log.exception("The manager no longer looks after the replicas that the failover left out")

    def _look_after(self, left: LeftOut, over: Callable[[bool], bool]) -> bool:
        """Go on until nobody is left, or it is ``over``, asked with whether one is at work; whether one is left."""
        sessions = ConnectionPool(self._config)
        open_ones = dict(left.servers)
        try:
            while open_ones and not self._stop.is_set():
                waits = self._round(sessions, left, open_ones)
                if not open_ones or over(waits):
                    break
                self._stop.wait(LOOK_EVERY)
            return bool(open_ones)
        finally:
            sessions.close()

    def _round(self, sessions: ConnectionPool, left: LeftOut, open_ones: dict[str, str]) -> bool:
        """One look at all of them, and what follows from it; whether one is at work, or was just brought along."""
        config = self._config
        dead, new = _server(config, left.opened.dead), _server(config, left.opened.key)
        servers = [s for s in config.servers if s.address in open_ones]
        if dead is None or new is None or not servers:
            open_ones.clear()
            return False
        cluster = sessions.observe([new, *servers], timeout=LOOK_WITHIN, unconnected=LOOK_WITHIN)
        primary = cluster.get(new.address)
        if primary is None or not primary.writable:
            return False
        bring, waits = [], False
        for server in servers:
            state = cluster.get(server.address)
            work = _work(sessions, state, dead) if state is not None else ""
            act, why = decide(state, dead, new, work)
            waits = waits or bool(work)
            if act is NextStep.DONE:
                self._done(open_ones, server, why)
            elif act is NextStep.BRING and time.monotonic() >= self._again.get(server.address, 0.0):
                bring.append(server.address)
            elif act is not NextStep.BRING:
                self._say(server, why, act is NextStep.TELL)
        if bring and self._may_act() and not self._stop.is_set():
            self._bring(sessions, left, open_ones, dead, bring)
            return True
        return waits

    def _bring(
        self, sessions: ConnectionPool, left: LeftOut, open_ones: dict[str, str], dead: ServerConfig, keys: list[str]
    ) -> None:
        with contextlib.closing(self._journal()) as journal:
            options = FailoverOptions(ignore_last_failover=True)
            job = FailoverJob(self._config, dead, options, sessions, journal, past=left.entries)
            run = FollowUp(job, left)
            try:
                outcomes = run.bring(keys)
            except (AlreadyActing, TooBusy) as error:
                log.info("%s", error)
                return
            except MhaError as error:
                outcomes = tuple(ReplicaOutcome(key, job.config_of(key).name, False, str(error)) for key in keys)
            finally:
                job.address.close()
            for each in outcomes:
                if each.ok:
                    continue
                self._again[each.key] = time.monotonic() + AGAIN
                self._say(job.config_of(each.key), each.detail, each.key not in run.waiting.busy)

    def _done(self, open_ones: dict[str, str], server: ServerConfig, why: str) -> None:
        was = open_ones.pop(server.address)
        with contextlib.closing(self._journal()) as journal:
            note_done(journal, server.address, why)
        rest = f"{len(open_ones)} more to come" if open_ones else "nobody is left out any more"
        text = f"{server.name} was left out by the failover ({was}), and {why} now; {rest}"
        log.info("%s.", text)
        EventHooks(self._config).tell("check_passed", old=server, text=text)

    def _say(self, server: ServerConfig, why: str, tell: bool) -> None:
        if self._said.get(server.address) == why:
            return
        self._said[server.address] = why
        text = f"{server.name} was left out by the failover: {why}"
        (log.error if tell else log.info)("%s.", text)
        if tell:
            EventHooks(self._config).tell("check_failed", old=server, text=text)


def late_ones(config: ClusterConfig, primary: ServerConfig, cluster: ClusterState) -> tuple[str, ...]:
    """Who answers, and was left out by the failover that made this server the primary: ``ip:port``."""
    left = left_out(config.manager_workdir, config.name)
    if left is None or left.opened.key != primary.address:
        return ()
    return tuple(key for key in left.servers if cluster.get(key) is not None)


def _server(config: ClusterConfig, key: str) -> ServerConfig | None:
    return next((server for server in config.servers if server.address == key), None)


def _work(sessions: ConnectionPool, state: ServerState, dead: ServerConfig) -> str:
    """What keeps its applier at work, in words; empty when it is free, or would be in a moment."""
    channel = state.channel_from(dead.hostname, dead.ip, dead.port) or state.rescued_channel
    if channel is None or channel.executed == channel.received:
        return ""
    try:
        work = busy.look(sessions.server(state.key), channel)
    except ServerError as error:
        log.debug("%s", error)
        return ""
    return str(work) if work is not None else ""
