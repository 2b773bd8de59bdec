"""What failovers of this host began and did not end: receivers that were stopped. Open until their end is proven.

Design rule 14. The journals say what was stopped, whatever the exit code; the servers say whether it still is. A start
settles what is safe to settle, and tells the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...config import ClusterConfig, ServerConfig
from ..model.state import ClusterState
from .journal import END, Entry, Journal, begun_before, journals, read_journal, unfinished

#: The step of the journal under which receivers are noted, and its events.
RECEIVERS, STOPPED, SETTLED = "receivers", "intent", "settled"


@dataclass(frozen=True)
class StoppedReceiver:
    """A receiver that a failover stopped: whose (``ip:port``), on which channel, from which dead primary."""

    key: str
    channel: str
    dead: str


def note_stopped(journal: Journal, dead: str, channels: Mapping[str, str]) -> None:
    """Write down, before it is done, whose receivers are stopped: channels by ``ip:port``."""
    journal.record(RECEIVERS, STOPPED, dead, channels=dict(channels))


def note_settled(journal: Journal, keys: Iterable[str]) -> None:
    """These receive again, or follow somebody else."""
    journal.record(RECEIVERS, SETTLED, keys=list(keys))


def stopped_receivers(workdir: Path, app: str) -> tuple[StoppedReceiver, ...]:
    """The receivers that failovers stopped, newest failover last, as far back as the last one that left nothing."""
    found: dict[str, StoppedReceiver] = {}
    for entries in reversed(tuple(_since_the_last_clean_one(workdir, app))):
        for entry in entries:
            if (entry.step, entry.event) == (RECEIVERS, STOPPED):
                for key, channel in entry.read(lambda facts: dict(facts["channels"])).items():
                    found[key] = StoppedReceiver(key, channel, entry.server)
            elif (entry.step, entry.event) == (RECEIVERS, SETTLED):
                for key in entry.read(lambda facts: set(facts["keys"])):
                    found.pop(key, None)
    return tuple(found.values())


def _since_the_last_clean_one(workdir: Path, app: str) -> Iterable[tuple[Entry, ...]]:
    for path in journals(workdir, app):
        entries = tuple(read_journal(path))
        if any(e.step == END and e.facts.get("exit_code") == 0 for e in entries):
            return
        yield entries


def dead_of_a_rescue(config: ClusterConfig, cluster: ClusterState) -> ServerConfig | None:
    """The dead primary whose saved log every replica is turned to, as the journal of a failover interrupted names it.

    Nobody follows it by name then, so the servers cannot tell.
    """
    begun = begun_before(unfinished(config.manager_workdir, config.name))
    if begun is None or not any(state.rescued_channel for state in cluster.up):
        return None
    return next((server for server in config.servers if server.address == begun.dead), None)


@dataclass(frozen=True)
class Settlement:
    """What is to be done: ``start`` are receivers to start again, ``over`` those that need nothing any more.

    ``told`` are sentences about the others, each with what to do.
    """

    start: tuple[StoppedReceiver, ...]
    over: tuple[StoppedReceiver, ...]
    told: tuple[str, ...]


def settle(stopped: Iterable[StoppedReceiver], cluster: ClusterState, primary: ServerConfig) -> Settlement:
    """Decide what becomes of each. Pure.

    A receiver is started again only where its source is the primary now, and answers: that failover opened nobody.
    """
    start: list[StoppedReceiver] = []
    over: list[StoppedReceiver] = []
    told: list[str] = []
    alive = cluster.get(primary.address) is not None
    names = {down.key: down.name for down in cluster.down}
    servers = {name for s in cluster.up for name in (s.key, f"{s.hostname}:{s.key.rpartition(':')[2]}")} | names.keys()
    for each in stopped:
        state = cluster.get(each.key)
        if state is None:
            told.append(
                f"{names.get(each.key, each.key)} does not answer; its receiver was stopped by the failover of "
                f"{each.dead}: see that it follows {primary.name} when it is back"
            )
            continue
        channel = next((c for c in state.channels if c.name == each.channel), None)
        source = f"{channel.source_host}:{channel.source_port}" if channel is not None else ""
        if each.key == primary.address or channel is None or (not channel.receiver_stopped and not channel.of_a_rescue):
            over.append(each)
        elif channel.of_a_rescue:
            told.append(
                f"{state.name} is turned to the saved log of {each.dead}, and nobody serves it: finish that failover "
                f"(mha failover --resume), or point it at {primary.name}"
            )
        elif source in (primary.address, f"{primary.hostname}:{primary.port}"):
            # A primary that is dead is the next failover's business.
            (start if alive else over).append(each)
        elif source.partition(":")[0] not in each.dead and source not in servers:
            over.append(each)
        elif source.partition(":")[0] not in each.dead:
            # That failover had it fetch from another replica, which the next one may make the primary.
            if alive:
                told.append(
                    f"{state.name} replicates from {source}, and its receiver was stopped by the failover of "
                    f"{each.dead}: point it at {primary.name}"
                )
        else:
            told.append(
                f"{state.name} follows the dead {each.dead}, and its receiver was stopped by that failover: finish it "
                f"(mha failover --resume), or point it at {primary.name}"
            )
    return Settlement(tuple(start), tuple(over), tuple(told))
