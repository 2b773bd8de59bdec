"""What was seen of an old server that is back, and of the server that took its place: frozen, without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..memory.held_servers import Hold
from ..model.position import BinlogPosition
from ..model.state import Filters, GtidKind, ReplicaChannel, ServerState
from .remembered.replacement import Replacement
from .remembered.rewound import Rewound


@dataclass(frozen=True)
class OwnTail:
    """What the old server wrote behind a place in its own log: ``events`` from ``first`` to ``last``, in ``tables``.

    ``whole`` is False when its log was too long to be looked through.
    """

    events: int = 0
    transactions: int = 0
    first: BinlogPosition | None = None
    last: BinlogPosition | None = None
    tables: tuple[str, ...] = ()
    whole: bool = True

    def __str__(self) -> str:
        tables = f", tables {', '.join(self.tables)}" if self.tables else ""
        return f"{self.transactions} transactions from {self.first} to {self.last}{tables}"


@dataclass(frozen=True)
class RejoinFacts:
    """The old server and the new primary at about the same moment, the old one first.

    ``kind`` is how the replicas of the new primary find their place, ``channel`` what they call their channel, ``like``
    the status row of one of them, ``filters`` theirs, None where there is no replica. ``user`` is the account that it
    is to replicate with, ``password`` whether its password can be had.

    ``tail`` is None where no place is known from which to look; ``log_ends`` is how far its log with that place goes;
    ``begins`` whether the new primary still has the log in which it began. ``purged`` is what of the new primary's
    purged logs the old one lacks. ``not_durable`` tells why its tables may lack what its log has; ``events`` are the
    scheduled events that would run on it. ``configured``: its block is in the configuration; ``source_id_taken`` is who
    else has its server_id. ``pointed``: a rejoin since it was replaced may have pointed it, and none took that back;
    ``unfinished``: the last rejoin of it has not ended. ``rewound`` is how far it was rewound since it was replaced;
    then the place of ``replaced`` is where its log begins anew. ``below`` are servers that replicate from it.
    """

    cluster: str
    old: ServerState
    new: ServerState
    kind: GtidKind
    channel: str
    hold: Hold | None = None
    replaced: Replacement | None = None
    tail: OwnTail | None = None
    log_ends: BinlogPosition | None = None
    begins: bool = False
    purged: str = ""
    filters: Filters | None = None
    user: str = ""
    password: bool = False
    not_durable: str = ""
    events: tuple[str, ...] = ()
    configured: bool = True
    source_id_taken: str = ""
    pointed: bool = False
    unfinished: bool = False
    rewound: Rewound | None = None
    below: tuple[str, ...] = ()
    like: Mapping[str, Any] = field(compare=False, repr=False, default_factory=dict)

    @property
    def there(self) -> ReplicaChannel | None:
        """The channel that names the new primary, whoever made it and wherever it stands."""
        host, _, port = self.new.key.rpartition(":")
        return self.old.channel_from(self.new.hostname, host, int(port))

    @property
    def follows(self) -> ReplicaChannel | None:
        """The channel through which it follows the new primary already, if it does so as it should.

        Without GTIDs its place has to be known: where the new primary began, or where a rejoin of this host got to.
        """
        there = self.there
        if there is None or there.gtid_kind is not self.kind:
            return None
        begins = self.replaced.begins if self.replaced is not None else None
        placed = self.pointed or (begins is not None and there.executed == begins)
        return there if placed or self.kind is not GtidKind.POSITION else None

    @property
    def evidence(self) -> tuple[str, ...]:
        """Where both stand, and what is remembered, for a refusal."""
        lines = [f"{self.old.name}: {_stands(self.old)}", f"{self.new.name}: {_stands(self.new)}"]
        replaced = self.replaced
        if replaced is not None:
            lines.append(
                f"{replaced.journal}: {replaced.new} took its place, having its log up to "
                f"{replaced.place or 'an unknown place'}, at {replaced.begins or 'an unknown place'} of its own"
            )
        return tuple(lines)


def _stands(state: ServerState) -> str:
    gtids = state.gtid_executed or state.mariadb_gtid
    return f"its log ends at {state.end_of_log}" + (f", GTIDs {gtids}" if gtids else "")
