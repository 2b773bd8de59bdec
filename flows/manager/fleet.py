"""Fleet: many clusters watched by one process, each by a manager of its own as if it were alone.

What the clusters share is the process, its log where a configuration names none, and the places of failovers
(`replication.coordination.failover_slots`). A configuration that is wrong, or a cluster that cannot be watched, is
told and tried again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ...config import ClusterConfig, ConfigError
from ...config.loader import app_name
from ...replication.coordination.failover_slots import FailoverSlots
from ...replication.errors import MhaError
from ...replication.local.stop_request import StopRequest
from ...replication.memory.manager_lock import ManagerLock
from ...replication.memory.workdir import make_workdir
from ...replication.threads import Thread, own
from .manager import Manager
from .options import ManagerOptions

log = logging.getLogger("mha")

#: Seconds between two looks at what is asked for, between two at which files there are, and until a configuration that
#: was wrong is read again.
LOOK, LOOK_FOR_FILES, AGAIN = 0.5, 5.0, 10.0
#: Watches that may begin at the same time (each logs in to every host, which costs more processor time than an hour of
#: watching), and the seconds after which one that still has not begun is in nobody's way.
STARTING, START_SECONDS = 4, 2.0
#: Seconds for all watches to end when the process is asked to; a failover that runs is waited for without a limit.
END_SECONDS = 5.0

Load = Callable[[Path], ClusterConfig]
Files = Callable[[], Sequence[Path]]


class Fleet:
    """Watches the cluster of every configuration that ``files`` gives, until ``stop`` is set. OSError of it is told.

    ``prepare`` is called in a watcher's thread with its configuration before anything is logged for it. ``again``
    asks for another look at the files now, and begins again what was stopped by masterha_stop.
    """

    def __init__(
        self,
        files: Files,
        load: Load,
        options: ManagerOptions,
        turns: FailoverSlots,
        prepare: Callable[[ClusterConfig], None],
    ) -> None:
        self._files, self.load, self.options, self.turns, self.prepare = files, load, options, turns, prepare
        self._watchers: dict[str, Watcher] = {}
        self._known: dict[str, Path] = {}
        self._stopped: set[str] = set()
        self._gone: set[str] = set()
        self._told: frozenset[str] = frozenset()
        self._look_at_files_at = 0.0

    def run(self, stop: threading.Event, again: threading.Event) -> int:
        """Returns 0 when it was stopped, or when somebody stopped the last of the watches."""
        while not stop.is_set():
            if again.is_set():
                again.clear()
                self._stopped.clear()
                self._look_at_files_at = 0.0
            if time.monotonic() >= self._look_at_files_at:
                self._look_at_files_at = time.monotonic() + LOOK_FOR_FILES
                self._look_at_files()
            self._end_what_is_asked_for()
            self._begin_what_is_missing()
            if self._known and self._stopped >= self._known.keys() and not self._watchers:
                log.info("Every watch was stopped; ending.")
                return 0
            stop.wait(LOOK)
        log.info("Ending the watch of %d clusters.", len(self._watchers))
        for watcher in self._watchers.values():
            watcher.stop.set()
        ends = time.monotonic() + END_SECONDS
        for watcher in self._watchers.values():
            watcher.join(max(0.0, ends - time.monotonic()))
        for watcher in (w for w in self._watchers.values() if w.is_alive()):
            log.warning("%s is still at work; the process ends after it.", watcher.cluster)
            watcher.join()
        return 0

    def _look_at_files(self) -> None:
        try:
            files = self._files()
        except OSError as error:
            self._tell({f"The configured clusters cannot be listed, so those known before stay: {error}"})
            return
        troubles: set[str] = set()
        found: dict[str, Path] = {}
        for path in files:
            first = found.setdefault(app_name(path), path)
            if first != path:
                troubles.add(f"{path} is not used: {first} has the same name, and clusters are told apart by it.")
        if not found:
            # An empty directory is rather one that is not mounted than the wish to watch nothing.
            self._tell({f"No configuration is left; the {len(self._known)} clusters known before are still watched."})
            return
        self._tell(troubles)
        for name in [n for n in self._known if n not in found]:
            # Who writes a file anew may take it away for a moment.
            if name in self._gone:
                self._forget(name)
        self._gone = self._known.keys() - found.keys()
        self._known |= found

    def _forget(self, name: str) -> None:
        log.warning("The configuration %s is gone; its cluster is no longer watched.", self._known.pop(name))
        self._stopped.discard(name)
        if name in self._watchers:
            self._watchers[name].stop.set()

    def _end_what_is_asked_for(self) -> None:
        for name, watcher in list(self._watchers.items()):
            if watcher.asked_to_stop():
                log.info("Somebody asked to stop the watch of %s.", name)
                self._stopped.add(name)
                watcher.stop.set()
            if not watcher.is_alive():
                del self._watchers[name]

    def _begin_what_is_missing(self) -> None:
        starting = sum(w.is_starting for w in self._watchers.values())
        for name, path in self._known.items():
            if name in self._watchers or name in self._stopped:
                continue
            if starting >= STARTING:
                return
            starting += 1
            self._watchers[name] = Watcher(name, path, self)

    def _tell(self, troubles: set[str]) -> None:
        for trouble in sorted(troubles - self._told):
            log.error("%s", trouble)
        self._told = frozenset(troubles)


class Watcher(Thread):
    """One cluster's manager in a thread, begun again when it ends by itself."""

    def __init__(self, cluster: str, path: Path, fleet: Fleet) -> None:
        super().__init__(name=f"watch {cluster}", daemon=True)
        self.cluster, self._path, self._fleet = cluster, path, fleet
        self.stop = threading.Event()
        self._began = time.monotonic()
        self._manager: Manager | None = None
        self._request: StopRequest | None = None
        own(self, cluster)
        self.start()

    @property
    def is_starting(self) -> bool:
        """It logs in to everybody and has not looked at its cluster yet."""
        begun = self._manager is not None and self._manager.started.is_set()
        return not begun and time.monotonic() - self._began < START_SECONDS

    def asked_to_stop(self) -> bool:
        """Whether masterha_stop asks for the end of this watch; asked by the fleet."""
        request = self._request
        try:
            return request is not None and not self.stop.is_set() and request.asked()
        except OSError:
            return False

    def run(self) -> None:
        """Watch until it is to stop; trouble is told, once while it stays the same, and tried again."""
        said = ""
        while not self.stop.is_set():
            try:
                config = self._fleet.load(self._path)
                self._fleet.prepare(config)
                self._watch(config)
                said = ""
            except (ConfigError, MhaError, OSError) as error:
                if str(error) != said:
                    log.error("%s is not watched: %s", self.cluster, error)
                    said = str(error)
            except Exception:
                log.exception("Unexpected error in the watch of %s.", self.cluster)
            self.stop.wait(AGAIN)

    def _watch(self, config: ClusterConfig) -> None:
        make_workdir(config.manager_workdir)
        with ManagerLock(config.manager_workdir, config.name, shared=True):
            request = StopRequest(config.manager_workdir, config.name)
            request.clear()
            self._request = request
            for warning in config.warnings:
                log.warning("%s", warning)
            try:
                self._manager = Manager(
                    lambda: self._fleet.load(self._path), self._fleet.options, self.stop, self._fleet.turns
                )
                self._manager.run()
            finally:
                self._request = None
                request.clear()
