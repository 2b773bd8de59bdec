"""Reads logs from a place on, and publishes what is whole: groups of events, each with its checksums verified.

Reading ends at the first damage that later logs do not prove harmless (`LogSequence`), so a torn, encrypted or foreign
end is cut at the last proven boundary. It may go on when more of the files has come.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..binlog.events import CONTROL, MAGIC
from ..binlog.reader import LogEnd, LogFile, LogReader
from ..binlog.sequence import LogSequence
from ..binlog.transactions import Transaction
from ..errors import LogError
from ..model.gtid import GtidSet, MariadbGtidPosition
from ..model.position import BinlogPosition, log_index
from .catalogue import Before, Catalogue, Extent, Identity, Served

#: Bytes of proven groups that are published together: followers need not be woken for each.
BATCH = 128 * 1024


class Prover:
    """Publishes a primary's logs from ``start`` on, which must be where a group begins.

    ``before`` is what was executed before ``start``, as a replica that stands there has it: followers that ask by GTID
    and lack some of it are refused. Where ``start`` is the head of a log, the log tells it itself.
    """

    def __init__(self, catalogue: Catalogue, start: BinlogPosition, before: Before | None = None) -> None:
        self._catalogue, self._before = catalogue, before
        #: Where the next group begins.
        self.place = start
        self._batch: list[Transaction] = []
        self._batched = 0

    def head(self, log: LogFile) -> None:
        """Open the first log before anything of it is proven, so that followers can be told what they will get.

        Only its head is read. Raises LogError when it is no log, encrypted, or another server's.
        """
        self._enter(log)

    def extend(self, files: Sequence[LogFile]) -> LogEnd:
        """Prove and publish all that these logs, as large as they are now, hold behind what was published already.

        ``files`` are in order and without a gap; those before the place that was reached may be left out. Returns where
        reading ended, and why. Raises LogError when the log at that place cannot be read, or is another server's.
        """
        names = [log.name for log in files]
        if self.place.file not in names:
            raise LogError(f"no log {self.place.file} to serve from")
        rest = files[names.index(self.place.file) :]
        by_name = {log.name: log for log in rest}
        sequence = LogSequence(rest, self.place.pos)
        ended = 0
        self._enter(rest[0])
        for transaction in sequence:
            ended = self._leave(sequence, ended, by_name)
            if transaction.log != self.place.file:
                self._enter(by_name[transaction.log])
            self._add(transaction, by_name)
        self._leave(sequence, ended, by_name)
        self._publish(by_name)
        return sequence.stop or LogEnd("clean", self.place.pos, log=self.place.file)

    def _leave(self, sequence: LogSequence, ended: int, by_name: dict[str, LogFile]) -> int:
        """Publish what stands behind the last group of logs that were read to their end, and open those without any."""
        for name, offset in sequence.ends[ended:]:
            if name != self.place.file:
                self._enter(by_name[name])
            self._publish(by_name)
            log = self._catalogue.view().logs[-1]
            if offset > log.end:
                self._catalogue.extend(name, offset, size=by_name[name])
            self.place = BinlogPosition(name, max(offset, self.place.pos))
        return len(sequence.ends)

    def _enter(self, log: LogFile) -> None:
        view = self._catalogue.view()
        if view.number(log.name) is not None:
            return
        if view.logs:
            self._publish({})
            if log_index(log.name) <= log_index(view.logs[-1].name):
                raise LogError(f"{log.name} does not follow {view.logs[-1].name}")
        with log.open() as stream:
            reader = LogReader(stream, name=log.name, size=log.size)
            wanted, said = self._catalogue.identity.server_id, reader.format.server_id
            if said != wanted:
                raise LogError(f"{log.name} was written by the server with id {said}, not by that with {wanted}")
            if reader.format.mariadb != self._catalogue.identity.mariadb:
                raise LogError(f"{log.name} was written by {reader.format.server_version}, a server of another kind")
            first = log.name == self.place.file
            start = self.place.pos if first else len(MAGIC)
            at_head = _at_head(reader, start)
            before = _said(reader)
            if first and not at_head:
                before = _before(before, self._before, self._catalogue.identity)
            elif first and before is None:
                before = self._before
            begin = max(start, reader.format_end)
            served = Served(log, reader.format, reader.format_end, (Extent(begin, begin),), at_head, before=before)
        self._catalogue.open(served)
        self.place = BinlogPosition(log.name, begin)

    def _add(self, transaction: Transaction, by_name: dict[str, LogFile]) -> None:
        self._batch.append(transaction)
        self._batched += transaction.size
        self.place = BinlogPosition(transaction.log, transaction.end)
        if self._batched >= BATCH:
            self._publish(by_name)

    def _publish(self, by_name: dict[str, LogFile]) -> None:
        if self._batch:
            groups = tuple(self._batch)
            name = groups[-1].log
            self._batch, self._batched = [], 0
            self._catalogue.extend(name, groups[-1].end, groups, size=by_name.get(name))


def _at_head(reader: LogReader, start: int) -> bool:
    """Whether nothing but what belongs to no group stands between a log's description and an offset."""
    if start <= reader.format_end:
        return True
    for event in reader.events(reader.format_end):
        if event.type not in CONTROL or event.end_offset >= start:
            return event.type in CONTROL and event.end_offset == start
    return False


def _said(reader: LogReader) -> Before | None:
    """What a log says itself that was executed before it."""
    return reader.previous_gtids if reader.previous_gtids is not None else reader.gtid_list


def _before(said: Before | None, told: Before | None, identity: Identity) -> Before | None:
    """What was executed before a place within a log: what its head says, and what a replica that stands there has.

    What that replica has from elsewhere is left out, where it can be told apart: others need not have it.
    """
    if isinstance(told, GtidSet) and isinstance(said, GtidSet) and identity.uuid:
        own = told.without([uuid for uuid in told.sources() if uuid != identity.uuid])
        return said | own
    if isinstance(told, MariadbGtidPosition) and isinstance(said, MariadbGtidPosition):
        domains = {gtid.domain for gtid in said} | {identity.domain}
        return MariadbGtidPosition(gtid for gtid in told if gtid.domain in domains)
    return told
