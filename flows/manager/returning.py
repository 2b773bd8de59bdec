"""Beside the watch: rejoins that were cut short are gone on with, and servers that come back follow by themselves.

The second only with `auto_rejoin = follow`, and only what has nothing of its own; whatever else comes back is told of,
and waits for a person.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime

from ...config import ClusterConfig, ConfigError
from ...replication.errors import MhaError, ServerError
from ...replication.fencing.ports import knock
from ...replication.memory.held_servers import HeldServers, Hold
from ...replication.model.ways_back import How
from ...replication.mysql.server import Server
from ...replication.notify.events import EventHooks
from ...replication.rejoin.observe import who_is_back
from ...replication.rejoin.outcome import RejoinOutcome, story
from ...replication.rejoin.remembered.interrupted import MANAGER, BegunRejoin, last_of_each
from ...replication.threads import Thread
from ..deeds.rejoin import rejoin_now
from ..runbooks.returning.take_back import end_what_was_cut_short

log = logging.getLogger("mha")

#: Seconds between two looks at who is back, that one look waits, and until a look that came too early is repeated.
LOOK_EVERY, LOOK_WITHIN, AGAIN = 0.5, 0.25, 1.0
#: The longest (seconds) that the last of these becomes, doubled each time; and that a session may take to be had.
SELDOM, LOGIN = 60.0, 2.0
#: Seconds that a rejoin is waited for when the watch ends: the primary may be dead, and this holds the failover lock.
ENDS_WITHIN = 3.0
#: Refusals that a moment later may be none: it is starting, or the primary is at something else.
PASSING = frozenset({"not-running", "primary-dead", "primary-read-only", "cluster-changed", "already-rejoining"})
#: A server that nobody knows any more, by whom nothing can be gone on with.
UNKNOWN = "unknown-server"


class Returning:
    """For one watch of one cluster; ``may_act`` tells whether this manager has the right to."""

    def __init__(self, config: ClusterConfig, may_act: Callable[[], bool]) -> None:
        self._config, self._may_act = config, may_act
        self._stop = threading.Event()
        self._thread: Thread | None = None
        self._not_before: dict[str, float] = {}
        self._waits: dict[str, float] = {}
        #: Those that were refused for good, each with a session that tells when it goes down.
        self._refused: dict[str, Server] = {}
        self._said: dict[str, str] = {}

    def start(self) -> None:
        """Returns at once."""
        self._thread = Thread(target=self._run, name="returning", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Begin nothing more; what is under way ends soon when the primary is gone."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(ENDS_WITHIN)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                open_ones = self._finish()
                if self._config.auto_rejoin == "follow":
                    self._look()
                elif not open_ones:
                    return
                self._stop.wait(LOOK_EVERY)
        except Exception:
            log.exception("Nobody looks after servers that come back any longer")
        finally:
            for session in self._refused.values():
                session.close()

    def _finish(self) -> bool:
        """Go on with what was cut short, as it was asked for; whether something of it is left."""
        begun = last_of_each(self._config.manager_workdir, self._config.name)
        cut = [each for each in begun.values() if each.goes_on]
        for each in cut:
            if self._is_refused(each.key) or not self._due(each.key):
                continue
            log.warning("A rejoin of %s was cut short: going on with it.", each.key)
            self._try(each.key, each)
        return bool(cut)

    def _look(self) -> None:
        try:
            holds = HeldServers.of(self._config).current()
        except OSError as error:
            self._say("", f"It cannot be read who is held read-only: {error}")
            return
        for hold in holds:
            self._look_at(hold)

    def _look_at(self, hold: Hold) -> None:
        """A server counts broken handshakes (max_connect_errors): no port is tried of one that is known to be there."""
        if self._is_refused(hold.key):
            return
        host, _, port = hold.key.rpartition(":")
        if not self._due(hold.key) or self._lately(hold):
            return
        if knock(host.strip("[]"), int(port), LOOK_WITHIN) == "open":
            self._try(hold.key)
        else:
            self._waits.pop(hold.key, None)

    def _is_refused(self, key: str) -> bool:
        """For good; what it was refused for may be over when it is back."""
        if key not in self._refused:
            return False
        if self._refused[key].stirs(0.0):
            self._refused.pop(key).close()
        return True

    def _due(self, key: str) -> bool:
        return self._may_act() and time.monotonic() >= self._not_before.get(key, 0.0)

    def _lately(self, hold: Hold) -> bool:
        """Whether one was begun within `auto_rejoin_pause`: not twice in a row."""
        last = last_of_each(self._config.manager_workdir, self._config.name).get(hold.key)
        if last is None or time.time() - last.at > self._config.auto_rejoin_pause:
            return False
        began = datetime.fromtimestamp(last.at).strftime("%H:%M:%S")
        self._say(
            hold.key,
            f"A rejoin of {hold.name} was begun at {began}: it is not made a replica by itself again within "
            f"auto_rejoin_pause ({self._config.auto_rejoin_pause:g} s)",
        )
        return True

    def _try(self, key: str, begun: BegunRejoin | None = None) -> None:
        """``begun``: that one is gone on with. Whatever is wrong with one server, the others are looked after."""
        self._waits[key] = min(2 * self._waits.get(key, AGAIN / 2), SELDOM)
        self._not_before[key] = time.monotonic() + self._waits[key]
        try:
            self._rejoin(key, begun)
        except (MhaError, ConfigError, OSError) as error:
            self._say(key, f"{key} is back, and cannot be made a replica now: {error}")
        except Exception as error:
            text = f"{key} is back, and cannot be made a replica now: {type(error).__name__}: {error}"
            if self._say(key, text):
                log.exception("Unexpected error in the rejoin of %s", key)

    def _rejoin(self, key: str, begun: BegunRejoin | None) -> None:
        by, stop = begun.by if begun is not None else MANAGER, self._stop.is_set
        outcome = rejoin_now(self._config, key, How.FOLLOW, alone=by == MANAGER, by=by, asked_to_end=stop)
        if outcome.refusal is None or outcome.refusal.code in PASSING:
            return
        if outcome.plan is None:  # else it was told when it ended
            self._tell(key, outcome)
        if outcome.refusal.code != UNKNOWN:
            self._refused[key] = self._session(key)
        elif begun is not None:
            end_what_was_cut_short(self._config, begun, outcome.refusal.sentence)

    def _session(self, key: str) -> Server:
        """With the server at ``ip:port``; one that cannot be had is one that is down."""
        server = Server(who_is_back(self._config, key).old)
        try:
            server.connect(LOGIN)
        except ServerError as error:
            log.debug("%s", error)
        return server

    def _tell(self, key: str, outcome: RejoinOutcome) -> None:
        if not self._say(key, outcome.summary):
            return
        for line in story(outcome):
            log.error("%s", line)
        old = next((server for server in self._config.servers if server.address == key), None)
        EventHooks(self._config).tell("not_rejoined", old=old, text=outcome.summary, **outcome.as_dict())

    def _say(self, key: str, text: str) -> bool:
        """Once, until something else is said; whether it was said now."""
        if self._said.get(key) == text:
            return False
        self._said[key] = text
        log.warning("%s.", text)
        return True
