"""Replication itself: both halves of every channel, and how late it is. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ...model.check import Check
from ...model.state import ReplicaChannel, ServerState
from ...mysql.dialects import ChannelThread, Dialect
from ...mysql.dialects.for_people import typed
from ..facts import Facts
from ..rule import Rule

RECEIVER = Rule(
    "receiver-runs",
    "Does every replica receive?",
    "`{start}` on {server}; if it stops again, its error says what to fix",
)
APPLIER = Rule(
    "applier-runs",
    "Does every replica execute what it receives?",
    "`{start}` on {server}; if it stops again, its error says what to fix",
)
LAG = Rule(
    "lag",
    "Is every replica at most --seconds_behind_master (30) seconds late, beyond a delay set on purpose?",
    "see what its applier does in SHOW PROCESSLIST on {server}; a failover has to wait for it",
    varies="NULL is an error; before a planned switch a delay set on purpose counts, too",
)
RULES = (RECEIVER, APPLIER, LAG)


def checks(facts: Facts, seconds_behind: int) -> Iterator[Check]:
    """Every check of every channel; ``seconds_behind`` is the lag that is still well."""
    for state in facts.replicas:
        for channel in state.channels:
            yield from threads(facts.servers[state.key].dialect, state, channel)
            yield lag(state, channel, max(1, seconds_behind))


def threads(dialect: Dialect, state: ServerState, channel: ReplicaChannel) -> Iterator[Check]:
    """Both halves of one channel."""
    where = f" of channel {channel.name}" if channel.name else ""
    source = f"{channel.source_host}:{channel.source_port}"
    for rule, word, thread, running, how, errno, error in (
        (
            RECEIVER,
            "IO",
            ChannelThread.RECEIVER,
            channel.receiver == "Yes",
            {"No": "is stopped", "Connecting": f"does not reach {source}"}.get(channel.receiver, channel.receiver),
            channel.receiver_errno,
            channel.receiver_error,
        ),
        (
            APPLIER,
            "SQL",
            ChannelThread.APPLIER,
            channel.applier_running,
            "is stopped",
            channel.applier_errno,
            channel.applier_error,
        ),
    ):
        if running:
            yield rule.yes(state.name, f"the {word} thread{where} runs")
            continue
        because = f": error {errno}: {error}" if errno else ""
        start = typed(dialect.start(channel.name, thread), len(state.channels))
        if thread is ChannelThread.APPLIER and state.tx_read_only and dialect.read_only_for_everybody:
            # It would stop with error 1792 at once.
            start = f"SET GLOBAL {dialect.read_only_for_everybody} = 0; {start}"
        yield rule.no(state.name, f"the {word} thread{where} {how}{because}", start=start, server=state.hostname)


def lag(state: ServerState, channel: ReplicaChannel, allowed: int, *, whole: bool = False) -> Check:
    """How late it is; ``whole`` counts a delay set on purpose, too."""
    behind, delay = channel.seconds_behind, channel.delay
    on_purpose = f", {delay} s of it on purpose" if delay and not whole else ""
    if behind is None:
        text = "Seconds_Behind_Master is NULL: how late it is is not known while a thread is stopped"
        return LAG.no(state.name, text, server=state.hostname)
    text = f"{behind} s behind{on_purpose}"
    well = behind - (0 if whole else delay) <= allowed
    return LAG.judge(state.name, well, text if well else f"{text}, more than {allowed} s", server=state.hostname)
