"""Watch a primary closely: pings at their pace, the session's end seen at once, and on any trouble an inquiry."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, replace

from ...config import ClusterConfig, ServerConfig
from ..cluster.pool import ConnectionPool
from ..detection.classic_rules import ALARM_AT, Ping, Verdict, somebody_else
from ..detection.judging import Judgement, judge
from ..detection.observation import Finding, IncidentRecorder, Observation, Observer, Round
from ..detection.round_trips import RECENT, RoundTrips
from ..detection.rules import Confidence, Row, reached_by_others
from ..detection.suspicion import SILENCE, Suspicion, Thresholds, terms_of
from ..model.state import ServerState
from ..probes.host import HELD
from ..probes.ping import Pinger
from ..probes.pings import FINDING, Pings
from ..probes.survey import ROUND, Survey
from ..rescue.tail_chain import reached_before
from .listener import Listener
from .refusals import SAY_AGAIN, Refusals

log = logging.getLogger("mha")

#: Seconds a ping may take before others are asked, beside it: at least and at most, else twice the longest of late.
SLOW = (0.4, 3.0)
#: Seconds of silence at most, whatever answers took.
SILENCE_AT_MOST = 15.0
#: Ping intervals between two looks at the receivers while all is well.
LISTEN_EVERY = 30
#: Ping intervals between two looks at the primary's host while all is well; seconds when something waits for a disk.
LOOKS_EVERY, LOOK_AGAIN = 2, 0.4
#: Ping intervals in which the disk is not judged again after a suspicion that was none.
QUIET_DISK = 5
#: Seconds between two looks at whether to stop.
STOP_SEEN = 0.25
#: What is said when the first ping was answered.
WATCHES = "Ping({}) succeeded, waiting until MySQL doesn't respond.."
#: Rounds that a suspicion remembers.
ROUNDS = 200

_BAD = (Finding.FULL, Finding.READ_ONLY, Finding.STALLED)


@dataclass(frozen=True)
class BeginAnew:
    """The watch is over without anybody having died; ``why`` in words."""

    why: str


@dataclass(frozen=True)
class Trouble:
    """Why a suspicion begins. ``since`` is when the look that found it was begun (monotonic clock).

    ``missed`` tells that a ping failed; one that is only slow has not.
    """

    since: float
    what: str
    missed: bool = False
    of_disk: bool = False


class Watch:
    """One watch of one primary, from the first ping to a verdict or to the end."""

    def __init__(
        self,
        config: ClusterConfig,
        primary: ServerConfig,
        sessions: ConnectionPool,
        stop: threading.Event,
        listener: Listener,
        state: ServerState | None,
    ) -> None:
        self._config, self._primary, self._stop, self._listener = config, primary, stop, listener
        self._terms = terms_of(config)
        self._pinger = Pinger(config, primary)
        self._trips = RoundTrips()
        self._pings = Pings(self._pinger, self._trips)
        self._inquiry = Survey(
            config, primary, sessions, state, self._pings, self._trips, reached_before(config, primary.address)
        )
        facts = {"primary": primary.name, "terms": vars(self._terms)}
        self._recorder = IncidentRecorder(config.manager_workdir, config.name, facts)
        self._interval = float(config.ping_interval)
        self._looking: Future[tuple[Observation, ...]] | None = None
        self._look_due = self._listen_due = 0.0
        self._quiet_disk = 0.0
        self._said: dict[str, float] = {}
        self._refusals = Refusals(listener)
        self._greeted = False

    def run(self) -> Verdict | BeginAnew | None:
        """Until the primary is dead, its role moved (begin anew) or it is to stop (None)."""
        try:
            while not self._stop.is_set():
                found = self._while_all_is_well()
                if not isinstance(found, Trouble):
                    return found
                verdict = self._suspect(found)
                if verdict is not None:
                    return verdict
            return None
        finally:
            self._recorder.end("stopped")
            self._inquiry.close()
            self._pings.close()

    # while all is well -----------------------------------------------------------------------------------------

    def _while_all_is_well(self) -> Trouble | BeginAnew | None:
        """Ping and look until something is wrong, the role moved, or None when the watch is to stop."""
        broken = 0.0
        while not self._stop.is_set():
            began = time.monotonic()
            if why := self._listener.displaced():
                return BeginAnew(why)
            found = self._one_ping(began) or self._one_look()
            if found is not None:
                return found
            due = began + self._interval
            while (left := due - time.monotonic()) > 0 and not self._stop.is_set():
                if not self._pinger.connected:
                    self._stop.wait(min(left, STOP_SEEN))
                elif self._pinger.broken_within(min(left, STOP_SEEN)):
                    self._recorder.see(Observation(Observer.SESSION, "manager", Finding.BROKEN))
                    # A server that ends every session at once must not be pinged without pause.
                    at_once, broken = time.monotonic() - broken > self._interval, time.monotonic()
                    if at_once:
                        break
                trouble = self._one_look()
                if trouble is not None:
                    return trouble
        return None

    def _one_ping(self, began: float) -> Trouble | BeginAnew | None:
        slow = self._trips.limit(SLOW[0], 2.0, SLOW[1], minutes=RECENT)
        # The first one has to connect and may be slow.
        limit, within = (self._inquiry.ping_at_all, slow) if self._greeted else (None, None)
        ended = self._pings.ping(limit, within=within)
        if ended is None:
            return Trouble(began, f"no answer within {slow:.1f} s")
        ping, error = ended
        self._recorder.see(Observation(Observer.PING, "manager", FINDING[ping], error, took=time.monotonic() - began))
        if ping is Ping.MISSED:
            return Trouble(began, error, missed=True)
        if ping is Ping.ANSWERED:
            self._greet()
            self._refusals.over()
            self._listener.answered()
            if not self._pinger.closed:
                self._listener.open(fresh=self._pinger.renewed)
            elif why := self._listener.closed():
                return BeginAnew(why)
        elif self._pinger.of_disk and time.monotonic() >= self._quiet_disk:
            return Trouble(began, error, of_disk=True)
        else:
            self._refusals.refused(error)
            # Whose word that is its host can tell.
            self._look_due = time.monotonic()
        return None

    def _one_look(self) -> Trouble | None:
        """Look at the host from time to time, in the background; what an earlier look found."""
        now = time.monotonic()
        if now >= self._listen_due:
            self._listen_due = now + LISTEN_EVERY * self._interval
            self._inquiry.listen()
        found: tuple[Observation, ...] = ()
        if self._looking is not None and self._looking.done():
            found, self._looking = self._looking.result(), None
            self._recorder.see(*found)
            self._tell_of_ssh(found)
            waits = bool(self._inquiry.last_look.waits)
            self._look_due = now + (LOOK_AGAIN if waits else LOOKS_EVERY * self._interval)
        elif self._looking is None and now >= self._look_due:
            self._looking = self._inquiry.look()
        if self._inquiry.known and (why := somebody_else(found)):
            return Trouble(found[0].began, why)
        if now < self._quiet_disk:
            return None
        bad = next((o for o in found if o.source is Observer.DISK and o.finding in _BAD), None)
        if bad is None:
            return None
        # A thread that stands still has done so since the look before.
        since = self._inquiry.look_before.began if bad.finding is Finding.STALLED else bad.began
        return Trouble(since, str(bad), of_disk=True)

    def _tell_of_ssh(self, found: tuple[Observation, ...]) -> None:
        blind = next((o for o in found if o.source is Observer.SSH and o.finding is not Finding.ANSWERED), None)
        if blind is not None:
            self._say(f"The primary's host cannot be looked at, so a crash will be noticed later: {blind.detail}")

    # when something is wrong -----------------------------------------------------------------------------------

    def _suspect(self, trouble: Trouble) -> Verdict | BeginAnew | None:
        """Ask everybody, round by round, until it is a death (the verdict), nothing (None), or for others to judge."""
        silence = self._trips.limit(SILENCE, 2.0, SILENCE_AT_MOST)
        self._terms = replace(terms_of(self._config), silence=silence, own=self._inquiry.begin(silence))
        facts = {"trouble": trouble.what, "of_disk": trouble.of_disk, "since": trouble.since}
        self._recorder.begin(terms=vars(self._terms), **facts)
        suspicion = _Suspicion(trouble, self._terms)
        self._inquiry.ask_secondary()
        if trouble.missed or trouble.of_disk:
            self._announce(suspicion, int(trouble.missed), trouble.what)
        while not self._stop.is_set():
            if why := self._listener.displaced():
                return BeginAnew(why)
            write = trouble.of_disk or self._config.ping_type == "INSERT" or self._disk_in_doubt(suspicion)
            round_ = self._inquiry.round(write=write, enough=lambda r: self._conclusive(suspicion, r))
            case = suspicion.with_(round_, known=self._inquiry.known, held=self._inquiry.supervisor in HELD)
            judged = judge(case)
            self._recorder.round(
                suspicion.count,
                round_,
                since=case.since,
                known=case.known,
                held=case.held,
                row=judged.row.name,
                dead=judged.dead,
                misses=case.misses,
            )
            if judged.dead:
                return self._dead(case, judged, suspicion.unseen)
            if judged.row.settles:
                self._over(case, judged, of_disk=trouble.of_disk)
                return None
            self._announce(suspicion, case.misses, _error(round_) or trouble.what)
            self._tell(judged.row)
            self._alarm(suspicion, case, judged.row)
            if judged.refused:
                self._say(f"No failover: {judged.why}")
                suspicion.begin_again(reached=reached_by_others(judged.row))
                self._inquiry.ask_secondary()
            self._stop.wait(suspicion.pause(judged, case, self._interval))
        return None

    def _conclusive(self, suspicion: _Suspicion, so_far: Round) -> bool:
        if not so_far.is_(Observer.LINK, Finding.ANSWERED, Finding.LIVES):
            return False
        case = suspicion.case(so_far, self._inquiry.known, self._inquiry.supervisor in HELD)
        return judge(case).row.sure is Confidence.CONCLUSIVE

    def _disk_in_doubt(self, suspicion: _Suspicion) -> bool:
        return any(r.is_(Observer.DISK, *_BAD) for r in suspicion.rounds[-1:])

    def _announce(self, suspicion: _Suspicion, misses: int, error: str) -> None:
        """Once for each miss, in MHA's words; the first time whatever takes long is begun."""
        if not suspicion.ready:
            suspicion.ready = True
            self._listener.suspect(misses, error)
        if misses <= suspicion.told:
            return
        if suspicion.told == 0:
            log.warning("Got error on MySQL %s ping: %s", self._config.ping_type.lower(), error)
        else:
            log.warning("Connection failed %d time(s)..", misses)
        suspicion.told = misses
        self._listener.suspect(misses, error)

    def _alarm(self, suspicion: _Suspicion, case: Suspicion, row: Row) -> None:
        if not suspicion.alarmed and (row.sure is Confidence.CONCLUSIVE or case.misses >= ALARM_AT):
            suspicion.alarmed = True
            self._listener.alarm(row.means)

    def _tell(self, row: Row) -> None:
        self._say(f"It looks like: {row.name}. {row.means[0].upper()}{row.means[1:]}.{' ' * bool(row.tell)}{row.tell}")

    def _over(self, case: Suspicion, judged: Judgement, *, of_disk: bool) -> None:
        """It answers, or lives: told, and watched at the usual pace."""
        if judged.row.tell:
            self._tell(judged.row)
        # A disk in trouble may be so for hours.
        if of_disk:
            self._quiet_disk = time.monotonic() + QUIET_DISK * self._interval
        self._recorder.end("recovered", row=judged.row.name)
        if case.now.is_(Observer.PING, Finding.LIVES):
            self._refusals.refused(_error(case.now), suspected=True)
            # One that says now an error and now nothing is not to be asked without pause.
            self._stop.wait(self._interval)
        else:
            self._listener.recovered(judged.row.means)

    def _dead(self, case: Suspicion, judged: Judgement, unseen: float) -> Verdict:
        self._recorder.end("verdict", row=judged.row.name, why=judged.why, seconds=time.monotonic() - case.since)
        ssh: bool | None = False
        if case.now.is_(Observer.SSH, Finding.ANSWERED, Finding.REFUSED, Finding.SILENT):
            ssh = True if case.now.of(Observer.PROCESS) else None
        seen = tuple(o for o in case.now.seen if o.source is not Observer.LINK)
        ago = time.time() - time.monotonic()
        heard = self._inquiry.heard
        return Verdict(True, judged.why, ssh, seen, judged.row.name, heard, ago + case.since, ago + unseen)

    # words -----------------------------------------------------------------------------------------------------

    def _say(self, words: str) -> None:
        if time.monotonic() - self._said.get(words, -SAY_AGAIN) >= SAY_AGAIN:
            self._said[words] = time.monotonic()
            log.warning("%s", words)

    def _greet(self) -> None:
        if not self._greeted:
            self._greeted = True
            self._listener.greeted(WATCHES.format(self._config.ping_type))


