"""GTIDs: whether all servers use them alike, and whether each could follow each other one by them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ...model.check import Check, Severity
from ...model.errant import strays
from ...model.gtid import GtidSet
from ...model.state import GtidKind, ServerState
from ..facts import Facts
from ..rule import Rule

MODE = Rule(
    "gtid-mode",
    "Is gtid_mode the same on all servers?",
    'bring all to one mode (MySQL manual, "Changing GTID Mode Online"); '
    "until then a failover goes by file and position",
    Severity.WARNING,
)
POSITIONED = Rule(
    "gtid-positioning",
    "Do all replicas find their place in the same way: file and position, MySQL's or MariaDB's GTIDs?",
    "let {server} find its place as the others do: {usual}",
    Severity.WARNING,
)
ERRANT = Rule(
    "errant-transactions",
    "Has every replica executed only what the primary has?",
    "`mha rejoin --conf {conf} --host {server} --how=rescue` lists what they did and can bring it to the primary, "
    "--how=empties (MySQL) or --how=rebuild there end it; until then {server} is not promoted, unless "
    "`check_errant=0` in its block accepts them",
    Severity.WARNING,
    varies="error on the target of a planned switch",
)
PURGED = Rule(
    "gtid-purged",
    "Does every server still have in its binary log what each replica lacks?",
    "keep logs longer on {holder} ({variable}), and clone {server} anew if it cannot catch up",
    Severity.WARNING,
    varies="error when it is the primary that purged them, or the target of a planned switch",
)
UNLOGGED = Rule(
    "disable-log-bin",
    "Where replicas go by GTIDs: is disable_log_bin left at 0?",
    "take `disable_log_bin=1` out of the configuration of {server}: with GTIDs what a session replays is always "
    "logged, or others would lack it for good",
    Severity.WARNING,
)
RULES = (MODE, POSITIONED, ERRANT, PURGED, UNLOGGED)


def checks(facts: Facts) -> Iterator[Check]:
    """Every check of GTIDs; those of a kind of GTIDs only where a server has them."""
    up = facts.cluster.up
    modes = Counter(state.gtid_mode for state in up if state.gtid_mode is not None)
    if modes:
        primary = facts.primary_state
        usual = primary.gtid_mode if primary and primary.gtid_mode else modes.most_common(1)[0][0]
        for state in up:
            if state.gtid_mode is not None:
                same = state.gtid_mode == usual
                text = f"gtid_mode is {state.gtid_mode}"
                yield MODE.judge(state.name, same, text if same else f"{text}, elsewhere {usual}")
    yield from _positioning(facts)
    yield from _errant(facts)
    yield from _purged(facts)
    yield from _unlogged(facts)


def _unlogged(facts: Facts) -> Iterator[Check]:
    if not any(channel.gtid_kind is not GtidKind.POSITION for state in facts.replicas for channel in state.channels):
        return
    for server in facts.config.servers:
        unlogged = server.disable_log_bin
        text = "disable_log_bin=1 is ignored, for replicas go by GTIDs" if unlogged else "disable_log_bin is not set"
        yield UNLOGGED.judge(server.name, not unlogged, text, server=server.hostname)


def _positioning(facts: Facts) -> Iterator[Check]:
    kinds = [(state, state.channels[0].gtid_kind) for state in facts.replicas]
    if not kinds:
        return
    usual = Counter(kind for _, kind in kinds).most_common(1)[0][0]
    for state, kind in kinds:
        same = kind is usual
        text = f"positioned by {kind}"
        yield POSITIONED.judge(
            state.name,
            same,
            text if same else f"{text}, the others by {usual}",
            server=state.hostname,
            usual=_how(usual),
        )


def _how(kind: GtidKind) -> str:
    return {
        GtidKind.MYSQL: "auto-position",
        GtidKind.MARIADB: "MASTER_USE_GTID=slave_pos",
        GtidKind.POSITION: "file and position",
    }[kind]


def _errant(facts: Facts) -> Iterator[Check]:
    primary = facts.primary_state
    if primary is None:
        return
    for state in facts.replicas:
        if not (state.gtid_executed or state.gtid_binlog_state):
            continue
        own = strays(primary, state)
        text = f"executed what the primary never did: {own}" if own else "executed nothing that the primary did not"
        yield ERRANT.judge(state.name, not own, text, server=state.hostname, conf=facts.config.path)


def _purged(facts: Facts) -> Iterator[Check]:
    primary = facts.primary
    replicas = [state for state in facts.replicas if state.gtid_executed is not None and state.gtid_mode == "ON"]
    for state in replicas:
        missing = [(other, gone) for other in facts.cluster.up if (gone := _lost(other, state))]
        for other, gone in missing:
            worst = primary is not None and other.key == primary.address
            yield PURGED.no(
                state.name,
                f"{other.name} has purged what it lacks: {gone}",
                Severity.ERROR if worst else None,
                server=state.hostname,
                holder=other.hostname,
                variable=facts.servers[other.key].name_of("binlog_expire_logs_seconds"),
            )
        if not missing:
            yield PURGED.yes(state.name, "every server has in its log what it lacks")


def _lost(holder: ServerState, needs: ServerState) -> str:
    """What a server purged and another one has neither executed nor received."""
    if holder.key == needs.key or holder.gtid_purged is None or needs.gtid_executed is None:
        return ""
    has = needs.gtid_executed
    for channel in needs.channels:
        has = has | (channel.retrieved or GtidSet())
    return str(holder.gtid_purged - has)
