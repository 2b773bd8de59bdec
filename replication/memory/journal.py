"""The memory of a failover on the manager's disk: append-only JSON lines, each fsynced before the effect it announces.

Prefect's records are a copy of it. A journal that has a beginning and no end belongs to a failover that was cut
short; the next run reads it to know what may already have happened, and checks each thing by its effect.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..errors import CannotRemember, JournalOdd
from ..local import reserved_space as reserve
from ..local.own_files import make_directory, open_or_replace, ours, synced
from ..model.position import BinlogPosition
from ..model.state import GtidKind
from ..mysql.temporary_settings import DURABILITY

T = TypeVar("T")

BEGIN, END = "failover", "ended"
#: How a failover is refused whose manager stood still until others could act: its beginning may still have to be ended.
LOCK_LOST = "lock-lost"
#: The step of the entry that says why a primary was found dead: ``row`` is detection's.
VERDICT = "verdict"
#: The event of a step that failed and is tried again.
AGAIN = "again"
#: What a journal is of, as its name says: neither looks like an unfinished one of the other.
FAILOVER, SWITCH, REJOIN, DRILL = "failover", "switch", "rejoin", "drill"


@dataclass(frozen=True)
class Entry:
    """One line: when (seconds since the epoch), which step, what happened in it, to whom, with which evidence.

    ``journal`` is the name of the file that it is from.
    """

    at: float
    step: str
    event: str
    server: str
    facts: dict[str, Any]
    journal: str = ""

    @property
    def clock(self) -> str:
        """Local time of day with milliseconds, for reports."""
        return datetime.fromtimestamp(self.at).strftime("%H:%M:%S.%f")[:-3]

    def read(self, made: Callable[[Mapping[str, Any]], T]) -> T:
        """What is made of its facts. Raises JournalOdd for those of another version, or of another hand."""
        try:
            return made(self.facts)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            raise JournalOdd(self.journal, f"{self.step} ({self.event})", error) from error


class Journal:
    """Appends entries to one file; safe to use from several threads.

    Raises CannotRemember when the disk takes no more, not even where room was set aside.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        with _told(path):
            make_directory(path.parent)
            self._file = _append_to(path)
            synced(path.parent)

    @classmethod
    def new(cls, workdir: Path, app: str, kind: str = FAILOVER) -> Journal:
        """A fresh journal for one failover, switch, rejoin or drill of one application."""
        stamp = datetime.now().strftime("%Y%m%d%H%M%S")
        name = f"{app}.{kind}-{stamp}-{os.getpid()}"
        names = (name, *(f"{name}-{number}" for number in range(2, 100)))
        paths = (workdir / f"{each}.journal" for each in names)
        return cls(next(path for path in paths if not path.exists()))

    def record(self, step: str, event: str, server: str = "", **facts: Any) -> Entry:
        """Write one entry and wait until the disk has it."""
        entry = Entry(time.time(), step, event, server, facts, self.path.name)
        line = {
            "at": datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="microseconds"),
            "t": entry.at,
            "step": step,
            "event": event,
            "server": server,
            **({"facts": facts} if facts else {}),
        }
        data = (json.dumps(line, default=str, ensure_ascii=False) + "\n").encode()
        with self._lock, _told(self.path):
            self._write(data)
            os.fdatasync(self._file)
        return entry

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._file, data) :]
            except OSError as error:
                if error.errno not in reserve.FULL or not reserve.spend(self.path):
                    raise

    def entries(self) -> tuple[Entry, ...]:
        """Everything recorded so far."""
        return tuple(read_journal(self.path))

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1


def read_journal(path: Path) -> Iterator[Entry]:
    """The entries of a journal; a last line that was cut by a crash is left out, and so is what follows no entry."""
    for line in path.read_bytes().split(b"\n"):
        if (entry := _entry(line, path.name)) is None:
            return
        yield entry


def _entry(line: bytes, journal: str) -> Entry | None:
    """One line; None for one that is none of ours."""
    try:
        data = json.loads(line)
        at, words = float(data["t"]), (data["step"], data["event"], data.get("server", ""))
        facts = data.get("facts", {})
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    if not all(isinstance(word, str) for word in words) or not isinstance(facts, dict):
        return None
    return Entry(at, *words, facts, journal)


def every_entry(workdir: Path, app: str, kind: str = FAILOVER) -> tuple[Entry, ...]:
    """What all journals of an application's failovers, or the like, that are there recorded, the oldest first."""
    return tuple(entry for path in reversed(journals(workdir, app, kind)) for entry in read_journal(path))


def unfinished(workdir: Path, app: str, dead: str | None = None, *, kind: str = FAILOVER) -> tuple[Entry, ...]:
    """What the newest failovers (or switches) of an application recorded that began and never ended, in order.

    ``dead`` (``ip:port``) leaves out what was about another dead primary. Empty when the last one ended. One that was
    to finish an earlier one, and was refused or failed, ends nothing: the earlier one is still to be finished. Neither
    does one that failed after it had opened a server, nor one that lost its lock in the middle.
    """
    past: tuple[Entry, ...] = ()
    for path in journals(workdir, app, kind):
        entries = tuple(read_journal(path))
        if any(e.step == END for e in entries) and not _leaves_it_open(entries):
            break
        if dead is None or any(e.step == BEGIN and e.server == dead for e in entries):
            past = (*entries, *past)
    return past


