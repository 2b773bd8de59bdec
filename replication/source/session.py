"""One follower: its login, its questions, and then the events."""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Callable
from typing import Any

from ..binlog import event_bodies as bodies
from ..binlog.events import Event, EventType
from ..errors import LogError
from ..model.position import BinlogPosition
from .account import Account
from .catalogue import Catalogue
from .protocol import handshake, queries
from .protocol.packets import EOF, OK, Gone, ProtocolError, Refused, Socket, Wire, error
from .stream import EventStream, Sending
from .wanted import LacksMariadb, LacksMysql, WantedGtids

logger = logging.getLogger("mha")

#: Seconds that a login may take in all, that a follower may take to ask for a log, and that it may take nothing.
LOGIN, QUESTIONS, STALL = 5.0, 30.0, 60.0
#: Of a command before the log is asked for; a GTID set may be long.
_LONGEST = 8 << 20
_QUIT, _QUERY, _PING, _REGISTER, _DUMP, _DUMP_GTID = 0x01, 0x03, 0x0E, 0x15, 0x12, 0x1E
#: A flag of a request for a log, from MySQL 8.0.26 on (USE_HEARTBEAT_EVENT_V2).
_WIDE_HEARTBEATS = 0x02


class FollowerSession:
    """Runs in the connection's own thread. ``tell`` is called with what changes of the follower."""

    def __init__(
        self,
        catalogue: Catalogue,
        account: Account,
        sock: Socket,
        *,
        number: int,
        tell: Callable[..., None],
        stopped: Callable[[], bool],
    ) -> None:
        self._catalogue, self._account, self._number = catalogue, account, number
        self._tell, self._stopped = tell, stopped
        self._wire = Wire(sock, stall=STALL)
        self._said = queries.Said()
        self._checksum: bool | None = None

    def run(self) -> None:
        """To its end. Every error is told to the peer where it can hear it, and to ``tell``."""
        try:
            self._log_in()
            self._tell(state="connected")
            self._serve()
            self._tell(state="gone")
        except Gone as gone:
            self._tell(state="gone", error=str(gone), bytes=self._wire.sent)
        except Refused as refused:
            self._say(refused.errno, str(refused))
            self._tell(state="refused", error=str(refused))
        except ProtocolError as wrong:
            self._tell(state="refused", error=str(wrong))
        except (LogError, OSError) as broken:
            # In the middle of an event nothing can be said: the connection ends.
            self._tell(state="refused", error=str(broken))

    def _log_in(self) -> None:
        identity = self._catalogue.identity
        plugin = handshake.SHA2 if not identity.mariadb and identity.version[:1] in "89" else handshake.NATIVE
        handshake.log_in(
            self._wire,
            version=identity.greeting,
            plugin=plugin,
            account=self._account,
            number=self._number,
            until=time.monotonic() + LOGIN,
        )

    def _serve(self) -> None:
        until = time.monotonic() + QUESTIONS
        while True:
            packet = self._wire.read(until=until, limit=_LONGEST)
            command = packet[0] if packet else _QUIT
            if command == _QUIT:
                return
            if command == _QUERY:
                self._query(packet[1:].decode("utf-8", "replace"))
            elif command in (_PING, _REGISTER):
                self._wire.send(OK)
            elif command == _DUMP:
                self._dump(*_dump(packet))
                return
            elif command == _DUMP_GTID:
                self._dump(*_dump_gtid(packet))
                return
            else:
                self._say(1047, f"Unknown command {command}")

    def _query(self, text: str) -> None:
        try:
            payloads, self._said = queries.answer(text, self._catalogue.identity, self._checksums, self._said)
        except Refused as refused:
            self._say(refused.errno, str(refused))
            return
        for payload in payloads:
            self._wire.add(payload)
        self._wire.flush()

    def _checksums(self) -> bool:
        """Whether events carry checksums, as far as it is known: the first log tells."""
        view = self._catalogue.view()
        until = time.monotonic() + QUESTIONS
        while not view.logs and not view.finished and not self._stopped() and time.monotonic() < until:
            view = self._catalogue.wait(view.version, 1.0)
        self._checksum = bool(view.logs) and view.logs[0].described.checksum
        return self._checksum

    def _dump(self, flags: int, server_id: int, asked: BinlogPosition | None, wanted: WantedGtids | None) -> None:
        if self._said.state is not None and wanted is None:
            wanted = LacksMariadb(self._said.state)
        if self._checksum is None:
            raise Refused(1236, "a follower that does not ask after checksums cannot read these events")
        by = "position" if wanted is None else "gtid"
        words = str(asked) if wanted is None else "GTID"
        if wanted is None and asked is not None and not asked.file:
            raise Refused(1236, "no log was named: the first one is not meant by a replica of this rescue")
        self._tell(state="sending", server_id=server_id, by=by, asked=words)
        logger.info("A replica with server id %d asks the rescue's source for %s (flags %d).", server_id, words, flags)

        def tell(sending: Sending) -> None:
            state = "at_end" if sending.at_end else "sending"
            self._tell(state=state, sent=sending.place, events=sending.events, bytes=self._wire.sent)

        EventStream(
            self._catalogue,
            self._wire,
            asked=asked,
            wanted=wanted,
            checksum=self._checksum,
            heartbeat=self._said.heartbeat,
            wide=bool(flags & _WIDE_HEARTBEATS),
            tell=tell,
            stopped=self._stopped,
        ).run()
        self._wire.send(EOF)

    def _say(self, errno: int, text: str) -> None:
        try:
            self._wire.send(error(errno, text))
        except Gone:
            return


def _dump(packet: bytes) -> tuple[int, int, BinlogPosition | None, WantedGtids | None]:
    try:
        pos, flags, server_id = struct.unpack_from("<IHI", packet, 1)
    except struct.error:
        raise ProtocolError("its request for a log is cut off") from None
    name = packet[11:].rstrip(b"\0").decode("utf-8", "surrogateescape")
    return flags, server_id, BinlogPosition(name, pos), None


def _dump_gtid(packet: bytes) -> tuple[int, int, BinlogPosition | None, WantedGtids | None]:
    try:
        flags, server_id, length = struct.unpack_from("<HII", packet, 1)
        _, size = struct.unpack_from("<QI", packet, 11 + length)
        body = packet[11 + length + 12 :][:size]
        if len(body) < size:
            raise ProtocolError("its set of GTIDs is cut off")
        # The set is written as in a log's head.
        made: Any = Event(0, 0, EventType.PREVIOUS_GTIDS, server_id, size, 0, 0, body, b"")
        return flags, server_id, None, LacksMysql(bodies.previous_gtids(made))
    except struct.error:
        raise ProtocolError("its request for a log is cut off") from None
    except ValueError as wrong:
        raise ProtocolError(f"its set of GTIDs cannot be read: {wrong}") from None
