"""A held server answers again: stays it closed, and may it be let go? Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ...config import ServerConfig
from ..memory.held_servers import Hold
from ..model.state import READ_ONLY_TRANSACTION, ServerState


class Return(StrEnum):
    """What is to be done about a held server that answers."""

    CLOSE = "close"
    LEAVE = "leave"
    RELEASE = "release"


@dataclass(frozen=True)
class PrimaryView:
    """What the present primary says: who it is, whether it takes writes, whether it replicates from the held one.

    ``receives``: it does so now, with a session there. ``locked``: somebody holds the failover lock there.
    """

    key: str
    name: str
    writable: bool
    follows_held: bool
    receives: bool = False
    locked: bool = False


def decide(hold: Hold, primary: PrimaryView | None) -> tuple[Return, str]:
    """Close a server that answers only while another is seen to take the writes; the reason in words.

    A held server has no say in whether it is held. It is the primary again when the one that took its place says so: it
    is read-only and receives from it, and not for a while only: in a failover, the replicas fetch what an old primary
    took that came back before another was opened. When nobody else takes writes, closing it could take the last
    writable server away.
    """
    if primary is None or primary.key == hold.key:
        return Return.LEAVE, f"the present primary {hold.instead} does not answer, so nothing is closed"
    if primary.receives and not primary.writable and primary.locked:
        return Return.LEAVE, f"{primary.name} replicates from it, and a failover or a switch is under way"
    if primary.receives and not primary.writable:
        return Return.RELEASE, f"it is the primary again: {primary.name}, which took its place, replicates from it"
    if primary.follows_held:
        return Return.LEAVE, f"{primary.name} replicates from it"
    if not primary.writable:
        return Return.LEAVE, f"{primary.name} is read-only itself"
    return Return.CLOSE, f"{primary.name} is the primary"


def rejoined(state: ServerState, primary: ServerConfig) -> bool:
    """Whether a held server has become a replica of the present primary, so that nothing needs to be held any more.

    A channel that a former life left there, and that does not run, is none. An applier that stopped because the server
    is closed to everybody has only met the hold, and runs again when that is lifted (`let_go`).
    """
    channel = state.channel_from(primary.hostname, primary.ip, primary.port)
    if state.writable or channel is None or channel.receiver != "Yes":
        return False
    return channel.applier_running or (bool(state.tx_read_only) and channel.applier_errno == READ_ONLY_TRANSACTION)
