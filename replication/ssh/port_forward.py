"""A port of a host's own loopback that leads here, over its SSH session: `ssh -R`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import paramiko

from ..deadline import Deadline
from ..errors import HostUnreachable
from .channel_order import orderly
from .session import SshSession, Watchdog

#: Seconds to give a port up.
GIVE_UP = 5.0


class Forward:
    """What connects to ``127.0.0.1:port`` on the host is handed to ``deliver``, which must not wait, until the end."""

    def __init__(
        self, session: SshSession, name: str, deliver: Callable[[paramiko.Channel], None], *, timeout: float
    ) -> None:
        """Raises HostUnreachable when sshd refuses (AllowTcpForwarding) or does not answer in time (seconds)."""
        self._transport = session.transport
        watchdog = Watchdog(self._transport, Deadline(timeout))
        try:
            self.port = self._transport.request_port_forward(
                "127.0.0.1", 0, lambda channel, _, __: deliver(orderly(channel))
            )
        except (OSError, EOFError, paramiko.SSHException) as error:
            hint = "sshd_config needs AllowTcpForwarding yes or remote"
            raise HostUnreachable(name, "forward a port to the manager", str(error) or "no answer", hint) from error
        finally:
            watchdog.stop()

    def close(self) -> None:
        """Give the port up; what came by it is the receiver's to close."""
        watchdog = Watchdog(self._transport, Deadline(GIVE_UP))
        try:
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                self._transport.cancel_port_forward("127.0.0.1", self.port)
        finally:
            watchdog.stop()
