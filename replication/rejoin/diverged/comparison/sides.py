"""The two logs that went apart: what only the old server has, from its copy, and what the new primary wrote since."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import replace

from .....config import ClusterConfig, ServerConfig
from ....binlog.rows.changes import Changes, ChangesOf
from ....cluster.pool import ConnectionPool
from ....errors import LogError
from ....model.gtid import Gtid, MariadbGtid
from ....model.position import BinlogPosition, log_index
from ....model.state import GtidKind
from ....mysql.dialects import binary_log
from ....rescue.finding import RemoteLog, find_logs, find_start, opened
from ....rescue.salvage import logs_from
from ....source.identity import ExpectedIdentity
from ...facts import RejoinFacts
from ..archive import Archive
from ..beyond import common_of, only_here

#: How a log that is being written to may end for a moment.
_GROWS = ("clean", "in_transaction", "torn")


def tail_of(kept: Archive, facts: RejoinFacts) -> tuple[list[Changes], str]:
    """What only the old server has, in order, and why there may be more of it; empty where not. Raises LogError."""
    assert kept.copy is not None and kept.start is not None, "it was copied just now"
    wanted = only_here(facts)
    reading = ChangesOf(logs_from(kept.copy, kept.start), kept.start.pos)
    tail = [changes for changes in reading if wanted(changes.transaction.gtid)]
    return tail, kept.not_whole


class TheirLog:
    """The new primary's log since the two went apart, read where it lies; each `read` goes on where the last one ended.

    ``place`` is where it stands. Raises HostError's children, ServerError's, LogError.
    """

    def __init__(self, config: ClusterConfig, new: ServerConfig, sessions: ConnectionPool, facts: RejoinFacts) -> None:
        self._server, self._host = sessions.server(new.address), sessions.host(new.address)
        self._facts = facts
        self._directories = [posixpath.dirname(facts.new.log_bin_basename), *new.master_binlog_dir]
        self._whose = ExpectedIdentity(facts.new.server_id, facts.new.server_uuid)
        self._directory = ""
        self.place = self._begins()

    def _begins(self) -> BinlogPosition:
        facts = self._facts
        replaced = facts.replaced
        if replaced is not None and replaced.new == facts.new.key and replaced.begins is not None:
            return replaced.begins
        if facts.kind is GtidKind.POSITION:
            raise LogError("nothing tells where in its log the two went apart")
        both = facts.old
        if facts.kind is GtidKind.MARIADB:
            both = replace(both, mariadb_gtid=common_of(facts))
        return find_start(self._host, self._directories, both, self._whose)

    def read(self) -> Iterator[Changes]:
        """Each transaction of the new primary that the old one lacks, up to where its log ends now."""
        logs = self._logs()
        reading = ChangesOf(opened(self._host, logs), self.place.pos)
        for changes in reading:
            if not self._both_have(changes.transaction.gtid):
                yield changes
            self.place = changes.transaction.end_position
        stop = reading.stop
        if stop is not None and (stop.kind not in _GROWS or (stop.kind != "clean" and stop.log != logs[-1].name)):
            raise LogError(str(stop))

    def _logs(self) -> list[RemoteLog]:
        """Where they lie is proven once; how long each is, the server tells."""
        if not self._directory:
            found = find_logs(self._host, self._directories, self.place.file, self._whose, self.place.pos)
            self._directory = posixpath.dirname(found[0].path)
        rows = self._server.query("SHOW BINARY LOGS", action="list its binary logs")
        logs = [binary_log(row) for row in rows]
        needed = sorted(
            (log for log in logs if log_index(log[0]) >= self.place.index), key=lambda log: log_index(log[0])
        )
        if not needed or needed[0][0] != self.place.file:
            raise LogError(f"{self.place.file} is gone")
        return [RemoteLog(posixpath.join(self._directory, name), size) for name, size in needed]

    def _both_have(self, gtid: Gtid | MariadbGtid | None) -> bool:
        if isinstance(gtid, Gtid):
            return self._facts.old.gtid_executed is not None and gtid in self._facts.old.gtid_executed
        if isinstance(gtid, MariadbGtid):
            return any(gtid.domain == both.domain and gtid.seq <= both.seq for both in common_of(self._facts))
        return False
