"""Send a cut to a host piece by piece, while apply.sh applies there what has come already.

A piece ends with a whole transaction, and apply.sh is told of it only when it lies there whole. So whatever breaks,
complete transactions are all that was applied, as if the log had ended there.
"""

from __future__ import annotations

import hashlib
import logging
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

from replication.binlog.cutter import Cut
from replication.errors import CommandFailed
from replication.ssh import SshHost
from replication.ssh_streams import Source

log = logging.getLogger("mha")

#: Seconds for a piece whatever its size, and the slowest way that is still waited for (bytes per second).
BASE, RATE = 60.0, 50_000.0
#: What is said after the last piece.
END = b".\n"


def patience(cut: Cut) -> float:
    """Seconds that the next piece may take to come."""
    begins = (0, *(piece.end for piece in cut.pieces))
    return max(_seconds(piece.end - begin) for begin, piece in zip(begins, cut.pieces, strict=False))


def _seconds(size: int) -> float:
    return BASE + size / RATE


class Announcing:
    """What apply.sh is told while the pieces of the cut at ``path`` go to the host: see its head.

    Every read but the first sends a piece to ``remote`` with a number behind it, then gives the line that announces
    it. Raises HostError's children, DeadlineExceeded, and CommandFailed when the file is not what was cut.
    """

    def __init__(self, options: bytes, host: SshHost, path: Path, cut: Cut, remote: str) -> None:
        self._lines = self._send(options, host, path, cut, remote)

    def read(self, _: int, /) -> bytes:
        """The next line, empty after the last."""
        return next(self._lines, b"")

    @staticmethod
    def _send(options: bytes, host: SshHost, path: Path, cut: Cut, remote: str) -> Iterator[bytes]:
        yield options + b"\n"
        began, begin, digest = time.monotonic(), 0, hashlib.sha256()
        with path.open("rb") as data:
            for number, piece in enumerate(cut.pieces, 1):
                part = _Part(data, piece.end - begin, digest)
                host.put(part, f"{remote}.{number}", timeout=_seconds(piece.end - begin))
                if digest.hexdigest() != piece.sha256:
                    raise CommandFailed(host.name, "send the saved binary log", "it is not what was cut any more")
                begin = piece.end
                yield f"{remote}.{number}\n".encode()
        log.info("Sent %d bytes to %s in %.2f s.", begin, host.name, time.monotonic() - began)
        yield END


class _Part:
    """The next ``size`` bytes of a stream, summed as they are read."""

    def __init__(self, stream: Source, size: int, digest: hashlib._Hash) -> None:
        self._stream, self._left, self._digest = stream, size, digest

    def read(self, length: int, /) -> bytes:
        data = self._stream.read(min(length, self._left))
        self._left -= len(data)
        self._digest.update(data)
        return data


def remove_pieces(host: SshHost, remote: str) -> None:
    """Delete the pieces that apply.sh did not come to. Raises HostError's children."""
    # Another shell than sh may refuse a pattern that nothing matches.
    host.run(f"sh -c 'rm -f -- \"$1\".*' rm {shlex.quote(remote)}", action=f"remove {remote}.*", timeout=60.0)
