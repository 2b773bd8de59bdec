"""The steps of a rebuild on the host of the server that gets new data: `rebuild.sh`, one verb after the other."""

from __future__ import annotations

import contextlib
import logging
import shlex
import time
from collections.abc import Callable, Sequence

from ....config import ServerConfig
from ...errors import DeadlineExceeded, HostError, ServerError
from ...fencing.kill import present_on
from ...model.state import ServerState
from ...mysql.server import Server
from ...probes.host import ServerPaths
from ...scripts import script
from ...ssh.host import SshHost
from ...ssh.rights import as_root
from ...ssh.streams import InputSource
from .facts import TargetView
from .left import Left, Whose

log = logging.getLogger("mha")

#: Seconds for a step that moves names, for one that stops a server, for one that copies or reads all of its data.
SHORT, STOPS, LONG = 60.0, 150.0, 86400.0
#: Seconds that a started server has to take sessions, after a recovery perhaps, and between two looks.
STARTS, LOOK = 600.0, 0.1
#: Seconds after which one that was started, of which no process is there, comes no more; and between two such looks.
GONE, SEEN_EVERY = 10.0, 2.0


class OnHost:
    """One instance on one host, as it told of itself while it lived. All verbs raise HostError, DeadlineExceeded."""

    def __init__(self, host: SshHost, server: ServerConfig, places: ServerPaths) -> None:
        self._host, self._server, self._places = host, server, places

    @classmethod
    def of(cls, host: SshHost, server: ServerConfig, state: ServerState) -> OnHost:
        """As its server tells of itself."""
        return cls(host, server, ServerPaths.of(server, state))

    def step(
        self, verb: str, word: str = "", *, action: str, timeout: float = SHORT, stdin: bytes | InputSource = b""
    ) -> list[str]:
        """One verb; what it told, line by line."""
        server, places = self._server, self._places
        words = (str(server.port), places.pid_file, server.ip, places.datadir, ",".join(places.owned), places.logs)
        told = " ".join(shlex.quote(each) for each in (*words, verb, word))
        plain = f"sh -c {shlex.quote(script('rebuild.sh'))} rebuild {told}"
        command = as_root(server, f"rebuild {verb} {word}".strip(), plain, with_input=bool(stdin))
        return self._host.run(command, action=action, timeout=timeout, stdin=stdin).stdout.splitlines()

    def look(self, programs: Sequence[str], clone: str) -> TargetView:
        """What is there; ``programs`` are lines of `copiers.sh`, ``clone`` how its clone plugin is."""
        told = dict(line.partition(" ")[::2] for line in self.step("look", action="look at its data directory"))
        copiers = dict(line.partition(" ")[::2] for line in programs)
        return TargetView(
            data=int(told.get("data") or 0),
            free=int(told.get("free") or 0),
            beside=told.get("beside") == "yes",
            room=told.get("room", ""),
            state=told.get("state", ""),
            old=told.get("old", ""),
            of=Whose.parse(told.get("of", "")).journal,
            clone=clone,
            backup=copiers.get("backup", ""),
            mbstream="mbstream" in copiers,
            client="client" in copiers,
            elsewhere=told.get("elsewhere", ""),
            stoppable=bool(self._server.start_command) or any(key in told for key in ("runs", "unit", "ran")),
            root="root" in told,
        )

    def state(self) -> str:
        """What is done of a rebuild: empty, or the word of the last step."""
        return self.left().state

    def left(self) -> Left:
        """What a rebuild left, once none of its steps is under way."""
        lines = self.step("state", action="see what a former rebuild left", timeout=LONG)
        told = dict(line.partition(" ")[::2] for line in lines)
        return Left(told.get("state", ""), told.get("old", ""), Whose.parse(told.get("of", "")))

    def begin(self, of: Whose, *, apart: bool = False) -> None:
        """An empty place for the new data. ``apart``: the old data that is there is kept under a name with the date."""
        word = "apart" if apart else ""
        for line in self.step("begin", word, action="make a place for the new data", timeout=LONG, stdin=of.line):
            if line.startswith("kept "):
                log.warning("%s: what another rebuild left is kept in %s.", self._server.name, line.partition(" ")[2])

    def claim(self, of: Whose) -> None:
        """What is there is gone on with."""
        self.step("claim", action="note who goes on", stdin=of.line)

    def stop(self) -> None:
        """mysqld runs no more."""
        self.step("stop", action="stop its mysqld", timeout=STOPS)

    def start(self, session: Server, *, closed: bool = True) -> ServerState:
        """mysqld takes sessions again: started by ``start_command``, by what ran it, or by its unit.

        ``closed``: an option file has it start read-only; else it is only started where its words can say so.
        """
        with contextlib.suppress(ServerError):
            return session.observe()
        if self._server.start_command:
            if not closed:
                cause = "no option file could be written by which it starts read-only"
                raise HostError(self._host.name, "start its mysqld (start_command)", cause)
            # It would make data of its own where a host died in the midst of moving it.
            if self._places.datadir:
                self.step("finish", action="see that its data is in one place", timeout=LONG)
            self._host.run(self._server.start_command, action="start its mysqld (start_command)", timeout=STOPS)
        else:
            for line in self.step("start", "" if closed else "open", action="start its mysqld", timeout=STOPS):
                log.debug("%s: %s", self._server.name, line)
        return answers(session, self._runs)

    def _runs(self) -> bool:
        """In doubt it does."""
        try:
            return present_on(self._host, self._server, self._places, timeout=SHORT).runs
        except (HostError, DeadlineExceeded) as error:
            log.debug("%s", error)
            return True


def answers(session: Server, runs: Callable[[], bool] = lambda: True, seconds: float = STARTS) -> ServerState:
    """Its state as soon as it takes sessions. Raises DeadlineExceeded; HostError where no process ``runs`` any more."""
    session.close()
    began = seen = looked = time.monotonic()
    said = ""
    while (now := time.monotonic()) < began + seconds:
        try:
            return session.observe()
        except ServerError as error:
            said = str(error)
        if now - looked > SEEN_EVERY:
            looked = now
            if runs():
                seen = now
            elif now - seen > GONE:
                cause = f"it ended, or never ran, and its error log tells why ({said})"
                raise HostError(session.config.hostname, "start its mysqld", cause)
        time.sleep(LOOK)
    raise DeadlineExceeded(f"{session}: take sessions after its start", seconds, said)


def copiers(host: SshHost, server: ServerConfig) -> list[str]:
    """Which programs that copy data its host has, as `copiers.sh` tells. Raises HostError, DeadlineExceeded."""
    words = f"sh -c {shlex.quote(script('copiers.sh'))} copiers {shlex.quote(server.client_bindir or '')}"
    return host.run(words, action="see which programs copy its data", timeout=SHORT).stdout.splitlines()
