"""How a binlog server is: a small file beside the binary logs, and the one line that `mha status` makes of it."""

from __future__ import annotations

import errno
import json
import os
import posixpath
import shlex
import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from ....config import ServerConfig
from ...errors import MhaError
from ...local.own_files import open_own, written
from ...model.words import plain
from ...ssh.host import SshHost
from .archive import ArchivedLog, archive_root, is_log_name, local_logs

FILE = "binlog-server.json"
#: Bytes of the file at least: what a full disk has room for is what the file has already.
_ROOM = 4096
#: Bytes of it that are read, and what no number in it reaches.
_LONGEST, _MOST = 1 << 16, 1 << 63
#: A running binlog server writes its file every second or two; after so many seconds without it, it runs no more.
STALE = 20.0
#: Seconds that another host may take to tell its health, login included.
PATIENCE = 4.0


class CopyState(StrEnum):
    """What a binlog server does."""

    WAITING = "waits for a primary"
    COPYING = "copies"
    UNREACHABLE = "waits for its source"
    FAILED = "cannot copy"
    STOPPED = "was stopped"


@dataclass(frozen=True)
class BinlogHealth:
    """One reading. Times are epoch seconds on the binlog server's own clock; ``size`` and ``behind`` bytes.

    ``file`` and ``size`` are the newest log of ``source`` that is here; ``behind`` is -1 when it is not known.
    ``checked`` is when the source answered last, ``grew`` when a byte came last. ``gaps`` names what was never copied.
    ``acknowledges``: a semi-synchronous primary waits until its commits lie here.
    """

    block: str
    pid: int
    state: CopyState
    source: str = ""
    file: str = ""
    size: int = 0
    behind: int = -1
    grew: float = 0.0
    checked: float = 0.0
    trouble: str = ""
    gaps: tuple[str, ...] = ()
    acknowledges: bool = False
    written: float = 0.0

    def line(self, now: float) -> str:
        """The state in one line; ``now`` is the clock of the host where it was written."""
        parts = [f"{self.state} {self.source}" if self.state is CopyState.COPYING else f"{self.state}"]
        if self.state is not CopyState.COPYING and self.source:
            parts[0] += f" ({self.source})"
        age = now - self.written
        if self.state is not CopyState.STOPPED and age > STALE:
            parts = [f"does not run: no sign of it for {age:.0f} s (before: {parts[0]})"]
        elif self.acknowledges:
            parts.append("acknowledges")
        if self.file:
            parts.append(f"newest {self.file} with {self.size} bytes")
        if self.behind >= 0:
            parts.append(f"{self.behind} bytes behind")
        if self.grew:
            parts.append(f"last byte {max(0.0, now - self.grew):.0f} s ago")
        if self.checked:
            parts.append(f"source last seen {max(0.0, now - self.checked):.0f} s ago")
        if self.trouble:
            parts.append(self.trouble)
        if self.gaps:
            parts.append(f"never copied: {', '.join(self.gaps)}")
        return "; ".join(parts)


def write_health(root: Path, health: BinlogHealth) -> None:
    """Replace the file in one step; on a full disk write over it, which takes no new room. Raises OSError."""
    text = json.dumps({**asdict(health), "written": time.time()}).ljust(_ROOM)
    try:
        _replace(root, text)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        with (root / FILE).open("r+", encoding="utf-8") as file:
            file.write(text)
            file.truncate()


def _replace(root: Path, text: str) -> None:
    with written(root / FILE) as file:
        file.write(text)
        os.fchmod(file.fileno(), 0o644)


def parse_health(text: str) -> BinlogHealth | None:
    """A health file's text; None when it is none, whoever wrote it. Keys of a newer version are passed over."""
    try:
        data: dict[str, Any] = json.loads(text)
        known = {f.name: data[f.name] for f in fields(BinlogHealth) if f.name in data}
        made = BinlogHealth(**{**known, "state": CopyState(known["state"]), "gaps": tuple(known.get("gaps", ()))})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    words = (made.block, made.source, made.file, made.trouble, *made.gaps)
    numbers = (made.pid, made.size, made.behind, made.grew, made.checked, made.written)
    sound = all(isinstance(number, int | float) and abs(number) < _MOST for number in numbers)
    return made if sound and all(isinstance(word, str) for word in words) else None


def known_gaps(root: Path) -> tuple[str, ...]:
    """The gaps that an earlier run told of, as far as there still is a log from before them."""
    try:
        health = parse_health(_text(root))
    except OSError:
        return ()
    found = []
    for gap in health.gaps if health is not None else ():
        directory, _, first = gap.split(" ")[0].rpartition("/")
        here = local_logs(root / directory) if is_log_name(first) else ()
        if here and here[0].number < ArchivedLog(first, 0).number:
            found.append(gap)
    return tuple(found)


def is_here(server: ServerConfig) -> bool:
    """Whether this host has that server's address."""
    family = socket.AF_INET6 if ":" in server.ip else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((server.ip, 0))
        return True
    return False


def status_line(binlog: ServerConfig) -> str:
    """``binlog1 on host: …``, read here or over SSH; whatever goes wrong is said in the line."""
    head = f"{binlog.block} on {binlog.hostname}: "
    try:
        text, now = _read_here(binlog) if is_here(binlog) else _read_there(binlog)
    except (MhaError, OSError) as error:
        return head + f"its state is not known: {' '.join(str(error).split())}"
    if not text:
        return head + f"no binlog server has run there (no {posixpath.join(archive_root(binlog), FILE)})"
    health = parse_health(text)
    return head + (plain(health.line(now)) if health else f"{FILE} is not the state of a binlog server")


def _read_here(binlog: ServerConfig) -> tuple[str, float]:
    try:
        return _text(Path(archive_root(binlog))), time.time()
    except (FileNotFoundError, NotADirectoryError):
        return "", time.time()


def _text(root: Path) -> str:
    """Of no link, pipe or file of a stranger. Raises OSError."""
    with os.fdopen(open_own(root / FILE, os.O_RDONLY), "rb") as file:
        return file.read(_LONGEST).decode("utf-8", "replace")


def _read_there(binlog: ServerConfig) -> tuple[str, float]:
    host = SshHost(binlog)
    path = shlex.quote(posixpath.join(archive_root(binlog), FILE))
    try:
        # Its own clock: an age over two clocks would be none.
        command = f"date +%s; if [ -f {path} ]; then head -c {_LONGEST} {path}; fi"
        said = host.run(f"sh -c {shlex.quote(command)}", action="read the binlog server's state", timeout=PATIENCE)
    finally:
        host.close()
    clock, _, text = said.stdout.partition("\n")
    return text.strip(), float(clock) if clock.strip().isdigit() else time.time()
