"""The locks that `quorum` counts: a session with every server, which takes, holds and loses its monitor lock.

A session holds one lock at a time, because a server before 5.7 gives an older one up for a newer one: the monitor lock,
or while this manager stands by the lock that shows it. A thread for each server asks one light statement every
`pace` seconds; a server that hangs delays no other. What a lost session held is taken again at the next.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import replace

from ...config import ClusterConfig, ServerConfig
from ..detection.independence import is_own
from ..detection.observation import Finding
from ..errors import PrivilegeMissing, ServerBusy, ServerError, ServerUnreachable, StatementFailed
from ..local.addresses import address_of
from ..mysql.advisory_locks import end_strangers
from ..mysql.server import Server
from ..probes.kept_place import on_a_kept_place
from ..probes.tcp import probe_port
from ..threads import Thread
from .failover_lock import MONITOR_LOCK
from .quorum import (
    FORGOTTEN,
    STANDBY_LOCK,
    LockView,
    Vote,
    Want,
    gains,
    holder_of,
    in_words,
    keeps,
    lease_of,
    may_try,
    others,
    still_alone,
    who,
)
from .witness_vote import WitnessVote, voting_witness

log = logging.getLogger("mha")

#: Seconds for a knock at a port that gave no session.
KNOCK = 0.5
#: Seconds between two tries of managers that want the right at the same time, at least and at most.
AGAIN = (0.1, 0.6)

_WHO = "SELECT IS_USED_LOCK(%s) AS watches, IS_USED_LOCK(%s) AS stands_by, CONNECTION_ID() AS me"
_PID = (
    "SELECT ATTR_VALUE FROM performance_schema.session_connect_attrs WHERE PROCESSLIST_ID = %s AND ATTR_NAME = '_pid'"
)


class Leadership:
    """One manager's right to act on its cluster. Thread-safe; nothing is asked before `start`."""

    def __init__(self, config: ClusterConfig) -> None:
        self._config = config
        self._active, self._alone = False, config.managers < 2
        self._last_seen: float | None = None
        self._mutex = threading.RLock()
        self._looked = threading.Condition(self._mutex)
        self._want = Want.NOTHING
        self._voters: list[_LockSession | WitnessVote] = []
        self._started = False

    @property
    def lease(self) -> float:
        """Seconds that a lock counts after the server's last answer."""
        return lease_of(self._config.ping_interval)

    @property
    def pace(self) -> float:
        """Seconds between two questions to a server; nobody waits for the answers while this manager is alone."""
        return self.lease / (2.5 if self._alone else 4.0)

    @property
    def patience(self) -> float:
        """Seconds that one answer of a server may take."""
        return self.lease / 2

    @property
    def alone(self) -> bool:
        """No other manager is known of."""
        return self._alone

    def start(self) -> None:
        """Begin to ask."""
        self._started = True
        self.adopt(self._config)

    def close(self) -> None:
        """Give every lock back."""
        self._started = False
        for voter in self._voters:
            if isinstance(voter, WitnessVote):
                voter.end(give_back=True)
            else:
                voter.end()

    def adopt(self, config: ClusterConfig) -> None:
        """Ask the servers of that configuration from now on; the right, and sessions with those that stay, are kept."""
        with self._mutex:
            before, self._config = self._voters, config
            if not self._started:
                return
            stay = [v for v in before if v.config in config.servers]
            known = {v.config.address: v for v in stay}
            self._voters = [known.get(s.address) or _LockSession(s, self) for s in config.servers]
            if (witness := voting_witness(config)) is not None:
                same = (v for v in before if isinstance(v, WitnessVote) and v.serves(config, witness))
                self._voters.append(next(same, None) or WitnessVote(config, witness, self))
            for voter in self._voters:
                voter.begin()
        for voter in before:
            if voter not in self._voters:
                voter.end()

    def held(self) -> bool:
        """Whether this manager may act now. Once lost it stays so until `take` got it again."""
        with self._mutex:
            if self._active and not keeps(self._ballots(), time.monotonic(), alone=self._alone):
                self._active = False
                log.warning("The right to act on %s is lost (%s).", self._config.name, self.words())
            return self._active

    def take(self) -> bool:
        """Ask for every lock, in the configuration's order, if that can give the right; whether it did.

        What was got is given back when it was not enough.
        """
        if self.held():
            return True
        if not self.may_try():
            return False
        self._want = Want.WATCH
        for voter in list(self._voters):
            if voter.ballot.at(time.monotonic()) in (Vote.FREE, Vote.OURS):
                voter.ask()
        with self._mutex:
            if gains(self._ballots(), time.monotonic(), alone=self._alone):
                self._active = True
                return True
        self.stand_by()
        return False

    def may_try(self) -> bool:
        """Whether the locks that are free would be enough."""
        with self._mutex:
            return may_try(self._ballots(), time.monotonic(), alone=self._alone)

    def stand_by(self) -> None:
        """Hold no monitor lock, and show that somebody stands by."""
        with self._mutex:
            self._active, self._want = False, Want.STAND_BY
        for voter in list(self._voters):
            if voter.ballot.at(time.monotonic()) is not Vote.UNKNOWN:
                voter.ask()

    def look(self, timeout: float) -> None:
        """Wait until every server has been asked since the start, at most ``timeout`` seconds."""
        with self._looked:
            self._looked.wait_for(
                lambda: all(voter.asked for voter in self._voters if not voter.ballot.witness), timeout
            )

    def holder(self) -> str:
        """Which other manager watches, as far as is known."""
        with self._mutex:
            return holder_of(self._ballots(), time.monotonic())

    def answered(self) -> bool:
        """Whether any server tells who has its lock."""
        now = time.monotonic()
        return any(b.at(now) in (Vote.OURS, Vote.ANOTHERS, Vote.FREE) for b in self._ballots())

    def who(self) -> str:
        """The other managers that show, in words."""
        return who(self._ballots(), time.monotonic())

    def words(self) -> str:
        """Every server's vote, for the log."""
        return in_words(self._ballots(), time.monotonic())

    @staticmethod
    def pause() -> float:
        """Seconds until the next try, so that two do not try in step for ever."""
        return random.uniform(*AGAIN)  # noqa: S311 - only so that many do not act in step

    # told by the voters ----------------------------------------------------------------------------------------

    def wanted(self) -> Want:
        """What a server is to be asked for now."""
        self.held()
        return self._want

    def noted(self) -> None:
        """A server said something."""
        with self._looked:
            now, ballots = time.monotonic(), self._ballots()
            self._alone = still_alone(
                ballots, now, alone=self._alone, last_seen=self._last_seen, managers=self._config.managers
            )
            if others(ballots, now):
                if self._last_seen is None or now - self._last_seen > FORGOTTEN:
                    log.info("There is another manager of %s: %s.", self._config.name, who(ballots, now))
                self._last_seen = now
            self.held()
            self._looked.notify_all()

    def _ballots(self) -> list[LockView]:
        return [voter.ballot for voter in self._voters]


