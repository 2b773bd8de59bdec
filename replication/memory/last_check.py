"""What the last health check of a cluster found, kept beside the manager's files: for the next one, and to be shown."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from ...config import ClusterConfig
from ..local.own_files import make_directory, read_json, written
from ..model.check import Check, failed

log = logging.getLogger("mha")

#: By day (``2026-12-01``, local time), in how many checks a failover would have gone on, and how many there were.
Days = dict[str, tuple[int, int]]
#: So many days, of these so many with a check, are remembered: some 3 KB.
MOST_DAYS = 90


@dataclass(frozen=True)
class CheckRecord:
    """One health check: when (seconds since the epoch), what failed (``check: subject``), and the readiness.

    ``strangers`` are sentences about replicas that are not configured: the dead primary alone knew them. ``days`` are
    the checks of the last 90 days.
    """

    at: float
    failed: tuple[str, ...]
    readiness: dict[str, Any]
    strangers: tuple[str, ...] = ()
    days: Days = field(default_factory=dict)

    def line(self, failover_age: float | None = None) -> str:
        """For people: how long ago, and what it said of a failover, which nothing holds of once there was one.

        ``failover_age`` is how many seconds ago the last one was completed, None for never.
        """
        minutes = max(0.0, time.time() - self.at) / 60
        checks = f", {len(self.failed)} checks failed" if self.failed else ""
        when = f"Health check {minutes:.0f} minutes ago{checks}"
        if failover_age is not None and time.time() - failover_age > self.at:
            return f"{when}: it was before the last failover."
        return f"{when}. {self.readiness.get('text', '')}"


def names_of(checks: Iterable[Check]) -> tuple[str, ...]:
    """What failed, by names that are the same the next time."""
    return tuple(sorted(f"{check.name}: {check.subject}" for check in failed(checks)))


def news(before: CheckRecord | None, now: tuple[str, ...]) -> str:
    """The event that a health check is worth: check_failed for something new, check_passed, or none. Pure."""
    known = before.failed if before is not None else ()
    if set(now) - set(known):
        return "check_failed"
    return "check_passed" if known and not now else ""


def left_behind(found: CheckRecord | None) -> tuple[str, ...]:
    """What a failover or its plan has to say of replicas that it does not know. Pure."""
    if found is None or not found.strangers:
        return ()
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.at))
    return tuple(f"As seen at {at}: {each}: it is left as it is." for each in found.strangers)


def counted(days: Days, found: CheckRecord) -> Days:
    """The same days with one check more, and none that is too old. Pure."""
    day, first = (date.fromtimestamp(found.at - back * 86400).isoformat() for back in (0, MOST_DAYS - 1))
    ready, checks = days.get(day, (0, 0))
    more = days | {day: (ready + bool(found.readiness.get("ready")), checks + 1)}
    return {each: more[each] for each in sorted(more)[-MOST_DAYS:] if each >= first}


class LastCheck:
    """``<app>.check.json`` in manager_workdir."""

    def __init__(self, config: ClusterConfig) -> None:
        self.path: Path = config.manager_workdir / f"{config.name}.check.json"

    def read(self) -> CheckRecord | None:
        """What the last one found; None when there was none, its file cannot be read, or somebody else wrote it."""
        try:
            told = read_json(self.path)
            strangers = tuple(map(str, told.get("strangers", ())))
            days = {str(day): (int(ready), int(all_)) for day, (ready, all_) in dict(told.get("days", {})).items()}
            return CheckRecord(float(told["at"]), tuple(told["failed"]), dict(told["readiness"]), strangers, days)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
            return None

    def write(self, found: CheckRecord) -> None:
        """Keep it, replacing the file in one step, and count it to its day; a disk that takes no more is told."""
        before = self.read()
        told: dict[str, Any] = {"at": found.at, "failed": found.failed, "readiness": found.readiness}
        told["strangers"] = found.strangers
        told["days"] = counted(before.days if before is not None else {}, found)
        try:
            make_directory(self.path.parent)
            with written(self.path, 0o640) as file:
                file.write(json.dumps(told, default=str, ensure_ascii=False) + "\n")
        except OSError as error:
            log.error("The result of the health check cannot be written: %s", error)
