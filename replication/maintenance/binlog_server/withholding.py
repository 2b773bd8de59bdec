"""Who replaces a primary has the binlog servers acknowledge nothing of it any more, from before their copies are read.

One that is cut off for some seconds only would come back to a reader that still follows it, and its clients would be
told that their rows are safe, which the new primary does not have. A binlog server that cannot be asked is told of; its
copies cannot be read either.
"""

from __future__ import annotations

import logging
import shlex
import threading
from collections.abc import Sequence

from ....config import ClusterConfig, ServerConfig
from ...cluster.pool import ConnectionPool
from ...errors import CommandFailed, MhaError
from ...ssh.host import SshHost
from ...ssh.streams import RunningCommand
from ...threads import Thread
from .archive import archive_directory

log = logging.getLogger("mha")

#: Seconds for all binlog servers; one that is dark is not waited for.
WITHIN = 2.0
#: Seconds after which a binlog server acknowledges again, should nobody end it: a manager may go dark.
LONGEST = 600
#: What is read of a command that runs on comes once there is more than this behind it.
_ROOM = 512
_ACTION = "have it acknowledge nothing of the old primary"
_COMMAND = (
    "[ -d {directory} ] || {{ printf '%-{room}s' none; exit 0; }}; "
    "exec flock -x -w 1 {directory} sh -c 'printf \"%-{room}s\" held; exec timeout {longest} cat >/dev/null'"
)


class Withheld:
    """The acknowledgements of one primary, from `begin` to `end`. Thread-safe."""

    def __init__(self) -> None:
        self._held: dict[str, RunningCommand] = {}
        self._mutex, self._over = threading.Lock(), False
        self._asking: threading.Thread | None = None
        #: Why the binlog servers of these blocks may go on, for people.
        self.go_on: dict[str, str] = {}

    def begin(self, config: ClusterConfig, sessions: ConnectionPool, old: ServerConfig) -> None:
        """Ask all of them, in the background; those that do so already are left alone."""
        blocks = [b for b in config.binlog_servers if b.binlog_ack and b.block not in self._held]
        if blocks:
            self.asked()
            self._asking = Thread(target=self._ask, args=(blocks, sessions, old), name="withhold", daemon=True)
            self._asking.start()

    def asked(self) -> None:
        """Wait until all have answered, or will not: but for those that `go_on` nothing more is acknowledged."""
        if self._asking is not None:
            self._asking.join(2 * WITHIN)

    def _ask(self, blocks: Sequence[ServerConfig], sessions: ConnectionPool, old: ServerConfig) -> None:
        for block in blocks:
            self.go_on[block.block] = "no answer yet"
        for block, result in sessions.each(
            lambda block: self._hold(block, sessions.binlog_host(block.block), archive_directory(block, old)),
            blocks,
            timeout=WITHIN,
        ):
            if result is True:
                self.go_on.pop(block.block)
                continue
            why = f"{result or 'no answer'}"
            self.go_on[block.block] = why
            log.warning("%s [%s] may go on acknowledging what %s sends: %s", block.hostname, block.block, old.name, why)

    def end(self) -> None:
        """They acknowledge again what they are to read."""
        with self._mutex:
            held, self._held, self._over = list(self._held.values()), {}, True
        for command in held:
            command.close()

    def _hold(self, block: ServerConfig, host: SshHost, directory: str) -> bool:
        command = _COMMAND.format(directory=shlex.quote(directory), room=_ROOM, longest=LONGEST)
        running = host.started(f"sh -c {shlex.quote(command)}", action=_ACTION, timeout=WITHIN, silence=WITHIN)
        try:
            said = running.read(4)
        except MhaError:
            running.close()
            raise
        with self._mutex:
            if said == b"held" and not self._over:
                self._held[block.block] = running
                return True
        running.close()
        if said != b"none" and not self._over:
            raise CommandFailed(host.name, _ACTION, "the lock of its copies cannot be had")
        return True
