"""The checks at a manager's start: that a cluster cannot fail over is told before the emergency, not in it.

MHA's command refuses to start then, and so does ours; a manager that goes on watches all the same, and
tells. `start_checks` overrides either.
"""

from __future__ import annotations

import contextvars
import logging
import threading

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
from ...tasks.health_check import assess, tell_news
from ..engine.start import step
from .options import ManagerOptions

log = logging.getLogger("mha")

#: One process may watch a hundred clusters, and each check logs in to every host.
_AT_A_TIME = threading.Semaphore(1)


def check_for_the_first_time(
    config: ClusterConfig, sessions: ConnectionPool, options: ManagerOptions, *, may_refuse: bool
) -> None:
    """Whether it could fail over, as `start_checks` has it: asked beside the watch, or before it. Raises RefusalError.

    Only who is not in a hurry ``may_refuse``.
    """
    tell_of_the_last_failover(config, options.failover)
    mode = config.start_checks or ("warn" if options.go_on else "refuse")
    if mode == "warn" or not may_refuse:
        check_beside(config, skip_hosts=options.skip_check_ssh)
        return
    check_at_start(config, sessions, skip_hosts=options.skip_check_ssh, ignore_fail=options.ignore_fail_on_start)


def check_at_start(config: ClusterConfig, sessions: ConnectionPool, *, skip_hosts: bool, ignore_fail: bool) -> None:
    """Every check of masterha_check_repl; people are told what is new. Raises RefusalError for what forbids a start."""
    facts = look(config, sessions, hosts=not skip_hosts)
    checks = of_replication(facts)
    if _died_meanwhile(facts, sessions):
        return
    ready = step(assess, facts)
    tell_news(config, checks, ready)
    forbidden = forbidding(config, checks, ignore_fail=ignore_fail)
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
        log.info("The checks at the start are left out, because the primary does not answer any more: %s", error)
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
