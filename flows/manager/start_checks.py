"""The checks at a manager's start: that a cluster cannot fail over is told before the emergency, not in it.

MHA's command refuses to start then, and so does ours; a manager that goes on watches all the same, and
tells. `start_checks` overrides either. Neither lets a primary die unseen while they are made.
"""

from __future__ import annotations

import contextvars
import logging
import math
import threading
import time
from collections.abc import Callable

from ...config import ClusterConfig
from ...replication.checks import of_replication
from ...replication.checks.facts import Facts
from ...replication.checks.observe import look
from ...replication.checks.start import forbidding, refusal
from ...replication.cluster.pool import ConnectionPool
from ...replication.errors import MhaError, RefusalError, ServerError
from ...replication.memory.failover_flags import FailoverFlags
from ...replication.planning.plan import FailoverOptions
from ...replication.threads import Thread
from ...replication.watch.primary import STOP_SEEN
from ...tasks.health_check import assess, tell_news
from ..engine.start import step
from .options import ManagerOptions

log = logging.getLogger("mha")

#: One process may watch a hundred clusters, and each check logs in to every host.
_AT_A_TIME = threading.Semaphore(1)


class StartChecks:
    """Whether it could fail over, where ``ask``, as `start_checks` has it: asked beside the watch, which it may refuse.

    A context around the watch. It gives the event that ends the watch: set by itself when ``stop`` is, and when the
    watch is refused. ``allowed`` is done once nothing forbids to act. With a primary that is dead there is no time for
    checks: those that are not made by then are left out. Raises RefusalError, or whatever kept them from being made.
    """

    def __init__(
        self,
        config: ClusterConfig,
        options: ManagerOptions,
        stop: threading.Event,
        allowed: Callable[[], object],
        *,
        ask: bool,
        may_refuse: bool,
    ) -> None:
        self._config, self._options, self._then, self._ask = config, options, allowed, ask
        mode = config.start_checks or ("warn" if options.go_on else "refuse")
        self._refuses = ask and may_refuse and mode == "refuse"
        self._stop: threading.Event = _Stop(stop)
        self._mutex = threading.Lock()
        self._allowed = self._ended = False
        self._failure: Exception | None = None

    def __enter__(self) -> threading.Event:
        if self._ask:
            tell_of_the_last_failover(self._config, self._options.failover)
        if self._refuses:
            run = contextvars.copy_context().run
            Thread(target=run, args=(self._run,), name="checks at the start", daemon=True).start()
        else:
            self._allowed = True
            self._then()
            if self._ask:
                check_beside(self._config, skip_hosts=self._options.skip_check_ssh)
        return self._stop

    def __exit__(self, *_: object) -> None:
        # Whatever was allowed and is being done is waited for.
        with self._mutex:
            self._ended = True
            if self._failure is not None:
                raise self._failure
            if not self._allowed:
                log.info("The checks at the start are skipped: the watch ended before them.")

    def without_watch(self, sessions: ConnectionPool) -> None:
        """Where nobody is found who could be watched: they may say more of that."""
        if not self._ask:
            return
        tell_of_the_last_failover(self._config, self._options.failover)
        if self._refuses:
            check_at_start(self._config, sessions, self._options)
        else:
            check_beside(self._config, skip_hosts=self._options.skip_check_ssh)

    def _run(self) -> None:
        sessions = ConnectionPool(self._config)
        try:
            check_at_start(self._config, sessions, self._options)
            with self._mutex:
                if not self._ended:
                    self._allowed = True
                    self._then()
        except Exception as error:  # noqa: BLE001 - raised where the watch is
            with self._mutex:
                self._failure = error
            self._stop.set()
        finally:
            sessions.close()


class _Stop(threading.Event):
    """Set by itself when another one is."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        ends = math.inf if timeout is None else time.monotonic() + timeout
        while not self.is_set() and (left := ends - time.monotonic()) > 0:
            super().wait(min(left, STOP_SEEN))
        return self.is_set()


def check_at_start(config: ClusterConfig, sessions: ConnectionPool, options: ManagerOptions) -> None:
    """Every check of masterha_check_repl; people are told what is new. Raises RefusalError for what forbids a start."""
    facts = look(config, sessions, hosts=not options.skip_check_ssh)
    checks = of_replication(facts)
    if _died_meanwhile(facts, sessions):
        return
    ready = step(assess, facts)
    tell_news(config, checks, ready)
    forbidden = forbidding(config, checks, ignore_fail=options.ignore_fail_on_start)
    if forbidden:
        raise RefusalError(refusal(config, forbidden, len(checks)))
    log.log(logging.INFO if ready.ready else logging.WARNING, "%s", ready)


def check_beside(config: ClusterConfig, *, skip_hosts: bool) -> None:
    """The same in a thread of its own with sessions of its own; nothing is refused, what failed is logged and told."""
    run = contextvars.copy_context().run
    Thread(target=run, args=(_beside, config, skip_hosts), name="checks at the start", daemon=True).start()


def _beside(config: ClusterConfig, skip_hosts: bool) -> None:
    with _AT_A_TIME:
        sessions = ConnectionPool(config)
        try:
            facts = look(config, sessions, hosts=not skip_hosts)
            checks = of_replication(facts)
            if _died_meanwhile(facts, sessions):
                return
            ready = step(assess, facts)
            for check in (each for each in checks if each.failed):
                log.error("%s: %s", check.name, check)
            log.log(logging.INFO if ready.ready else logging.WARNING, "%s", ready)
            tell_news(config, checks, ready)
        except MhaError as error:
            log.error("The checks at the start could not be made: %s", error)
        except Exception:
            log.exception("Unexpected error in the checks at the start.")
        finally:
            sessions.close()


def _died_meanwhile(facts: Facts, sessions: ConnectionPool) -> bool:
    """Whether the primary, which answered a moment ago, does no longer: then what the checks say is about that."""
    primary = facts.primary
    if primary is None:
        return False
    try:
        sessions.server(primary.address).observe()
    except ServerError as error:
        log.info("The checks at the start are skipped, because the primary no longer answers: %s", error)
        return True
    return False


def tell_of_the_last_failover(config: ClusterConfig, options: FailoverOptions) -> None:
    """What the last failover left that would forbid the next one is said now."""
    if options.ignore_last_failover:
        return
    flags = FailoverFlags(config.manager_workdir, config.name)
    if flags.has_error():
        log.warning(
            "The next failover will be refused, because the last one failed: remove %s when that is settled.",
            flags.error,
        )
    age = flags.complete_age()
    if age is not None and age < options.last_failover_minute * 60:
        log.warning(
            "Failovers are refused for the next %.0f minutes: the last one was %.0f minutes ago, and "
            "--last_failover_minute is %d. --ignore_last_failover lifts that.",
            options.last_failover_minute - age / 60,
            age / 60,
            options.last_failover_minute,
        )
