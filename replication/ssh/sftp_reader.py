"""Files over SFTP: what is told of one, what may go wrong with it, and reading it with a bounded read-ahead."""

from __future__ import annotations

import contextlib
import io
import stat as stat_modes
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.sftp import CMD_CLOSE, CMD_DATA, CMD_OPENDIR, CMD_READ, CMD_READDIR, int64
from paramiko.sftp_attr import SFTPAttributes

from ..errors import HostUnreachable, RemoteFileError
from .connect import NOT_UNDERSTOOD
from .framing import needs_access

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from .session import SftpLease

#: Bytes of a read request. A reader starts with small ones, so that a look at a header stays cheap, and doubles them
#: while it goes on: every request costs the same work, and in small ones it is what limits the rate. The first are
#: what every SFTP server grants, the last what OpenSSH's grants since 8.5; one that grants less answers short.
FIRST_CHUNK = 1 << 15
MOST_CHUNK = 255 << 10
#: Requests under way at once, at first and at most: together they fill paramiko's window of 2 MiB.
FIRST_REQUESTS = 2
MOST_REQUESTS = 8


#: Names of one directory that are read.
MOST_NAMES = 1 << 20


@dataclass(frozen=True)
class RemoteStat:
    """A remote file: ``size`` in bytes, ``mtime`` in seconds since the epoch, ``mode`` as in stat(2)."""

    size: int
    mtime: int
    mode: int

    @property
    def is_dir(self) -> bool:
        return stat_modes.S_ISDIR(self.mode)


@contextlib.contextmanager
def file_errors(host: str, action: str, lease: SftpLease) -> Iterator[None]:
    """What goes wrong with a file of ``host`` is one of HostError's children."""
    try:
        yield
    except TimeoutError as error:
        cause = f"no answer within {lease.channel.gettimeout() or 0:g} s"
        raise HostUnreachable(host, action, cause, "is the host overloaded or frozen?") from error
    except FileNotFoundError as error:
        raise RemoteFileError(host, action, "no such file or directory") from error
    except PermissionError as error:
        user = host.split("@")[0]
        raise RemoteFileError(host, action, "permission denied", needs_access(user)) from error
    except (OSError, EOFError, UnicodeError, paramiko.SSHException, paramiko.SFTPError) as error:
        # The server's end of the channel may end a moment before the channel, and the session, are known to: then
        # paramiko has nothing to say, and whoever answers that a file ends says so in words.
        silent = isinstance(error, EOFError) and not str(error)
        if silent or lease.channel.closed or lease.channel.eof_received or not lease.active:
            raise HostUnreachable(host, action, "the session broke") from error
        raise RemoteFileError(host, action, str(error) or "it failed without a reason") from error
    except NOT_UNDERSTOOD as error:
        cause = f"it answers what is no SFTP: {type(error).__name__}: {error}"
        raise RemoteFileError(host, action, cause) from error


def kind_of(found: paramiko.SFTPAttributes) -> tuple[int, int | None]:
    """What SFTP tells of a file that one in its place of root's would not have: that it is one, and its owner."""
    return stat_modes.S_IFMT(found.st_mode or 0), found.st_uid


def names_in(sftp: paramiko.SFTPClient, path: str) -> list[str]:
    """The names in a directory. paramiko's own listing fails on the first name that is no UTF-8, and anybody who may
    write there may give one. Raises OSError, EOFError and paramiko's errors.
    """
    _, answer = sftp._request(CMD_OPENDIR, path.encode("utf-8", "surrogateescape"))  # type: ignore[attr-defined]
    handle, names = answer.get_binary(), list[str]()
    try:
        while len(names) <= MOST_NAMES:
            _, answer = sftp._request(CMD_READDIR, handle)  # type: ignore[attr-defined]
            for _ in range(answer.get_int()):
                names.append(answer.get_binary().decode("utf-8", "surrogateescape"))
                answer.get_binary()
                SFTPAttributes._from_msg(answer)  # type: ignore[attr-defined]
        raise OSError(f"it has more than {MOST_NAMES} names")
    except EOFError:
        return [name for name in names if name not in (".", "..")]
    finally:
        sftp._request(CMD_CLOSE, handle)  # type: ignore[attr-defined]


