"""Where in its relay logs a MariaDB replica that uses GTIDs goes on: its own record of that is stale after a crash.

With GTIDs MariaDB does not write relay-log.info with every transaction, for it would fetch the rest anew from its
source (seen on 10.11: after kill -9 the place was six transactions and one file behind, gtid_slave_pos was right). When
the source is dead the relay logs are all there is, and what is executed twice is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..errors import StatementFailed
from ..model.gtid import MariadbGtid, MariadbGtidPosition
from ..model.position import BinlogPosition
from ..model.state import ReplicaChannel
from ..mysql.server import Row, Server

#: Events that are asked for at once, and seconds that a server is given to list them.
PAGE, LISTING = 2000, 20.0
#: ER_ERROR_WHEN_EXECUTING_COMMAND: there is no such file, or no event begins there.
NO_SUCH_LOG = 1220

_GTID = re.compile(r"GTID (\d+-\d+-\d+)")
_NEXT = re.compile(r"(.+);pos=\d+$")


def unexecuted_from(server: Server, channel: ReplicaChannel) -> BinlogPosition | None:
    """The first transaction in the relay logs, from the recorded place on, that was not executed; None for none.

    gtid_slave_pos tells what was, whatever the record says; what the server wrote itself does not count. The applier
    must be stopped. Raises ServerError.
    """
    if channel.relay_log is None:
        return None
    executed = server.scalar("SELECT @@GLOBAL.gtid_slave_pos", action="read what it executed")
    done = MariadbGtidPosition.parse(str(executed or ""))
    for name, row in _events(server, channel.name, channel.relay_log):
        found = _GTID.search(str(row["Info"])) if row["Event_type"] == "Gtid" else None
        if found and not done.covers(MariadbGtid.parse(found[1])):
            return BinlogPosition(name, int(row["Pos"]))
    return None


def _events(server: Server, channel: str, start: BinlogPosition) -> Iterator[tuple[str, Row]]:
    """Events of this and all later relay logs, each with the name of its file."""
    name, position = start.file, start.pos
    while name:
        following = ""
        try:
            while True:
                sql = server.dialect.show_relay_events(channel, position, PAGE)
                rows = server.query(sql, (name,), action="read its relay logs", timeout=LISTING)
                for row in rows:
                    yield name, row
                    if row["Event_type"] == "Rotate" and (told := _NEXT.match(str(row["Info"]))):
                        following = told[1] if _of_one_base(told[1], name) else following
                if len(rows) < PAGE:
                    break
                # Where an event ends is told in the source's log; the next page begins with the last event again.
                position = int(rows[-1]["Pos"])
                if len(rows) == 1:
                    break
        except StatementFailed as error:
            if error.errno != NO_SUCH_LOG or (name, position) == (start.file, start.pos):
                raise
        name, position = following, 4


def _of_one_base(one: str, other: str) -> bool:
    """A relay log also holds the rotations of the source's log."""
    return one.rpartition(".")[0] == other.rpartition(".")[0]
