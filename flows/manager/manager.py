"""The manager: watches a cluster's primary, and runs the failover the moment it is dead.

It is the long-running process behind `masterha_manager` (which ends after one failover, as its users'
supervisors expect), `mha monitor` and the `monitor` deployment (which go on with the new primary).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ...config import ClusterConfig, ConfigError, ServerConfig
from ...config.editing.edit import remove_block
from ...replication.checks.account_life import tell_daily
from ...replication.cluster.first_look import FirstLook
from ...replication.cluster.pool import ConnectionPool, with_those_who_moved
from ...replication.coordination.failover_slots import FailoverSlots
from ...replication.coordination.leadership import Leadership
from ...replication.detection.classic_rules import Verdict
from ...replication.detection.observation import SOMEBODY_ELSE
from ...replication.errors import CannotRemember, MhaError, RefusalError
from ...replication.fencing.last_look import ANSWER_THOUGH_DEAD
from ...replication.local import reserved_space as reserve
from ...replication.local.person import this_person
from ...replication.memory.health_file import ManagerStatus
from ...replication.memory.journal import VERDICT, opened_before
from ...replication.memory.last_writable import LastWritable
from ...replication.memory.open_business import dead_of_a_rescue
from ...replication.model.refusal import Refusal
from ...replication.model.state import ClusterState, ServerState, as_heard
from ...replication.model.topology import find_primary
from ...replication.notify import dispatcher as notify
from ...replication.notify.events import EventHooks
from ...replication.notify.events import finish as finish_hooks
from ...replication.probes.host import ServerPaths
from ...replication.reporting.job import FailoverJob
from ...replication.reporting.outcome import Outcome
from ...replication.reporting.report import result_line
from ...replication.rescue.tail_chain import successor
from ...replication.supervisor import SUPERVISOR
from ...replication.threads import Thread
from ...replication.watch.commits import CommitWatch
from ...replication.watch.guard import guard_of
from ...replication.watch.settle import let_try_again
from ...replication.watch.stand_by import Turn, wait_for_turn
from ...tasks.detect import BeginAnew, watch
from ..deeds.failover import act_in, failed_as_it_opened, interrupted_failover, new_job, standing_failover
from ..engine.events import telling_prefect
from ..runbooks.follow_up import Following, late_ones
from ..runbooks.foreign_failover import OpenedElsewhere, opened_elsewhere
from ..runbooks.resume_switchover import finish_switch
from .listening import FailoverListener, LoadBalancers, StatusListener, TolerantStatusFile
from .look_again import nobody_answers, not_ours, still_dead
from .options import ManagerOptions
from .returning import Returning
from .start_checks import StartChecks
from .stock import check_address, settle_and_tell, tell_stock, version

log = logging.getLogger("mha")

#: Seconds for another look at those who had no answer when sessions were opened.
ONCE_MORE = 1.0
#: How long a manager that goes on watching waits before it looks again at a cluster it could not watch (seconds).
LOOK_AGAIN = 10.0
#: Seconds before the cluster is looked at again after somebody else was found acting on it.
AFTER_ANOTHER = 2.0
#: Seconds that a verdict may have waited for its turn and still counts.
FRESH = 2.0


class Manager:
    """Watches one cluster. ``load`` reads the configuration afresh; ``stop`` ends the watch, not a failover.

    ``turns`` are shared with the other managers of this process, ``looked`` was begun before this was imported, and
    ``started`` is set once the cluster was looked at.
    """

    def __init__(
        self,
        load: Callable[[], ClusterConfig],
        options: ManagerOptions,
        stop: threading.Event,
        turns: FailoverSlots | None = None,
        looked: FirstLook | None = None,
    ) -> None:
        self._load, self._options, self._stop, self._turns = load, options, stop, turns or FailoverSlots()
        self.started, self._looked = threading.Event(), looked
        self._config = looked.config if looked is not None else load()
        self._health = TolerantStatusFile(self._config.manager_workdir, self._config.name)
        self._pulse = SUPERVISOR.pulse(self._config.name)
        self._balanced = LoadBalancers()
        self._guard = guard_of(self._config)
        self._right = Leadership(self._config)
        self._standing = standing_failover(self._config)
        self._following = Following(self._config, self._right.held)
        self._refused: Refusal | None = None
        self._seen: ClusterState | None = None
        self._commits: CommitWatch | None = None
        self._checked, self._may_refuse, self._died_open = False, True, ""
        self.last_words = ""  #: How it ended, for whoever has no log before the eyes.

    def run(self) -> int:
        """Watch until a failover was done (or, with ``go_on``, until stopped). Returns the exit code: 0, 10 or 1."""
        if lacks := reserve.keep(self._config.manager_workdir, self._config.name):
            log.error("%s; make room there: without its journal a failover must not act.", lacks)
        self._balanced.answer(self._config)
        this_person()
        notify.get_ready(self._config)
        over = threading.Event()
        Thread(target=tell_daily, args=(lambda: self._config, over), name="accounts", daemon=True).start()
        try:
            with telling_prefect(self._config, heartbeat=True), self._guard:
                self._guard.first_look()
                self._right.start()
                return self._watches()
        except Exception:
            log.exception("Unexpected error: the manager exits.")
            raise
        finally:
            over.set()
            self._standing.stand_down()
            LastWritable(self._config).watch_ends()
            self._right.close()
            self._health.remove()
            self._balanced.stop()
            finish_hooks(self._config.hook_timeout)

    def _watches(self) -> int:
        while True:
            code = self._one_watch()
            if code is None and not self._stop.is_set():
                self._config = self._reload()
                self._right.adopt(self._config)
                self._guard.adopt(self._config.servers)
                continue
            if not self._options.go_on or self._stop.is_set():
                return code or 0
            if code == 1:
                self._health.write(ManagerStatus.RETRYING_MONITOR)
                self._stop.wait(LOOK_AGAIN)
            before, self._config = self._config, self._reload()
            self._right.adopt(self._config)
            self._guard.adopt(self._config.servers)
            if before != self._config:
                self._balanced.answer(self._config)

    def _one_watch(self) -> int | None:
        """The exit code that this watch would end the process with; None to watch again, whoever is the primary now."""
        self._health.write(ManagerStatus.INITIALIZING_MONITOR)
        sessions = self._looked.sessions if self._looked is not None else ConnectionPool(self._config)
        self._looked = None
        # MHA's command ends when another one watches, unless it was told that there are two.
        patient = self._options.go_on or self._config.managers > 1
        try:
            turn = wait_for_turn(
                self._config,
                self._right,
                sessions,
                self._health,
                self._stop,
                patient=patient,
                meanwhile=lambda: self._finish_switch(sessions),
            )
            if turn is not Turn.AT_ONCE:
                # Whoever stood by is needed now: the one that watched is gone, and a server with it, perhaps.
                self._may_refuse = False
                return None if turn is Turn.WAITED else 0
            return self._watch_and_recover(sessions)
        except MhaError as error:
            log.error("Error happened on monitoring servers: %s", error)
            evidence = error.refusal.evidence if isinstance(error, RefusalError) else ()
            for line in evidence:
                log.error("  %s", line)
            self.last_words = "\n  ".join((str(error), *evidence))
            self._health.write(ManagerStatus.CONFIG_ERROR)
            self._stop.wait(self._options.wait_on_monitor_error)
            return 1
        finally:
            self.started.set()
            sessions.close()

    def _watch_and_recover(self, sessions: ConnectionPool) -> int | None:
        self._following = Following(self._config, self._right.held)
        self._finish_switch(sessions)
        interrupted = interrupted_failover(self._config, sessions)
        if interrupted is not None:
            finish = Verdict(True, "its failover was interrupted")
            return self._in_turn(sessions, interrupted, None, finish, begun_here=True)
        cluster, primary = self._take_stock(sessions)
        self._seen = cluster
        self.started.set()
        listener = FailoverListener(self._config, self._health, primary, sessions, self._right)
        following, returning, self._commits = self._following, Returning(self._config, self._right.held), None

        def allowed() -> None:
            """What acts beside a watch begins where nothing forbids that."""
            settled = settle_and_tell(self._config, sessions, cluster, primary)
            late = late_ones(self._config, primary, cluster)
            self._standing.stand_by()
            self._guard.watching(primary.address)
            if cluster.get(primary.address) is None:
                let_try_again(sessions, cluster, primary)
            listener.begins(ManagerStatus.PING_OK if settled and not late else ManagerStatus.FAILOVER_UNFINISHED)
            following.start(primary.address, listener.settled if settled else lambda: None)
            returning.start()
            self._commits = CommitWatch.begun(self._config, primary)

        try:
            verdict = self._watch(sessions, cluster, primary, listener, allowed)
        finally:
            self._pulse.rest()
            if self._commits is not None:
                self._commits.end()
            returning.end()
            following.end()
        if verdict is None:
            return 0
        if isinstance(verdict, BeginAnew) and listener.verdict is not None:
            verdict = listener.verdict
        if isinstance(verdict, BeginAnew):
            log.info("%s; watching the cluster anew.", verdict.why)
            return None
        return self._in_turn(sessions, primary, cluster.get(primary.address), verdict)

    def _watch(
        self,
        sessions: ConnectionPool,
        cluster: ClusterState,
        primary: ServerConfig,
        listener: StatusListener,
        allowed: Callable[[], None],
    ) -> Verdict | BeginAnew | None:
        """Watch, and the first time ask beside that whether it could fail over; ``allowed`` is done where it may act.

        Raises RefusalError.
        """
        state = cluster.get(primary.address)
        with self._checks(allowed, ask=state is not None) as stop:
            return watch(self._config, primary, sessions, stop, listener, state)

    def _checks(self, allowed: Callable[[], None], *, ask: bool) -> StartChecks:
        ask, self._checked = ask and not self._checked, ask or self._checked
        return StartChecks(self._config, self._options, self._stop, allowed, ask=ask, may_refuse=self._may_refuse)

    def _opened_elsewhere(self, sessions: ConnectionPool, dead: ServerConfig) -> OpenedElsewhere | None:
        try:
            return opened_elsewhere(self._config, dead, sessions)
        except RefusalError as error:
            if error.refusal != self._refused:
                self._refused = error.refusal
                EventHooks(self._config).tell("refused", old=dead, text=str(error), remedy=error.refusal.remedy)
            raise

    def _take_stock(self, sessions: ConnectionPool) -> tuple[ClusterState, ServerConfig]:
        """Look at everybody once, as MHA does before its first ping."""
        log.info("MHA::MasterMonitor version %s.", version())
        # Who did not answer a moment ago is not waited for as long once more.
        looked = sessions.observe(unconnected=ONCE_MORE) if sessions.warm() else sessions.observe()
        cluster = with_those_who_moved(self._config, looked)
        primary = find_primary(self._config, cluster)
        if not isinstance(primary, Refusal) and late_ones(self._config, primary, cluster):
            self._following.here(primary.address, 0.0, self._stop)
            # Who was left out and is free now follows before anybody asks whether all is well.
            cluster = with_those_who_moved(self._config, sessions.observe())
        if isinstance(primary, Refusal):
            self._checks(lambda: None, ask=True).without_watch(sessions)
            if (turned := dead_of_a_rescue(self._config, cluster)) is None:
                raise RefusalError(primary)
            primary = turned
        elif cluster.get(primary.address) is None:
            # There is no time for checks.
            self._may_refuse = False
        primary = successor(self._config, cluster, primary)
        tell_stock(self._config, cluster, primary)
        Thread(target=check_address, args=(self._config, sessions, primary), daemon=True).start()
        return cluster, primary

    def _in_turn(
        self,
        sessions: ConnectionPool,
        dead: ServerConfig,
        seen: ServerState | None,
        verdict: Verdict,
        *,
        begun_here: bool = False,
    ) -> int | None:
        """Recover in this cluster's turn, by fresh proof; ``begun_here``: this host's journal knows the failover."""
        self._health.write(ManagerStatus.PING_FAILED, dead.hostname)
        with self._pulse.acting(), self._turns.turn(self._config.name, self._config.priority, self._stop) as waited:
            if waited is None:
                return None
            if waited > FRESH and seen is not None:
                log.info("%s was found dead %.1f s ago: looking again before the failover.", dead.name, waited)
                fresh = still_dead(self._config, dead, sessions, self._stop, seen)
                if fresh is None:
                    log.warning("No failover: %s is no longer dead; watching the cluster anew.", dead.name)
                    return None
                verdict = replace(fresh, unseen=verdict.unseen)
            if not self._right.held():
                log.warning("No failover by this manager: it no longer has the right to act.")
                return None
            opened = None if begun_here or self._right.alone else self._opened_elsewhere(sessions, dead)
            return self._recover(sessions, dead, seen, verdict, opened)

    def _recover(
        self,
        sessions: ConnectionPool,
        dead: ServerConfig,
        seen: ServerState | None,
        verdict: Verdict,
        opened: OpenedElsewhere | None = None,
    ) -> int | None:
        self._health.write(ManagerStatus.FAILOVER_RUNNING, dead.hostname)
        options = self._options.failover
        if dead.address in (self._died_open, failed_as_it_opened(self._config)):
            # The rules against flapping do not count one that died as it was opened.
            options = replace(options, ignore_last_failover=True)
        try:
            job = new_job(self._config, dead, options, sessions)
        except CannotRemember as error:
            remedy = f"Make room in {self._config.manager_workdir}, then act: mha failover."
            EventHooks(self._config).tell("refused", old=dead, text=str(error), remedy=remedy)
            raise
        job.remembered = as_heard(self._seen, verdict.heard) if self._seen is not None else None
        job.answers_though_dead = job.answers_though_dead or verdict.row in ANSWER_THOUGH_DEAD
        job.somebody_else = job.somebody_else or verdict.row == SOMEBODY_ELSE
        job.since, job.unseen = verdict.since, verdict.unseen
        job.waits = self._commits.seen if self._commits is not None else None
        job.places = ServerPaths.of(dead, seen)
        job.journal.record(VERDICT, "dead", dead.address, **verdict.facts, **job.places.facts)
        if opened is not None:
            opened.is_begun_by(job)
        job.events.within = self._standing.ids
        job.events.tell("dead", old=dead, text=verdict.why)
        run, self._standing = self._standing, standing_failover(self._config)
        directories = (str(Path(seen.log_bin_basename).parent),) if seen and seen.log_bin_basename else ()
        outcome = act_in(run, job, ssh_reachable=verdict.ssh_reachable, log_directories=directories)
        look_again = not_ours(self._config, outcome, sessions, dead)
        if not (look_again or self._options.go_on):
            run.wait()
        if look_again:
            job.journal.close()
            self._stop.wait(AFTER_ANOTHER)
            return None
        return self._after(job, outcome)

    def _finish_switch(self, sessions: ConnectionPool) -> None:
        """A planned switch that died on this host is ended first; trouble with it does not keep us from watching."""
        try:
            finish_switch(self._config, sessions)
        except MhaError as error:
            log.error("%s", error)

    def _after(self, job: FailoverJob, outcome: Outcome) -> int | None:
        """What follows a failover: the dead block leaves the file if asked, the status file tells of a failure.

        None to go on in the same breath: the new primary died as it was opened, or right after it.
        """
        self.last_words = result_line(outcome)
        opened = outcome.promoted or opened_before(job.journal.entries())
        if (
            outcome.exit_code == 1
            and opened is not None
            and opened.key != self._died_open
            and nobody_answers(job.config_of(opened.key))
        ):
            log.warning("%s died as it was opened: watching who is left.", job.config_of(opened.key))
            self._died_open = opened.key
            job.journal.close()
            return None
        if outcome.promoted is not None:
            self._guard.watching(outcome.promoted.key)
            if not self._options.go_on:
                following = Following(self._config, self._right.held)
                left = following.here(outcome.promoted.key, self._config.follow_up_timeout, self._stop)
                if outcome.only_late and not left:
                    log.info("Nothing of the failover is left to do.")
                    outcome = replace(outcome, exit_code=0)
        if outcome.exit_code == 1:
            self._health.write(ManagerStatus.FAILOVER_ERROR, job.dead.hostname)
            self._stop.wait(self._options.wait_on_failover_error)
        elif outcome.exit_code == 0 and self._options.failover.remove_dead_master_conf:
            try:
                remove_block(self._config.path, job.dead.block)
                log.info("Deleted %s entry from %s .", job.dead.block, self._config.path)
            except ConfigError as error:
                log.error("%s", error)
        job.journal.close()
        return outcome.exit_code

    def _reload(self) -> ClusterConfig:
        """The configuration as it is now; a file broken meanwhile must not end the watch."""
        try:
            return self._load()
        except ConfigError as error:
            log.error("The configuration cannot be read now, so the last good one stays: %s", error)
            return self._config