class RemoteReader(io.RawIOBase):
    """The bytes of an open SFTP file. Wrap it in io.BufferedReader for small reads.

    ``guard`` makes a context in which SFTP's errors become ours; ``done`` is called once, at close, with whether
    the SFTP channel is still in a known state. Not thread-safe, like any file. Raises what ``guard`` raises.
    """

    def __init__(
        self,
        handle: paramiko.SFTPFile,
        size: int,
        guard: Callable[[], AbstractContextManager[None]],
        done: Callable[[bool], None],
    ) -> None:
        self._handle, self._size, self._guard, self._done = handle, size, guard, done
        self._requests = _Requests(handle)
        self._position = 0
        self._chunk = b""
        self._chunk_start = 0
        self._sound = True

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._position
        elif whence == io.SEEK_END:
            self._size = self._ask(lambda: self._handle.stat().st_size or 0)
            offset += self._size
        if offset < 0:
            raise ValueError("a position before the start of the file")
        self._position = offset
        return offset

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer).cast("B")
        inside = self._position - self._chunk_start
        if not 0 <= inside < len(self._chunk):
            self._chunk, self._chunk_start, inside = b"", self._position, 0
            self._chunk = self._ask(lambda: self._requests.read(self._position, self._size))
        data = self._chunk[inside : inside + len(target)]
        target[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        try:
            if self._sound:
                self._ask(self._handle.close)
        finally:
            self._done(self._sound)

    def _ask(self, request: Callable[[], Any]) -> Any:
        was_sound, self._sound = self._sound, False
        with self._guard():
            answer = request()
        self._sound = was_sound
        return answer


class _Requests:
    """Read requests sent ahead of their use, over paramiko's machinery for requests that are not waited for.

    paramiko's own read-ahead (SFTPFile.prefetch, readv) is not used: it takes answers for complete when they overtake
    its sending thread, and then waits for ever; and it does not get over a short answer.
    """

    def __init__(self, handle: paramiko.SFTPFile) -> None:
        self._sftp: Any = handle.sftp
        self._handle = handle.handle
        self._depth, self._chunk, self._granted = FIRST_REQUESTS, FIRST_CHUNK, MOST_CHUNK
        self._sent: deque[tuple[int, int, int]] = deque()
        self._wanted: set[int] = set()
        self._arrived: dict[int, bytes | OSError] = {}
        self._next = 0

    def read(self, position: int, size: int) -> bytes:
        """The chunk at ``position``, empty at the end of the file; nothing behind ``size`` is asked for in advance."""
        if not self._sent or self._sent[0][0] != position:
            # Answers to what was asked for elsewhere are dropped when they come.
            self._sent.clear()
            self._wanted.clear()
            self._arrived.clear()
            self._next, self._depth, self._chunk = position, FIRST_REQUESTS, FIRST_CHUNK
        while len(self._sent) < self._depth and (not self._sent or self._next < size):
            number = self._sftp._async_request(self, CMD_READ, self._handle, int64(self._next), self._chunk)
            self._sent.append((self._next, self._chunk, number))
            self._wanted.add(number)
            self._next += self._chunk
        self._depth = min(MOST_REQUESTS, self._depth * 2)
        self._chunk = min(self._granted, self._chunk * 2)
        _, asked, number = self._sent.popleft()
        while number not in self._arrived:
            self._sftp._read_response()
        answer = self._arrived.pop(number)
        if isinstance(answer, OSError):
            raise answer
        if len(answer) < asked and position + len(answer) < size:
            # It grants no more than this; what was asked for behind it is asked for again.
            self._granted = max(FIRST_CHUNK, len(answer))
        return answer

    def _async_response(self, kind: int, message: paramiko.Message, number: int) -> None:
        """Called by paramiko with the answer to a request. An error waits until the bytes before it were read."""
        if number not in self._wanted:
            return
        self._wanted.discard(number)
        if kind == CMD_DATA:
            self._arrived[number] = message.get_binary()
            return
        try:
            self._sftp._convert_status(message)
        except EOFError:
            self._arrived[number] = b""
        except OSError as error:
            self._arrived[number] = error
