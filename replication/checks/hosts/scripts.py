"""The users' scripts and the binlog servers. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import basename

from ...maintenance.binlog_server.archive import archive_directories
from ...model.check import Check, Severity
from ..facts import Facts, HostFacts
from ..rule import Rule
from .tools import who

DEFINED = Rule(
    "script-defined",
    "Are master_ip_failover_script, shutdown_script and secondary_check_script defined?",
    "{without}; define `{parameter}` if that is not enough",
    Severity.WARNING,
)
STATUS = Rule(
    "script-status",
    "Do master_ip_failover_script and shutdown_script end with 0 for --command=status?",
    "run it by hand as the user who runs the manager, with --command=status: a failover needs it",
)
RUNNABLE = Rule(
    "script-runnable",
    "Can the other scripts be started?",
    "correct `{parameter}` in the configuration, or fix the script",
)
BINLOG_SERVER = Rule(
    "binlog-server",
    "Can the hosts of the [binlogN] blocks be reached, and their directories read?",
    "make {directory} readable for {user} on {server}, and run `mha binlog-server` there",
    Severity.WARNING,
    varies="error when none of them can be used",
)
RULES = (DEFINED, STATUS, RUNNABLE, BINLOG_SERVER)

_WITHOUT = {
    "master_ip_failover_script": "without it nobody moves the address that applications use",
    "shutdown_script": "without it mysqld is killed over SSH, which a host that hangs does not let happen",
    "secondary_check_script": "without it the replicas' hosts are asked whether the primary is dead",
}


def checks(facts: Facts) -> Iterator[Check]:
    """Every check of the scripts."""
    for parameter, without in _WITHOUT.items():
        if getattr(facts.config, parameter):
            yield DEFINED.yes(parameter, "is defined")
        else:
            yield DEFINED.no(parameter, f"{parameter} is not defined", without=without, parameter=parameter)
    for script in facts.scripts:
        if script.asked:
            text = script.trouble or "--command=status: OK"
            yield STATUS.judge(script.parameter, not script.trouble, text)
        else:
            text = script.trouble or "can be started"
            yield RUNNABLE.judge(script.parameter, not script.trouble, text, parameter=script.parameter)


def binlog_servers(facts: Facts) -> Iterator[Check]:
    """Every check of the binlog servers."""
    troubles = {}
    for server in facts.config.binlog_servers:
        host = facts.binlog_hosts.get(server.block)
        if host is not None:
            primary = facts.primary
            directories = archive_directories(server, primary) if primary else server.master_binlog_dir
            troubles[server.block] = _trouble(host, directories)
    severity = Severity.ERROR if troubles and all(troubles.values()) else None
    for server in facts.config.binlog_servers:
        if server.block not in troubles:
            continue
        trouble, host = troubles[server.block], facts.binlog_hosts[server.block]
        directory = next(iter(server.master_binlog_dir), "")
        yield BINLOG_SERVER.judge(
            f"{server.block} on {server.hostname}",
            not trouble,
            trouble or f"{basename(directory) or directory} can be read by {host.name}",
            severity,
            directory=directory,
            user=who(host.name)[0],
            server=server.hostname,
        )


def _trouble(host: HostFacts, directories: tuple[str, ...]) -> str:
    if not host.reached:
        return host.error
    if host.sftp:
        return host.sftp
    plain = [directory.rstrip("/") or "/" for directory in directories]
    if all(directory in host.unreadable for directory in plain):
        return "; ".join(f"{directory}: {host.unreadable[directory]}" for directory in plain)
    return ""
