"""Detect: is the primary dead, and who else says so?"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from typing import TypeVar

from ..config import ClusterConfig, ServerConfig
from ..replication.cluster.pool import ConnectionPool, reachable
from ..replication.detection.classic_rules import (
    ALARM_AT,
    MissCounter,
    NextAction,
    Ping,
    SecondaryCheck,
    Verdict,
    decide,
    somebody_else,
)
from ..replication.detection.independence import own_names
from ..replication.detection.observation import Observation, Observer
from ..replication.local.addresses import address_of
from ..replication.model.state import ServerState
from ..replication.probes.host import HostView, ServerPaths, look_at
from ..replication.probes.ping import Pinger
from ..replication.probes.receiving import ReceiverView
from ..replication.probes.replica import ask_others
from ..replication.probes.survey import run_secondary
from ..replication.probes.tcp import probe_port
from ..replication.threads import ThreadPool
from ..replication.watch.garbage import spare_what_is_loaded
from ..replication.watch.listener import Listener
from ..replication.watch.primary import WATCHES, BeginAnew, Watch
from ..replication.watch.refusals import Refusals
from .policy import STEP
from .step import task

__all__ = ["BeginAnew", "Listener", "confirm_dead", "watch"]

log = logging.getLogger("mha")
R = TypeVar("R")

#: Seconds that an answer of a primary is waited for which a person calls dead, and that its replicas are listened to
#: while they are connected to it: one that is slow is not dead.
BY_HAND = 8.0
#: Seconds for a knock, and for a look at a receiver.
KNOCK, LOOK = 1.0, 2.0


class SideChecks:
    """What is asked beside the pings from the first miss on: SSH, the replicas' hosts, the secondary check."""

    def __init__(
        self,
        config: ClusterConfig,
        primary: ServerConfig,
        sessions: ConnectionPool,
        ears: dict[str, ReceiverView] | None = None,
        listens: float = 1.0,
        state: ServerState | None = None,
    ) -> None:
        self._listens, self._places = listens, ServerPaths.of(primary, state)
        self._config, self._primary, self._sessions = config, primary, sessions
        self._others = [s for s in config.servers if s.address != primary.address]
        self._ears = {} if ears is None else ears
        self._pool = ThreadPool(max_workers=6, thread_name_prefix="side-check")
        self._knock: Future[Observation] | None = None
        self._receivers: Future[tuple[Observation, ...]] | None = None
        self._ssh: Future[bool] | None = None
        self._views: Future[tuple[Observation, ...]] | None = None
        self._process: Future[HostView] | None = None
        self._secondary: Future[int] | None = None

    def begin(self) -> None:
        """Ask everybody now."""
        host = self._sessions.host(self._primary.address)
        self._ssh = self._pool.submit(reachable, host, float(self._primary.ssh_connection_timeout))
        self.look_again()
        if self._config.secondary_check_script:
            self._secondary = self._pool.submit(run_secondary, self._config, self._primary)

    def look_again(self) -> None:
        """Ask the replicas' hosts, and the primary's own, once more: their view is to be fresh at the verdict."""
        self._views = self._pool.submit(ask_others, self._sessions, self._primary, self._others)
        host = self._sessions.host(self._primary.address)
        self._process = self._pool.submit(look_at, host, self._primary, self._places, timeout=2.0)
        self._knock = self._pool.submit(self._knock_now)
        self._receivers = self._pool.submit(self._listen)

    def _knock_now(self) -> Observation:
        finding, detail = probe_port(address_of(self._primary), self._primary.port, KNOCK)
        return Observation(Observer.PING, "manager", finding, detail)

    def _listen(self) -> tuple[Observation, ...]:
        """What the receivers hear: the last event of each replica is compared over a second."""

        def listen(server: ServerConfig) -> tuple[Observation, ...]:
            ear = self._ears.setdefault(server.address, ReceiverView(self._primary))
            return ear.listen(self._sessions.server(server.address), timeout=LOOK, apart=self._listens)

        heard = self._sessions.each(listen, self._others, timeout=2 * LOOK + self._listens + 0.5)
        return tuple(o for _, seen in heard if isinstance(seen, tuple) for o in seen if o.source is Observer.REPLICA)

    def somebody_else(self, wait: float) -> str:
        """Why what answers on the primary's port is not the primary, as its host sees it; empty where it does not."""
        process = _within(self._process, time.monotonic() + wait)
        return somebody_else(process.seen) if process is not None else ""

    def verdict(self, patience: MissCounter, *, wait: float, by_hand: bool = False) -> Verdict:
        """Collect what was said within ``wait`` seconds and decide. ``by_hand``: a person calls it dead."""
        ends = time.monotonic() + wait
        views = _within(self._views, ends) or ()
        views += _within(self._receivers, ends) or ()
        knocked = _within(self._knock, ends)
        views += (knocked,) if knocked is not None else ()
        process = _within(self._process, ends)
        configured = bool(self._config.secondary_check_script)
        secondary = SecondaryCheck(configured, _within(self._secondary, ends) if configured else None)
        ssh = _within(self._ssh, ends) is True
        seen = self._sessions.observe(self._others, timeout=2.0)
        reachable = len(seen.up) + sum(d.alive for d in seen.down)
        own = own_names(self._others)
        views += process.seen if process else ()
        return decide(patience, views, secondary, ssh, reachable, own=own, by_hand=by_hand)

    def close(self) -> None:
        """Forget what is still being asked."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def watch(
    config: ClusterConfig,
    primary: ServerConfig,
    sessions: ConnectionPool,
    stop: threading.Event,
    listener: Listener,
    state: ServerState | None = None,
) -> Verdict | BeginAnew | None:
    """Watch until the primary is dead (the verdict), its role moved (begin anew) or ``stop`` is set (None).

    How, `detection` says. ``state`` is what the primary said of itself while it lived.
    """
    spare_what_is_loaded()
    log.info("Set master ping interval %d seconds.", config.ping_interval)
    log.info("Starting ping health check on %s..", primary.name)
    if config.detection == "classic":
        end = _watch_classic(config, primary, sessions, stop, listener, state)
    else:
        end = Watch(config, primary, sessions, stop, listener, state).run()
    if isinstance(end, Verdict):
        _log_verdict(primary, end)
    return end


def _watch_classic(
    config: ClusterConfig,
    primary: ServerConfig,
    sessions: ConnectionPool,
    stop: threading.Event,
    listener: Listener,
    state: ServerState | None,
) -> Verdict | BeginAnew | None:
    """One ping each interval; four misses in a row are a suspicion, which the others confirm or not.

    What answers where the host shows that somebody else listens is no answer.
    """
    pinger, patience, refusals = Pinger(config, primary), MissCounter(), Refusals(listener)
    ears: dict[str, ReceiverView] = {}
    checks: SideChecks | None = None
    greeted = False
    try:
        while not stop.is_set():
            if why := listener.displaced():
                return BeginAnew(why)
            began = time.monotonic()
            ping, error = pinger.ping()
            if ping is Ping.ALIVE_BUT_REFUSED and (else_ := _somebody_else(primary, sessions, state)):
                ping, error = Ping.MISSED, f"{else_}, and says: {error}"
            patience, act = patience.after(ping, began, error)
            if ping is Ping.ANSWERED and not greeted:
                listener.greeted(WATCHES.format(config.ping_type))
                greeted = True
            _tell(listener, refusals, ping, act, patience, config)
            if ping is Ping.ANSWERED and not pinger.closed:
                listener.open(fresh=pinger.renewed)
            elif ping is Ping.ANSWERED and (why := listener.closed()):
                return BeginAnew(why)
            if act is NextAction.RECOVERED and checks:
                checks.close()
                checks = None
            elif act is NextAction.ASK_OTHERS:
                checks = SideChecks(config, primary, sessions, ears, state=state)
                checks.begin()
            elif patience.misses == 3 and checks:
                checks.look_again()
            elif act is NextAction.DECIDE and checks:
                verdict = checks.verdict(patience, wait=config.hook_timeout if config.secondary_check_script else 4.0)
                checks.close()
                checks = None
                if verdict.dead:
                    return verdict
                log.warning("No failover: %s", verdict.why)
                listener.recovered(verdict.why)
                patience = MissCounter()
            stop.wait(max(0.0, config.ping_interval - (time.monotonic() - began)))
        return None
    finally:
        pinger.close()
        if checks:
            checks.close()


def _somebody_else(primary: ServerConfig, sessions: ConnectionPool, state: ServerState | None) -> str:
    """Only where the server itself said while it lived whose directories are its own."""
    if state is None:
        return ""
    return somebody_else(
        look_at(sessions.host(primary.address), primary, ServerPaths.of(primary, state), timeout=LOOK).seen
    )


@task(name="Confirm that the primary is dead", **STEP)
def confirm_dead(config: ClusterConfig, dead: ServerConfig, sessions: ConnectionPool) -> Verdict:
    """For a failover that somebody asks for: a ping with time to answer, and everybody's view, now."""
    pinger = Pinger(config, dead)
    checks = SideChecks(config, dead, sessions, listens=BY_HAND)
    checks.begin()
    try:
        ping, error = pinger.ping(max(BY_HAND, float(config.ping_interval)))
        if ping is not Ping.MISSED and not checks.somebody_else(LOOK):
            why = error or "it answers a ping"
            return Verdict(False, f"the primary {dead.name} is reachable via MySQL: {why}", None)
        return checks.verdict(MissCounter(1, time.monotonic(), error), wait=config.hook_timeout, by_hand=True)
    finally:
        pinger.close()
        checks.close()


