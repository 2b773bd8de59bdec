"""What masterha_check_repl, masterha_check_ssh and `mha check` share: see everything once, judge, show."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..views.checks import OUTPUTS, picture, print_json, print_table, replica_health, say
from ..views.terminal import print_wrapped
from .options import OptionParser, add_conf, one_line, package_version

if TYPE_CHECKING:
    from ...config import ClusterConfig
    from ...replication.checks.facts import Facts
    from ...replication.model.check import Check
    from ...replication.planning.readiness import Readiness

log = logging.getLogger("mha")

HEALTHY, UNHEALTHY = "MySQL Replication Health is OK.", "MySQL Replication Health is NOT OK!"
PASSED, NOT_PASSED = "All SSH connection tests passed successfully.", "SSH Configuration Check Failed!"


@dataclass(frozen=True)
class Asked:
    """What is to be checked and how it is shown; ``seconds_behind`` is how late a replica may be.

    ``verbose`` shows what is well, too.
    """

    replication: bool = True
    ssh: bool = True
    seconds_behind: int = 30
    skip_hosts: bool = False
    all_pairs: bool = False
    output: str = "text"
    verbose: bool = False

    @property
    def results(self) -> tuple[str, str]:
        """The last line when all is well, and when it is not."""
        return (HEALTHY, UNHEALTHY) if self.replication else (PASSED, NOT_PASSED)


def add_check_options(parser: OptionParser) -> None:
    """``--conf``, ``--global_conf``, ``--output`` and ``--verbose``."""
    add_conf(parser)
    parser.add_argument("--verbose", action="store_true", help="a line for every check; else for what is not well")
    parser.add_argument("--output", choices=OUTPUTS, default="text", help="lines as MHA's, a table, or JSON (text)")


def check(conf: Path, global_conf: Path, asked: Asked) -> int:
    """Check one application. Returns 0 when all is well, 1 when a check failed, 2 when its files are wrong."""
    from ...config import ConfigError, load_cluster
    from ...replication.notify.manager_log import secrets_of, setup_logging

    _, bad = asked.results
    try:
        config = load_cluster(conf, global_conf)
    except ConfigError as error:
        setup_logging(None)
        return _wrong_files(error, asked, conf.stem, bad)
    # What is shown otherwise than as lines keeps the terminal for itself, but for troubles.
    level = config.log_level if asked.output == "text" else "error"
    setup_logging(None, level, secrets_of(config))
    for warning in config.warnings:
        log.warning("%s", warning)
    if asked.replication:
        log.info("MHA::MasterMonitor version %s.", package_version())
    else:
        log.info("Starting SSH connection tests..")
    facts = _see(config, asked)
    checks = _judge(facts, asked)
    code = int(any(each.failed for each in checks))
    _show(config, asked, facts, checks, code)
    return code


def _wrong_files(error: Exception, asked: Asked, cluster: str, result: str) -> int:
    text = one_line(error)
    if asked.output == "json":
        from ...replication.model.check import Check

        hint = "correct the file; every parameter is in docs/configuration.md"
        print_json(cluster, [Check("configuration", cluster, False, text, hint=hint)], result, 2)
        return 2
    log.error("%s", text)
    print(result, flush=True)
    return 2


def _see(config: ClusterConfig, asked: Asked) -> Facts:
    from ...replication.checks.observe import look
    from ...replication.cluster.pool import ConnectionPool
    from ...replication.rejoin.remembered.standing import with_former_primaries

    sessions = ConnectionPool(config)
    try:
        hosts = not asked.skip_hosts
        facts = look(config, sessions, hosts=hosts, scripts=asked.replication, all_pairs=asked.all_pairs)
        return with_former_primaries(facts)
    finally:
        sessions.close()


def _judge(facts: Facts, asked: Asked) -> list[Check]:
    from ...replication.checks import of_replication, of_ssh
    from ...replication.notify.manager_log import redact

    checks = of_replication(facts, asked.seconds_behind) if asked.replication else of_ssh(facts)
    # Not all that is shown passes the log, and a server or a script may say anything.
    return [replace(each, text=redact(each.text), hint=redact(each.hint)) for each in checks]


def _readiness(facts: Facts) -> Readiness:
    from ...replication.checks.cluster import former
    from ...replication.checks.cluster.privileges import warnings_of_accounts
    from ...replication.memory.failover_flags import FailoverFlags
    from ...replication.planning.readiness import Past, assess

    past = Past.of(FailoverFlags(facts.config.manager_workdir, facts.config.name))
    also = (*warnings_of_accounts(facts), *former.notes(facts))
    return assess(facts.config, facts.cluster, past, facts.primary_log_readable, also)


def _show(config: ClusterConfig, asked: Asked, facts: Facts, checks: Sequence[Check], code: int) -> None:
    result = asked.results[code]
    ready = _readiness(facts) if asked.replication else None
    if asked.output == "json":
        print_json(config.name, checks, result, code, ready.as_dict() if ready else None)
        return
    if asked.output == "table":
        print_table(config.name, checks, verbose=asked.verbose)
        if ready is not None:
            print_wrapped(str(ready))
    else:
        if asked.replication:
            for text in (*picture(facts), *replica_health(facts, checks)):
                log.info("%s", text)
        say(checks, verbose=asked.verbose)
        if ready is not None:
            log.log(logging.INFO if ready.ready else logging.WARNING, "%s", ready)
        if asked.replication:
            log.info("Got exit code %d (Not master dead).", code)
    if asked.replication and asked.ssh and not asked.skip_hosts:
        from ...replication.checks import of_ssh

        print(NOT_PASSED if any(each.failed for each in of_ssh(facts)) else PASSED)
    print(result)
    sys.stdout.flush()


def checked_lines(conf: Path, global_conf: Path) -> list[str]:
    """What the last health check on this host said; nothing when there was none."""
    from ...config import ConfigError, load_cluster
    from ...replication.memory.failover_flags import FailoverFlags
    from ...replication.memory.last_check import LastCheck

    try:
        config = load_cluster(conf, global_conf, resolve=str, secrets=False)
    except ConfigError:
        return []
    found = LastCheck(config).read()
    return [found.line(FailoverFlags(config.manager_workdir, config.name).complete_age())] if found else []
