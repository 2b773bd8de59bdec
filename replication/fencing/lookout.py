"""The old primary under watch, from the verdict to the end of its failover: it is closed the moment it answers.

A proof that it is dead ages: a host boots, a supervisor starts a server, a link heals. Two threads look all the time,
one at its port, one at the processes of its host; what they see is a `Sight`. While nobody else is open they close it
all the same: the receivers are stopped, so nobody has what it would take.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from ...config import ServerConfig
from ..errors import (
    AccessDenied,
    DeadlineExceeded,
    HostError,
    ServerBusy,
    ServerError,
    ServerUnreachable,
)
from ..memory.last_writable import ASKED_TO_CLOSE, CLOSED, WAITED_BY
from ..model.state import ServerState
from ..mysql.server import Server
from ..probes.host import ServerPaths
from ..ssh.host import SshHost
from ..threads import Thread, ThreadPool
from .kill import Fenced, Present, present_on
from .ports import PortTries, knock
from .read_only import Closed, close_for_writes, is_closed

log = logging.getLogger("mha")

#: Seconds between two looks at the port, at a server that is closed, and at the processes of the host. A look at these
#: takes processor time of the host that the rescue reads from, and of this one.
KNOCK, LOOK, PROCESSES = 0.05, 0.1, 0.3
#: Seconds that a session in the queue of a server that starts, or hangs, waits to be taken.
LOGIN = 2.0
#: Seconds between two tries to log in to a host that did not let us in.
SSH_AGAIN = 1.0
#: Seconds that the last look before an opening may take for the port of a silent host, and for its processes; and how
#: old a look at these may be to count: a mysqld that was started since does not listen yet, which the knock tells.
LAST_KNOCK, LAST_LOOK, RECENT = 0.05, 0.25, 0.5
STRANGER = "stranger"


@dataclass(frozen=True)
class Closing:
    """One time that it answered, and was closed. ``at`` and ``started`` are seconds since the epoch.

    ``started`` is when its mysqld was started, at the latest; ``state`` is what it said when it was closed.
    """

    at: float
    started: float
    how: Closed
    state: ServerState


@dataclass(frozen=True)
class Sight:
    """What is known of the old primary at ``at`` (seconds since the epoch).

    ``port`` is open, refused, silent or stranger (somebody else's, as its host says); ``closed``: it answers, and is
    read-only; ``cannot`` says why one that answers could not be closed. ``process`` is whether its mysqld runs, None
    where nobody can look. ``appeared`` counts how often it may have taken writes since the watch began, ``last`` is the
    last time that it was closed.
    """

    at: float
    port: str = "silent"
    closed: bool = False
    cannot: str = ""
    process: bool | None = None
    appeared: int = 0
    last: Closing | None = None

    @property
    def gone(self) -> bool:
        """Nobody answers there, and no process is seen."""
        return self.port != "open" and not self.process

    def __str__(self) -> str:
        if self.closed:
            return "it answers, and is read-only"
        if self.port == STRANGER:
            return "no mysqld runs on its host, and who listens on its port is somebody else"
        if self.port == "open":
            return f"it takes connections, {self.cannot or 'and answers nobody'}"
        host = {None: "", True: ", its mysqld runs", False: ", no mysqld runs on its host"}[self.process]
        return f"its port {'refuses' if self.port == 'refused' else 'does not answer'}{host}"


class Lookout:
    """One old primary; ``note`` writes an event and its facts down and must not raise.

    ``fence`` stops what runs on its host and is None where the policy does not allow that; ``may_act`` is asked before
    anything is done to it, for it may be somebody else's primary by now.
    By ``places`` its processes are known. ``with Lookout(…):``; the threads are daemons, each wait is bounded.
    """

    def __init__(
        self,
        server: ServerConfig,
        host: SshHost,
        note: Callable[[str, dict[str, Any]], None],
        fence: Callable[[], Fenced] | None,
        may_act: Callable[[], bool] = lambda: True,
        places: ServerPaths | None = None,
        *,
        stranger: bool = False,
    ) -> None:
        self.began = time.time()
        self._config, self._host, self._note, self._fence = server, host, note, fence
        self._may_act, self._places = may_act, places
        self._server = Server(server)
        self._ended, self._changed = threading.Event(), threading.Condition()
        self._sight = Sight(self.began)
        self._by_ssh, self._may_kill = threading.Event(), threading.Event()
        self._pool = ThreadPool(1, thread_name_prefix="old primary")
        self._said = ""
        self._stranger = stranger
        self._hangs, self._refused, self._looked = False, False, 0.0
        self._threads: list[threading.Thread] = []
        self.closings: list[Closing] = []
        self._told = False

    def start(self) -> None:
        """Begin to look at the port; the processes of the host are looked at from `look_at_host` on."""
        self._begin(self._watch_port, "old primary")

    def look_at_host(self, *, kill: bool, seen_gone: bool = False) -> None:
        """Look at the processes of its host, too; ``seen_gone``: fencing saw just now that there is none.

        With ``kill`` none may be there any more: what runs is ended at once. Without, one that runs may never have been
        dead, which is for others to decide.
        """
        if kill:
            self._may_kill.set()
            if seen_gone:
                self._see_process(Present(False, self._stranger))
        if self._fence is not None and not self._by_ssh.is_set():
            self._by_ssh.set()
            self._begin(self._watch_host, "old primary's host")

    def _begin(self, watch: Callable[[], None], name: str) -> None:
        thread = Thread(target=watch, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def end(self, *, wait: float = 0.0) -> None:
        """Stop looking; what was closed stays closed. After ``wait`` seconds at most nothing is closed any more."""
        self._ended.set()
        with self._changed:
            self._changed.notify_all()
        self._pool.shutdown(wait=False, cancel_futures=True)
        ends = time.monotonic() + wait
        for thread in self._threads:
            if wait:
                thread.join(max(0.0, ends - time.monotonic()))

    @property
    def sight(self) -> Sight:
        """What is known now."""
        with self._changed:
            return self._sight

    def look(self, *, brief: bool = False) -> Sight:
        """Look once more, now: a fresh knock, the processes beside it. A server that answers is given time to close.

        With ``brief`` the processes are not looked at again when that was done within `RECENT` seconds.
        """
        recent = brief and time.monotonic() - self._looked < RECENT
        looking = None if recent else self._begin_look()
        port = self._whose(knock(self._config.ip, self._config.port, LAST_KNOCK))
        if port == "open":
            self._see(port=port)
            self._wait_closed()
        elif not self.sight.closed:
            self._see(port=port, cannot="")
        if looking is not None:
            try:
                self._see_process(looking.result(LAST_LOOK))
            except (TimeoutError, HostError, DeadlineExceeded) as error:
                log.debug("The last look at the old primary's host: %s", error)
        return self._see(at=time.time())

    def _whose(self, said: str) -> str:
        return STRANGER if said == "open" and self._stranger else said

    def _begin_look(self) -> Future[Present] | None:
        """The processes, where the session with the host is there; a login costs more than a look may."""
        if not self._by_ssh.is_set() or self.sight.process is None:
            return None
        return self._pool.submit(present_on, self._host, self._config, self._places, timeout=LAST_LOOK)

    def _wait_closed(self) -> None:
        """Until the thread at the port has closed it or knows why it cannot; one that hung before is not waited for."""
        ends = time.monotonic() + LOGIN + 1.0
        with self._changed:
            while not (self._sight.closed or self._sight.cannot or self._sight.port != "open" or self._hangs):
                left = ends - time.monotonic()
                if left <= 0 or self._ended.is_set():
                    return
                self._changed.wait(min(LOOK, left))

    # the port --------------------------------------------------------------------------------------------------

    def _watch_port(self) -> None:
        knocks = PortTries(self._config.ip, self._config.port)
        try:
            while not self._ended.is_set():
                # One that answers and refuses us is not knocked at: each knock counts against this host (1129).
                said = "open" if self._refused else self._whose(knocks.probe(LOOK))
                if said == "open":
                    self._see(port=said)
                    self._keep_closed()
                else:
                    self._hangs = False
                    self._see(port=said, cannot="")
                if said != "silent":
                    self._ended.wait(KNOCK)
        finally:
            knocks.close()
            self._server.close()

    def _keep_closed(self) -> None:
        """Close it, and see that it stays so for as long as the session lasts."""
        began = time.monotonic()
        try:
            self._refused = False
            self._server.connect(LOGIN)
            self._hangs = False
            while not (self._ended.is_set() or self._stranger):
                with self._server.reading("close it"):
                    if (not self.sight.closed or not is_closed(self._server)) and self._may_act():
                        self._close()
                if self._server.stirs(LOOK):
                    break
        except (AccessDenied, ServerBusy) as error:
            self._refused = True
            self._see(closed=False, cannot=f"and refuses us: {error}")
            self._say(f"{self._config.name} answers, but it cannot be closed: {error}")
            self._ended.wait(LOOK)
        except ServerUnreachable as error:
            # The kernel took the connection, and nobody greeted: a process that is stopped, or waits for its disk.
            self._hangs = not self.sight.closed and time.monotonic() - began >= LOGIN
            self._see(closed=False, cannot="")
            log.debug("%s", error)
        except ServerError as error:
            self._see(closed=False, cannot=f"and cannot be closed: {error}")
            self._say(f"{self._config.name} answers, but it cannot be closed: {error}")
            self._ended.wait(LOOK)
        finally:
            self._server.close()
            if not self._ended.is_set():
                self._see(closed=False)

    def _close(self) -> None:
        if not self._told:
            # It may obey after we are gone; one that stands still does it when it wakes.
            self._told = True
            self._note(ASKED_TO_CLOSE, {})
        how = close_for_writes(self._server, note=lambda name: self._note(ASKED_TO_CLOSE, {WAITED_BY: name}))
        now = time.time()
        state = self._server.observe()
        uptime = self._server.query("SHOW GLOBAL STATUS LIKE 'Uptime'", action="see when it was started")
        closing = Closing(now, time.time() - float(uptime[0]["Value"]), how, state)
        self.closings.append(closing)
        if how.was_open:
            self._appeared()
        self._see(at=now, closed=True, cannot="", last=closing)
        came = "came back" if closing.started > self.began else "answers"
        took = "took writes" if how.was_open else "was read-only"
        self._say(f"{self._config.name} {came} and {took} while it is being replaced: {how}.")
        self._note(CLOSED, {"how": str(how), "was_open": how.was_open, "end_of_log": str(state.end_of_log)})

    # the host --------------------------------------------------------------------------------------------------

    def _watch_host(self) -> None:
        assert self._fence is not None
        pause = PROCESSES
        while not self._ended.wait(pause):
            # A host that nothing comes from is not logged in to again and again.
            if self.sight.process is None and self.sight.port == "silent":
                continue
            try:
                present = present_on(self._host, self._config, self._places, timeout=LOGIN)
            except (HostError, DeadlineExceeded) as error:
                log.debug("%s", error)
                self._stranger = False
                self._see(process=None)
                pause = SSH_AGAIN
                continue
            pause = PROCESSES
            self._see_process(present)
            if present.runs and self._may_kill.is_set() and not self._ended.is_set() and self._may_act():
                # It may have taken writes before it is killed, and what those were its log tells.
                self._appeared()
                fenced = self._fence()
                self._see(process=not fenced.sure)
                self._say(f"A mysqld of {self._config.name} was started while it is being replaced: {fenced}.")
                self._note("killed", {"fenced": str(fenced), "sure": fenced.sure})

    # what is known ---------------------------------------------------------------------------------------------

    def _see(self, **news: Any) -> Sight:
        with self._changed:
            self._sight = Sight(**{**vars(self._sight), "at": time.time(), **news})
            self._changed.notify_all()
            return self._sight

    def _see_process(self, present: Present) -> None:
        self._looked, self._stranger = time.monotonic(), present.stranger
        if present.stranger:
            self._say(f"Something else answers on the port of {self._config.name}: it is not asked, and told nothing.")
        self._see(process=present.runs, **({"port": STRANGER, "cannot": ""} if present.stranger else {}))

    def _appeared(self) -> None:
        with self._changed:
            self._see(appeared=self._sight.appeared + 1)

    def _say(self, words: str) -> None:
        if words != self._said:
            self._said = words
            log.warning("%s", words)
