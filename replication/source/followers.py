"""What is known of one follower: a replica whose receiver asks this source."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.position import BinlogPosition


@dataclass(frozen=True)
class ServedFollower:
    """One connection's state. ``server_id`` is 0 until it asked for a log.

    ``state``: connected (it logged in), sending, at_end (all that is published was sent), gone (it left), refused (it
    was told an error, or broke the protocol). ``sent`` is the place up to which it was sent; ``by`` position or gtid;
    ``bytes`` what the connection took; ``error`` why it is gone or refused; ``since`` when that state began (monotonic
    seconds).
    """

    number: int
    peer: str
    server_id: int = 0
    state: str = "connected"
    by: str = ""
    asked: str = ""
    sent: BinlogPosition | None = None
    events: int = 0
    bytes: int = 0
    error: str = ""
    since: float = 0.0

    @property
    def over(self) -> bool:
        """It is not connected any more."""
        return self.state in ("gone", "refused")
