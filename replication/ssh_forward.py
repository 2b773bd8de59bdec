"""A port of a host's own loopback that leads here, over its SSH session: `ssh -R`."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

import paramiko

from replication.deadline import Deadline
from replication.errors import HostUnreachable
from replication.ssh_session import Session, Watchdog

CHUNK = 64 * 1024
#: Seconds for this side's own port to answer.
CONNECT = 5.0


class Forward:
    """Connections to ``127.0.0.1:port`` on the host come out at ``target`` here, until it is closed."""

    def __init__(self, session: Session, name: str, target: tuple[str, int], *, timeout: float) -> None:
        """Raises HostUnreachable when sshd refuses (AllowTcpForwarding) or does not answer."""
        self._transport, self._target = session.transport, target
        self._open: list[Callable[[], object]] = []
        self._lock = threading.Lock()
        watchdog = Watchdog(self._transport, Deadline(timeout))
        try:
            self.port = self._transport.request_port_forward("127.0.0.1", 0, self._came)
        except (OSError, EOFError, paramiko.SSHException) as error:
            hint = "sshd_config needs AllowTcpForwarding yes or remote"
            raise HostUnreachable(name, "forward a port to the manager", str(error) or "no answer", hint) from error
        finally:
            watchdog.stop()

    def close(self) -> None:
        """Give the port up, and end what came in by it."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            watchdog = Watchdog(self._transport, Deadline(CONNECT))
            try:
                self._transport.cancel_port_forward("127.0.0.1", self.port)
            finally:
                watchdog.stop()
        with self._lock:
            ends, self._open = self._open, []
        for end in ends:
            end()

    def _came(self, channel: paramiko.Channel, origin: tuple[str, int], server: tuple[str, int]) -> None:
        # Called in the thread that reads the session: nothing may be waited for here.
        threading.Thread(target=self._join, args=(channel,), name="ssh forward", daemon=True).start()

    def _join(self, channel: paramiko.Channel) -> None:
        try:
            here = socket.create_connection(self._target, timeout=CONNECT)
        except OSError:
            channel.close()
            return
        here.settimeout(None)

        def end() -> None:
            with contextlib.suppress(OSError):
                here.shutdown(socket.SHUT_RDWR)
            channel.close()

        with self._lock:
            self._open.append(end)
        there = threading.Thread(target=_carry, args=(channel.recv, here.sendall, end), name="ssh forward", daemon=True)
        there.start()
        _carry(here.recv, channel.sendall, end)
        there.join()
        here.close()


def _carry(take: Callable[[int], bytes], give: Callable[[bytes], object], end: Callable[[], None]) -> None:
    """One direction; the sender waits while the other side takes nothing. When it ends, both do."""
    try:
        while data := take(CHUNK):
            give(data)
    except (OSError, EOFError, paramiko.SSHException):
        pass
    finally:
        end()
