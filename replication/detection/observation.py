"""What was seen of a primary: time-stamped observations, kept in a ring, written out when something happens.

An observation says who looked, at what, and what was found; nothing here decides. A round is everything that was asked
at about the same moment. An incident file holds, as JSON lines, the last moments before a suspicion and all that was
seen until the verdict or the recovery, so that `mha replay` can judge it again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from ..local.own_files import open_own

log = logging.getLogger("mha")

#: Observations that are remembered while nothing happens.
REMEMBERED = 200
#: Lines of one incident file, and incident files of one application; more is not written, older ones are removed.
MOST_LINES, MOST_FILES = 5000, 50

#: The row of `rules` that says so: the verdict is no word about a server that answers.
SOMEBODY_ELSE = "something else answers"


class Observer(StrEnum):
    """What was looked at, and from where."""

    SESSION = "session"  # the manager's kept session with the primary, between two pings
    PING = "ping"  # the manager's own ping
    SSH = "ssh"  # the primary's host, as far as it answers over SSH at all
    PROCESS = "process"  # the primary's mysqld, seen on its host
    PORT = "port"  # the primary's port, seen on its host
    PID_FILE = "pid file"  # removed by a server that shuts down in order
    DISK = "disk"  # the file systems of its data and its binary log
    WRITE = "write"  # a row written to the primary, with a deadline
    OBSERVER = "observer"  # the primary's port, seen from a replica's host
    REPLICA = "replica"  # a replica's receiver
    SECONDARY = "secondary check"  # the exit of secondary_check_script
    LINK = "link"  # another server of the cluster, seen from the manager
    MANAGER = "manager"  # whether the manager itself keeps time


class Finding(StrEnum):
    """What was found."""

    ANSWERED = "answered"
    LIVES = "lives but refuses us"
    REFUSED = "refused"
    SLOW = "answered late"
    SILENT = "silent"  # the connection was taken, and nothing was said in time
    UNANSWERED = "unanswered"  # nothing at all came back in time
    BROKEN = "broken"
    NO_VIEW = "no view"  # whoever should look could not
    ALONE = "reaches nobody else either"
    NO_VOICE = "no second voice"  # it lives on the manager's own host, or on the primary's
    RUNNING = "running"
    STARTING = "starting or stopping"  # the process is there and does not listen
    STOPPED = "stopped"
    GONE = "gone"
    LISTENING = "listening"
    STRANGER = "somebody else listens"
    CLOSED = "closed"
    THERE = "there"
    ABSENT = "absent"
    GOOD = "good"
    FULL = "full"
    READ_ONLY = "read-only"
    STALLED = "stalled"
    MOVES = "receives with progress"
    RECEIVES = "receives"  # connected, and nothing new came since the look before
    OVERDUE = "connected, heartbeat overdue"
    DISCONNECTED = "disconnected"
    NOT_RECEIVING = "not receiving"
    CONFIRMED = "confirmed"
    DENIED = "denied"
    LATE = "late"


@dataclass(frozen=True)
class Observation:
    """One thing seen once: ``who`` looked (or was looked at, for a link or a replica), and what it found.

    ``at`` is seconds since the epoch, ``clock`` the same moment on the monotonic clock, ``took`` how many seconds the
    look took.
    """

    source: Observer
    who: str
    finding: Finding
    detail: str = ""
    at: float = field(default_factory=time.time, compare=False)
    clock: float = field(default_factory=time.monotonic, compare=False)
    took: float = field(default=0.0, compare=False)

    def __str__(self) -> str:
        return f"{self.source} ({self.who}): {self.finding}" + (f": {self.detail}" if self.detail else "")

    @property
    def began(self) -> float:
        """When the look was begun, on the monotonic clock."""
        return self.clock - self.took


@dataclass(frozen=True)
class Round:
    """What was seen when everybody was asked at once. ``began`` and ``ended`` are on the monotonic clock."""

    began: float
    ended: float
    seen: tuple[Observation, ...]

    def of(self, source: Observer) -> tuple[Observation, ...]:
        """The observations from one source."""
        return tuple(o for o in self.seen if o.source is source)

    def found(self, source: Observer, *findings: Finding) -> tuple[str, ...]:
        """Who found one of these, as names."""
        return tuple(o.who for o in self.seen if o.source is source and o.finding in findings)

    def is_(self, source: Observer, *findings: Finding) -> bool:
        """Whether anybody found one of these."""
        return bool(self.found(source, *findings))


class IncidentRecorder:
    """The ring of observations of one watched primary, and the incident file while something happens.

    Thread-safe. A disk that takes no file is told once; the watch goes on without.
    """

    def __init__(self, workdir: Path, app: str, facts: Mapping[str, Any]) -> None:
        self._workdir, self._app, self._facts = workdir, app, dict(facts)
        self._ring: deque[Observation] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()
        self._file: IO[str] | None = None
        self._lines = 0
        self.path: Path | None = None

    def see(self, *observations: Observation) -> None:
        """Remember; while an incident is open, also write."""
        with self._lock:
            for each in observations:
                self._ring.append(each)
                self._write("seen", as_dict(each))

    def begin(self, **facts: Any) -> None:
        """Open an incident file and write what the ring remembers; no effect while one is open."""
        with self._lock:
            if self._file is not None:
                return
            stamp = time.strftime("%Y%m%d%H%M%S") + f"{time.time() % 1:.3f}"[1:]
            self.path = self._workdir / f"{self._app}.incident-{stamp}.jsonl"
            try:
                self._prune()
                how = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                self._file = os.fdopen(open_own(self.path, how, 0o640), "w", encoding="utf-8")
            except OSError as error:
                log.error("The incident cannot be recorded: %s", error)
                return
            self._lines = 0
            now = {"at": time.time(), "clock": time.monotonic()}
            self._write("incident", {**now, "app": self._app, **self._facts, **facts})
            for each in self._ring:
                self._write("seen", as_dict(each))

    def round(self, number: int, judged: Round, **facts: Any) -> None:
        """A round ended, and what was made of it."""
        with self._lock:
            self._ring.extend(judged.seen)
            seen = [as_dict(each) for each in judged.seen]
            self._write("round", {"number": number, **_times(judged), **facts, "seen": seen})

    def end(self, what: str, **facts: Any) -> None:
        """The verdict or the recovery: closes the file."""
        with self._lock:
            self._lines = min(self._lines, MOST_LINES - 1)
            self._write(what, {"at": time.time(), "clock": time.monotonic(), **facts})
            file, self._file = self._file, None
            if file is not None:
                with contextlib.suppress(OSError):
                    file.close()

    def _write(self, line: str, facts: Mapping[str, Any]) -> None:
        if self._file is None or self._lines >= MOST_LINES:
            return
        self._lines += 1
        try:
            self._file.write(json.dumps({"line": line, **facts}, ensure_ascii=False, default=str) + "\n")
            self._file.flush()
        except OSError as error:
            log.error("The incident cannot be recorded any further: %s", error)
            self._lines = MOST_LINES

    def _prune(self) -> None:
        for old in sorted(self._workdir.glob(f"{self._app}.incident-*.jsonl"))[: -MOST_FILES + 1]:
            old.unlink(missing_ok=True)


def as_dict(seen: Observation) -> dict[str, Any]:
    """An observation as JSON knows it; times to the millisecond."""
    return {
        "source": seen.source.value,
        "who": seen.who,
        "finding": seen.finding.value,
        **({"detail": seen.detail} if seen.detail else {}),
        "at": round(seen.at, 3),
        "clock": round(seen.clock, 3),
        **({"took": round(seen.took, 3)} if seen.took else {}),
    }


def _times(judged: Round) -> dict[str, float]:
    return {"began": round(judged.began, 3), "ended": round(judged.ended, 3)}


@dataclass(frozen=True)
class Incident:
    """A recorded incident: its head, its rounds with what was made of each then, and its last line."""

    head: Mapping[str, Any]
    rounds: tuple[Round, ...]
    judged: tuple[Mapping[str, Any], ...]
    end: Mapping[str, Any]


def read_incident(path: Path) -> Incident:
    """Read an incident file. Raises ValueError naming the line that is none of an incident."""
    head: Mapping[str, Any] = {}
    end: Mapping[str, Any] = {}
    rounds: list[Round] = []
    judged: list[Mapping[str, Any]] = []
    for number, facts in _lines(path):
        try:
            match facts["line"]:
                case "incident":
                    head = facts
                case "seen":
                    _observation(facts)
                case "round":
                    seen = tuple(_observation(each) for each in facts["seen"])
                    rounds.append(Round(float(facts["began"]), float(facts["ended"]), seen))
                    judged.append(facts)
                case _:
                    end = facts
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}:{number}: no line of an incident: {error!r}") from error
    if not head:
        raise ValueError(f"{path}: it does not begin with an incident")
    return Incident(head, tuple(rounds), tuple(judged), end)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            facts = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"{path}:{number}: no JSON: {error}") from error
        if not isinstance(facts, dict):
            raise ValueError(f"{path}:{number}: no JSON object")
        yield number, facts


def _observation(facts: Mapping[str, Any]) -> Observation:
    return Observation(
        Observer(facts["source"]),
        facts["who"],
        Finding(facts["finding"]),
        facts.get("detail", ""),
        float(facts["at"]),
        float(facts["clock"]),
        float(facts.get("took", 0.0)),
    )
