"""The data of a donor as statements, from its host through this process to the client on the other host."""

from __future__ import annotations

import contextlib
import logging
import shlex
import time

from .....config import ServerConfig
from ....deadline import Deadline
from ....errors import DeadlineExceeded
from ....meter import Meter, Metered
from ....model.state import GtidKind, ServerState, Vendor
from ....mysql.server import Server
from ....rescue.apply import client_options
from ....scripts import script
from ....ssh.host import SshHost
from ....ssh.streams import RunningCommand
from ..place import HELD, Place, held_still

log = logging.getLogger("mha")

#: Seconds that a donor may send nothing, and that the whole may take.
SILENCE, WHOLE = 300.0, 7 * 86400.0
#: Tells that the consistent snapshot was taken: the dump of the first database has begun.
BEGUN = b"-- Current Database: "
#: What is a server's own, and no data.
_OWN = ("slave_master_info", "slave_relay_log_info", "slave_worker_info", "gtid_executed", "gtid_slave_pos")
_USUAL = ("--all-databases", "--single-transaction", "--quick", "--routines", "--events", "--triggers", "--hex-blob")
_WHO = "SELECT CONCAT_WS(' ', @@hostname, @@port, @@server_id, @@datadir)"
#: Databases that are the server's, and are not dropped before.
SYSTEM = frozenset({"mysql", "information_schema", "performance_schema", "sys"})


class First:
    """What was read already, then the rest: an `InputSource`."""

    def __init__(self, read: bytes, rest: RunningCommand) -> None:
        self._read, self._rest = read, rest

    def read(self, length: int, /) -> bytes:
        """The next bytes."""
        if self._read:
            data, self._read = self._read[:length], self._read[length:]
            return data
        return self._rest.read(length)


def load(
    donor: tuple[SshHost, Server],
    target: tuple[SshHost, Server],
    primary: ServerConfig,
    kind: GtidKind,
    meter: Meter,
) -> Place:
    """Dump the first, load it into the second, whose own databases go; where in the primary's log that stands.

    The donor holds still from the moment its place is read until the snapshot is taken. Raises HostError's children,
    ServerError, DeadlineExceeded.
    """
    (from_host, from_server), (to_host, to_server) = donor, target
    head, command = _loading(to_server)
    state = from_server.observe()
    with contextlib.closing(_dumping(from_host, from_server, state)) as dump:
        with held_still(from_server.config, primary, kind) as (place, let_go):
            dump.give(client_options(from_server.config, vendor=state.vendor, plugin=from_server.plugin).encode())
            first = _until_begun(dump, HELD)
            let_go()
        log.info("%s: a snapshot of its data was taken at %s.", from_server, place)
        stream = Metered(head, First(first, dump), meter, b"\nFLUSH PRIVILEGES;\n")
        to_host.run(command, action="load the dump", timeout=WHOLE, stdin=stream)
        dump.finish(Deadline(30.0))
    return place


def _until_begun(dump: RunningCommand, seconds: float) -> bytes:
    read, ends = b"", time.monotonic() + seconds
    while BEGUN not in read:
        dump.wait_at_most(max(0.1, ends - time.monotonic()))
        data = dump.read(1 << 15)
        read += data
        if not data:
            break
        if time.monotonic() > ends:
            raise DeadlineExceeded("begin the dump while writes are held", seconds)
    dump.wait_at_most(SILENCE)
    if BEGUN not in read:
        dump.finish(Deadline(30.0))
    return read


def _dumping(host: SshHost, server: Server, state: ServerState) -> RunningCommand:
    config, mysql = server.config, state.vendor is Vendor.MYSQL
    options = [*_USUAL, *(f"--ignore-table=mysql.{name}" for name in _OWN)]
    if mysql:
        options.append("--set-gtid-purged=OFF")
    words = (config.remote_workdir, config.client_bindir or "", config.client_libdir or "", state.vendor.value)
    told = " ".join(shlex.quote(word) for word in (*words, *options))
    return host.started(
        f"sh -c {shlex.quote(script('dump.sh'))} dump {told}",
        action="dump its data",
        timeout=WHOLE,
        silence=SILENCE,
    )


def _loading(server: Server) -> tuple[bytes, str]:
    """What stands before the statements, and the command that takes all of it."""
    config, state = server.config, server.observe()
    who = server.scalar(_WHO, action="ask who it is")
    words = (config.remote_workdir, config.client_bindir or "", config.client_libdir or "", state.vendor.value)
    told = " ".join(shlex.quote(word) for word in (*words, _WHO, str(who)))
    names = [next(iter(row.values())) for row in server.query("SHOW DATABASES", action="list its databases")]
    own = [str(name) for name in names if str(name).lower() not in SYSTEM and not str(name).startswith("#mysql50#")]
    # An accent within a name is doubled; a dump's own statements turn the checks on again at its end.
    drops = "".join("DROP DATABASE IF EXISTS `{}`;\n".format(name.replace("`", "``")) for name in own)
    before = f"SET SESSION sql_log_bin=0;\nSET SESSION foreign_key_checks=0;\n{drops}"
    options = client_options(config, vendor=state.vendor, plugin=server.plugin)
    return f"{options}\n{before}".encode(), f"sh -c {shlex.quote(script('load.sh'))} load {told}"