class _Suspicion:
    """What a suspicion remembers between two rounds."""

    def __init__(self, trouble: Trouble, terms: Thresholds) -> None:
        self.rounds: list[Round] = []
        self.since = self.unseen = trouble.since
        self.count = 0
        self.told, self.ready, self.alarmed, self.often = 0, False, False, True
        self._terms = terms

    def case(self, newest: Round, known: bool, held: bool) -> Suspicion:
        """The case as it would be with this round."""
        return Suspicion((*self.rounds, newest), self.since, known, held, self._terms)

    def with_(self, newest: Round, *, known: bool, held: bool) -> Suspicion:
        """The case with this round, which is remembered."""
        case = self.case(newest, known, held)
        self.rounds = [*self.rounds, newest][-ROUNDS:]
        self.count += 1
        return case

    def begin_again(self, *, reached: bool) -> None:
        """Patience ran out and the answer was no: count from here, and no longer as often. ``reached``: it lives."""
        self.rounds, self.since, self.told, self.often = [], time.monotonic(), 0, False
        if reached:
            self.unseen = self.since

    def pause(self, judged: Judgement, case: Suspicion, interval: float) -> float:
        """Seconds until the next round is due: the one that may decide begins as soon as it may."""
        now = time.monotonic()
        newest = case.now.began
        if judged.row.sure is Confidence.CONCLUSIVE and self.rounds:
            decisive = self.since + judged.row.delay(case)
            due = max(newest + self._terms.confirm_interval, decisive if decisive - now < ROUND else 0.0)
        else:
            due = newest + (min(1.0, interval / 2) if self.often else interval)
        return max(0.02, due - now)


def _error(round_: Round) -> str:
    return next((o.detail or o.finding.value for o in round_.of(Observer.PING)), "")