class _LockSession:
    """One server, and our session there."""

    def __init__(self, config: ServerConfig, right: Leadership) -> None:
        self.config, self._right = config, right
        self.ballot, self.asked = LockView(config.name), False
        self._server = Server(config)
        self._asking, self._over = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._session, self._place_of_ours = 0, ""
        self._lost: set[int] = set()
        self._names: dict[int, str] = {}
        self._managers: set[int] = set()

    def begin(self) -> None:
        """Ask again and again, from now on."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name=f"vote {self.config.name}", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """End the session, and with it its lock; one that waits for an answer just now ends after its deadline."""
        self._over.set()
        if self._asking.acquire(blocking=False):
            try:
                self._server.close()
            finally:
                self._asking.release()

    def ask(self) -> None:
        """Ask once, take or give back the lock as is wanted now, and keep the answer."""
        with self._asking:
            if self._over.is_set():
                return
            self.ballot = replace(self._answer(self._right.wanted()), own=is_own(self.config))
            self.asked = True
        self._right.noted()

    def _run(self) -> None:
        while not self._over.is_set():
            self.ask()
            self._over.wait(self._right.pace)
        self._server.close()

    def _answer(self, want: Want) -> LockView:
        began, name = time.monotonic(), self.config.name
        try:
            with self._server.reading("see who watches the cluster"):
                said = self._said()
                if said["me"] != self._session:
                    self._prepare()
                    said = self._said()
                said = self._without_strangers(said)
                vote = self._vote(said["watches"], want)
                standby = self._standby(said["stands_by"], want)
                holder = self._name(said["watches"]) if vote is Vote.ANOTHERS and said["watches"] else ""
        except ServerUnreachable as error:
            log.debug("%s", error)
            finding, _ = probe_port(address_of(self.config), self.config.port, KNOCK)
            gone = finding is Finding.REFUSED
            return LockView(name, Vote.NOBODYS if gone else Vote.UNKNOWN, until=began + self._right.lease)
        except ServerError as error:
            log.debug("%s", error)
            return LockView(name)
        return LockView(name, vote, holder, standby, began + self._right.lease)

    def _said(self) -> dict[str, int | None]:
        self._server.connect(self._right.patience)
        return self._server.query(
            _WHO, (MONITOR_LOCK, STANDBY_LOCK), action="see who watches the cluster", timeout=self._right.patience
        )[0]

    def _without_strangers(self, said: dict[str, int | None]) -> dict[str, int | None]:
        """What was said, when everybody has been ended who holds one of the locks and can be no manager.

        Raises StatementFailed when that did not help: then that server's vote is nobody's, and counts as one.
        """
        known = {None, self._session, *self._lost, *self._managers}
        if said["watches"] in known and said["stands_by"] in known:
            return said
        for lock in (MONITOR_LOCK, STANDBY_LOCK):
            for holder in end_strangers(self._server, lock, timeout=self._right.patience):
                if not holder.counts:
                    raise StatementFailed(self.config.name, "see who watches the cluster", f"{holder} holds {lock}")
                self._managers.add(holder.session)
        return self._said()

    def _prepare(self) -> None:
        """A new session: the server is to end it by itself when nothing is heard of it for the length of the lease.

        One of the places that are there when all others are taken is not kept for that. Raises ServerBusy.
        """
        if on_a_kept_place(self._server, self._right.patience):
            self._server.close()
            raise ServerBusy(self.config.name, "see who watches the cluster", "all of its connections are taken")
        self._server.query(
            "SET SESSION wait_timeout=%s", (int(self._right.lease),), action="prepare", timeout=self._right.patience
        )
        former, place = self._session, self._place_of_ours
        self._session = self._server.thread_id or 0
        self._place_of_ours = self._place(self._session)
        self._names.clear()
        self._managers.clear()
        # One that broke on its way lives on there, with its lock, until the server misses it.
        self._lost = {former} if place and self._place(former) == place else set()
        for session in self._lost:
            try:
                self._server.query(f"KILL {session}", action="end our lost session", timeout=self._right.patience)
            except StatementFailed as error:
                log.debug("%s", error)

    def _vote(self, holder: int | None, want: Want) -> Vote:
        if holder == self._session:
            if want is Want.WATCH:
                return Vote.OURS
            self._scalar("SELECT RELEASE_LOCK(%s)", MONITOR_LOCK)
            return Vote.FREE
        if holder is not None and holder not in self._lost:
            return Vote.ANOTHERS
        if want is not Want.WATCH:
            return Vote.FREE
        # A session that was just ended takes a moment to give its lock back.
        seconds = 0 if holder is None else 1
        got = self._scalar(f"SELECT GET_LOCK(%s, {seconds})", MONITOR_LOCK) == 1
        return Vote.OURS if got else Vote.ANOTHERS if holder is None else Vote.UNKNOWN

    def _standby(self, holder: int | None, want: Want) -> str:
        """Who else stands by; we show it when nobody does."""
        if holder == self._session:
            if want is not Want.STAND_BY:
                self._scalar("SELECT RELEASE_LOCK(%s)", STANDBY_LOCK)
            return ""
        if holder in self._lost:
            return ""
        if holder is not None:
            return self._name(holder) or "somebody"
        if want is Want.STAND_BY:
            self._scalar("SELECT GET_LOCK(%s, 0)", STANDBY_LOCK)
        return ""

    def _scalar(self, sql: str, lock: str) -> object:
        return self._server.scalar(sql, (lock,), action="take or give back a lock", timeout=self._right.patience)

    def _name(self, session: int) -> str:
        """Where that session comes from, and its process where the server tells."""
        if session not in self._names:
            host = self._place(session).rpartition(":")[0]
            try:
                pid = self._server.scalar(
                    _PID, (session,), action="see whose session it is", timeout=self._right.patience
                )
            except (PrivilegeMissing, StatementFailed):
                pid = None
            text = pid.decode() if isinstance(pid, bytes) else pid
            self._names[session] = f"{host}, pid {text}" if host and text else host
        return self._names[session]

    def _place(self, session: int) -> str:
        """``HOST:PORT`` that a session comes from; empty when it is gone."""
        rows = self._server.query("SHOW PROCESSLIST", action="see whose session it is", timeout=self._right.patience)
        return next((str(row["Host"]) for row in rows if int(row["Id"]) == session), "")