def _tell(
    listener: Listener, refusals: Refusals, ping: Ping, act: NextAction, patience: MissCounter, config: ClusterConfig
) -> None:
    if ping is Ping.ANSWERED:
        refusals.over()
        listener.answered()
    elif ping is Ping.ALIVE_BUT_REFUSED:
        refusals.refused(patience.last_error, suspected=act is NextAction.RECOVERED)
    else:
        if patience.misses == 1:
            log.warning("Got error on MySQL %s ping: %s", config.ping_type.lower(), patience.last_error)
        else:
            log.warning("Connection failed %d time(s)..", patience.misses)
        listener.suspect(patience.misses, patience.last_error)
        if patience.misses == ALARM_AT:
            listener.alarm(f"it does not answer pings: {patience.last_error}")
    if act is NextAction.RECOVERED and ping is Ping.ANSWERED:
        listener.recovered("the primary answered again")


def _log_verdict(primary: ServerConfig, verdict: Verdict) -> None:
    reach = {True: "reachable", False: "NOT reachable", None: "not certain to be reachable"}[verdict.ssh_reachable]
    log.info("HealthCheck: SSH to %s is %s.", primary.hostname, reach)
    for seen in verdict.observations:
        log.info("Seen: %s", seen)
    log.warning("Master is not reachable from health checker!")
    log.warning("Master %s is not reachable!", primary.name)
    log.warning("Master is down!")
    log.warning("The evidence: %s.", verdict.why)


def _within(future: Future[R] | None, ends: float) -> R | None:
    if future is None:
        return None
    try:
        return future.result(timeout=max(0.0, ends - time.monotonic()))
    except TimeoutError:
        return None
