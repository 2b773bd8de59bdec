"""Which primary was last seen to take writes, and in which of its lives: what its restart takes away can be told by it.

``<app>.primary.json`` in manager_workdir. A life of a server begins at its start, as its own clock says.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ...config import ClusterConfig
from ..local.own_files import make_directory, read_json, written
from ..mysql.server import Server
from .journal import Entry, Journal, journals, opened_before, read_journal

log = logging.getLogger("mha")

#: The step of a journal that tells of the old primary while it is replaced, and its events: it is about to be told to
#: close, it did, it was opened again, and a later watch knows of it.
OLD_PRIMARY, ASKED_TO_CLOSE, CLOSED, OPENED_AGAIN = "old primary", "asked to close", "closed", "opened again"
TAKEN_OVER = "taken over"
#: The fact of such an entry that names the variable by which its commits waited: it is off since, to close it.
WAITED_BY = "waited_by"
#: Seconds for which a server may still obey: TCP sends again what a broken link held up for so long (tcp_retries2).
OBEYS_WITHIN = 900.0


@dataclass(frozen=True)
class SeenWritable:
    """The primary (``ip:port``) as it was last seen to take writes.

    ``started`` is when that life of it began (seconds since the epoch, by its own clock). ``watched``: a manager
    watches it, or was killed while it did; one that ended in order does not know what was done afterwards. ``by_hand``:
    somebody closed it since, while it ran. ``asked``: when a failover tried to close it, in vain as far as it knows,
    and opened nobody else (seconds since the epoch; 0 for never, or too long ago for it to obey). ``strays``: the
    transactions that others had by then and it lacks, by ``ip:port``.
    """

    key: str
    started: int
    watched: bool = True
    by_hand: bool = False
    asked: float = 0.0
    strays: Mapping[str, str] = field(default_factory=dict)


class LastWritable:
    """The memory of one application. What cannot be written is told, and is not remembered."""

    def __init__(self, config: ClusterConfig) -> None:
        self.path: Path = config.manager_workdir / f"{config.name}.primary.json"

    def read(self) -> SeenWritable | None:
        """None when nothing is known, or somebody else wrote the file."""
        try:
            told = read_json(self.path)
            watched, by_hand = told["watched"] is True, told["by_hand"] is True
            asked, strays = float(told.get("asked", 0.0)), dict(told["strays"])
            if not 0 <= time.time() - asked < OBEYS_WITHIN:
                asked = 0.0
            return SeenWritable(str(told["key"]), int(told["started"]), watched, by_hand, asked, strays)
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return None

    def write(self, seen: SeenWritable) -> None:
        """Keep it, replacing the file in one step."""
        try:
            make_directory(self.path.parent)
            with written(self.path, 0o640) as file:
                file.write(json.dumps(asdict(seen)) + "\n")
        except OSError as error:
            log.error("The primary that takes writes cannot be written down: %s", error)

    def may_close_late(self, key: str, at: float) -> None:
        """Nobody was opened in the place of the one at ``key``, which obeys who told it to close, or still may.

        That was ``at`` (seconds since the epoch); what is older than `OBEYS_WITHIN` is nobody's order any more.
        """
        seen = self.read()
        if seen is not None and seen.key == key and not seen.by_hand and time.time() - at < OBEYS_WITHIN:
            self.write(replace(seen, started=0, asked=at))

    def watch_ends(self) -> None:
        """A manager ends in order."""
        seen = self.read()
        if seen is not None and seen.watched:
            self.write(replace(seen, watched=False))


def told_to_close(entries: Iterable[Entry], key: str) -> Entry | None:
    """What a failover wrote down last when it told the old primary at ``key`` to close: that it did, or was to.

    None where it told it nothing, and where somebody took that back or over.
    """
    told: Entry | None = None
    for entry in entries:
        if (entry.step, entry.server) != (OLD_PRIMARY, key):
            continue
        if entry.event in (ASKED_TO_CLOSE, CLOSED):
            told = entry
        elif entry.event in (OPENED_AGAIN, TAKEN_OVER):
            told = None
    return told


def waited_by(entries: Iterable[Entry], key: str) -> str:
    """The variable by which commits of ``key`` waited until a failover closed it and switched that off; or empty.

    As long as it has not been opened again, whoever took that over.
    """
    found = ""
    for entry in entries:
        if (entry.step, entry.server) == (OLD_PRIMARY, key):
            found = "" if entry.event == OPENED_AGAIN else str(entry.facts.get(WAITED_BY) or found)
    return found


def note_opened_again(config: ClusterConfig, key: str) -> None:
    """A watch opened what a failover had closed. Raises CannotRemember, OSError."""
    if found := journals(config.manager_workdir, config.name):
        with contextlib.closing(Journal(found[0])) as journal:
            journal.record(OLD_PRIMARY, OPENED_AGAIN, key)


def waited_before(config: ClusterConfig, key: str) -> str:
    """The same, of all failovers of this host since the last one that opened somebody."""
    past: tuple[Entry, ...] = ()
    for path in journals(config.manager_workdir, config.name):
        entries = tuple(read_journal(path))
        if opened_before(entries) is not None:
            break
        past = (*entries, *past)
    return waited_by(past, key)


def started(server: Server, *, timeout: float) -> int:
    """When this life of the server began, in seconds since the epoch by its own clock, which it measures it with.

    May be a second off. Raises ServerError.
    """
    with server.reading("see when it was started"):
        action = "see when it was started"
        rows = server.query("SHOW GLOBAL STATUS LIKE 'Uptime'", action=action, timeout=timeout)
        now = server.scalar("SELECT UNIX_TIMESTAMP()", action=action, timeout=timeout)
        return int(now) - int(rows[0]["Value"])
