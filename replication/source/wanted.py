"""Which groups a follower that asks by GTID lacks, and whether the source can give it all of them. Pure."""

from __future__ import annotations

from typing import Protocol

from ..binlog import event_bodies as bodies
from ..binlog.events import Event
from ..model.gtid import Gtid, GtidSet, MariadbGtid, MariadbGtidPosition
from .protocol.packets import Refused


class WantedGtids(Protocol):
    """Asked about every GTID event in the log's order."""

    def lacks(self, event: Event) -> bool:
        """Whether the follower lacks the group that this event opens. Raises ValueError when it cannot be read."""
        ...

    def may_skip(self, before: object) -> bool:
        """Whether it has all that was executed before a log."""
        ...

    def check_begin(self, before: object) -> None:
        """Take note that reading begins behind this. Raises Refused (1236) when it lacks some of that."""
        ...

    def check_end(self) -> None:
        """Raises Refused (1236) when the log, read to its end, shows that the follower's state is not of it."""
        ...


class LacksMysql:
    """By MySQL's set: what is not in it is sent."""

    def __init__(self, executed: GtidSet) -> None:
        self._executed = executed

    def lacks(self, event: Event) -> bool:
        gtid = bodies.gtid(event)
        return not (isinstance(gtid, Gtid) and gtid in self._executed)

    def may_skip(self, before: object) -> bool:
        return isinstance(before, GtidSet) and before <= self._executed

    def check_begin(self, before: object) -> None:
        if not isinstance(before, GtidSet):
            raise Refused(1236, "what was executed before the saved logs is not known: they are not served by GTID")
        if missing := before - self._executed:
            text = str(missing)
            raise Refused(1236, f"the saved logs begin behind transactions that the replica lacks: {text[:200]}")

    def check_end(self) -> None:
        return None


class LacksMariadb:
    """By MariaDB's position: in each domain all that stands behind the named GTID is sent.

    Not what has a greater number: without gtid_strict_mode the numbers of several servers may stand in any order
    (Knowledge Base, GTID, "Connecting with GTID").
    """

    def __init__(self, state: MariadbGtidPosition) -> None:
        self._state = {gtid.domain: gtid for gtid in state}
        #: Domains of which the named GTID was not passed yet.
        self._sought = dict(self._state)
        self._passing: MariadbGtid | None = None
        self._withheld: dict[int, MariadbGtid] = {}

    def lacks(self, event: Event) -> bool:
        gtid = bodies.gtid(event)
        if not isinstance(gtid, MariadbGtid):
            return True
        # A client that replays a log may write two groups under one GTID; a position names the last of them.
        if gtid == self._passing:
            return False
        self._passing = None
        sought = self._sought.get(gtid.domain)
        if sought is None:
            return True
        if gtid == sought:
            self._passing = gtid
            del self._sought[gtid.domain]
        else:
            self._withheld[gtid.domain] = gtid
        return False

    def may_skip(self, before: object) -> bool:
        if not isinstance(before, MariadbGtidPosition):
            return False
        for gtid in before:
            mine = self._state.get(gtid.domain)
            if mine is None or (mine != gtid and (mine.server_id != gtid.server_id or mine.seq < gtid.seq)):
                return False
        return True

    def check_begin(self, before: object) -> None:
        if not isinstance(before, MariadbGtidPosition):
            raise Refused(1236, "what was executed before the saved logs is not known: they are not served by GTID")
        for gtid in before:
            mine = self._state.get(gtid.domain)
            if mine is None or mine.seq < gtid.seq:
                raise Refused(1236, f"the saved logs begin behind {gtid}, which the replica lacks (it has {mine})")
            if mine == gtid:
                self._sought.pop(gtid.domain, None)

    def check_end(self) -> None:
        for domain, sought in self._sought.items():
            withheld = self._withheld.get(domain)
            if withheld is not None and withheld.seq > sought.seq:
                raise Refused(1236, f"the replica's GTID {sought} is not in the saved logs, which go on to {withheld}")
