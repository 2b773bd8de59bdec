"""What a source wrote between transactions, told from the events of a log or of relay logs."""

from __future__ import annotations

from typing import NamedTuple

from ..model.position import BinlogPosition
from . import event_bodies as bodies
from .events import CONTROL, MAGIC, RELAY_LOG_FLAG, Event, EventType, FormatDescription
from .transactions import GroupParser, Part, Transaction

#: What a log has of its own, whoever wrote it, or what is made up on the way.
_NOT_SENT = frozenset({EventType.FORMAT_DESCRIPTION, EventType.STOP, EventType.HEARTBEAT, EventType.HEARTBEAT_V2})


class Between(NamedTuple):
    """An event of no transaction: its type, its place in the source's log, where it was read, its format."""

    type: int
    place: BinlogPosition
    part: Part
    described: FormatDescription


class Placing(GroupParser):
    """Remembers what the source wrote between groups, and of which of its logs the heads were read or sent.

    Who reads takes what is in ``between``, in order, and empties it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.between: list[Between] = []
        self.at_head: set[str] = set()
        self._described: FormatDescription | None = None

    def enter(self, log: str, described: FormatDescription, *, start_known: bool, gtids: bool = False) -> None:
        """Go on in the next log."""
        self._described = described
        super().enter(log, described, start_known=start_known, gtids=gtids)
        if start_known and not described.relay_log:
            self.at_head.add(log)

    def describe(self, described: FormatDescription) -> None:
        """A description within the log."""
        self._described = described
        super().describe(described)

    def feed(self, event: Event) -> Transaction | None:
        """The transaction that is complete with this event, or None."""
        if event.type in CONTROL and not event.flags & RELAY_LOG_FLAG:
            if event.type == EventType.ROTATE and self._relay:
                following = bodies.rotate(event)
                if following.pos <= len(MAGIC):
                    self.at_head.add(following.file)
            place, described = self._place(event, 0), self._described
            if place and described and not event.artificial and event.type not in _NOT_SENT:
                part = Part(self.log, event.offset, event.end_offset)
                self.between.append(Between(event.type, place, part, described))
        return super().feed(event)
