"""Do the rows of applications get in: at the primary now, and at whoever would be promoted? Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ...model.check import Check, Severity
from ...model.state import ServerState
from ..facts import Facts
from ..rule import Rule

PRIMARY_OPEN = Rule(
    "primary-takes-writes",
    "Does the primary take the writes of applications (read_only, offline_mode, transaction_read_only are off)?",
    "`SET GLOBAL {variable}=0` on {server} if it is to take writes; a manager does so after a restart (`reopen`)",
)
OPEN_TO_APPLICATIONS = Rule(
    "open-to-applications",
    "Would this replica, once promoted, take what it refuses now (offline_mode and transaction_read_only are off)?",
    "`SET GLOBAL {variable}=0` on {server}, and the same in its my.cnf; a failover does it, too, "
    "and a planned switch is refused",
    Severity.WARNING,
    varies="error on the target of a planned switch",
)
SAME_DOOR = Rule(
    "same-door",
    "Does every replica let applications in as the primary does (init_connect, require_secure_transport)?",
    "set `{variable}` on {server} as on {primary}: applications that work today may be refused there",
    Severity.WARNING,
)
PROBE = Rule(
    "probe-account",
    "Does every server let `probe_user` in, as it would an application?",
    "give {server} that account as {primary} has it, or fix what the error names; a failover passes {server} over",
    Severity.WARNING,
)
ROOM = Rule(
    "connections-left",
    "Has every server a tenth of its max_connections left for applications?",
    "find out who keeps sessions on {server}, or raise `max_connections` there; a full server lets no application in",
    Severity.WARNING,
)
RULES = (PRIMARY_OPEN, OPEN_TO_APPLICATIONS, SAME_DOOR, PROBE, ROOM)
#: What decides about a session before its first statement.
DOOR = ("init_connect", "require_secure_transport")


def checks(facts: Facts) -> Iterator[Check]:
    """Every answering server."""
    primary = facts.cluster.get(facts.primary.address) if facts.primary is not None else None
    if primary is not None:
        closed = primary.closed_by
        said = _said(facts, primary, closed)
        yield PRIMARY_OPEN.judge(primary.name, not closed, said, **_where(facts, primary, closed))
    for state in facts.cluster.up:
        yield from _sessions(facts, state)
    for state in facts.replicas:
        others = tuple(name for name in state.closed_by if name != "read_only")
        text = _said(facts, state, others) if others else "nothing but read_only keeps applications out"
        yield OPEN_TO_APPLICATIONS.judge(state.name, not others, text, **_where(facts, state, others))
        if primary is not None:
            yield from _door(facts, primary, state)


def _sessions(facts: Facts, state: ServerState) -> Iterator[Check]:
    """Whether there is room for those of applications, and one of them gets in."""
    seen = facts.servers[state.key]
    if seen.probe is not None:
        first = facts.primary.hostname if facts.primary is not None else "the primary"
        text = seen.probe or "an application's account gets in"
        yield PROBE.judge(state.name, not seen.probe, text, server=state.hostname, primary=first)
    most = int(seen.value("max_connections") or 0)
    if seen.connected is not None and most:
        text = f"{seen.connected} of {most} sessions are taken"
        yield ROOM.judge(state.name, 10 * seen.connected <= 9 * most, text, server=state.hostname)


def _door(facts: Facts, primary: ServerState, state: ServerState) -> Iterator[Check]:
    for name in DOOR:
        ours, theirs = facts.servers[primary.key].value(name), facts.servers[state.key].value(name)
        if ours is None or theirs is None:
            continue
        text = f"{name} is {'the same' if ours == theirs else 'another'}"
        yield SAME_DOOR.judge(
            state.name, ours == theirs, text, variable=name, server=state.hostname, primary=primary.hostname
        )


def _said(facts: Facts, state: ServerState, closed_by: tuple[str, ...]) -> str:
    named = [facts.servers[state.key].dialect.variable(name) for name in closed_by]
    return f"{' and '.join(named)} keeps applications out" if named else "it takes writes"


def _where(facts: Facts, state: ServerState, closed_by: tuple[str, ...]) -> dict[str, str]:
    variable = facts.servers[state.key].dialect.variable(closed_by[0]) if closed_by else "read_only"
    return {"variable": variable, "server": state.hostname}
