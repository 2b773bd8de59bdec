"""What one manager process watches, a card a cluster, as a page: made by a thread of its own, and only while asked for.

A card says what the manager itself remembers on its disk, and what its looks for load balancers saw where the cluster
has a `health_port`. Nobody's server is asked anything for it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...config import ClusterConfig
from ..local.own_files import ours
from ..memory.failover_flags import FailoverFlags
from ..memory.health_file import Health, HealthFile, ManagerStatus
from ..memory.held_servers import HeldServers
from ..memory.journal import journals
from ..memory.last_check import Days, LastCheck
from ..reporting.history.incident import Ended, Incident, Kind
from ..reporting.history.journals import newest
from ..reporting.history.text import line
from ..reporting.pictures.boxes import Box, Tree
from ..threads import Thread, own
from .metrics import WatchSeen

log = logging.getLogger("mha")

#: Seconds between two makings of the page, until it is too old to be shown, and for which it is made after a question.
EVERY, TOO_OLD, WANTED = 2.0, 30.0, 30.0
#: Seconds without a sign of life after which what a manager says of itself is old.
OLD = 10.0
#: What a card tells of: the last of all, of failovers, of drills. Where their pages are on this port.
LASTS: tuple[tuple[Kind, ...], ...] = ((), (Kind.FAILOVER,), (Kind.DRILL,))
PAGES = "/incident/"
SOON = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="1"><title>One moment</title></head>
<body><main><p>One moment.</p></main></body></html>
"""
WELL = (ManagerStatus.PING_OK, ManagerStatus.STANDING_BY)
SAYS = {
    ManagerStatus.PING_OK: "watches; the primary answers",
    ManagerStatus.STANDING_BY: "stands by",
    ManagerStatus.INITIALIZING_MONITOR: "begins to watch",
    ManagerStatus.PING_FAILING: "the primary misses pings",
    ManagerStatus.PING_FAILED: "the primary is dead",
    ManagerStatus.PRIMARY_READ_ONLY: "the primary takes no writes",
    ManagerStatus.FAILOVER_RUNNING: "a failover runs",
    ManagerStatus.FAILOVER_ERROR: "a failover ended with an error",
    ManagerStatus.FAILOVER_UNFINISHED: "a failover is not finished",
}


@dataclass(frozen=True)
class Last:
    """One incident: a line, and where its page is: on this port, and on the manager's host; empty for none."""

    line: str
    link: str = ""
    page: str = ""

    @classmethod
    def of(cls, incident: Incident, page: Path) -> Last:
        """``page`` is where its page would be."""
        link = f"{PAGES}{quote(page.name, safe='')}" if page.exists() else ""
        return cls(line(incident), link, str(page) if link else "")


@dataclass(frozen=True)
class Card:
    """One cluster: ``rank`` is 0 for the worst and 3 for one that is well, ``age`` the seconds since a sign of life.

    ``lasts`` are the last incident, and the last failover and drill beside it; ``ready`` says whether a failover would
    have gone on at the last health check, ``days`` in how many of the last 90 days' checks.
    """

    cluster: str
    rank: int
    manager: str
    age: float | None
    primary: str
    tree: Tree | None
    held: tuple[str, ...]
    lasts: tuple[Last, ...]
    ready: str
    days: Days

    @property
    def old(self) -> bool:
        """Nothing on it is to be trusted."""
        return self.age is None or self.age > OLD

    @property
    def word(self) -> str:
        """What its rank means."""
        return ("trouble", "a server is not well", "something is left to do", "well")[self.rank]


def card(
    cluster: str,
    health: Health | None,
    seen: WatchSeen | None,
    held: Iterable[str],
    last: Incident | None,
    lasts: tuple[Last, ...],
    ready: str,
    days: Days,
    now: float,
) -> Card:
    """From what is remembered to what is shown; ``now`` is seconds since the epoch. Pure but for a clock of looks."""
    age = max(0.0, now - health.mtime) if health is not None else None
    says = SAYS.get(health.status, health.status.label) if health is not None else "nothing is known of its manager"
    says += f"; {health.active} watches" if health is not None and health.active else ""
    tree, holds = _tree(seen) if seen is not None else None, tuple(held)
    sound = health is not None and health.status in WELL and age is not None and age <= OLD
    if health is not None and health.status is ManagerStatus.INITIALIZING_MONITOR:
        rank = 1
    elif not sound:
        rank = 0
    elif tree is not None and any(box.role == "not well" for box in tree.boxes):
        rank = 1
    else:
        rank = 2 if holds or (last is not None and last.ended not in (Ended.DONE, Ended.CLOSED)) else 3
    primary = health.primary if health is not None else ""
    return Card(cluster, rank, says, age, primary, tree, holds, lasts, ready, days)


