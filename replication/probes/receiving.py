"""Whether a replica's receiver hears its source: not that it is connected, but that something new came.

A receiver says "Yes" for a minute after its source's host went dark (slave_net_timeout). What proves life is progress:
a position that moves, or a heartbeat, which a source sends whenever it sent nothing else for a heartbeat period.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from ...config import ServerConfig
from ..detection.observation import Finding, Observation, Observer
from ..errors import ServerError
from ..model.state import ReplicaChannel
from ..mysql.dialects import receiving as words
from ..mysql.server import Server

#: Seconds between two looks beyond which a difference does not tell that something came just now.
JUST_NOW = 2.5
#: Seconds that a heartbeat may be late.
OVERDUE = 2.0


@dataclass(frozen=True)
class Heard:
    """What a receiver had heard at a look.

    ``place`` is everything that moves when something comes. ``since`` is when it was first seen to be there, ``at``
    when it was looked at (monotonic clock). ``period`` (seconds) is that of the heartbeats, None when it is unknown.
    """

    place: tuple[str, ...]
    since: float
    at: float
    period: float | None = None


def compare(before: Heard | None, place: tuple[str, ...], period: float | None, now: float) -> tuple[Heard, Finding]:
    """What a connected receiver's place means beside what it was at the look before."""
    if before is None or before.place != place:
        just_now = before is not None and now - before.at <= JUST_NOW
        return Heard(place, now, now, period), Finding.MOVES if just_now else Finding.RECEIVES
    heard = Heard(place, before.since, now, period)
    late = period is not None and now - heard.since > period + OVERDUE
    return heard, Finding.OVERDUE if late else Finding.RECEIVES


class ReceiverView:
    """One replica's receiver, looked at again and again. ``uuid`` and ``server_id`` are the primary's, as far as known.

    ``worked`` tells that it has ever received something from that primary; ``last`` is the channel as it was seen last.
    """

    def __init__(self, primary: ServerConfig, uuid: str = "", server_id: int = 0) -> None:
        self._primary, self._uuid, self._server_id = primary, uuid, server_id
        self._heard: dict[str, Heard] = {}
        self.worked = False
        self.last: ReplicaChannel | None = None

    def listen(self, server: Server, *, timeout: float, apart: float = 1.0) -> tuple[Observation, ...]:
        """Looks a second from each other, for ``apart`` seconds or until something came between two of them."""
        ends = time.monotonic() + apart
        seen = self.look(server, timeout=timeout)
        while any(o.finding is Finding.RECEIVES for o in seen) and time.monotonic() < ends:
            time.sleep(min(1.0, max(0.0, ends - time.monotonic())))
            seen = self.look(server, timeout=timeout)
        return seen

    def look(self, server: Server, *, timeout: float) -> tuple[Observation, ...]:
        """Whether the replica answers the manager, and what its receiver hears; a trouble is an observation."""
        began = time.monotonic()

        def saw(source: Observer, finding: Finding, detail: str = "") -> Observation:
            return Observation(source, server.config.name, finding, detail, took=time.monotonic() - began)

        try:
            with server.reading("read its replication status"):
                server.connect(timeout)
                dialect = server.dialect
                rows = server.query(dialect.show_channels(), action="read its replication status", timeout=timeout)
                ours = [(row, dialect.channel(row)) for row in rows]
                ours = [each for each in ours if self._is_of_primary(each[1])]
                query = words.heartbeats_query(dialect.vendor, dialect.version)
                beats = _beats(server, query, timeout) if ours and query else []
                heard = [(row, channel, words.heartbeats(row, beats, channel.name)) for row, channel in ours]
        except ServerError as error:
            return (saw(Observer.LINK, Finding.LIVES if error.answered else Finding.UNANSWERED, str(error)),)
        seen = [saw(Observer.LINK, Finding.ANSWERED)]
        for row, channel, (count, period) in heard:
            trouble = f"{channel.receiver_errno}: {channel.receiver_error}" if channel.receiver_errno else ""
            self.worked = self.worked or channel.received is not None
            self.last = channel
            if channel.receiver != "Yes":
                finding = Finding.NOT_RECEIVING if channel.receiver == "No" else Finding.DISCONNECTED
                self._heard.pop(channel.name, None)
                seen.append(saw(Observer.REPLICA, finding, trouble))
                continue
            now = time.monotonic()
            newest, finding = compare(self._heard.get(channel.name), (*words.place(row), count), period, now)
            self._heard[channel.name] = newest
            quiet = f"nothing new for {now - newest.since:.1f} s" if finding is not Finding.MOVES else ""
            seen.append(saw(Observer.REPLICA, finding, "; ".join(filter(None, (quiet, trouble)))))
        return tuple(seen)

    def _is_of_primary(self, channel: ReplicaChannel) -> bool:
        """By what identifies a server, for its address may have changed; else by name or address."""
        if channel.of_a_rescue:
            return False
        if self._uuid and channel.source_uuid:
            return channel.source_uuid == self._uuid
        if self._server_id and channel.source_server_id:
            return channel.source_server_id == self._server_id
        named = channel.source_host in (self._primary.hostname, self._primary.ip)
        return named and channel.source_port == self._primary.port


def _beats(server: Server, query: str, timeout: float) -> list[dict[str, object]]:
    """The count of heartbeats; whoever may not read it has positions alone."""
    try:
        return server.query(query, action="read its heartbeats", timeout=timeout)
    except ServerError:
        if not server.connected:
            raise
        return []
