"""Semi-synchronous replication: on whose disks a commit lies before it is acknowledged. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ...cluster.unknown_replicas import READER_PORT
from ...model.check import Check, Severity
from ...model.state import ServerState
from ...planning.readiness import acknowledge_beside
from ..facts import Facts
from ..rule import Rule

SEMI_SYNC = Rule(
    "semi-sync",
    "Where semi-synchronous replication is on: do both sides have it?",
    "`SET GLOBAL {variable}=1` on {server}, and the same in its my.cnf",
    Severity.WARNING,
    varies="only told when replicas alone have it on",
)
WAITS = Rule(
    "semi-sync-waits",
    "Where semi-synchronous replication is on: is nothing acknowledged, or shown, that the primary's disk alone has?",
    "`SET GLOBAL {variable}={value}` on {server}, and the same in its my.cnf",
    Severity.WARNING,
)
DEMANDED = Rule(
    "semi-sync-demanded",
    "With `semi_sync`: do commits wait for a second disk, is there one, and could every candidate do the same?",
    "{what}; the guide has the statements, and how a binlog server acknowledges",
    Severity.ERROR,
    varies="warning with semi_sync=prefer",
)
OWN_HOST = Rule(
    "semi-sync-own-host",
    "Does everybody who may acknowledge commits live on another host than the primary?",
    "run it on another host, or let it acknowledge nothing",
    Severity.WARNING,
    varies="error with semi_sync=require",
)
RULES = (SEMI_SYNC, WAITS, OWN_HOST, DEMANDED)


def checks(facts: Facts) -> Iterator[Check]:
    """Every check of the second copy."""
    primary = facts.primary_state
    if primary is None:
        return
    yield from _both_sides(facts, primary)
    if primary.semi_sync.source_enabled:
        yield from _waits(facts, primary)
    else:
        yield WAITS.yes(primary.name, "its commits wait for nobody, as semi-synchronous replication is not on")
    yield from _beside(facts, primary)
    if facts.config.semi_sync == "off":
        yield DEMANDED.yes(facts.config.name, "semi_sync=off demands nothing")
    else:
        yield from _demanded(facts, primary)


def _both_sides(facts: Facts, primary: ServerState) -> Iterator[Check]:
    source_on, archives = bool(primary.semi_sync.source_enabled), _binlog_servers(facts, primary)
    for state in facts.replicas:
        own = state.semi_sync.replica_enabled
        name = facts.servers[state.key].name_of("rpl_semi_sync_replica_enabled")
        if source_on and not own and archives:
            yield SEMI_SYNC.yes(state.name, f"acknowledges nothing; {', '.join(archives)} does")
        elif source_on and own is None:
            text = "has no plugin for semi-synchronous replication, which the primary has on"
            yield SEMI_SYNC.no(state.name, text, variable=name, server=state.hostname)
        elif source_on:
            text = f"{name} is {_on(bool(own))}, and it is on on the primary"
            yield SEMI_SYNC.judge(state.name, bool(own), text, variable=name, server=state.hostname)
    name = facts.servers[primary.key].name_of("rpl_semi_sync_source_enabled")
    acknowledging = any(state.semi_sync.replica_enabled for state in facts.replicas)
    clients = facts.servers[primary.key].semi_sync_clients
    if source_on:
        text = f"{name} is on, and {_who(facts, primary)}"
        restart = "no replica that has it on is connected with it: restart their IO threads"
        if clients == 0 and acknowledging:
            yield SEMI_SYNC.no(primary.name, f"{name} is on, but {restart}", variable=name, server=primary.hostname)
        else:
            yield SEMI_SYNC.yes(primary.name, text)
    elif acknowledging:
        text = f"{name} is off, though replicas would acknowledge"
        yield SEMI_SYNC.no(primary.name, text, Severity.INFO, variable=name, server=primary.hostname)
    else:
        text = "semi-synchronous replication is not used: what a host that goes dark has sent to nobody is lost with it"
        yield SEMI_SYNC.yes(primary.name, text)


def _waits(facts: Facts, primary: ServerState) -> Iterator[Check]:
    semi, server = primary.semi_sync, facts.servers[primary.key]
    point, timeout = (server.name_of(f"rpl_semi_sync_source_{end}") for end in ("wait_point", "timeout"))
    if semi.wait_point and semi.wait_point != "AFTER_SYNC":
        text = f"{point} is {semi.wait_point}: others see a row that no second disk has, and it is lost with the host"
        yield WAITS.no(primary.name, text, variable=point, value="AFTER_SYNC", server=primary.hostname)
    elif semi.alone is False:
        name = server.name_of("rpl_semi_sync_source_wait_no_replica")
        text = f"{name} is off: without anybody who acknowledges, commits wait for nobody"
        yield WAITS.no(primary.name, text, variable=name, value="ON", server=primary.hostname)
    elif semi.timeout is not None and not semi.for_ever:
        text = (
            f"commits wait {semi.timeout / 1000:g} s ({timeout}), then go on without a second copy, and what is "
            "written so is lost with the host"
        )
        value = "4294967295"
        yield WAITS.no(primary.name, text, Severity.INFO, variable=timeout, value=value, server=primary.hostname)
    else:
        text = "by its settings commits wait: if its host went dark now, nothing acknowledged would be lost"
        yield WAITS.yes(primary.name, text)


def _beside(facts: Facts, primary: ServerState) -> Iterator[Check]:
    assert facts.primary is not None
    beside = acknowledge_beside(facts.config, facts.primary, {state.key: state for state in facts.replicas})
    severity = Severity.ERROR if facts.config.semi_sync == "require" else Severity.WARNING
    text = "nobody acknowledges on its own host"
    if beside:
        text = f"{', '.join(beside)} may acknowledge on its own host, and what lies there alone is lost with it"
    yield OWN_HOST.judge(primary.name, not beside, text, severity)


def _demanded(facts: Facts, primary: ServerState) -> Iterator[Check]:
    severity = Severity.ERROR if facts.config.semi_sync == "require" else Severity.WARNING
    semi, server = primary.semi_sync, facts.servers[primary.key]
    said = f"semi_sync={facts.config.semi_sync}, and "
    wanted = int(server.value("rpl_semi_sync_source_wait_for_replica_count") or 1)
    if not semi.source_enabled:
        what = f"switch it on on {primary.hostname}"
        yield DEMANDED.no(primary.name, f"{said}semi-synchronous replication is not on", severity, what=what)
    elif (server.semi_sync_clients or 0) < wanted:
        text = f"{said}{_who(facts, primary)}, where {wanted} have to"
        what = "start a binlog server with binlog_ack=1, or let a replica acknowledge"
        yield DEMANDED.no(primary.name, text, severity, what=what)
    elif facts.config.semi_sync == "require" and not semi.loses_nothing:
        what = f"let {primary.hostname} wait AFTER_SYNC, and for ever"
        yield DEMANDED.no(primary.name, f"{said}what it acknowledges may lie on its disk alone", severity, what=what)
    else:
        yield DEMANDED.yes(primary.name, f"{said}{_who(facts, primary)}")
    for state in facts.replicas:
        settings = next((s for s in facts.config.servers if s.address == state.key), None)
        if settings is not None and not settings.no_master and state.semi_sync.source_enabled is None:
            text = f"{said}it has no plugin for a source, should it be promoted"
            yield DEMANDED.no(state.name, text, severity, what=f"install the plugin on {state.hostname}")


def _who(facts: Facts, primary: ServerState) -> str:
    clients = facts.servers[primary.key].semi_sync_clients
    may = [*_binlog_servers(facts, primary), *(s.name for s in facts.replicas if s.semi_sync.replica_enabled)]
    number = "nobody acknowledges" if clients == 0 else f"{clients if clients is not None else 'some'} acknowledge"
    return f"{number} (of {', '.join(may)})" if may else number


def _binlog_servers(facts: Facts, primary: ServerState) -> list[str]:
    """The blocks whose binlog server reads from the primary as one that acknowledges."""
    seen = {r.host.lower() for r in facts.servers[primary.key].readers.registered if r.port == READER_PORT}
    return [b.block for b in facts.config.binlog_servers if b.binlog_ack and {b.hostname.lower(), b.ip} & seen]


def _on(value: bool) -> str:
    return "on" if value else "off"
