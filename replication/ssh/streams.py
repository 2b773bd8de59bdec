"""What goes into a remote command and what comes out of it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import paramiko

from ..deadline import Deadline
from ..errors import CommandFailed, DeadlineExceeded, HostUnreachable
from ..threads import Thread
from .framing import NOISE, Frame, exit_code, hint_for, last_line

if TYPE_CHECKING:
    from .session import Lease

#: Seconds of silence after a command's end, when a child in the background still holds its output open.
QUIET = 1.0
#: Bytes kept of each of a command's outputs: half from the start, half from the end.
OUTPUT_LIMIT = 1 << 20
CHUNK = 1 << 15


class InputSource(Protocol):
    """What is sent to a command's standard input: its next bytes, at most so many, none at the end."""

    def read(self, length: int, /) -> bytes: ...


class HashingSource:
    """A stream that remembers the SHA-256 and the length of what was read from it."""

    def __init__(self, stream: InputSource) -> None:
        self._stream, self._digest, self.size = stream, hashlib.sha256(), 0

    def read(self, length: int) -> bytes:
        data = self._stream.read(length)
        self._digest.update(data)
        self.size += len(data)
        return data

    @property
    def hex(self) -> str:
        return self._digest.hexdigest()


class Collector(Thread):
    """Reads one output of a command to its end, keeping the first and the last half of OUTPUT_LIMIT of what is framed.

    ``noise`` is the end of what came before the frame; `begun` whether the frame did.
    """

    def __init__(self, receive: Callable[[int], bytes], frame: Frame) -> None:
        super().__init__(name="ssh output", daemon=True)
        self._receive, self._frame = receive, frame
        self._head, self._tail, self.noise = bytearray(), bytearray(), bytearray()
        self._framed, self.seen, self.begun = 0, 0, False

    def run(self) -> None:
        while data := self._receive(CHUNK):
            self.add(data)

    def add(self, data: bytes) -> None:
        self.seen += len(data)
        if not self.begun:
            self.noise += data
            noise, mark, rest = bytes(self.noise).partition(self._frame.begin)
            # What is cut off here cannot hold the beginning of a mark.
            self.noise = bytearray(noise[-NOISE:])
            if not mark:
                return
            self.begun, data = True, rest
        self._framed += len(data)
        room = OUTPUT_LIMIT // 2 - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > OUTPUT_LIMIT:
            del self._tail[: -OUTPUT_LIMIT // 2 - NOISE]

    def result(self) -> tuple[str, int | None]:
        """What the command printed, and the exit code behind it: None where its end did not come."""
        head, tail, end = bytes(self._head), bytes(self._tail), self._frame.end
        whole = head + tail if len(head) + len(tail) == self._framed else tail
        inside, mark, after = whole.rpartition(end)
        if not mark:
            inside, after = whole, b""
        behind = len(whole) - len(inside)
        size = self._framed - behind
        if whole is not tail:
            head, tail = inside[: OUTPUT_LIMIT // 2], inside[OUTPUT_LIMIT // 2 :]
        else:
            tail = inside
        tail = tail[-OUTPUT_LIMIT // 2 :]
        missing = size - len(head) - len(tail)
        middle = f"\n[{missing} bytes left out]\n".encode() if missing > 0 else b""
        text = (head + middle + tail).decode("utf-8", errors="replace")
        return text, exit_code(after if mark else None)


def feed(channel: paramiko.Channel, source: InputSource) -> None:
    """Send everything to a command's standard input, and end it; a command that does not want all of it is let be."""
    while data := source.read(CHUNK):
        try:
            channel.sendall(data)
        except OSError:
            # The command ended without reading all of it; its exit code says whether that is an error.
            return
    channel.shutdown_write()


def drain(collectors: Sequence[Collector], deadline: Deadline) -> None:
    """Wait for the rest of the output: to its end, or until a child in the background keeps it open in silence."""
    while True:
        seen = sum(collector.seen for collector in collectors)
        quiet = Deadline(min(QUIET, deadline.left))
        for collector in collectors:
            collector.join(quiet.left)
        alive = any(collector.is_alive() for collector in collectors)
        if not alive or deadline.over or seen == sum(collector.seen for collector in collectors):
            return


class RunningCommand:
    """A command that is given its input once, and whose output is read as it comes, as an `InputSource` for another;
    then `finish`, and `close`.

    ``silence`` is how many seconds it may print nothing. Reading raises DeadlineExceeded after that, and at a bad end
    what `finish` raises.
    """

    def __init__(self, lease: Lease, frame: Frame, host: str, action: str, silence: float) -> None:
        self._lease, self._frame, self._host, self._action, self._silence = lease, frame, host, action, silence
        self._pending, self._begun, self._ended = bytearray(), False, False
        self._code: int | None = None
        self._errors = Collector(lease.channel.recv_stderr, frame)
        self._errors.start()
        lease.channel.settimeout(silence)

    @property
    def runs(self) -> bool:
        """Nothing has come that tells of its end, and its session is open."""
        channel = self._lease.channel
        return self._lease.active and not (channel.closed or channel.eof_received or channel.exit_status_ready())

    def wait_at_most(self, seconds: float) -> None:
        """From now on it may print nothing for so long."""
        self._silence = seconds
        self._lease.channel.settimeout(seconds)

    def give(self, stdin: bytes) -> None:
        """All that it gets. One that has ended already is found out by `finish`."""
        with contextlib.suppress(OSError):
            self._lease.channel.sendall(stdin)
            self._lease.channel.shutdown_write()

    def read(self, length: int, /) -> bytes:
        """The next bytes that it prints, at most so many; none at its end."""
        # What is held back may be the beginning of the mark at the end, and of the code behind that.
        held = len(self._frame.end) + 8
        # Before the mark at its beginning there is only what a login printed.
        while not self._ended and not (self._begun and len(self._pending) > held):
            self._receive()
        if self._ended:
            held = 0
        data = bytes(self._pending[: max(0, min(length, len(self._pending) - held))])
        del self._pending[: len(data)]
        return data

    def _receive(self) -> None:
        try:
            data = self._lease.channel.recv(CHUNK)
        except TimeoutError as error:
            raise DeadlineExceeded(f"{self._host}: {self._action}", self._silence, "it printed nothing") from error
        self._pending += data
        if not self._begun:
            _, mark, rest = bytes(self._pending).partition(self._frame.begin)
            if mark:
                self._begun, self._pending = True, bytearray(rest)
            else:
                del self._pending[: -NOISE - len(self._frame.begin)]
        if not data:
            inside, mark, after = bytes(self._pending).rpartition(self._frame.end)
            self._ended, self._code = True, exit_code(after) if mark else None
            self._pending = bytearray(inside if mark and self._begun else b"")
            if self._code != 0:
                # Whoever reads would take what is there for all of it.
                self.finish(Deadline(QUIET))

    def finish(self, deadline: Deadline) -> None:
        """It ended well, and all that it printed was read. Raises CommandFailed, HostUnreachable."""
        drain((self._errors,), deadline)
        said, _ = self._errors.result()
        if self._code is None:
            raise HostUnreachable(self._host, self._action, "the session broke before the command's end")
        if self._code:
            cause = last_line(said) or f"exit {self._code}"
            raise CommandFailed(self._host, self._action, cause, hint_for(said, self._code))

    def close(self) -> None:
        """End it, whether or not it has come to its end."""
        with self._lease:
            pass
