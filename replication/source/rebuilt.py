"""The dead primary's log as a replica's relay logs hold it: each event at the place that its header names.

A receiver writes what it gets byte for byte, so put at their own places the events are the primary's log again, but for
what is not sent to replicas (lists of GTIDs at a log's head). The rebuilt logs are sparse files. By GTID places do not
matter: the groups are put one behind the other, for there may be gaps (what the lender had from elsewhere), and MariaDB
11.8 writes relay logs in which events within a transaction name no place.

MariaDB's receiver uncompresses what log_bin_compress made small: such a group does not fit into its place. From there
on all of that log is put one behind the other. A replica asks for more by what it received, and its applier goes by the
places in the headers, which are the primary's still.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from ..binlog.events import MAGIC, FormatDescription
from ..binlog.placing import Placing
from ..binlog.reader import LogEnd, LogFile
from ..binlog.sequence import LogSequence
from ..binlog.transactions import Part, Transaction
from ..errors import LogError
from ..local.own_files import own_directory
from ..model.position import BinlogPosition, log_index
from .catalogue import Before, Catalogue, Extent, Served

_COPIED = 1 << 20
#: Bytes by which an event may be larger compressed than it is otherwise.
_FRAME = 20


def rebuild(
    catalogue: Catalogue,
    files: Sequence[LogFile],
    directory: Path,
    *,
    start: BinlogPosition | None = None,
    by_gtid: bool = False,
    before: Before | None = None,
) -> LogEnd:
    """Rebuild the primary's logs in ``directory`` from these relay logs, all of a channel in order, and publish them.

    Groups before ``start`` are left out, by GTID none is; ``before`` is what was executed before the first of them.
    Returns where reading of the relay logs ended. Raises LogError when they are not of that primary, hold nothing of it
    from ``start`` on, or contradict themselves; OSError.
    """
    own_directory(directory)
    with ExitStack() as opened:
        made = _Rebuilding(catalogue, files, directory, start, by_gtid, opened)
        made.run()
        for number, log in enumerate(made.logs):
            served = log.served(before if number == 0 else None)
            catalogue.publish(served, log.last)
        if not made.logs:
            raise LogError(f"the relay logs hold nothing of that server's log from {start or 'its beginning'} on")
        return made.stop


class _Rebuilding:
    def __init__(
        self,
        catalogue: Catalogue,
        files: Sequence[LogFile],
        directory: Path,
        start: BinlogPosition | None,
        by_gtid: bool,
        opened: ExitStack,
    ) -> None:
        self.logs: list[_Log] = []
        self.stop = LogEnd("clean", 0)
        self._catalogue, self._files, self._directory = catalogue, files, directory
        self._start, self._by_gtid, self._opened = start, by_gtid, opened
        self._relay = {log.name: log for log in files}
        self._streams: dict[str, BinaryIO] = {}
        self._parser = Placing()
        #: Logs in which nothing has its own place any more, with the place up to which they hold the primary's.
        self._moved: dict[str, int] = {}

    def run(self) -> None:
        sequence = LogSequence(self._files, groups=self._parser)
        for transaction in sequence:
            # What stands between groups comes first: the parser saw it on the way to this one.
            self._place_control()
            self._place(transaction, sequence.described)
        self._place_control()
        self.stop = sequence.stop or self.stop

    def _place(self, group: Transaction, described: FormatDescription) -> None:
        begin, end = group.source_start, group.source_end
        if not self._ours(described):
            return
        if self._by_gtid:
            log = self._log(self.logs[0].name if self.logs else _name(group), described, at_head=True)
            log.append(self._bytes(group.parts), group.size, group)
        elif begin is None or end is None or begin.file != end.file or not self._fits(end.pos - begin.pos, group):
            raise LogError(f"{group.log}:{group.start}: its place in the source's log cannot be told")
        elif self._start is None or begin >= self._start:
            log = self._log(begin.file, described, at_head=begin.file in self._parser.at_head)
            self._put(log, begin, end.pos, self._bytes(group.parts), group.size, group)
        if self.logs:
            self._catalogue.note((group,))

    def _place_control(self) -> None:
        seen, self._parser.between = self._parser.between, []
        if self._by_gtid:
            return
        for _, begin, part, described in seen:
            if not self._ours(described):
                continue
            if self._start is not None and (begin.base != self._start.base or begin < self._start):
                continue
            log = self._log(begin.file, described, at_head=begin.file in self._parser.at_head)
            size = part.end - part.start
            self._put(log, begin, begin.pos + size, self._bytes((part,)), size, None)

    def _fits(self, place: int, group: Transaction) -> bool:
        """Whether a group has the size of its place, or another for its events were small there.

        The shortest ones grow when they are compressed, by zlib's frame and the length in front of it.
        """
        grown = group.size - place
        return grown == 0 or (self._catalogue.identity.mariadb and place > 0 and grown >= -_FRAME * group.events)

    def _put(
        self, log: _Log, begin: BinlogPosition, end: int, pieces: Iterator[bytes], size: int, group: Transaction | None
    ) -> None:
        """At its place; behind everything else where an earlier one, or itself, is larger than its own."""
        moved = self._moved.get(log.name)
        if moved is None and end - begin.pos == size:
            log.put(begin.pos, pieces, size, group)
            return
        if moved is None:
            log.begin(begin.pos)
            moved = begin.pos
        if begin.pos > moved:
            raise LogError(f"the relay logs lack {log.name} from {moved} to {begin.pos}")
        self._moved[log.name] = max(moved, end)
        # A receiver may have asked twice.
        if begin.pos == moved:
            log.append(pieces, size, group)

    def _ours(self, described: FormatDescription) -> bool:
        """Whether the primary described what is being read; relay logs may begin with another source's."""
        number = described.server_id
        return not described.relay_log and number == self._catalogue.identity.server_id

    def _log(self, name: str, described: FormatDescription, *, at_head: bool) -> _Log:
        for log in self.logs:
            if log.name == name:
                return log
        if self.logs and log_index(name) <= log_index(self.logs[-1].name):
            raise LogError(f"the relay logs go back from {self.logs[-1].name} to {name}")
        begun = self._start is None or self._start.file != name or self._start.pos <= len(MAGIC) + len(described.raw)
        self.logs.append(_Log(self._directory / name, described, at_head and begun, self._opened))
        return self.logs[-1]

    def _bytes(self, parts: Sequence[Part]) -> Iterator[bytes]:
        for part in parts:
            stream = self._streams.get(part.log)
            if stream is None:
                stream = self._streams[part.log] = self._opened.enter_context(self._relay[part.log].open())
            stream.seek(part.start)
            left = part.end - part.start
            while left:
                piece = stream.read(min(_COPIED, left))
                if not piece:
                    raise LogError(f"{part.log} ends before {part.end}, but was read so far")
                left -= len(piece)
                yield piece


