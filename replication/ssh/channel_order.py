"""Nothing is sent on a channel behind its CLOSE, which sshd would end the whole session for.

paramiko makes a message under the channel's lock and sends it after it. When sshd closes the channel in between, as at
a command's end, the answering CLOSE overtakes the data or the EOF that was made before: sshd says "packet referred to
nonexistent channel" and hangs up, or takes it for the channel that has the number next. Every command and copy in that
session ends then, on a host that is fine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.common import cMSG_CHANNEL_CLOSE

from ..threads import own, owner

if TYPE_CHECKING:
    from paramiko.message import Message


class OrderedTransport(paramiko.Transport):
    """A transport that drops what comes too late for a channel that was made orderly. Its thread knows whose it is."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        own(self, owner())

    def _send_message(self, data: Message) -> None:
        # Called under the lock by which messages are sent one after the other.
        channel: OrderedChannel | None = getattr(data, "of_channel", None)
        if channel is not None:
            if channel.closed_there:
                return
            channel.closed_there = data.asbytes()[:1] == cMSG_CHANNEL_CLOSE
        super()._send_message(data)  # type: ignore[misc]


class OrderedChannel(paramiko.Channel):
    """A channel whose messages say whose they are. ``refused``: sshd said no to a request, and did nothing for it."""

    closed_there = False
    refused = False

    def _request_failed(self, m: Message) -> None:
        self.refused = True
        super()._request_failed(m)  # type: ignore[misc]

    def _send(self, s: bytes, m: Message) -> int:
        m.of_channel = self  # type: ignore[attr-defined]
        return int(super()._send(s, m))  # type: ignore[misc]

    def _send_eof(self) -> Any:
        return self._mark(super()._send_eof())  # type: ignore[misc]

    def _close_internal(self) -> tuple[Any, Any]:
        eof, close = super()._close_internal()  # type: ignore[misc]
        return self._mark(eof), self._mark(close)

    def _mark(self, message: Any) -> Any:
        if message is not None:
            message.of_channel = self
        return message


def orderly(channel: paramiko.Channel) -> paramiko.Channel:
    """The same channel of an `OrderedTransport`, before anything is sent on it."""
    channel.__class__ = OrderedChannel
    return channel
