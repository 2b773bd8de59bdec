"""Who a server was when it was first seen: its certificate or RSA key, by ``ip:port``, as known_hosts has sshd's.

A server makes its own certificate at its first start and nobody signs it, so an unverified TLS session tells nothing of
who is at its end. Whose key it was the first time can be remembered, though: whoever listens on the port of a server
that is down, or between the manager and it, has another one. A line is ``ip:port KIND SHA-256``, or
``ip:port none USER`` for a server that let that account in without either, and without asking for the password: who
asks for that one later is not believed.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ..local.own_files import open_own

log = logging.getLogger("mha")

#: Bytes of the file that are read: some ten thousand servers.
_MOST = 1 << 20
_lock = threading.Lock()


@dataclass(frozen=True)
class Key:
    """What proves a server: ``kind`` is tls (its certificate), rsa (the public key of its logins), or none.

    With none, ``sha256`` is the account.
    """

    kind: str
    sha256: str

    @classmethod
    def of(cls, kind: str, data: bytes) -> Key:
        """The key with these bytes."""
        return cls(kind, hashlib.sha256(data).hexdigest())

    @classmethod
    def nothing(cls, user: str) -> Key:
        """Of a server that showed nothing that would prove it, when it let that account in."""
        return cls("none", quote(user))


def known(path: Path | None, address: str) -> Key | None:
    """The key that ``ip:port`` had first, None where it was never seen.

    A file that others may write is not believed.
    """
    if path is None:
        return None
    for line in _read(path).splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == address:
            return Key(words[1], words[2])
    return None


def remember(path: Path | None, address: str, key: Key) -> None:
    """Write it down where nothing is known of that address; what cannot be written is not remembered, and is told."""
    if path is None:
        return
    with _lock:
        if known(path, address) is not None:
            return
        try:
            with os.fdopen(open_own(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as file:
                if not _open_to_others(file.fileno()):
                    file.write(f"{address} {key.kind} {key.sha256}\n".encode())
        except FileNotFoundError:
            log.debug("The key of %s is not remembered yet: %s is not there", address, path.parent)
        except OSError as error:
            log.warning("The key of %s is not remembered: %s", address, error)


def _read(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        try:
            with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
                if not _open_to_others(file.fileno()):
                    return file.read(_MOST).decode(errors="replace")
        except PermissionError as error:
            log.warning("The remembered keys of servers are not trusted: %s", error)
            return ""
        log.warning("Others can write to %s: it is not trusted.", path)
    return ""


def _open_to_others(descriptor: int) -> bool:
    return bool(os.fstat(descriptor).st_mode & 0o022)