class _Log:
    """One rebuilt log: a sparse file, and which of its bytes there are."""

    def __init__(self, path: Path, described: FormatDescription, at_head: bool, opened: ExitStack) -> None:
        self.name, self._path, self._described, self._at_head = path.name, path, described, at_head
        self.last: BinlogPosition | None = None
        self._extents: list[Extent] = []
        self._stream = opened.enter_context(path.open("wb"))
        path.chmod(0o640)
        self._stream.write(MAGIC + described.raw)
        self._format_end = len(MAGIC) + len(described.raw)

    @property
    def _end(self) -> int:
        return self._extents[-1].end if self._extents else self._format_end

    def begin(self, start: int) -> None:
        """What comes next is put from there on, where nothing is yet. Raises LogError when there is a gap before it."""
        if self._extents and self._end != start:
            raise LogError(f"the relay logs lack {self.name} from {self._end} to {start}")
        if not self._extents:
            self._extents.append(Extent(start, start))

    def append(self, pieces: Iterator[bytes], size: int, group: Transaction | None) -> None:
        """Behind everything else."""
        self.put(self._end, pieces, size, group)

    def put(self, start: int, pieces: Iterator[bytes], size: int, group: Transaction | None) -> None:
        """At this place. What is there already is not written again: a receiver may have asked twice."""
        end = start + size
        if end <= self._end and self._extents and start >= self._extents[0].start:
            return
        if start < self._end:
            raise LogError(f"the relay logs hold two events for {self.name}:{start}")
        self._stream.seek(start)
        for piece in pieces:
            self._stream.write(piece)
        if self._extents and self._extents[-1].end == start:
            self._extents[-1] = Extent(self._extents[-1].start, end)
        else:
            self._extents.append(Extent(start, end))
        if group is not None:
            self.last = BinlogPosition(self.name, end)

    def served(self, before: Before | None) -> Served:
        """As the catalogue has it."""
        self._stream.flush()
        return Served(
            LogFile.at(self._path),
            self._described,
            self._format_end,
            tuple(self._extents),
            self._at_head,
            before=before,
        )


def _name(group: Transaction) -> str:
    return group.source_start.file if group.source_start is not None else "rescue.000001"
