"""A server that a failover replaced comes back: it is found within milliseconds and closed, until somebody releases it.

`decide` is pure. `FormerPrimaryGuard` runs beside a manager's watch: for each server that is held it tries the port,
bounded and cheap, and the moment somebody answers there it looks at the present primary first: the old one is closed
only while another takes the writes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType

from ...config import ServerConfig
from ..coordination.failover_lock import FAILOVER_LOCK
from ..errors import AccessDenied, ServerError, ServerUnreachable
from ..local.addresses import address_of
from ..memory.held_servers import HeldServers, Hold, config_of
from ..mysql.advisory_locks import holders
from ..mysql.server import Server
from ..threads import Thread
from .everyone import let_go
from .ports import knock
from .read_only import close_for_writes, is_closed
from .returning import PrimaryView, Return, decide, rejoined

log = logging.getLogger("mha")

#: Seconds between two tries of a port that refuses at once, for the first quarter of an hour and whenever the answer
#: has changed; later the same host is tried less often. A host that does not answer at all costs one such try.
FAST, SLOW, FAST_FOR = 0.02, 0.5, 900.0
#: Seconds that one try of the port waits, and that a session in a starting server's queue waits to be taken.
KNOCK, LOGIN = 0.25, 2.0
#: Seconds between two looks at a server that is closed, and between two looks at the file of holds.
LOOK, READ_FILE = 0.1, 0.2
#: Seconds between two looks whether a server that is closed replicates from the present primary.
COMPARE = 1.0
#: Who is opened again and again by somebody is told so often, and then once in so many seconds; it is always closed.
OFTEN, SELDOM = 5, 60.0
#: Seconds until a watch that broke off begins again.
BROKEN = 5.0
#: Seconds that an answer of the present primary counts, and in which it and whether somebody acts are seen together.
FRESH, TOGETHER = 0.5, 2.0
#: How often, and how many seconds apart, the address is taken from a host that answers again: its port may answer
#: before its sshd does, and while it boots its interfaces come up one after the other.
CLEAR_TRIES, CLEAR_AGAIN = 30, 2.0


@dataclass(frozen=True)
class News:
    """What a guard tells: ``event`` is returned or released; ``text`` a sentence for people."""

    event: str
    hold: Hold
    text: str


class FormerPrimaryGuard:
    """Watches everybody who is held; ``tell`` is called in a thread of the guard and must not block.

    ``clear`` takes what applications find a primary by from the first server, which answers again, and leaves it with
    the second, the present primary; False when it has to be tried again. ``take_back`` is called with what fencing left
    on the host of one that is held no longer. These and ``persist`` have threads of their own. ``rejoining`` tells of
    an ``ip:port`` whether a rejoin of it is under way on this host, which ends the hold itself.
    ``with Guard(…) as guard:``. The threads are daemons, each wait is bounded.
    """

    def __init__(
        self,
        servers: Iterable[ServerConfig],
        holds: HeldServers,
        tell: Callable[[News], None],
        persist: Callable[[ServerConfig], tuple[str, ...]] | None = None,
        clear: Callable[[ServerConfig, ServerConfig], bool] | None = None,
        take_back: Callable[[ServerConfig, tuple[str, ...]], None] | None = None,
        rejoining: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._servers = {s.address: s for s in servers}
        self._holds, self._tell, self._persist, self._clear = holds, tell, persist, clear
        self._take_back, self.rejoining = take_back, rejoining
        self._stop = threading.Event()
        self._keepers: dict[str, _HeldServerWatcher] = {}
        self._since: dict[str, tuple[float, str]] = {}
        self._unknown: set[str] = set()
        self._primary: str | None = None

    def __enter__(self) -> FormerPrimaryGuard:
        self._look_at_the_file()
        Thread(target=self._run, name="guard", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for keeper in list(self._keepers.values()):
            keeper.end()

    def watching(self, primary: str) -> None:
        """The ``ip:port`` of the present primary; until it is told, the one that a hold names counts.

        That a held server is the primary is for the one to say that took its place (`decide`).
        """
        if not any(hold.key == primary for hold in self._holds.current()):
            self._primary = primary

    def adopt(self, servers: Iterable[ServerConfig]) -> None:
        """The configuration was read again. Who left it is known on: a hold does not end by an edit of a file."""
        present = tuple(servers)
        self._servers.update({s.address: s for s in present})
        self._holds.adopt(present)

    def first_look(self, seconds: float = LOGIN) -> None:
        """Wait until each held server that answers has been closed once, ``seconds`` at most."""
        ends = time.monotonic() + seconds
        for keeper in list(self._keepers.values()):
            keeper.looked.wait(max(0.0, ends - time.monotonic()))

    def _run(self) -> None:
        while not self._stop.wait(READ_FILE):
            self._look_at_the_file()

    def _look_at_the_file(self) -> None:
        try:
            holds = {hold.key: hold for hold in self._holds.current()}
        except OSError as error:
            log.error("The list of servers that are held read-only cannot be read: %s", error)
            return
        for key in [k for k in self._keepers if k not in holds]:
            self._keepers.pop(key).end()
        for key in [k for k in self._since if k not in holds]:
            del self._since[key]
        for key, hold in holds.items():
            if self._since.get(key) != (hold.since, hold.instead):
                # A failover has put another into its place: that is newer than what is watched.
                self._primary, self._since[key] = hold.instead, (hold.since, hold.instead)
            if key in self._keepers and self._keepers[key].living and self._keepers[key].hold.since == hold.since:
                continue
            if key in self._keepers:
                self._keepers[key].end()
            server = config_of(hold, self._servers.values())
            if server is not None:
                log.info("%s; it is watched.", hold)
                self._keepers[key] = _HeldServerWatcher(self, hold, server)
            elif key not in self._unknown:
                self._unknown.add(key)
                log.warning("%s, but it is not in the configuration, so nobody watches it.", hold)

    # what keepers ask and say ----------------------------------------------------------------------------------

    def primary_of(self, hold: Hold) -> ServerConfig | None:
        """Whom to ask who takes the writes."""
        primary = self._primary or hold.instead
        return self._servers.get(hold.instead if primary == hold.key else primary)

    def closed(self, hold: Hold, server: ServerConfig, how: str, seconds: float) -> None:
        """It was writable and is closed: recorded, told."""
        text = f"{hold.name} came back and took writes: {how}. 'mha release' lifts it."
        log.error("%s", text)
        try:
            self._holds.closed(hold.key, how=how, seconds=round(seconds, 4))
        except OSError as error:
            log.error("The return of %s cannot be recorded: %s", hold.name, error)
        self._tell(News("returned", hold, text))
        if self._persist is not None and not any(t.endswith(".cnf") for t in hold.traces):
            Thread(target=self._leave_trace, args=(hold, server), name="persist", daemon=True).start()

    def away(self, hold: Hold) -> None:
        """It does not answer."""
        try:
            self._holds.away(hold.key)
        except OSError as error:
            log.error("That %s does not answer cannot be recorded: %s", hold.name, error)

    def back_closed(self, hold: Hold) -> bool:
        """It answers, and was read-only already: told once, when it was away until then."""
        try:
            if not self._holds.back_closed(hold.key):
                return False
        except OSError as error:
            log.error("The return of %s cannot be recorded: %s", hold.name, error)
            return False
        text = f"{hold.name} came back read-only, and is held so. 'mha release' lifts it."
        log.warning("%s", text)
        self._tell(News("returned", hold, text))
        return True

    def _leave_trace(self, hold: Hold, server: ServerConfig) -> None:
        assert self._persist is not None
        if traces := self._persist(server):
            self._holds.left_trace(hold.key, traces)

    def clear(self, hold: Hold, server: ServerConfig, over: Callable[[bool], None]) -> None:
        """Take the address from a held server beside its watch, and call ``over`` with whether that was done."""
        primary = self.primary_of(hold)
        if self._clear is None or primary is None:
            over(True)
            return
        work = self._clear
        Thread(target=lambda: over(work(server, primary)), name="address", daemon=True).start()

    def released(self, hold: Hold, why: str) -> None:
        """It is held no longer, because of what it is now."""
        left = (self._holds.get(hold.key) or hold).traces
        self._holds.release(hold.key, "manager", why)
        text = f"{hold.name} is no longer held read-only: {why}."
        log.info("%s", text)
        self._tell(News("released", hold, text))
        server = config_of(hold, self._servers.values())
        if self._take_back is not None and server is not None and left:
            Thread(target=self._take_back, args=(server, left), name="take back", daemon=True).start()


class _HeldServerWatcher(Thread):
    """The watch over one held server."""

    def __init__(self, guard: FormerPrimaryGuard, hold: Hold, config: ServerConfig) -> None:
        super().__init__(name=f"hold {hold.name}", daemon=True)
        self._guard, self.hold, self._config = guard, hold, config
        self._ended = threading.Event()
        self._server = Server(config)
        self._primary: Server | None = None
        self._view: tuple[float, PrimaryView | None] = (0.0, None)
        self._compared = 0.0
        self._said = ""
        self._shut_out = False
        self._told: tuple[int, float] = (0, 0.0)
        self._to_clear, self._clear_at, self._boots = 0, 0.0, False
        self.looked = threading.Event()
        self.start()

    @property
    def living(self) -> bool:
        return self.is_alive()

    def end(self) -> None:
        self._ended.set()

    def run(self) -> None:
        """Knock until somebody answers, then keep it closed for as long as the session lasts."""
        answer, changed = "", time.monotonic()
        try:
            while not self._ended.is_set():
                # A server that counts broken handshakes (max_connect_errors) must not lock the manager out.
                now = "open" if self._shut_out else knock(address_of(self._config), self._config.port, KNOCK)
                if now != answer:
                    if now != "silent" and answer in ("", "silent"):
                        self._has_to_be_cleared(boots=answer == "silent")
                    answer, changed = now, time.monotonic()
                    if now != "open":
                        self._guard.away(self.hold)
                if answer == "open":
                    self._keep_closed()
                self.looked.set()
                # Whoever starts there is closed on an answer of the primary that is fresh already.
                view = self._look_at_primary(FRESH / 2)
                if self._to_clear and decide(self.hold, view)[0] is Return.CLOSE:
                    self._clear_if_due()
                self._ended.wait(FAST if time.monotonic() - changed < FAST_FOR else SLOW)
        except OSError:
            log.exception("The watch over %s is broken off: its record cannot be written", self.hold.name)
            self._ended.wait(BROKEN)
        finally:
            self._server.close()
            if self._primary is not None:
                self._primary.close()

    def _keep_closed(self) -> None:
        try:
            # A session that waits in the queue of a server that is starting is served before those that come later.
            self._server.connect(LOGIN)
            self._shut_out = closed = False
            while not self._ended.is_set():
                act, why = decide(self.hold, self._look_at_primary())
                if act is Return.RELEASE:
                    let_go(self._server, self._server.observe())
                    self._guard.released(self.hold, why)
                    self._ended.set()
                    return
                if act is Return.CLOSE:
                    if not closed or not is_closed(self._server):
                        self._close()
                    closed = True
                    self._clear_if_due()
                    self._compare()
                else:
                    self._say(f"{self.hold.name} answers and is left alone: {why}.")
                self.looked.set()
                self._ended.wait(LOOK)
        except AccessDenied as error:
            self._shut_out = True
            self._say(f"{self.hold.name} answers, but it cannot be closed: {error}")
            self._ended.wait(SLOW)
        except ServerUnreachable as error:
            self._shut_out = False
            log.debug("%s", error)
        except ServerError as error:
            self._say(f"{self.hold.name} answers, but it cannot be closed: {error}")
            self._ended.wait(SLOW)
        finally:
            self._server.close()

    def _has_to_be_cleared(self, *, boots: bool = False) -> None:
        self._to_clear, self._clear_at, self._boots = CLEAR_TRIES, time.monotonic(), boots

    def _clear_if_due(self) -> None:
        """Take the address from it, which its own configuration of interfaces may have given it again."""
        if not self._to_clear or time.monotonic() < self._clear_at:
            return
        left = self._to_clear - 1
        self._to_clear = 0

        def over(done: bool) -> None:
            if (self._boots or not done) and not self._to_clear:
                self._to_clear, self._clear_at = left, time.monotonic() + CLEAR_AGAIN

        self._guard.clear(self.hold, self._config, over)

    def _close(self) -> None:
        how = close_for_writes(self._server)
        if how.was_open:
            self._has_to_be_cleared()
            if not how.ended and (source := self._replicates_from()):
                self._say(f"{self.hold.name} replicates from {source} and was not read-only: {how}.")
                return
        times, at = self._told
        if how.was_open and (times < OFTEN or time.monotonic() - at > SELDOM):
            self._told = times + 1, time.monotonic()
            self._guard.closed(self.hold, self._config, str(how), how.seconds)
        elif not how.was_open and not self._guard.back_closed(self.hold):
            self._say(f"{self.hold.name} answers; it is read-only, and held so.")

    def _replicates_from(self) -> str:
        """The present primary's name, if somebody has made it a replica of that already."""
        primary = self._guard.primary_of(self.hold)
        return primary.name if primary is not None and rejoined(self._server.observe(), primary) else ""

    def _compare(self) -> None:
        """Release it when it has become a replica of the present primary."""
        if time.monotonic() - self._compared < COMPARE:
            return
        self._compared = time.monotonic()
        primary = self._guard.primary_of(self.hold)
        if primary is None or not rejoined(state := self._server.observe(), primary):
            return
        # Whoever points it just now lets it go himself, once it is seen to follow, or takes that back.
        if self._primary is not None and not _locked(self._primary) and not self._guard.rejoining(self.hold.key):
            let_go(self._server, state)
            self._guard.released(self.hold, f"it replicates from {primary.name}")
            self._ended.set()

    def _look_at_primary(self, age: float = FRESH) -> PrimaryView | None:
        """What it said at most ``age`` seconds ago, when that allows to close, or says now."""
        at, view = self._view
        if time.monotonic() - at < age and view is not None and decide(self.hold, view)[0] is Return.CLOSE:
            return view
        config = self._guard.primary_of(self.hold)
        if config is None:
            return None
        if self._primary is None or self._primary.config.address != config.address:
            self._primary = Server(config)
        self._view = time.monotonic(), _view_of(self._primary, self._config)
        return self._view[1]

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            log.warning("%s", text)


def _view_of(primary: Server, held: ServerConfig) -> PrimaryView | None:
    began = time.monotonic()
    try:
        primary.connect(1.0)
        state = primary.observe()
        # A primary that was promoted keeps the channel for a while (skip_reset_slave: for good), stopped.
        channel = state.channel_from(held.hostname, held.ip, held.port)
        follows = channel is not None and not channel.receiver_stopped
        receives = channel is not None and channel.receiver == "Yes"
        locked = receives and _locked(primary)
    except ServerError:
        return None
    if time.monotonic() - began > TOGETHER:
        return None
    return PrimaryView(primary.key, primary.config.name, state.writable, follows, receives, locked)


def _locked(server: Server) -> bool:
    """Whether a failover, a switch or a rejoin is under way there. Raises ServerError."""
    return any(holder.counts for holder in holders(server, (FAILOVER_LOCK,)))
