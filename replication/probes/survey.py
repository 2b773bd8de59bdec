"""An inquiry: everybody who can say something of a primary is asked at once, round by round.

The manager knocks at its port and pings, looks at its process and disks over SSH, lets the replicas' hosts knock, asks
the replicas for their receivers (which shows its own link too), and, when a disk is in doubt, writes a row. Every look
has its own deadline, and so has the round: who is late is an observation as well, and a late answer is one when it
comes: knocks and pings of earlier rounds are still listened to, and other hosts are let wait longer than a round.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from functools import partial

from ...config import ClusterConfig, ServerConfig
from ..cluster.pool import ConnectionPool
from ..detection.classic_rules import NO_WORD
from ..detection.independence import own_names
from ..detection.observation import Finding, Observation, Observer, Round
from ..detection.round_trips import RoundTrips
from ..detection.suspicion import SILENCE, WRITE_WAITS
from ..errors import HookError, MhaError
from ..local.addresses import address_of, ssh_address_of
from ..local.site_scripts import run_hook
from ..model.state import ReplicaChannel, ServerState
from ..ssh.host import SshHost
from ..threads import ThreadPool
from .host import HostView, ServerPaths, look_at
from .ping import write_a_row
from .pings import Pings
from .receiving import ReceiverView
from .replica import independent, look_from, neighbours
from .tcp import PortProbes

#: Seconds for one look, and for one round; a written row gets longer, for a slow disk is no dead one.
LOOK, ROUND, WRITE = 0.9, 1.1, WRITE_WAITS
#: Seconds for a look while all is well, until one has shown the process: a host with too much to do takes longer, and
#: without one nothing that its host shows later is believed.
FIRST_LOOK = 5.0
#: Seconds for a knock of this round, at least and at most: three times what answers took so far. Earlier ones go on.
KNOCK = (0.3, 1.0)
#: Seconds between two knocks at the host's sshd while nothing comes back: packets may be lost.
AGAIN = 0.2
#: Seconds that a ping is waited for in a round, and at all.
PING, PING_AT_ALL = 0.4, 10.0
#: Seconds by which another host ends its waiting before the silence is long enough: its word has to travel.
TELLS = 0.7
#: After so many seconds a round ends as soon as what is known is enough.
EARLY = 0.3
#: A thread that was to run so many seconds ago and only now does: the manager does not keep time.
LATE = 0.5

log = logging.getLogger("mha")

Seen = tuple[Observation, ...]
_PORT = "port "


class Survey:
    """The looks of one watch. ``pings`` are the manager's own, ``state`` is what the primary said while it lived.

    ``reached`` are the replicas, ``ip:port``, whose hosts are known to reach the primary.
    """

    def __init__(
        self,
        config: ClusterConfig,
        primary: ServerConfig,
        sessions: ConnectionPool,
        state: ServerState | None,
        pings: Pings,
        trips: RoundTrips,
        reached: Iterable[str] = (),
    ) -> None:
        self._config, self._primary, self._sessions = config, primary, sessions
        self._places, self._pings, self._trips = ServerPaths.of(primary, state), pings, trips
        self._knocks, self._sshd_knocks = self._new_knocks()
        self._others = [s for s in config.servers if s.address != primary.address]
        self._witnesses = list(config.witnesses)
        self._pool = ThreadPool(8 + 2 * (len(self._others) + len(self._witnesses)), thread_name_prefix="inquiry")
        uuid, server_id = (state.server_uuid, state.server_id) if state is not None else ("", 0)
        self._ears = {s.address: ReceiverView(primary, uuid, server_id) for s in self._others}
        self._reached = set(reached)
        self._linked: set[str] = set()
        self._words: dict[str, Seen] = {}
        self._silence, self._begun = SILENCE, 0.0
        self._pending: dict[str, Future[Seen]] = {}
        self._script: Future[Seen] | None = None
        self._mute = False
        self.last_look = self.look_before = HostView(())
        self.known = False
        self.supervisor = ""

    def close(self) -> None:
        """Forget what is still being asked."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._knocks.close()
        self._sshd_knocks.close()

    def begin(self, silence: float) -> tuple[str, ...]:
        """A suspicion begins, in which ``silence`` seconds count: what was said in an earlier one is forgotten.

        Returns the names of the servers that live on the manager's own host now.
        """
        self._silence, self._begun = silence, time.monotonic()
        self._words.clear()
        self._mute = False
        self._knocks.close()
        self._sshd_knocks.close()
        self._knocks, self._sshd_knocks = self._new_knocks()
        return own_names(self._others)

    def _new_knocks(self) -> tuple[PortProbes, PortProbes]:
        primary = self._primary
        return (
            PortProbes(lambda: address_of(primary), primary.port),
            PortProbes(lambda: ssh_address_of(primary), primary.ssh_port, again=AGAIN),
        )

    @property
    def heard(self) -> dict[str, ReplicaChannel]:
        """By ``ip:port``, what each replica's channel from that primary was when it was seen last."""
        return {key: ear.last for key, ear in self._ears.items() if ear.last is not None}

    def listen(self) -> list[Future[Seen]]:
        """One look at every receiver in the background, while all is well, and by a witness that never was asked.

        A receiver shows that its host reaches the primary; of a witness that has to be seen once.
        """
        unseen = [each for each in self._witnesses if each.block not in self._reached]
        return [
            *(self._ask(f"link {other.name}", self._replica, other) for other in self._others),
            *(self._ask(f"observer {each.block}", self._witness, each) for each in unseen),
        ]

    def look(self) -> Future[Seen]:
        """One look at the primary's host in the background, while all is well."""
        return self._ask("host", partial(self._look, LOOK if self.known else FIRST_LOOK))

    def round(self, *, write: bool, enough: Callable[[Round], bool]) -> Round:
        """Ask everybody; ends when all have answered, at the deadline, or early when what is known is ``enough``."""
        began = time.monotonic()
        asked = {
            "ping": self._ask("ping", self._ping),
            "sshd": self._ask("sshd", self._sshd),
            "host": self._ask("host", self._look),
        }
        for other in self._others:
            asked[f"observer {other.name}"] = self._ask(f"observer {other.name}", self._observer, other)
            asked[f"link {other.name}"] = self._ask(f"link {other.name}", self._replica, other)
        for witness in self._witnesses:
            asked[f"observer {witness.block}"] = self._ask(f"observer {witness.block}", self._witness, witness)
        if write:
            asked["write"] = self._ask("write", self._write)
        ends = began + ROUND + (WRITE - LOOK + 0.1 if write else 0.0)
        early = began + EARLY
        pending = set(asked.values())
        while pending and time.monotonic() < ends:
            until = early if time.monotonic() < early else ends
            _, pending = wait(pending, max(0.0, until - time.monotonic()), FIRST_COMPLETED)
            if pending and time.monotonic() >= early:
                # Who has not answered yet has not said anything, not even by being silent; an earlier word stands.
                so_far = self._sum_up(began, {n: f for n, f in asked.items() if f.done() or n in self._words})
                if enough(so_far):
                    return so_far
        return self._sum_up(began, asked, overdue=time.monotonic() - ends)

    def ask_secondary(self) -> None:
        """Run `secondary_check_script` in the background, if one is configured and does not run yet."""
        idle = self._script is None or self._script.done()
        if self._config.secondary_check_script and idle and not self._mute:
            self._script = self._pool.submit(self._secondary)

    # what a round is made of -----------------------------------------------------------------------------------

    def _sum_up(self, began: float, asked: dict[str, Future[Seen]], overdue: float = 0.0) -> Round:
        now = time.monotonic()
        seen: list[Observation] = []
        for name, future in asked.items():
            answer = _result(future) if future.done() else ()
            kind = name.partition(" ")[0]
            if kind == "observer":
                # It waits longer than a round: until it says something else, what it said last is its word.
                answer = self._words.get(name, ())
            elif not all(o.began >= began - 0.01 or self._is_late_answer(o) for o in answer):
                # One that was begun for an earlier round is no fresh view.
                answer = ()
            seen += answer or self._nothing(name, now - began)
        if self._script is not None and self._script.done():
            seen += _result(self._script)
        if overdue > LATE and not any(o.source is Observer.MANAGER for o in seen):
            seen.append(_late(overdue))
        return Round(began, now, tuple(dict.fromkeys(seen)))

    def _is_late_answer(self, seen: Observation) -> bool:
        """Whether a knock of an earlier round in this suspicion was answered after all."""
        knocked = seen.source is Observer.SSH and seen.who.startswith(_PORT)
        return knocked and seen.finding is not Finding.UNANSWERED and seen.began >= self._begun

    def _nothing(self, name: str, took: float) -> Seen:
        """What it means that somebody did not come back in time."""
        kind, _, who = name.partition(" ")
        source, finding = {
            "ping": (Observer.PING, Finding.UNANSWERED),
            "sshd": (Observer.SSH, Finding.UNANSWERED),
            "host": (Observer.SSH, Finding.UNANSWERED),
            "write": (Observer.WRITE, Finding.NO_VIEW),
            "observer": (Observer.OBSERVER, Finding.NO_VIEW),
            "link": (Observer.LINK, Finding.UNANSWERED),
        }[kind]
        return (Observation(source, who or self._primary.name, finding, "no answer in time", took=took),)

    def _ask(self, name: str, work: Callable[..., Seen], *args: ServerConfig) -> Future[Seen]:
        """Begin a look, unless the same one still runs."""
        running = self._pending.get(name)
        if running is not None and not running.done():
            return running
        submitted = time.monotonic()

        def run() -> Seen:
            late = time.monotonic() - submitted
            return (*work(*args), *((_late(late),) if late > LATE else ()))

        self._pending[name] = self._pool.submit(run)
        return self._pending[name]

    def _ping(self) -> Seen:
        began = time.monotonic()
        finding, detail = self._knocks.probe(self._trips.limit(KNOCK[0], 3.0, KNOCK[1]))
        if finding is Finding.ANSWERED:
            finding, detail = self._pings.now(self.ping_at_all, within=PING)
        elif late := self._pings.late():
            finding, detail = late
        return (Observation(Observer.PING, "manager", finding, detail, took=time.monotonic() - began),)

    @property
    def ping_at_all(self) -> float:
        """Seconds after which a ping is given up."""
        return max(PING_AT_ALL, float(self._config.ping_interval), self._silence)

    def _sshd(self) -> Seen:
        began = time.monotonic()
        finding, detail = self._sshd_knocks.probe(LOOK)
        who = f"{_PORT}{self._primary.ssh_port}"
        return (Observation(Observer.SSH, who, finding, detail, took=time.monotonic() - began),)

    def _look(self, within: float = LOOK) -> Seen:
        host = self._sessions.host(self._primary.address)
        looked = look_at(host, self._primary, self._places, timeout=within, before=self.last_look)
        self.look_before, self.last_look = self.last_look, looked
        if looked.healthy:
            self.known, self.supervisor = True, looked.supervisor
        return looked.seen

    def _observer(self, other: ServerConfig) -> Seen:
        """What a replica's host sees."""
        return self._seen_by(other, self._sessions.host(other.address), other.address, other.name)

    def _witness(self, witness: ServerConfig) -> Seen:
        """What a host without a server sees."""
        known = witness.block in self._reached
        seen = self._seen_by(witness, self._sessions.witness(witness.block), witness.block, witness.block)
        if not known and witness.block in self._reached:
            log.info("The witness %s reaches %s.", witness.hostname, self._primary.name)
        return seen

    def _seen_by(self, other: ServerConfig, host: SshHost, key: str, name: str) -> Seen:
        """What that host sees. It must have reached the primary before: what never worked tells nothing."""
        reached = neighbours(other, self._primary, [*self._others, *self._witnesses])
        view = look_from(host, self._primary, reached, timeout=self._silence - TELLS)
        if view.finding is Finding.ALONE and not any(s.address in self._linked for s in reached):
            # The others are down for everybody; that it reaches the manager shows that it is not cut off.
            view = replace(view, finding=Finding.UNANSWERED)
        view = independent(view, other, self._primary)
        if view.finding in (Finding.ANSWERED, Finding.SILENT, Finding.REFUSED):
            self._reached.add(key)
        elif view.finding is Finding.UNANSWERED and not self._worked(key):
            view = replace(view, finding=Finding.NO_VIEW, detail="it was never seen to reach the primary")
        if view.began >= self._begun:
            self._words[f"observer {name}"] = (view,)
        return (view,)

    def _worked(self, key: str) -> bool:
        return key in self._reached or (key in self._ears and self._ears[key].worked)

    def _replica(self, other: ServerConfig) -> Seen:
        seen = self._ears[other.address].look(self._sessions.server(other.address), timeout=LOOK)
        if any(o.source is Observer.LINK and o.finding is Finding.UNANSWERED for o in seen):
            self._linked.discard(other.address)
        else:
            self._linked.add(other.address)
        return seen

    def _write(self) -> Seen:
        began = time.monotonic()
        finding, detail = write_a_row(self._primary, timeout=WRITE)
        return (Observation(Observer.WRITE, "manager", finding, detail, took=time.monotonic() - began),)

    def _secondary(self) -> Seen:
        began = time.monotonic()
        code = run_secondary(self._config, self._primary)
        self._mute = code == NO_WORD
        finding = {0: Finding.CONFIRMED, NO_WORD: Finding.NO_VIEW}.get(code, Finding.DENIED)
        return (Observation(Observer.SECONDARY, "script", finding, str(code), took=time.monotonic() - began),)


def run_secondary(config: ClusterConfig, primary: ServerConfig) -> int:
    """The exit code of `secondary_check_script`: -1 when it was stopped at its deadline, NO_WORD when it cannot run."""
    arguments = [
        f"--user={primary.ssh_user}",
        f"--master_host={primary.hostname}",
        f"--master_ip={primary.ip}",
        f"--master_port={primary.port}",
        f"--ping_type={config.ping_type}",
    ]
    script = config.secondary_check_script or ""
    try:
        return run_hook(script, arguments, command="secondary check", timeout=config.hook_timeout).exit_code
    except HookError as error:
        if error.exit_code is None:
            return -1
        log.warning("%s. Nobody is asked by secondary_check_script, and it forbids nothing.", error)
        return NO_WORD


def _late(seconds: float) -> Observation:
    return Observation(Observer.MANAGER, "manager", Finding.LATE, f"{seconds:.1f} s late")


def _result(future: Future[Seen]) -> Seen:
    """What a look saw. An error of ours is no view of the primary; any other is a bug and surfaces."""
    try:
        return future.result()
    except MhaError:
        return ()