def _tree(seen: WatchSeen) -> Tree:
    """Who takes writes first, then who replicates, then the rest."""
    now, boxes = time.monotonic(), []
    order = {"primary": 0, "replica": 1}
    for each in sorted(seen.standings.servers.values(), key=lambda each: order.get(each.role, 2)):
        if each.role == "replica":
            late = "" if each.fresh_at is None else f"had all {max(0.0, now - each.fresh_at):.0f} s ago"
            boxes.append(Box(each.name, "replica", True, late))
        elif each.role == "primary":
            boxes.append(Box(each.name, "takes writes", False))
        else:
            boxes.append(Box(each.name, "not well", False, each.why))
    return Tree("Now", tuple(boxes))


class Board:
    """The clusters of this process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._watched: dict[str, tuple[ClusterConfig, Callable[[], WatchSeen] | None]] = {}
        self._last: dict[str, tuple[object, tuple[Incident, ...]]] = {}
        self._changing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._asked = self._made = 0.0
        self._page = b""

    def put(self, config: ClusterConfig, seen: Callable[[], WatchSeen] | None) -> None:
        """A cluster is watched, or its configuration is another; ``seen`` tells what looks at its servers saw."""
        with self._changing:
            self._watched[config.name] = (config, seen)

    def remove(self, config: ClusterConfig) -> None:
        """It is not watched any more; one that was put since stays."""
        with self._changing:
            if (known := self._watched.get(config.name)) is not None and known[0] is config:
                del self._watched[config.name]

    def cards(self) -> list[Card]:
        """The worst first, else by name."""
        with self._changing:
            watched = list(self._watched.values())
        return sorted(
            (self._card(config, seen) for config, seen in watched), key=lambda each: (each.rank, each.cluster)
        )

    def page(self) -> bytes:
        """The page as it was made last; before that one that asks again by itself. Returns at once."""
        now = time.monotonic()
        with self._changing:
            self._asked = now
            if self._thread is None or not self._thread.is_alive():
                self._thread = Thread(target=self._run, name="fleet page", daemon=True)
                own(self._thread, "")
                self._thread.start()
        if now - self._made > TOO_OLD:
            return SOON
        return self._page

    def _run(self) -> None:
        while time.monotonic() - self._asked < WANTED:
            try:
                # Who only watches loads no template engine.
                from ..reporting.pictures.fleet import fleet_page

                self._page, self._made = fleet_page(self.cards(), time.time()).encode(), time.monotonic()
            except Exception:
                log.exception("The page of all clusters could not be made.")
            time.sleep(EVERY)

    def _card(self, config: ClusterConfig, seen: Callable[[], WatchSeen] | None) -> Card:
        health: Health | None = None
        held: tuple[str, ...] = ()
        lasts: tuple[Incident, ...] = ()
        ready, days = _checked(config)
        # What cannot be read is shown as unknown.
        with contextlib.suppress(OSError):
            health = HealthFile(config.manager_workdir, config.name).read()
        with contextlib.suppress(OSError):
            held = tuple(map(str, HeldServers.of(config).current()))
        with contextlib.suppress(OSError):
            lasts = self._newest(config)
        shown = tuple(Last.of(each, _page_of(config, each)) for each in lasts)
        look, newest_one = seen() if seen is not None else None, lasts[0] if lasts else None
        return card(config.name, health, look, held, newest_one, shown, ready, days, time.time())

    def incident_page(self, path: str) -> bytes | None:
        """The page of an incident that a card names, by the path of its link. Raises OSError."""
        with self._changing:
            for config, _ in self._watched.values():
                for each in self._last.get(config.name, (None, ()))[1]:
                    page = _page_of(config, each)
                    if path == f"{PAGES}{quote(page.name, safe='')}" and ours(page):
                        return page.read_bytes()
        return None

    def _newest(self, config: ClusterConfig) -> tuple[Incident, ...]:
        """The last one, the last failover, the last drill, each once; read again only when a journal was written."""
        paths = [path for kind in Kind for path in journals(config.manager_workdir, config.name, kind.value)]
        stamp = tuple((path, _stamp(path)) for path in paths)
        if config.name not in self._last or self._last[config.name][0] != stamp:
            found = [newest(config.manager_workdir, config.name, *kinds) for kinds in LASTS]
            self._last[config.name] = (stamp, tuple({each.id: each for each in found if each is not None}.values()))
        return self._last[config.name][1]


def _checked(config: ClusterConfig) -> tuple[str, Days]:
    if (found := LastCheck(config).read()) is None:
        return "No health check is remembered here.", {}
    return found.line(FailoverFlags(config.manager_workdir, config.name).complete_age()), found.days


def _page_of(config: ClusterConfig, incident: Incident) -> Path:
    return config.manager_workdir / f"{config.name}.incident-{incident.id}.html"


def _stamp(path: Path) -> Any:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


#: This process's.
BOARD = Board()