def journals(workdir: Path, app: str, kind: str = FAILOVER) -> list[Path]:
    """The journals of an application, newest first; none that somebody else put there."""
    found = [path for path in workdir.glob(f"{app}.{kind}-*.journal") if ours(path)]
    return sorted(found, key=lambda p: (p.stat().st_mtime_ns, p.name), reverse=True)


def failed_when_open(entries: tuple[Entry, ...]) -> bool:
    """A failover that ended with an error although its new primary may take writes: its rest is still to be done."""
    failed = any(e.step == END and e.facts.get("exit_code") == 1 for e in entries)
    return failed and opened_before(entries) is not None


def _leaves_it_open(entries: tuple[Entry, ...]) -> bool:
    lost = any(e.step == END and e.facts.get("refusal") == LOCK_LOST for e in entries)
    return lost or _in_vain(entries) or failed_when_open(entries)


def _in_vain(entries: tuple[Entry, ...]) -> bool:
    """A run that was to go on with an earlier one, and could not."""
    resumed = any(e.step == BEGIN and e.facts.get("resumed") for e in entries)
    return resumed and any(e.step == END and e.facts.get("exit_code") == 1 for e in entries)


@dataclass(frozen=True)
class Begun:
    """A failover that began and did not end: the dead primary's ``ip:port``, and the entry that tells so."""

    dead: str
    entry: Entry

    def options(self, kind: Callable[..., T]) -> T:
        """The options that it was given. Raises JournalOdd."""
        return self.entry.read(lambda facts: kind(**facts.get("options", {})))


def begun_before(past: tuple[Entry, ...]) -> Begun | None:
    """The last beginning of a former, unfinished failover."""
    last = next((e for e in reversed(past) if (e.step, e.event) == (BEGIN, "began")), None)
    return Begun(last.server, last) if last is not None else None


@dataclass(frozen=True)
class Opened:
    """What a failover that was interrupted had opened for writes: the server, and how it replicated until then.

    ``end_of_log`` is the end of its own binary log just before it took writes, ``FILE:OFFSET`` or empty.
    """

    dead: str
    key: str
    kind: str
    end_of_log: str


def opened_before(past: tuple[Entry, ...]) -> Opened | None:
    """The server that a former, unfinished failover was about to open; whether it did, only the server can tell.

    Raises JournalOdd.
    """
    for entry in reversed(past):
        if entry.step == "promote" and entry.event == "not opened":
            return None
        if entry.step == "promote" and entry.event == "intent":
            return entry.read(partial(_opened, entry.server))
    return None


def saved_before(past: tuple[Entry, ...]) -> BinlogPosition | None:
    """Where the dead primary's log ended when a former run saved it and opened a server. Raises JournalOdd."""
    saved = next((e for e in reversed(past) if (e.step, e.event) == ("rescue", "saved")), None)
    return saved.read(lambda facts: BinlogPosition.parse(facts["end"])) if saved is not None else None


@dataclass(frozen=True)
class TemporarySetting:
    """Settings of a server that were changed while a log was applied: what they were, in which boot of its host."""

    key: str
    former: dict[str, int]
    boot_id: str

    @property
    def relaxed(self) -> bool:
        """A crash of the host could take what was applied."""
        return bool(self.former.keys() & DURABILITY.keys())

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.former.items())


def unrestored_settings(past: tuple[Entry, ...]) -> tuple[TemporarySetting, ...]:
    """What a former, unfinished failover changed and did not give back."""
    lent: dict[str, TemporarySetting] = {}
    for entry in past:
        if entry.step == "settings" and entry.event == "intent":
            lent[entry.server] = TemporarySetting(entry.server, *entry.read(_lent))
        elif entry.step == "settings":
            lent.pop(entry.server, None)
    return tuple(each for each in lent.values() if each.former)


def lifted_delays(entries: Iterable[Entry]) -> dict[str, int]:
    """The deliberate delays (seconds, 0 for none) of appliers that were freed; set again when they follow another."""
    delays = (e for e in entries if (e.step, e.event) == ("delay", "intent"))
    return {e.server: e.read(lambda facts: int(facts["seconds"])) for e in delays}


def _opened(key: str, facts: Mapping[str, Any]) -> Opened:
    dead, kind, end = facts["dead"], GtidKind(facts["kind"]).value, facts["end_of_log"]
    if not isinstance(dead, str) or (end and str(BinlogPosition.parse(end)) != end):
        raise ValueError("it names no server, or no place in a log")
    return Opened(dead, key, kind, end)


def _lent(facts: Mapping[str, Any]) -> tuple[dict[str, int], str]:
    return {str(name): int(value) for name, value in facts["former"].items()}, str(facts["boot_id"])


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotRemember(
            f"{path} cannot be written ({error.strerror}), and a failover that cannot remember must not act: make room "
            f"in {path.parent}"
        ) from None


def _append_to(path: Path) -> int:
    """A descriptor of the file, made where it is missing; a full disk may have no room for that either."""
    how = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    try:
        return open_or_replace(path, how, 0o640)
    except OSError as error:
        if error.errno not in reserve.FULL or not reserve.spend(path):
            raise
        return open_or_replace(path, how, 0o640)
