"""Who replaces a primary has the binlog servers acknowledge nothing of it any more, from before their copies are read.

One that is cut off for some seconds only would come back to a reader that still follows it, and its clients would be
told that their rows are safe, which the new primary does not have. A binlog server that cannot be asked is told of; its
copies cannot be read either. Each is asked over a session of its own, which lasts as long as that, and does not end,
or starve where sshd allows one channel alone, what else goes on at that host.
"""

from __future__ import annotations

import logging
import shlex
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ....config import ClusterConfig, ServerConfig
from ...cluster.pool import ConnectionPool
from ...errors import CommandFailed
from ...ssh.host import SshHost
from ...ssh.streams import RunningCommand
from ...threads import Thread
from .archive import archive_directory

log = logging.getLogger("mha")

#: Seconds for all binlog servers; one that is dark is not waited for.
WITHIN = 2.0
#: Seconds after which the lock is given back there, should nobody end it: a manager may go dark.
LONGEST = 600
#: Seconds that the channel may outlast that.
_MORE = 10.0
#: What is read of a command that runs on comes once there is more than this behind it.
_ROOM = 512
_ACTION = "have it acknowledge nothing of the old primary"
_COMMAND = (
    "[ -d {directory} ] || {{ printf '%-{room}s' none; exit 0; }}; "
    "exec flock -x -w 1 {directory} sh -c 'printf \"%-{room}s\" held; exec timeout {longest} cat >/dev/null'"
)


@dataclass(frozen=True)
class _Hold:
    host: SshHost
    command: RunningCommand

    @property
    def lasts(self) -> bool:
        """That host says now that nobody has ended it there."""
        # What it had said of the command's end comes before the answer.
        return self.host.alive(WITHIN) and self.command.runs

    def close(self) -> None:
        self.command.close()
        self.host.close()


class Withheld:
    """The acknowledgements of one primary, from `begin` to `end`. Thread-safe. ``host_of`` makes a session."""

    def __init__(self, host_of: Callable[[ServerConfig], SshHost] = SshHost) -> None:
        self._host_of = host_of
        self._held: dict[str, _Hold] = {}
        self._hosts: list[SshHost] = []
        self._mutex, self._over = threading.Lock(), False
        self._asking: threading.Thread | None = None
        self._begin: Callable[[], None] = lambda: None
        self._at_the_end: frozenset[str] = frozenset()
        #: Why the binlog servers of these blocks may have gone on, at any time since the begin, for people.
        self.go_on: dict[str, str] = {}

    def begin(self, config: ClusterConfig, sessions: ConnectionPool, old: ServerConfig) -> None:
        """Ask all of them, in the background; those that do so already are left alone."""
        self._begin = lambda: self.begin(config, sessions, old)
        blocks = [b for b in config.binlog_servers if b.binlog_ack and b.block not in self._held]
        if blocks:
            self._answered()
            self._asking = Thread(target=self._ask, args=(blocks, sessions, old), name="withhold", daemon=True)
            self._asking.start()

    def asked(self) -> frozenset[str]:
        """Wait until all have answered, or will not; the blocks that acknowledged nothing `unbroken` since then.

        Those that were lost meanwhile are asked again first.
        """
        self._answered()
        if self._lost():
            self._begin()
            self._answered()
        return self.unbroken()

    def unbroken(self) -> frozenset[str]:
        """The blocks that have acknowledged nothing since they were asked, up to now or to the `end`."""
        if self._over:
            return self._at_the_end
        self._lost()
        return frozenset(self._held.keys() - self.go_on.keys())

    def end(self) -> None:
        """They acknowledge again what they are to read."""
        unbroken = self.unbroken()
        with self._mutex:
            held, self._held, self._over = list(self._held.values()), {}, True
            self._at_the_end = unbroken
        for hold in held:
            hold.close()
        # Whoever still waits for an answer is let go.
        for host in tuple(self._hosts):
            host.close()

    def _answered(self) -> None:
        if self._asking is not None:
            self._asking.join(2 * WITHIN)

    def _lost(self) -> bool:
        """Give up those that ended there without us; whether there were any."""
        lost = {block: hold for block, hold in dict(self._held).items() if not hold.lasts}
        for block, hold in lost.items():
            self.go_on[block] = "it was asked, and went on before the end"
            log.warning("%s [%s] may go on acknowledging: the session or its lock ended", hold.host.name, block)
            with self._mutex:
                self._held.pop(block, None)
            hold.close()
        return bool(lost)

    def _ask(self, blocks: Sequence[ServerConfig], sessions: ConnectionPool, old: ServerConfig) -> None:
        first = [block.block for block in blocks if block.block not in self.go_on]
        self.go_on.update(dict.fromkeys(first, "no answer yet"))
        for block, result in sessions.each(
            lambda block: self._hold(block, archive_directory(block, old)), blocks, timeout=WITHIN
        ):
            if result is True:
                # Who had to be asked twice acknowledged in between, perhaps.
                if block.block in first:
                    self.go_on.pop(block.block)
                continue
            why = f"{result or 'no answer'}"
            self.go_on[block.block] = why
            log.warning("%s [%s] may go on acknowledging what %s sends: %s", block.hostname, block.block, old.name, why)

    def _hold(self, block: ServerConfig, directory: str) -> bool:
        """True: it acknowledges nothing more, or has no copy. One that answers too late is held nevertheless."""
        host = self._host_of(block)
        self._hosts.append(host)
        hold: _Hold | None = None
        kept = False
        try:
            host.connect(WITHIN)
            command = _COMMAND.format(directory=shlex.quote(directory), room=_ROOM, longest=LONGEST)
            running = host.started(
                f"sh -c {shlex.quote(command)}", action=_ACTION, timeout=LONGEST + _MORE, silence=WITHIN
            )
            hold = _Hold(host, running)
            said = running.read(4)
            with self._mutex:
                kept = said == b"held" and not self._over
                if kept:
                    self._held[block.block] = hold
            if not kept and said != b"none" and not self._over:
                raise CommandFailed(host.name, _ACTION, "the lock of its copies cannot be had")
            return True
        finally:
            if not kept:
                (hold or host).close()
