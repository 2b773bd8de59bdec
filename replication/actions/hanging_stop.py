"""A receiver that is stopped while it connects to a dark host: MariaDB 11 waits for the attempt to end.

The attempt takes up to ``slave_net_timeout`` (60 s by default). A KILL of the thread does not end it (tried on 11.8.9,
with packets that vanish), closing the socket of the attempt does, which takes root on the replica's own host. Older
MariaDB, and MySQL, interrupt the attempt themselves.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import socket
import threading
from collections.abc import Iterator

from ...config import ServerConfig
from ..errors import DeadlineExceeded, HostError
from ..model.state import ReplicaChannel
from ..mysql.server import Server
from ..ssh.host import SshHost
from ..ssh.rights import as_root
from ..threads import Thread

log = logging.getLogger("mha")

#: Seconds after which a STOP is taken to hang, and between two attempts to free it.
HANGS_AFTER, AGAIN = 0.3, 0.5
#: Seconds for the command on the replica's host, and those that a STOP may take beyond the attempt it waits for.
CLOSING, BEYOND = 5.0, 5.0


def stop_within(server: Server, channel: ReplicaChannel, usual: float) -> float:
    """Seconds that a STOP of that receiver may take: ``usual``, or as long as an attempt to connect may."""
    if channel.receiver != "Connecting" or not server.dialect.stop_waits_for_connecting:
        return usual
    limit = server.scalar("SELECT @@GLOBAL.slave_net_timeout", action="see how long its receiver may connect")
    return max(usual, float(limit or 0) + BEYOND)


@contextlib.contextmanager
def freed(server: Server, channel: ReplicaChannel, host: SshHost | None) -> Iterator[None]:
    """While it lasts, the attempt to connect that a STOP waits for is ended on the replica's own ``host``.

    Only sockets that are not connected yet, and only those to the channel's source, are closed: no session of anybody.
    """
    if channel.receiver != "Connecting" or host is None or not server.dialect.stop_waits_for_connecting:
        yield
        return
    over = threading.Event()
    beside = Thread(target=_free, args=(server, channel, host, over), name="free a receiver", daemon=True)
    beside.start()
    try:
        yield
    finally:
        over.set()


def _free(server: Server, channel: ReplicaChannel, host: SshHost, over: threading.Event) -> None:
    if over.wait(HANGS_AFTER):
        return
    log.warning("%s: its receiver connects to %s, which is dark; ending that attempt.", server, channel.source_host)
    while True:
        try:
            host.run(
                closing_command(channel, server.config), action="end its receiver's attempt to connect", timeout=CLOSING
            )
        except (HostError, DeadlineExceeded, OSError) as error:
            log.warning("%s; its STOP ends with the attempt, after slave_net_timeout at most.", error)
            return
        if over.wait(AGAIN):
            return


def closing_command(channel: ReplicaChannel, replica: ServerConfig) -> str:
    """Close what is on its way to the source, and nothing that is connected; needs root, his helper on the replica's
    host, or sudo for ss.

    ss of older iproute2 exits with 0 whether or not it closed anything. Raises OSError for a name without address.
    """
    found = socket.getaddrinfo(channel.source_host, channel.source_port, type=socket.SOCK_STREAM)
    commands = []
    for address in dict.fromkeys(str(each[4][0]) for each in found):
        there = f"[{address}]" if ":" in address else address
        close = f"$sudo ss -K -t state syn-sent dst {shlex.quote(there)} dport = :{channel.source_port}"
        commands.append(f"({as_root(replica, f'close {shlex.quote(there)} {channel.source_port}', close)}) || exit 1")
    sudo = "sudo=; [ \"$(id -u)\" = 0 ] || sudo='sudo -n'"
    return f"PATH=$PATH:/usr/sbin:/sbin; {sudo}; {'; '.join(commands)}"
